//! Any datagram is STUN or is not; reading it never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| heron_turn::fuzzing::stun(bytes));
