//! The gateway's reading of a browser's CONNECT: what is read is written so that it reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The module stands alone, so that the control plane need not be built under the sanitizer.
#[path = "../../../control-plane/server/src/brokers/connect.rs"]
#[allow(dead_code, reason = "the gateway uses more of it than is tried here")]
mod connect;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((packet, length))) = connect::read(bytes) {
        assert!(length <= bytes.len());
        let written = packet.write();
        assert_eq!(connect::read(&written), Ok(Some((packet, written.len()))));
    }
});
