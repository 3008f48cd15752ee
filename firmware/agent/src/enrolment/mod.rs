//! Enrolment: how a camera without a bundle gets one.
//!
//! [`plan`] decides from the files what is next, [`verdict`] what an answer means; both are pure. What is
//! here does the steps: reads and writes the files ([`Folder`]), asks the control plane ([`Est`]), waits,
//! and says in one line what it waits for. Nothing ends it but a bundle: a camera on a pole has nobody
//! to start it again.
//!
//! # Example
//!
//! ```no_run
//! use heron_agent::{Clock, Enrolment, EnrolmentConfig};
//!
//! # async fn example() {
//! let config = EnrolmentConfig::new("/var/lib/heron/bundle.toml", "/boot/firmware/heron-claim.toml");
//! let bundle = Enrolment::new(config, Clock::new()).run().await;
//! println!("this is {}", bundle.device);
//! # }
//! ```

mod claim;
mod code;
mod config;
mod issued;
mod plan;
mod verdict;

use std::sync::Arc;
use std::time::{Duration, Instant};

use heron_protocol::DeviceId;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::bundle::{Bundle, BundleFile};
use crate::clock::Clock;
use crate::est::{Answer, DeviceKey, Est, EstError, Subject};
use crate::folder::{self, Entry, Folder};
use crate::server::ServerUrl;
use crate::trust;
use crate::whereabouts::Whereabouts;
use issued::IssuedFile;
use plan::{Found, Identity, Issued, Route, Way};
use verdict::{Patience, Pause};

pub use claim::{Claim, ClaimError};
pub use code::PairingCode;
pub use config::{EnrolmentConfig, Introduction};
pub use plan::Step;

/// How often a waiting enrolment looks whether the claim file has changed.
const LOOK: Duration = Duration::from_secs(2);
/// How much of the key's digest a person compares.
const SHOWN_DIGITS: usize = 16;

/// How an enrolment stands, for a person who looks at the camera.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Standing {
    /// It has just begun, or is busy.
    #[default]
    Busy,
    /// A person is to confirm a code.
    Pairing {
        /// The code.
        code: PairingCode,
        /// The page where it is confirmed.
        page: String,
        /// The beginning of the SHA-256 of this device's public key, which that page shows too: so it is this device
        /// that is confirmed.
        key: String,
    },
    /// Something is in the way; it goes on by itself when that has changed.
    Waiting {
        /// One line.
        reason: String,
    },
    /// There is a bundle.
    Enrolled {
        /// Whose.
        device: DeviceId,
    },
}

/// What one step came to.
#[derive(Debug)]
pub enum Advance {
    /// It was done; the next may follow.
    Stepped(Step),
    /// Nothing can be done for this long.
    Wait(Duration),
    /// There is a bundle.
    Enrolled(Box<Bundle>),
}

/// An enrolment under way.
#[derive(Debug)]
pub struct Enrolment {
    config: EnrolmentConfig,
    folder: Folder,
    clock: Clock,
    standing: watch::Sender<Standing>,
    patience: Patience,
    code: Option<PairingCode>,
    said: String,
}

/// Something that went wrong with a file of ours.
fn disk(what: &str, error: &std::io::Error) -> String {
    format!("{what}: {error}")
}

impl Enrolment {
    /// Nothing is done before [`run`](Self::run).
    #[must_use]
    pub fn new(config: EnrolmentConfig, clock: Clock) -> Self {
        Self {
            folder: Folder::new(config.bundle.clone()),
            config,
            clock,
            standing: watch::Sender::default(),
            patience: Patience::default(),
            code: None,
            said: String::new(),
        }
    }

