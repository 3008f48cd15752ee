//! Keeps a source open while somebody wants it, and opens it again when it is lost.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::SourceError;
use crate::retry::Retry;

/// What a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceState {
    /// Closed, since nobody watches or listens.
    #[default]
    Idle,
    /// Being opened.
    Opening,
    /// Open and delivering.
    Streaming,
    /// Lost or not there; it is tried again within seconds.
    Retrying,
    /// The pipeline was stopped.
    Stopped,
}

impl fmt::Display for SourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Opening => "opening",
            Self::Streaming => "streaming",
            Self::Retrying => "retrying",
            Self::Stopped => "stopped",
        })
    }
}

/// What the owner of a pipeline wants of its threads, and how the source is.
#[derive(Debug)]
pub(crate) struct Supervisor {
    wanted: Mutex<Wanted>,
    changed: Condvar,
    health: Mutex<Health>,
    linger: Duration,
}

#[derive(Debug, Default)]
struct Wanted {
    active: bool,
    stopping: bool,
    since: Option<Instant>,
}

/// How the source is, for the statistics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    pub(crate) state: SourceState,
    pub(crate) losses: u64,
    pub(crate) last_error: Option<String>,
    /// The trouble that the log already has, while it lasts.
    told: Option<String>,
}

impl Supervisor {
    /// A supervisor of an inactive source that stays open for `linger` after it was last wanted.
    pub(crate) fn new(linger: Duration) -> Self {
        Self {
            wanted: Mutex::default(),
            changed: Condvar::new(),
            health: Mutex::default(),
            linger,
        }
    }

    pub(crate) fn set_active(&self, active: bool) {
        let mut wanted = self.wanted.lock();
        if wanted.active != active {
            wanted.active = active;
            wanted.since = Some(Instant::now());
            self.changed.notify_all();
        }
    }

    pub(crate) fn stop(&self) {
        self.wanted.lock().stopping = true;
        self.changed.notify_all();
    }

    pub(crate) fn active(&self) -> bool {
        let wanted = self.wanted.lock();
        wanted.active && !wanted.stopping
    }

    /// Whether the source should stay open: somebody wants it, or did a moment ago.
    fn keep(&self, now: Instant) -> bool {
        let wanted = self.wanted.lock();
        let recent = wanted
            .since
            .is_some_and(|since| now.duration_since(since) < self.linger);
        !wanted.stopping && (wanted.active || recent)
    }

    /// Waits until the source is wanted; false when the pipeline stops instead.
    pub(crate) fn wait_active(&self) -> bool {
        let mut wanted = self.wanted.lock();
        while !wanted.active && !wanted.stopping {
            self.changed.wait(&mut wanted);
        }
        !wanted.stopping
    }

    /// Waits out a retry; ends early when the source is no longer wanted.
    fn pause(&self, wait: Duration) {
        let deadline = Instant::now() + wait;
        let mut wanted = self.wanted.lock();
        while wanted.active && !wanted.stopping {
            if self.changed.wait_until(&mut wanted, deadline).timed_out() {
                break;
            }
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.health.lock().clone()
    }

    /// Tells a trouble once: the same line again within one outage is for debugging only.
    pub(crate) fn tell(&self, line: &str) {
        let news = {
            let mut health = self.health.lock();
            health.last_error = Some(line.to_owned());
            health.told.replace(line.to_owned()).as_deref() != Some(line)
        };
        if news {
            tracing::warn!("{line}");
        } else {
            tracing::debug!("{line}");
        }
    }

    fn set_state(&self, state: SourceState) {
        self.health.lock().state = state;
    }

    /// The life of a capture thread: opens the source when it is wanted, pumps it, and after a
    /// failure waits and opens it again, until the pipeline stops.
    ///
    /// `pump` moves what the source has within a fraction of a second, and returns.
    pub(crate) fn run<S>(
        &self,
        mut open: impl FnMut() -> Result<S, SourceError>,
        mut pump: impl FnMut(&mut S) -> Result<(), SourceError>,
    ) {
        let mut retry = Retry::default();
        let mut absent = false;
        while self.wait_active() {
            self.set_state(SourceState::Opening);
            let opened = open();
            if opened.is_err() {
                absent = true;
            } else if std::mem::take(&mut absent) {
                tracing::info!("the source is there again");
            }
            let outcome = opened.and_then(|source| {
                retry.opened(Instant::now());
                self.stay(source, &mut pump)
            });
            match outcome {
                Ok(()) => self.set_state(SourceState::Idle),
                Err(error) => self.lost(&error, &mut retry),
            }
        }
        self.set_state(SourceState::Stopped);
    }

    /// Pumps an open source until it is lost, or no longer wanted.
    fn stay<S>(
        &self,
        mut source: S,
        pump: &mut impl FnMut(&mut S) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        self.set_state(SourceState::Streaming);
        while self.keep(Instant::now()) {
            pump(&mut source)?;
        }
        Ok(())
    }

    /// Tells why the source is lost, and waits before the next attempt.
    fn lost(&self, error: &SourceError, retry: &mut Retry) {
        let now = Instant::now();
        {
            let mut health = self.health.lock();
            health.state = SourceState::Retrying;
            health.losses += 1;
            if retry.proven(now) {
                // It has worked in between: this is another outage.
                health.told = None;
            }
        }
        self.tell(&error.to_string());
        self.pause(retry.failed(now));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_lost_source_is_opened_again_and_the_trouble_is_told() {
        let supervisor = Arc::new(Supervisor::new(Duration::ZERO));
        let (opened, opens) = mpsc::channel();
        let thread = std::thread::spawn({
            let supervisor = Arc::clone(&supervisor);
            move || {
                let open = || {
                    opened.send(()).unwrap();
                    Ok(())
                };
                supervisor.run(open, |()| Err(SourceError::lost("camera", "was unplugged")));
            }
        });
        supervisor.set_active(true);
        for _ in 0..2 {
            opens.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        assert!(supervisor.health().losses >= 1);
        assert_eq!(
            supervisor.health().last_error.as_deref(),
            Some("camera was unplugged")
        );
        supervisor.stop();
        thread.join().unwrap();
        assert_eq!(supervisor.health().state, SourceState::Stopped);
    }
}
