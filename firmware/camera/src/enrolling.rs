//! The time before a camera belongs to anybody: it enrols, and shows what a person is to do.
//!
//! The pairing code goes to the log, the console (as a QR code too) and the local view's page. systemd is
//! told that all is well, since waiting for a person is.

use std::io::Write;

use anyhow::Context;
use heron_agent::{Bundle, Clock, Enrolment, EnrolmentConfig, ServerUrl, Standing};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::config::Config;
use crate::run::{Signals, every, tick};
use crate::{local_view, machine, qr, service};

/// What enrolment needs of the config. `fallback` is a control plane for configs that name none; `replace`, whether
/// there is a bundle that has to be replaced.
pub fn settings(config: &Config, fallback: Option<ServerUrl>, replace: bool) -> EnrolmentConfig {
    let enrolment = &config.enrolment;
    let mut settings = EnrolmentConfig::new(&config.bundle, &enrolment.claim_file);
    settings.server = enrolment.server.clone().or(fallback);
    settings.ca.clone_from(&enrolment.ca);
    settings.by = enrolment.by;
    settings.device.clone_from(&enrolment.device);
    settings.serial = enrolment.serial.clone().or_else(machine::serial);
    settings.replace = replace;
    settings
}

/// The bundle: the one that is there, or the one that an enrolment gets. `None` when told to stop meanwhile.
pub async fn bundle(
    config: &Config,
    clock: &Clock,
    signals: &mut Signals,
) -> anyhow::Result<Option<Bundle>> {
    let enrolled = config.bundle.exists();
    let enrolment = Enrolment::new(settings(config, None, false), clock.clone());
    if enrolled && !enrolment.is_unfinished() {
        return Ok(Some(Bundle::load_by(&config.bundle, clock)?));
    }
    let standing = enrolment.standing();
    if !enrolled {
        info!("this camera is not enrolled yet");
    }
    let page = match &config.local_view {
        Some(local) if !enrolled => {
            Some(Aborted(local_view::waiting(local, standing.clone()).await?))
        }
        _ => None,
    };
    let _shown = Aborted(tokio::spawn(show(standing)));
    service::ready("not enrolled");
    let mut watchdog = service::alive_interval().map(every);
    let run = enrolment.run();
    tokio::pin!(run);
    loop {
        tokio::select! {
            bundle = &mut run => {
                // The camera's own view is to have the address.
                if let Some(page) = page {
                    page.end().await;
                }
                return Ok(Some(bundle));
            }
            name = signals.next() => {
                info!("stopping: {name}");
                service::stopping();
                return Ok(None);
            }
            () = tick(&mut watchdog) => service::alive(),
        }
    }
}

/// Tells a person who looks at the log or the console what to do.
pub async fn show(mut standing: watch::Receiver<Standing>) {
    loop {
        let now = standing.borrow_and_update().clone();
        if let Standing::Pairing { code, page, key } = now {
            info!(
                "pairing code {code}: confirm it in the dashboard, or at {page}, for the key {key}"
            );
            if let Some(blocks) = qr::blocks(&page) {
                // The log's own lines would cut it up.
                let drawn = writeln!(std::io::stderr(), "\n{blocks}\n\n    {code}    key {key}\n");
                if let Err(error) = drawn.context("the QR code cannot be drawn") {
                    warn!("{error:#}");
                }
            }
            service::status(&format!("not enrolled, pairing code {code}"));
        } else if let Standing::Waiting { reason } = now {
            service::status(&format!("not enrolled: {reason}"));
        }
        if standing.changed().await.is_err() {
            return;
        }
    }
}

/// A task that ends with its owner.
pub struct Aborted(pub JoinHandle<()>);

impl Aborted {
    /// Ends it, and returns when it has let go of everything.
    pub async fn end(mut self) {
        self.0.abort();
        // Cancelled, which is what was asked for.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}
