//! Any text is an offer that can be answered or is refused with a reason.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|sdp: &str| heron_peer::fuzzing::offer(sdp));
