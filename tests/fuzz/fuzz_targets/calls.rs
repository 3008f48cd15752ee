//! Any message on the data channel `control` is answered or passed over.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| heron_session::fuzzing::control(bytes));
