//! The driver of [`Renewal`]: asks the control plane, moves the link, keeps the files.
//!
//! The order is what a power cut may interrupt anywhere: the next bundle is on the disk before it is
//! tried, and takes the old one's place only once the broker has taken it. The link and the viewers'
//! sessions go on throughout; whoever signs with the device's key learns of the new one by
//! [`IdentityEvent::Renewed`].

use std::sync::Arc;
use std::time::Duration;

use heron_protocol::messages::Offline;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::bundle::{Bundle, BundleFile};
use crate::clock::Clock;
use crate::est::{Answer, DeviceKey, Est, EstError, Subject};
use crate::folder::{Entry, Folder};
use crate::link::{Generation, Link, Trouble};
use crate::pause::Pauses;
use crate::renewal::{Action, Asked, Renewal, Tried};
use crate::server::ServerUrl;
use crate::whereabouts::Whereabouts;

/// How long a broker has to take a new certificate.
const TRIAL: Duration = Duration::from_secs(60);
/// So many connections that a broker ended at once are an answer.
const HANG_UPS: u32 = 3;
/// The longest sleep: a board's clock may be set meanwhile.
const LOOK: Duration = Duration::from_secs(600);

/// What becomes of a device's identity while it runs.
#[derive(Debug)]
pub enum IdentityEvent {
    /// There is a new key and certificate; the link uses it already.
    Renewed(Box<Bundle>),
    /// The control plane does not renew this identity: revoked, quarantined, or expired for too long.
    Refused(String),
}

/// Renews the certificate of one link for as long as it runs.
#[derive(Debug)]
pub struct Renewer {
    link: Link,
    folder: Folder,
    clock: Clock,
    current: Bundle,
    candidate: Option<Bundle>,
    server: ServerUrl,
    renewal: Renewal,
    events: mpsc::Sender<IdentityEvent>,
    said: String,
    /// Between two questions for the time.
    time: Pauses,
}

impl Renewer {
    /// For a link that was started with `bundle`, which was read from `path`. `server` is for bundles that name
    /// none; `None` when nobody names one: such a certificate ends as it is.
    pub fn new(
        link: Link,
        bundle: Bundle,
        path: impl Into<std::path::PathBuf>,
        server: Option<ServerUrl>,
        clock: Clock,
    ) -> Option<(Self, mpsc::Receiver<IdentityEvent>)> {
        let server = bundle.server.clone().or(server)?;
        let folder = Folder::new(path.into());
        let candidate = kept(&folder, &bundle, &clock);
        let renewal = Renewal::new(
            bundle.validity,
            candidate.as_ref().map(|candidate| candidate.validity),
            rand::random(),
        );
        let (events, receiver) = mpsc::channel(4);
        let renewer = Self {
            link,
            folder,
            clock,
            current: bundle,
            candidate,
            server,
            renewal,
            events,
            said: String::new(),
            time: Pauses::new(Duration::from_secs(2), LOOK),
        };
        Some((renewer, receiver))
    }

    /// Goes on until nobody listens to the events.
    pub async fn run(mut self) {
        loop {
            let now = self.clock.now();
            match self.renewal.next(now) {
                Action::Wait(until) => {
                    let mut left = until.duration_since(now).unwrap_or_default().min(LOOK);
                    if self.clock.is_bound() {
                        left = left.min(self.ask_time().await);
                    }
                    tokio::select! {
                        () = tokio::time::sleep(left) => {}
                        () = self.events.closed() => return,
                    }
                }
                Action::Ask => {
                    let asked = self.ask().await;
                    self.renewal.asked(self.clock.now(), asked, rand::random());
                }
                Action::Try => {
                    let tried = self.try_next().await;
                    self.renewal.tried(self.clock.now(), tried, rand::random());
                    if !self.renewal.has_candidate() && self.candidate.take().is_some() {
                        self.forget();
                    }
                }
            }
        }
    }

    /// Asks by the certificate in use, and should that be refused, by the one that was being tried: the control plane
    /// may have seen that one connect.
    async fn ask(&mut self) -> Asked {
        let mut asked = self.ask_by(self.current.clone()).await;
        if let (Err(Asked::Refused), Some(candidate)) = (&asked, self.candidate.clone()) {
            asked = self.ask_by(candidate).await;
        }
        match asked {
            Ok(bundle) => {
                let validity = bundle.validity;
                self.said.clear();
                self.candidate = Some(bundle);
                Asked::Issued(validity)
            }
            Err(asked) => asked,
        }
    }

    async fn ask_by(&mut self, by: Bundle) -> Result<Bundle, Asked> {
        let est = self.est(&by);
        let key = DeviceKey::generate().map_err(|error| self.failed(&error.to_string()))?;
        let subject = Subject {
            device: Some(by.device.clone()),
            serial: None,
        };
        let certificate = match est.simple_reenroll(&key, &subject).await {
            Ok(Answer::Issued(certificate)) => certificate,
            Ok(Answer::Later(_)) => return Err(self.failed("a person has to decide first")),
            Err(EstError::Refused {
                status: 403 | 410,
                reason,
            }) => {
                return Err(self.refused(reason).await);
            }
            Err(error) => return Err(self.failed(&error.to_string())),
        };
        let mut file = BundleFile::clone(&by.file);
        file.certificate = certificate;
        file.key = key.pem();
        // An expired certificate is good for renewal only: then everything is where it was.
        if let Ok(text) = est.device().await
            && let Ok(answer) = Whereabouts::read(&text, &self.clock)
        {
            file.broker = answer.broker;
            file.ca = answer.ca;
            file.grant_key = answer.grant_key;
        }
        if file.server.is_none() {
            file.server = Some(self.server.clone());
        }
        let path = self.folder.path(Entry::Next);
        let written = file.text().and_then(|text| {
            let bundle =
                Bundle::parse_by(&path, &text, &self.clock).map_err(|error| error.to_string())?;
            self.folder
                .write(Entry::Next, &text)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(bundle)
        });
        written.map_err(|reason| self.failed(&reason))
    }

