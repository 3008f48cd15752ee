//! Answers the SDP offer on standard input: `cargo run -p heron-peer --example answer < offer.sdp`.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use heron_peer::{Certificate, LocalCandidate, MediaClock, Peer, PeerConfig, Rights};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut offer = String::new();
    std::io::stdin().read_to_string(&mut offer)?;
    let rights = Rights {
        video: true,
        audio: true,
        talk: true,
        control: true,
    };
    let now = Instant::now();
    let clock = MediaClock::new(now, 0, SystemTime::now());
    let mut config = PeerConfig::new(Arc::new(Certificate::generate()?), rights, clock);
    config.candidates = vec![LocalCandidate::host("192.0.2.1:5000".parse()?)];
    config.trickle = false;
    let (_, answer) = Peer::answer(config, &offer, now, &mut rand::rng())?;
    std::io::stdout().write_all(answer.sdp.as_bytes())?;
    Ok(())
}
