//! A TURN server alone, for measurements and for trying clients: `serve SECRET LISTEN RELAY [ALLOWED PEERS]`.
//!
//! `cargo run --release -p heron-turn --example serve -- north 127.0.0.1:3478 127.0.0.1 127.0.0.0/8`

use std::error::Error;
use std::net::IpAddr;

use heron_turn::{Listener, Quotas, Secret, Secrets, TurnConfig, TurnServer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [secret, listen, relay, allowed @ ..] = &arguments[..] else {
        return Err("usage: serve SECRET LISTEN RELAY [ALLOWED PEERS]".into());
    };
    let secrets = Secrets {
        current: Secret::new(secret.as_bytes()),
        previous: None,
    };
    let listen = listen.parse()?;
    let (mut relay_v4, mut relay_v6) = (None, None);
    match relay.parse()? {
        IpAddr::V4(address) => relay_v4 = Some(address),
        IpAddr::V6(address) => relay_v6 = Some(address),
    }
    let allowed = allowed.iter().map(|block| block.parse());
    let server = TurnServer::start(TurnConfig {
        listeners: vec![Listener::udp(listen), Listener::tcp(listen)],
        relay_v4,
        relay_v6,
        relay_ports: 49_152..=65_535,
        allow_peers: allowed.collect::<Result<_, _>>()?,
        // As fast as it can.
        quotas: Quotas {
            udp_rate: u64::MAX,
            stream_rate: u64::MAX,
            username_rate: u64::MAX,
            per_username: 1024,
            answers_per_address: 10_000,
            ..Quotas::default()
        },
        ..TurnConfig::new("heron", secrets)
    })
    .await?;
    tokio::signal::ctrl_c().await?;
    server.stop().await;
    Ok(())
}
