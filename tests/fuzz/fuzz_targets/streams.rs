//! Any bytes from a file, a FIFO or a child process are pictures or are refused.
#![no_main]

use heron_media::h264::{AccessUnitSplitter, Syntax, nal_units};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    heron_media::fuzzing::y4m(bytes);
    heron_media::fuzzing::sps(bytes);
    nal_units(bytes).for_each(drop);
    heron_media::fuzzing::ivf(bytes);
    for syntax in [Syntax::H264, Syntax::H265] {
        let mut splitter = AccessUnitSplitter::new(syntax);
        let _ = splitter.push(bytes);
        while splitter.next_unit().is_some() {}
        splitter.flush();
    }
});
