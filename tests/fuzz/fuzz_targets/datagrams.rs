//! Any datagram is STUN, RTCP, mDNS or a viewer's, or is not, on its own or in a stream; reading it never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    heron_turn::fuzzing::stun(bytes);
    heron_turn::fuzzing::frames(bytes);
    heron_turn::fuzzing::requests(bytes);
    heron_peer::fuzzing::stun(bytes);
    heron_peer::fuzzing::rtcp(bytes);
    heron_session::fuzzing::demux(bytes);
    heron_session::fuzzing::stream(bytes);
    heron_session::fuzzing::turn_stream(bytes);
    heron_session::fuzzing::mdns(bytes);
});
