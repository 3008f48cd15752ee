//! Any answer of an EST server, and any claim file, is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    heron_agent::fuzzing::certificates(bytes);
    heron_agent::fuzzing::claim(bytes);
});
