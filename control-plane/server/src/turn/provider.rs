//! What every kind of relay has in common.

use std::time::Duration;

use heron_protocol::SessionId;
use heron_protocol::messages::IceServer;
use heron_turn::Holder;

use super::meter::Relayed;
use crate::config::Host;

/// How a relay is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Whether it answers and has credentials to give.
    pub usable: bool,
    /// How many allocations it holds, where it can tell.
    pub allocations: Option<u64>,
}

/// A relay, or many behind one name. Calls return at once: tasks of its own do what takes time, and end with it.
pub trait Provider: Send + Sync {
    /// What it is called in logs and figures.
    fn name(&self) -> &str;

    /// STUN and TURN servers for one end of a session, in the order udp, tcp, tls; `now` in Unix seconds. Empty when
    /// it has no credential to give.
    fn servers(&self, holder: &Holder, now: u64, ttl: Duration) -> Vec<IceServer>;

    /// How it is now.
    fn health(&self) -> Health;

    /// Bytes relayed so far for each end of a session, as far as it can tell.
    fn relayed(&self, session: &SessionId) -> Option<Relayed>;

    /// A session is over: nothing more is to be relayed for it, where that can be had.
    fn end_session(&self, session: &SessionId);

    /// What each end of a session may have relayed from now on, in bits a second, where that can be had.
    fn limit(&self, _session: &SessionId, _bits_per_second: u64) {}
}

/// A STUN server without credentials.
pub(super) fn stun(url: String) -> IceServer {
    IceServer {
        urls: vec![url],
        username: String::new(),
        credential: String::new(),
    }
}

/// The URLs of one relay in the order in which they are to be tried: udp, tcp, and TLS for networks where only that is
/// open.
pub(super) fn turn_urls(host: &Host, (udp, tcp): (u16, u16), tls_port: Option<u16>) -> Vec<String> {
    let mut urls = vec![
        format!("turn:{}?transport=udp", host.with_port(udp)),
        format!("turn:{}?transport=tcp", host.with_port(tcp)),
    ];
    urls.extend(tls_port.map(|port| format!("turns:{}?transport=tcp", host.with_port(port))));
    urls
}