    /// How it stands, to look at and to wait for.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Whether an enrolment got its bundle and was cut off before it had tidied up.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        let step = self.found().map(|found| plan::step(&found, false));
        step == Ok(Step::TidyUp)
    }

    /// Goes on until there is a bundle. May be dropped at any point, and begun again.
    pub async fn run(mut self) -> Bundle {
        loop {
            match self.advance().await {
                Advance::Stepped(_) => {}
                Advance::Wait(pause) => self.wait(pause).await,
                Advance::Enrolled(bundle) => return *bundle,
            }
        }
    }

    /// Does one step.
    pub async fn advance(&mut self) -> Advance {
        let found = match self.found() {
            Ok(found) => found,
            Err(reason) => return self.waiting(reason, Pause::Slow),
        };
        let step = plan::step(&found, self.config.replace);
        let outcome = match (step, found.key) {
            (Step::MakeKey, _) => self.make_key(),
            (Step::Ask, Some(key)) => return self.ask(&key).await,
            (Step::Introduce, Some(key)) => return self.introduce(&key).await,
            (Step::TidyUp, _) => {
                if let Err(reason) = self.tidy_up() {
                    // There is a bundle; what lies beside it is untidy, and no reason not to be a camera.
                    warn!("{reason}");
                    return self.done();
                }
                Ok(())
            }
            (Step::Done | Step::Ask | Step::Introduce, _) => return self.done(),
        };
        match outcome {
            Ok(()) => Advance::Stepped(step),
            Err(reason) => self.waiting(reason, Pause::Slow),
        }
    }

    /// Looks at the files. One that cannot be used is as good as none: a new one takes its place.
    fn found(&self) -> Result<Found, String> {
        let read = |entry| {
            self.folder
                .read(entry)
                .map_err(|error| disk(&self.folder.path(entry).display().to_string(), &error))
        };
        let bundle = read(Entry::Bundle)?;
        let bundle = bundle.and_then(|text| toml::from_str::<BundleFile>(&text).ok());
        let key = read(Entry::Key)?.and_then(|pem| Some((DeviceKey::from_pem(&pem).ok()?, pem)));
        let issued = IssuedFile::load(&self.folder);
        let public = key.as_ref().map(|(key, _)| key.public_key());
        Ok(Found {
            bundle: bundle.map(|bundle| Identity {
                certificate: bundle.certificate,
                key: bundle.key,
            }),
            issued: issued.map(|issued| Issued {
                matches: public.is_some_and(|public| issued.is_for(&public)),
                certificate: issued.certificate,
            }),
            key: key.map(|(_, pem)| pem),
        })
    }

    /// The key that a certificate will be asked for; made now if there is none.
    ///
    /// # Errors
    ///
    /// One line when it cannot be kept.
    pub fn key(&self) -> Result<DeviceKey, String> {
        if self.found()?.key.is_none() {
            self.make_key()?;
        }
        let pem = self.found()?.key.unwrap_or_default();
        DeviceKey::from_pem(&pem).map_err(|error| error.to_string())
    }

    fn make_key(&self) -> Result<(), String> {
        let key = DeviceKey::generate().map_err(|error| error.to_string())?;
        let written = self.folder.write(Entry::Key, &key.pem());
        written.map_err(|error| disk("the device's key cannot be kept", &error))
    }

    /// Whom to ask, and how.
    fn route(&self) -> Result<Route, String> {
        let claim = Claim::load(&self.config.claim_file).map_err(|error| error.to_string())?;
        if let Some(claim) = claim {
            return Ok(Route::by_claim(claim));
        }
        let Some(server) = self.config.server.clone() else {
            return Err(format!(
                "this camera belongs to no control plane yet: there is no claim file {}, and no `server` in [enrolment]",
                self.config.claim_file.display()
            ));
        };
        let way = match (self.config.by, &self.config.serial) {
            (Introduction::Pairing, _) => Way::Pair,
            (Introduction::Factory, Some(serial)) => Way::Factory(serial.clone()),
            (Introduction::Factory, None) => {
                return Err(
                    "this board tells no serial number; set `serial` in [enrolment]".to_owned(),
                );
            }
        };
        Ok(Route {
            server,
            ca: self.config.ca.clone(),
            way,
            claim: None,
        })
    }

    async fn ask(&mut self, pem: &str) -> Advance {
        let route = match self.route() {
            Ok(route) => route,
            Err(reason) => return self.waiting(reason, Pause::Slow),
        };
        let (est, key) = match self.est(&route.server, route.ca.as_deref(), None, pem) {
            Ok(both) => both,
            Err(reason) => return self.waiting(reason, Pause::Slow),
        };
        let code = match self.pairing_code(&route) {
            Ok(code) => code,
            Err(reason) => return self.waiting(reason, Pause::Slow),
        };
        let credentials = route
            .way
            .credentials(code.as_ref().map_or("", PairingCode::compact));
        let subject = Subject {
            device: self.config.device.clone(),
            serial: self.config.serial.clone(),
        };
        match est.simple_enroll(&credentials, &key, &subject).await {
            Ok(Answer::Issued(certificate)) => {
                self.patience.reset();
                let issued = IssuedFile {
                    server: route.server,
                    server_ca: route.ca,
                    claim: route.claim,
                    certificate,
                };
                match issued.keep(&self.folder) {
                    Ok(()) => Advance::Stepped(Step::Ask),
                    Err(error) => {
                        self.waiting(disk("the certificate cannot be kept", &error), Pause::Slow)
                    }
                }
            }
            Ok(Answer::Later(pause)) => {
                self.patience.reset();
                if let Some(code) = code {
                    self.show(code, &route.server, &key);
                } else {
                    self.say("the control plane wants a person to decide first".to_owned());
                }
                Advance::Wait(pause)
            }
            Err(error) => {
                let verdict = verdict::verdict(&route.way, &error);
                if verdict.new_code {
                    self.code = None;
                    // A code that stays is only asked for once more.
                    let _ = self.folder.remove(Entry::Pairing);
                }
                self.waiting(verdict.reason, verdict.pause)
            }
        }
    }

    /// Uses the certificate for the first time, and writes the bundle.
    async fn introduce(&mut self, pem: &str) -> Advance {
        let Some(issued) = IssuedFile::load(&self.folder) else {
            return Advance::Stepped(Step::Introduce);
        };
        let ca = issued.server_ca.as_deref();
        let est = self.est(&issued.server, ca, Some(&issued.certificate), pem);
        let est = match est {
            Ok((est, _)) => est,
            Err(reason) => return self.waiting(reason, Pause::Slow),
        };
        match est.device().await {
            Ok(text) => match self.write_bundle(&text, &issued, pem) {
                Ok(()) => Advance::Stepped(Step::Introduce),
                Err(reason) => self.waiting(reason, Pause::Slow),
            },
            Err(EstError::Refused {
                status: 401 | 403,
                reason,
            }) => {
                // Revoked, or of a control plane that was set up anew: the next step asks for another.
                let removed = self.folder.remove(Entry::Issued);
                let removed = removed
                    .map_or_else(|error| disk("; it stays here", &error), |()| String::new());
                self.waiting(
                    format!("the new certificate is not accepted: {reason}{removed}"),
                    Pause::Slow,
                )
            }
            Err(error) => {
                let pause = verdict::usual(&error);
                self.waiting(error.to_string(), pause)
            }
        }
    }

    fn write_bundle(&self, text: &str, issued: &IssuedFile, key: &str) -> Result<(), String> {
        let unusable =
            |reason: String| format!("the control plane's answer cannot be used: {reason}");
        let answer = Whereabouts::read(text, &self.clock).map_err(unusable)?;
        let file = BundleFile {
            device: answer.device,
            tenant: answer.tenant,
            broker: answer.broker,
            server: Some(issued.server.clone()),
            server_ca: issued.server_ca.clone(),
            ca: answer.ca,
            certificate: issued.certificate.clone(),
            key: key.to_owned(),
            grant_key: answer.grant_key,
        };
        let text = file.text().map_err(unusable)?;
        Bundle::parse_by(&self.config.bundle, &text, &self.clock)
            .map_err(|error| unusable(error.to_string()))?;
        self.folder
            .write(Entry::Bundle, &text)
            .map_err(|error| disk("the bundle cannot be written", &error))
    }

    /// The claim file first, then what is beside the bundle: as long as `issued` is there, it is known which one was used.
    fn tidy_up(&mut self) -> Result<(), String> {
        let used = IssuedFile::load(&self.folder).and_then(|issued| issued.claim);
        let file = &self.config.claim_file;
        let there = Claim::load(file).ok().flatten().map(|claim| claim.digest);
        if used.is_some()
            && used == there
            && let Err(error) = folder::remove(file)
        {
            // The claim is used up; that it lies there is untidy, and no reason not to be a camera.
            warn!("{}: cannot be deleted, please do: {error}", file.display());
        }
        for entry in [Entry::Pairing, Entry::Issued, Entry::Key] {
            self.folder
                .remove(entry)
                .map_err(|error| disk("what enrolment left cannot be removed", &error))?;
        }
        // What was to be replaced is.
        self.config.replace = false;
        Ok(())
    }

    fn done(&mut self) -> Advance {
        match Bundle::load_by(&self.config.bundle, &self.clock) {
            Ok(bundle) => {
                info!(device = %bundle.device, "enrolled");
                self.standing.send_replace(Standing::Enrolled {
                    device: bundle.device.clone(),
                });
                Advance::Enrolled(Box::new(bundle))
            }
            Err(error) => self.waiting(error.to_string(), Pause::Slow),
        }
    }

    /// A client for the server of this enrolment, with the certificate where there is one, and the key.
    fn est(
        &self,
        server: &ServerUrl,
        ca: Option<&str>,
        certificate: Option<&str>,
        pem: &str,
    ) -> Result<(Est, DeviceKey), String> {
        let roots = ca.map_or_else(trust::public_roots, trust::roots)?;
        let identity = match certificate {
            Some(certificate) => Some(trust::identity(certificate, pem)?),
            None => None,
        };
        let tls = trust::client_config(roots, identity, &self.clock)?;
        let key = DeviceKey::from_pem(pem).map_err(|error| error.to_string())?;
        let est = Est::new(server.clone(), Arc::new(tls), self.clock.clone());
        Ok((est, key))
    }

    /// The code to pair with: the one that is shown, the one from before a restart, or a new one.
    fn pairing_code(&mut self, route: &Route) -> Result<Option<PairingCode>, String> {
        if route.way != Way::Pair {
            return Ok(None);
        }
        if self.code.is_none() {
            let kept = self.folder.read(Entry::Pairing).ok().flatten();
            self.code = kept.and_then(|text| text.parse().ok());
        }
        if let Some(code) = &self.code {
            return Ok(Some(code.clone()));
        }
        let code = PairingCode::random(&mut rand::rng());
        self.folder
            .write(Entry::Pairing, &code.to_string())
            .map_err(|error| disk("the pairing code cannot be kept", &error))?;
        self.code = Some(code.clone());
        Ok(Some(code))
    }

    fn show(&mut self, code: PairingCode, server: &ServerUrl, key: &DeviceKey) {
        let page = format!("{server}/pair/{}", code.compact());
        let key = key.fingerprint().chars().take(SHOWN_DIGITS).collect();
        let standing = Standing::Pairing { code, page, key };
        self.said.clear();
        self.standing.send_if_modified(|shown| {
            let other = *shown != standing;
            *shown = standing;
            other
        });
    }

    /// Says what is in the way, once, and for how long to wait.
    fn waiting(&mut self, reason: String, pause: Pause) -> Advance {
        let pause = self.patience.length(pause, rand::random());
        self.say(reason);
        Advance::Wait(pause)
    }

    fn say(&mut self, reason: String) {
        if reason != self.said {
            warn!("not enrolled: {reason}");
            self.standing.send_replace(Standing::Waiting {
                reason: reason.clone(),
            });
            self.said = reason;
        }
    }

    /// Waits, but not once the claim file has changed.
    async fn wait(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        let before = Claim::load(&self.config.claim_file);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.min(LOOK)).await;
            if left <= LOOK {
                return;
            }
            if Claim::load(&self.config.claim_file) != before {
                self.patience.reset();
                return;
            }
        }
    }
}
