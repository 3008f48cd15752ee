//! A server and credentials for it.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use heron_turn::{
    Credential, End, Holder, Listener, Secret, Secrets, TurnConfig, TurnServer, mint,
};

pub const SECRET: &str = "shared by control plane and TURN";
pub const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// UDP and TCP on loopback, relaying to those peers; the secret is the previous one of two.
pub fn config(allow_peers: &[&str]) -> TurnConfig {
    let secrets = Secrets {
        current: Secret::new("the next one"),
        previous: Some(Secret::new(SECRET)),
    };
    let local = (LOCAL, 0).into();
    let allow_peers = allow_peers.iter().map(|block| block.parse().unwrap());
    TurnConfig {
        listeners: vec![Listener::udp(local), Listener::tcp(local)],
        relay_v4: Some(LOCAL),
        relay_ports: 50_160..=50_659,
        allow_peers: allow_peers.collect(),
        ..TurnConfig::new("heron", secrets)
    }
}

pub async fn start(allow_peers: &[&str]) -> TurnServer {
    TurnServer::start(config(allow_peers)).await.unwrap()
}

pub fn credential(secret: &str, session: &str, ttl: Duration) -> Credential {
    credential_of(secret, session, Duration::ZERO, ttl)
}

/// One that was made so long ago.
pub fn credential_of(secret: &str, session: &str, ago: Duration, ttl: Duration) -> Credential {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let holder = Holder {
        tenant: "home".into(),
        device: "front-door-01".into(),
        session: session.into(),
        end: End::Device,
    };
    mint(&Secret::new(secret), holder, now - ago.as_secs(), ttl)
}
