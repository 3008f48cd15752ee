//! STUN and TURN servers for the two ends of a session.

use std::sync::Arc;
use std::time::Duration;

use heron_protocol::SessionId;
use heron_protocol::messages::{IcePolicy, IceServer};
use heron_turn::{End, Holder, Secret, TurnServer, mint};

use super::moment::Moment;
use super::seams::SessionRecord;

/// Where the TURN server is, and the secret it shares with us.
#[derive(Clone)]
pub struct IceProvisioner {
    /// `stun:` URLs, without credentials.
    pub stun_urls: Vec<String>,
    /// `turn:` URLs.
    pub turn_urls: Vec<String>,
    /// The current secret.
    pub secret: Secret,
    /// How long a credential can be used to begin.
    pub ttl: Duration,
    /// Whether both ends must go through TURN.
    pub policy: IcePolicy,
    /// The embedded server, told when a session is over; none where TURN runs elsewhere.
    pub server: Option<Arc<TurnServer>>,
}

impl IceProvisioner {
    /// The servers for one end of a session, with a credential of its own.
    pub fn servers(&self, record: &SessionRecord, end: End, now: Moment) -> Vec<IceServer> {
        let holder = Holder {
            tenant: record.tenant.to_string(),
            device: record.camera.to_string(),
            session: record.session.to_string(),
            end,
        };
        let credential = mint(&self.secret, holder, now.unix_s(), self.ttl);
        let stun = IceServer {
            urls: self.stun_urls.clone(),
            username: String::new(),
            credential: String::new(),
        };
        let turn = IceServer {
            urls: self.turn_urls.clone(),
            username: credential.username,
            credential: credential.password,
        };
        [stun, turn]
            .into_iter()
            .filter(|server| !server.urls.is_empty())
            .collect()
    }

    /// A session is over: nothing is relayed for it any more.
    pub fn ended(&self, session: &SessionId) {
        if let Some(server) = &self.server {
            server.end_session(session.as_str());
        }
    }
}
