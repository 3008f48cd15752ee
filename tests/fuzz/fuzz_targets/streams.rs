//! Any bytes from a file, a FIFO or a child process are pictures or are refused.
#![no_main]

use heron_media::h264::{AccessUnitSplitter, nal_units};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    heron_media::fuzzing::y4m(bytes);
    heron_media::fuzzing::sps(bytes);
    nal_units(bytes).for_each(drop);
    let mut splitter = AccessUnitSplitter::new();
    let _ = splitter.push(bytes);
    while splitter.next_unit().is_some() {}
    splitter.flush();
});
