//! The camera's side.

use std::time::{SystemTime, UNIX_EPOCH};

use heron_protocol::grant::{Grant, Right};
use heron_protocol::messages::{
    EndReason, IcePolicy, IceServer, RestartReason, RtcDown, RtcUp, SessionStats,
};
use heron_protocol::{DeviceId, Fingerprint, SessionId, SigningKey, VerifyingKey};
use heron_session::{Event, Hub, HubConfig, Rung};
use p256::elliptic_curve::rand_core::OsRng;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{LOOPBACK, PATIENCE};

pub fn key_pair() -> (SigningKey, VerifyingKey) {
    let secret = p256::SecretKey::random(&mut OsRng);
    let private = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
    let public = secret
        .public_key()
        .to_public_key_pem(LineEnding::LF)
        .unwrap();
    (
        SigningKey::from_pem(&private).unwrap(),
        VerifyingKey::from_pem(&public).unwrap(),
    )
}

pub fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A hub, the keys around it, and its events.
pub struct Camera {
    pub hub: Hub,
    pub events: mpsc::UnboundedReceiver<Event>,
    pub id: DeviceId,
    pub public_key: VerifyingKey,
    pub control_key: SigningKey,
    seen: Vec<Event>,
}

impl Camera {
    pub fn start(change: impl FnOnce(&mut HubConfig)) -> Self {
        let (key, public_key) = key_pair();
        let (control_key, grant_key) = key_pair();
        let id: DeviceId = "front-door-01".parse().unwrap();
        let mut config = HubConfig::new(id.clone(), key, grant_key);
        config.bind = vec![LOOPBACK.to_owned()];
        change(&mut config);
        let (hub, events) = Hub::new(config);
        Self {
            hub,
            events,
            id,
            public_key,
            control_key,
            seen: Vec::new(),
        }
    }

    pub fn grant(&self, session: &SessionId, offer: &str) -> Grant {
        Grant {
            session: session.clone(),
            viewer: "ada".into(),
            camera: self.id.clone(),
            rights: vec![Right::View, Right::Listen],
            issued: unix_now(),
            expires: unix_now() + 60,
            offer_fingerprint: Fingerprint::from_sdp(offer).unwrap(),
        }
    }

    pub fn open(&self, session: &SessionId, grant: &Grant, offer: &str) {
        self.open_with(session, grant.sign(&self.control_key).unwrap(), offer);
    }

    pub fn open_with(&self, session: &SessionId, grant: String, offer: &str) {
        self.open_through(session, grant, offer, vec![], IcePolicy::All);
    }

    pub fn open_through(
        &self,
        session: &SessionId,
        grant: String,
        offer: &str,
        ice_servers: Vec<IceServer>,
        ice_policy: IcePolicy,
    ) {
        let open = RtcDown::Open {
            seq: 0,
            grant,
            offer: offer.to_owned(),
            ice_servers,
            ice_policy,
        };
        self.hub.handle(session, open);
    }

    /// The first event, seen already or still to come, that `pick` accepts; the others are kept for later.
    pub async fn event<T>(&mut self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        if let Some(at) = self.seen.iter().position(|event| pick(event).is_some()) {
            let event = self.seen.remove(at);
            return pick(&event).unwrap();
        }
        let wait = async {
            loop {
                let event = self.events.recv().await.expect("the hub is there");
                match pick(&event) {
                    Some(found) => return found,
                    None => self.seen.push(event),
                }
            }
        };
        match timeout(PATIENCE, wait).await {
            Ok(found) => found,
            Err(_) => panic!("no {what} came; seen: {:#?}", self.seen),
        }
    }

    pub async fn message<T>(
        &mut self,
        session: &SessionId,
        what: &str,
        mut pick: impl FnMut(&RtcUp) -> Option<T>,
    ) -> T {
        self.event(what, |event| match event {
            Event::Send {
                session: to,
                message,
            } if to == session => pick(message),
            _ => None,
        })
        .await
    }

    /// The reason of the next wish for a restart.
    pub async fn restart_wanted(&mut self, session: &SessionId) -> RestartReason {
        self.message(session, "RestartWanted", |message| match message {
            RtcUp::RestartWanted { reason, .. } => Some(*reason),
            _ => None,
        })
        .await
    }

    /// Figures that `fit`.
    pub async fn stats(
        &mut self,
        session: &SessionId,
        fit: impl Fn(&SessionStats) -> bool,
    ) -> SessionStats {
        self.message(session, "Stats that fit", |message| match message {
            RtcUp::Stats { stats, .. } if fit(stats) => Some(stats.clone()),
            _ => None,
        })
        .await
    }

    pub async fn closed(
        &mut self,
        session: &SessionId,
    ) -> (EndReason, String, Option<SessionStats>) {
        self.message(session, "Closed", |message| match message {
            RtcUp::Closed {
                reason,
                detail,
                stats,
                ..
            } => Some((*reason, detail.clone(), stats.clone())),
            _ => None,
        })
        .await
    }

    pub async fn key_frame_wanted(&mut self) {
        self.key_frame_of(Rung::Main).await;
    }

    pub async fn key_frame_of(&mut self, expected: Rung) {
        self.event(&format!("KeyFrameWanted of {expected:?}"), |event| {
            matches!(event, Event::KeyFrameWanted { rung } if *rung == expected).then_some(())
        })
        .await;
    }

    /// The next call for the owner.
    pub async fn control(&mut self) -> Event {
        loop {
            let control = |event: &Event| matches!(event, Event::Control { .. });
            if let Some(at) = self.seen.iter().position(control) {
                return self.seen.remove(at);
            }
            let event = timeout(PATIENCE, self.events.recv()).await;
            self.seen
                .push(event.expect("a call comes").expect("the hub is there"));
        }
    }

    /// What is to be encoded, as it was told last.
    pub async fn targets(&mut self, what: &str, fits: impl Fn([bool; 2]) -> bool) {
        self.event(what, |event| match event {
            Event::Targets(targets) => fits(targets.map(|target| target.is_some())).then_some(()),
            _ => None,
        })
        .await;
    }

    pub async fn demand(&mut self, expected: usize) {
        self.event(&format!("Demand of {expected}"), |event| {
            matches!(event, Event::Demand { viewers } if *viewers == expected).then_some(())
        })
        .await;
    }

    /// Everything that has come so far.
    pub fn events_so_far(&mut self) -> &[Event] {
        while let Ok(event) = self.events.try_recv() {
            self.seen.push(event);
        }
        &self.seen
    }
}
