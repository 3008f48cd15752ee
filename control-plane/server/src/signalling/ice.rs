//! STUN and TURN servers for the two ends of a session: what provisioning has, asked with what signalling knows.

use std::sync::Arc;
use std::time::Duration;

use heron_protocol::messages::{IcePolicy, IceServer};
use heron_protocol::{SessionId, TenantId};
use heron_turn::End;

use super::browsers::BrowserRegistry;
use super::moment::Moment;
use super::seams::SessionRecord;
use crate::turn::Relays;

/// How long the credential of a self-test can be used to begin.
pub const SELF_TEST_TTL: Duration = Duration::from_secs(60);

/// Gives both ends of a session their servers. Every call returns at once.
#[derive(Clone)]
pub struct IceProvisioner {
    relays: Arc<Relays>,
    browsers: Arc<BrowserRegistry>,
}

impl IceProvisioner {
    /// With these relays; where a viewer is, is known of its browser.
    pub const fn new(relays: Arc<Relays>, browsers: Arc<BrowserRegistry>) -> Self {
        Self { relays, browsers }
    }

    /// Which candidates both ends of a session may use.
    pub fn policy(&self, record: &SessionRecord) -> IcePolicy {
        self.relays.ice_policy(&record.tenant, &record.camera)
    }

    /// The servers for one end of a session, with credentials of its own, fresh at each call.
    pub fn servers(&self, record: &SessionRecord, end: End, now: Moment) -> Vec<IceServer> {
        let holder = (&record.tenant, &record.camera, &record.session, end);
        let viewer = self.browsers.address(&record.browser);
        self.relays.servers(holder, viewer, now.calendar)
    }

    /// Servers to test a network with, without a session. The credential can be used to begin for [`SELF_TEST_TTL`].
    pub fn self_test(&self, tenant: &TenantId, now: Moment) -> Vec<IceServer> {
        self.relays.self_test(tenant, SELF_TEST_TTL, now.calendar)
    }

    /// A session is over: nothing is relayed for it any more.
    pub fn ended(&self, session: &SessionId) {
        self.relays.ended(session);
    }
}
