//! What opening a session takes, and looking for another path: rights, a camera that is there, a grant, and credentials
//! for both ends.

use std::sync::Arc;

use heron_protocol::grant::{Grant, Right};
use heron_protocol::messages::EndReason;
use heron_protocol::{BrowserId, CallId, DeviceId, Fingerprint, SessionId, SigningKey};
use heron_turn::End;
use parking_lot::RwLock;

use super::browsers::Browser;
use super::cameras::Cameras;
use super::ice::IceProvisioner;
use super::moment::Moment;
use super::seams::{Directory, Ends, Phases, SessionRecord};
use super::session::{Opening, Terms};

/// A grant is used within a round trip; a minute is plenty for slow clocks and slow cameras.
const GRANT_LIFE_S: u64 = 60;

/// What a browser asks for.
#[derive(Debug)]
pub struct Asked {
    /// The number of its message.
    pub seq: u32,
    /// Which camera.
    pub camera: DeviceId,
    /// Its SDP offer.
    pub offer: String,
    /// What it wants to do.
    pub rights: Vec<Right>,
}

/// Why a call is not opened: what the browser is told.
#[derive(Debug)]
pub struct NotOpened(pub EndReason, pub String);

/// Makes sessions ready to open.
pub struct Opener {
    /// Who owns a camera and who may watch it.
    pub directory: Arc<dyn Directory>,
    /// Signs grants.
    pub grant_key: SigningKey,
    /// STUN and TURN for both ends.
    pub ice: IceProvisioner,
    /// Which cameras are there.
    pub cameras: Arc<RwLock<Cameras>>,
}

impl Opener {
    /// Prepares the session that a browser asks for.
    ///
    /// # Errors
    ///
    /// [`NotOpened`], in the order: not allowed, offline, a bad offer, so that nobody learns of another's camera.
    pub async fn prepare(
        &self,
        browser: &Browser,
        id: &BrowserId,
        call: &CallId,
        asked: Asked,
        now: Moment,
    ) -> Result<Opening, NotOpened> {
        let Asked {
            seq,
            camera,
            offer,
            rights: wanted,
        } = asked;
        let rights = self.allowed(browser, &camera, wanted).await?;
        if !self.cameras.read().is_online(&camera) {
            return Err(NotOpened(
                EndReason::CameraOffline,
                "the camera is offline".into(),
            ));
        }
        let record = SessionRecord {
            session: SessionId::from_bits(rand::random()),
            tenant: browser.tenant.clone(),
            camera,
            person: browser.person.clone(),
            browser: id.clone(),
            opened_ms: now.unix_ms().cast_signed(),
            ended_ms: None,
            path: None,
            ends: Ends::default(),
            restarts: 0,
            phases: Phases::default(),
            bytes: 0,
            end: None,
            end_reason: None,
        };
        Ok(Opening {
            terms: self.terms(&record, rights.clone(), offer, now)?,
            record,
            call: call.clone(),
            seq,
            rights,
        })
    }

    /// Prepares another path for a session: what was granted is granted anew, as far as it is still allowed.
    ///
    /// # Errors
    ///
    /// [`NotOpened`]; not for a camera that is offline: it is expected back.
    pub async fn renew(
        &self,
        browser: &Browser,
        record: &SessionRecord,
        rights: Vec<Right>,
        offer: String,
        now: Moment,
    ) -> Result<Terms, NotOpened> {
        let rights = self.allowed(browser, &record.camera, rights).await?;
        self.terms(record, rights, offer, now)
    }

    /// Which of the wanted rights a person has; at least one, or it is not allowed.
    async fn allowed(
        &self,
        browser: &Browser,
        device: &DeviceId,
        wanted: Vec<Right>,
    ) -> Result<Vec<Right>, NotOpened> {
        let camera = self.directory.camera(device).await.map_err(broken)?;
        // A camera of somebody else and none at all look the same from outside.
        let no_camera = || {
            NotOpened(
                EndReason::NotAllowed,
                "there is no such camera, or it may not be watched".into(),
            )
        };
        let camera = camera
            .filter(|camera| camera.tenant == browser.tenant)
            .ok_or_else(no_camera)?;
        let allowed = self
            .directory
            .may_view(&browser.person, device)
            .await
            .map_err(broken)?;
        let mut rights = Vec::with_capacity(wanted.len());
        for right in wanted {
            if allowed.contains(&right) && !rights.contains(&right) {
                rights.push(right);
            }
        }
        if let Some(reason) = camera.kept_out {
            return Err(NotOpened(EndReason::NotAllowed, reason));
        }
        if rights.is_empty() {
            return Err(no_camera());
        }
        Ok(rights)
    }

    /// A grant for an offer, and servers with fresh credentials for both ends.
    fn terms(
        &self,
        record: &SessionRecord,
        rights: Vec<Right>,
        offer: String,
        now: Moment,
    ) -> Result<Terms, NotOpened> {
        let offer_fingerprint = Fingerprint::from_sdp(&offer)
            .map_err(|error| NotOpened(EndReason::BadMessage, format!("offer: {error}")))?;
        let grant = Grant {
            session: record.session.clone(),
            viewer: record.person.clone(),
            camera: record.camera.clone(),
            rights,
            issued: now.unix_s(),
            expires: now.unix_s() + GRANT_LIFE_S,
            offer_fingerprint,
        };
        Ok(Terms {
            offer,
            grant: grant.sign(&self.grant_key).map_err(broken)?,
            device_servers: self.ice.servers(record, End::Device, now),
            viewer_servers: self.ice.servers(record, End::Viewer, now),
            ice_policy: self.ice.policy(record),
        })
    }
}

/// The store or the key failed: the person learns that it was not their fault, the log the reason.
fn broken(reason: impl std::fmt::Display) -> NotOpened {
    tracing::error!(%reason, "a session could not be opened");
    NotOpened(
        EndReason::Failed,
        "the control plane could not open the session".into(),
    )
}