    /// Connects with the next certificate; when it is not taken, with the old one again.
    async fn try_next(&mut self) -> Tried {
        let Some(candidate) = self.candidate.clone() else {
            return Tried::NoAnswer;
        };
        let generation = self.link.adopt(candidate.clone());
        match self.verdict(generation).await {
            Tried::Accepted => {
                self.keep(candidate).await;
                Tried::Accepted
            }
            Tried::TurnedAway { .. } => {
                let generation = self.link.adopt(self.current.clone());
                let old_works = self.verdict(generation).await == Tried::Accepted;
                warn!(old_works, "the broker did not take the new certificate");
                Tried::TurnedAway { old_works }
            }
            Tried::NoAnswer => {
                self.link.adopt(self.current.clone());
                Tried::NoAnswer
            }
        }
    }

    /// What the broker says to an identity. Not every broker says it in TLS's words: one that hangs up again and again
    /// is taken at its deeds.
    async fn verdict(&self, generation: Generation) -> Tried {
        let mut accepted = self.link.accepted();
        let mut trouble = self.link.trouble();
        let turned_away = async {
            let mut hung_up = 0;
            while trouble.changed().await.is_ok() {
                match *trouble.borrow_and_update() {
                    Some(trouble) if trouble.generation != generation => {}
                    Some(Trouble {
                        reason: Offline::Certificate,
                        ..
                    }) => return,
                    Some(Trouble {
                        reason: Offline::Broker,
                        ..
                    }) if hung_up + 1 >= HANG_UPS => return,
                    Some(Trouble {
                        reason: Offline::Broker,
                        ..
                    }) => hung_up += 1,
                    _ => {}
                }
            }
        };
        let verdict = async {
            tokio::select! {
                _ = accepted.wait_for(|accepted| *accepted == Some(generation)) => Tried::Accepted,
                () = turned_away => Tried::TurnedAway { old_works: false },
            }
        };
        timeout(TRIAL, verdict).await.unwrap_or(Tried::NoAnswer)
    }

    /// The next bundle becomes the bundle, and the old key is gone.
    async fn keep(&mut self, bundle: Bundle) {
        if let Err(error) = self.folder.rename(Entry::Next, Entry::Bundle) {
            // It stays beside the old one, and is tried first after a restart.
            warn!("the new bundle cannot take the old one's place: {error}");
        }
        self.candidate = None;
        self.current = bundle.clone();
        let days = bundle.validity.until.duration_since(self.clock.now());
        let days = days.map_or(0, |left| left.as_secs() / 86_400);
        info!(days, "the device certificate was renewed");
        // A broker that is not the control plane's own tells it nothing: this tells that the certificate is in use.
        if let Err(error) = self.est(&bundle).device().await {
            debug!("the control plane was not told of the new certificate: {error}");
        }
        let _ = self
            .events
            .send(IdentityEvent::Renewed(Box::new(bundle)))
            .await;
    }

    /// A next bundle that will not be used.
    fn forget(&self) {
        if let Err(error) = self.folder.remove(Entry::Next) {
            warn!("{}: {error}", self.folder.path(Entry::Next).display());
        }
    }

    /// A board without a clock asks whoever answers by a trusted certificate; the answer's date tells. Returns when to
    /// ask again should nobody have answered.
    async fn ask_time(&mut self) -> Duration {
        match self.est(&self.current).device().await {
            Ok(text) => {
                if let Err(reason) = Whereabouts::read(&text, &self.clock) {
                    debug!("{reason}");
                }
                info!("this board has no clock; the control plane told the time");
            }
            Err(error) => debug!("nobody tells this board the time: {error}"),
        }
        self.time.pause(rand::random())
    }

    fn est(&self, bundle: &Bundle) -> Est {
        Est::new(
            self.server.clone(),
            Arc::clone(&bundle.https),
            self.clock.clone(),
        )
    }

    fn failed(&mut self, reason: &str) -> Asked {
        if self.said != reason {
            warn!("the device certificate could not be renewed, trying again: {reason}");
            reason.clone_into(&mut self.said);
        }
        Asked::Failed
    }

    async fn refused(&mut self, reason: String) -> Asked {
        if self.said != reason {
            warn!("the control plane does not renew this camera's certificate: {reason}");
            self.said.clone_from(&reason);
            let _ = self.events.send(IdentityEvent::Refused(reason)).await;
        }
        Asked::Refused
    }
}

/// The bundle that an earlier process was trying; one that is damaged, of another device or in use already is removed.
fn kept(folder: &Folder, current: &Bundle, clock: &Clock) -> Option<Bundle> {
    let path = folder.path(Entry::Next);
    let text = folder.read(Entry::Next).ok().flatten()?;
    let next = Bundle::parse_by(&path, &text, clock).ok().filter(|next| {
        next.device == current.device && next.file.certificate != current.file.certificate
    });
    if next.is_none()
        && let Err(error) = folder.remove(Entry::Next)
    {
        warn!("{}: {error}", path.display());
    }
    next
}
