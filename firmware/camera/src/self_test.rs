//! The service's own tests of its network: after its start, when the network changed, and when a viewer asks.
//!
//! One test at a time, and who asks while one runs gets its outcome if it tests as much. What was found last is the
//! twin's: section `network`, key `self_test`. A fleet that starts together does not test together.

use std::collections::VecDeque;
use std::time::Duration;

use heron_agent::{Clock, Link, ServerUrl, Status};
use heron_session::{ControlError, ControlReply};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::doctor::{Broker, Patient, Report, Scope};
use crate::enrolling::Aborted;

/// After the first connection, at most: drawn evenly.
const START: Duration = Duration::from_secs(10);
/// A network that changed comes to rest first.
const SETTLE: Duration = Duration::from_secs(5);
/// Between two tests that nobody asked for.
const BETWEEN: Duration = Duration::from_secs(60);
/// Viewers that may wait for an outcome.
const WAITING: usize = 8;

/// What the tests need to know, besides the identity, which changes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The control plane, for bundles that name none.
    pub server: Option<ServerUrl>,
    /// By which certificates are judged.
    pub clock: Clock,
    /// What picture and sound need at their best, in bits a second.
    pub bitrate_bps: u64,
}

/// Tests in the background until it is dropped.
pub struct SelfTest {
    asked: mpsc::Sender<ControlReply>,
    changed: watch::Sender<()>,
    found: watch::Receiver<Option<Report>>,
    _running: Aborted,
}

impl SelfTest {
    /// Begins with the first connection of the link. Within the async runtime.
    pub fn start(settings: Settings, link: Link) -> Self {
        let (asked, asks) = mpsc::channel(WAITING);
        let (changed, changes) = watch::channel(());
        let (tell, found) = watch::channel(None);
        let tester = Tester {
            settings,
            link,
            asks,
            changes,
            tell,
        };
        Self {
            asked,
            changed,
            found,
            _running: Aborted(tokio::spawn(tester.run())),
        }
    }

    /// A viewer asks: answered when the outcome is known.
    pub fn ask(&self, reply: ControlReply) {
        if let Err(refused) = self.asked.try_send(reply) {
            let error = ControlError::new(ControlError::TOO_MANY, "the network is being tested");
            refused.into_inner().error(error);
        }
    }

    /// An address or a route changed.
    pub fn network_changed(&self) {
        self.changed.send_replace(());
    }

    /// What was found last, for the twin.
    pub fn found(&self) -> Option<Value> {
        let found = self.found.borrow();
        let Report { at_ms, checks } = found.as_ref()?;
        Some(json!({"at_ms": at_ms, "checks": checks}))
    }
}

struct Tester {
    settings: Settings,
    link: Link,
    asks: mpsc::Receiver<ControlReply>,
    changes: watch::Receiver<()>,
    tell: watch::Sender<Option<Report>>,
}

impl Tester {
    async fn run(mut self) {
        let mut due = None;
        let mut last: Option<Instant> = None;
        let mut connected = self.link.status();
        let mut started = false;
        let mut waiting = VecDeque::new();
        loop {
            let online = async {
                if started
                    || connected
                        .wait_for(|now| *now == Status::Online)
                        .await
                        .is_err()
                {
                    std::future::pending::<()>().await;
                }
            };
            let alarm = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let scope = tokio::select! {
                reply = self.asks.recv() => match reply {
                    Some(reply) => {
                        waiting.push_back(reply);
                        Scope::Full
                    }
                    None => return,
                },
                () = online => {
                    started = true;
                    due = Some(Instant::now() + START.mul_f64(even()));
                    continue;
                }
                Ok(()) = self.changes.changed() => {
                    if started {
                        let settled = Instant::now() + SETTLE;
                        due = Some(last.map_or(settled, |last| settled.max(last + BETWEEN)));
                    }
                    continue;
                }
                () = alarm => Scope::Short,
            };
            due = None;
            let report = self.patient().test(scope).await;
            last = Some(Instant::now());
            if scope == Scope::Full {
                while let Ok(reply) = self.asks.try_recv() {
                    waiting.push_back(reply);
                }
            }
            let works = report.works();
            let told = json!({"at_ms": report.at_ms, "works": works, "checks": report.checks});
            for reply in waiting.drain(..) {
                reply.result(told.clone());
            }
            log(&report, works);
            self.tell.send_replace(Some(report));
        }
    }

    fn patient(&self) -> Patient {
        let Settings {
            server,
            clock,
            bitrate_bps,
        } = self.settings.clone();
        Patient {
            bundle: self.link.bundle(),
            broker: match *self.link.status().borrow() {
                Status::Online => Broker::Online,
                _ => Broker::InUse,
            },
            clock,
            server,
            bitrate_bps,
        }
    }
}

fn log(report: &Report, works: bool) {
    for check in &report.checks {
        tracing::debug!(name = check.name.name(), state = %check.state, "{}", check.sentence);
    }
    if !works {
        tracing::warn!(
            "this camera cannot be reached, or not be seen from other networks; `heron-camera doctor` says why"
        );
    }
}

/// An even draw from 0 to 1, good enough to spread a fleet.
fn even() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let draw = RandomState::new().hash_one(0_u8);
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}
