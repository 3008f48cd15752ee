//! The device's identity while the camera runs: renewed, or refused for good and enrolled anew.

use std::future::pending;

use heron_agent::{Bundle, Clock, Enrolment, IdentityEvent, Link, Renewer, ServerUrl};
use tokio::sync::mpsc;
use tracing::warn;

use crate::config::Config;
use crate::enrolling::{self, Aborted};

/// What has become of the identity.
pub enum Change {
    /// There is a new key; the link uses it already.
    Renewed(Box<Bundle>),
    /// The camera was enrolled anew: another identity, in the bundle's place.
    Enrolled,
}

/// Renews the certificate, and enrols anew when that is refused.
pub struct Identity {
    config: Config,
    clock: Clock,
    server: Option<ServerUrl>,
    events: Option<mpsc::Receiver<IdentityEvent>>,
    _renewer: Option<Aborted>,
    again: Option<(mpsc::Receiver<()>, [Aborted; 2])>,
}

impl Identity {
    /// Begins at once.
    pub fn start(config: &Config, link: &Link, bundle: &Bundle, clock: &Clock) -> Self {
        let configured = config.enrolment.server.clone();
        let renewer = Renewer::new(
            link.clone(),
            bundle.clone(),
            &config.bundle,
            configured.clone(),
            clock.clone(),
        );
        if renewer.is_none() {
            warn!(
                "nobody renews this camera's certificate: the bundle names no server; set `server` in [enrolment]"
            );
        }
        let (renewer, events) = renewer.unzip();
        Self {
            config: config.clone(),
            clock: clock.clone(),
            server: bundle.server.clone().or(configured),
            events,
            _renewer: renewer.map(|renewer| Aborted(tokio::spawn(renewer.run()))),
            again: None,
        }
    }

    /// The next change. May be dropped and called again.
    pub async fn next(&mut self) -> Change {
        loop {
            let again = async {
                match &mut self.again {
                    Some((enrolled, _)) => enrolled.recv().await,
                    None => pending().await,
                }
            };
            let event = async {
                match &mut self.events {
                    Some(events) => events.recv().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                Some(()) = again => return Change::Enrolled,
                Some(event) = event => match event {
                    IdentityEvent::Renewed(bundle) => {
                        self.again = None;
                        return Change::Renewed(bundle);
                    }
                    IdentityEvent::Refused(_) => self.enrol_anew(),
                },
                else => pending::<()>().await,
            }
        }
    }

    /// By the next claim file, or by whatever else the config says; beside the camera, which goes on.
    fn enrol_anew(&mut self) {
        let settings = enrolling::settings(&self.config, self.server.clone(), true);
        let enrolment = Enrolment::new(settings, self.clock.clone());
        let shown = tokio::spawn(enrolling::show(enrolment.standing()));
        let (enrolled, receiver) = mpsc::channel(1);
        let running = tokio::spawn(async move {
            enrolment.run().await;
            // The main loop may have ended first.
            let _ = enrolled.send(()).await;
        });
        self.again = Some((receiver, [Aborted(shown), Aborted(running)]));
    }
}
