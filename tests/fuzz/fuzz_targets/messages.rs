//! Any bytes on any topic are read or refused; what is read can be written and read again.
#![no_main]

use heron_protocol::messages::{
    Alarm, CameraUpdate, DesiredState, Event, Job, JobProgress, Presence, ReportedState, RpcReply, RpcRequest, RtcDown,
    RtcUp, Telemetry, ViewDown, ViewUp,
};
use heron_protocol::{Message, decode, encode};
use libfuzzer_sys::fuzz_target;

fn survives<M: Message>(bytes: &[u8]) {
    if let Ok(message) = decode::<M>(bytes) {
        // Numbers may be written longer than they came, so a message at its size limit may not fit again.
        if let Ok(written) = encode(&message) {
            assert!(decode::<M>(&written).is_ok(), "{} is not read back", M::NAME);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    survives::<Alarm>(bytes);
    survives::<CameraUpdate>(bytes);
    survives::<DesiredState>(bytes);
    survives::<Event>(bytes);
    survives::<Job>(bytes);
    survives::<JobProgress>(bytes);
    survives::<Presence>(bytes);
    survives::<ReportedState>(bytes);
    survives::<RpcReply>(bytes);
    survives::<RpcRequest>(bytes);
    survives::<RtcDown>(bytes);
    survives::<RtcUp>(bytes);
    survives::<Telemetry>(bytes);
    survives::<ViewDown>(bytes);
    survives::<ViewUp>(bytes);
});
