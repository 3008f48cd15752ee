//! A camera on the real agent.

use std::time::{Duration, UNIX_EPOCH};

use heron_agent::{AgentConfig, Clock, Down, Link, Status};
use heron_protocol::grant::GrantVerifier;
use heron_protocol::messages::{Offline, ReportedState, RtcDown, Section, Telemetry};
use serde_json::json;
use tokio::sync::mpsc;

use crate::answer::answer;
use crate::figures::Figures;
use crate::identity::Identity;

/// Room for the numbers of one link's connections below those of the next.
const SEQ_STEP: u64 = 1 << 20;

/// How one camera is.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// Between two messages of telemetry.
    pub telemetry: Duration,
    /// What time it takes it to be.
    pub clock: Clock,
    /// Which machine it is.
    pub boot_id: String,
    /// Whether it counts as good.
    pub good: bool,
}

/// What a camera may be told.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// Leave with a goodbye, and come back at once.
    Blink,
}

/// Runs until the orders end, and then says goodbye.
pub(crate) async fn run(
    identity: Identity,
    manner: Manner,
    figures: Figures,
    mut orders: mpsc::Receiver<Order>,
) {
    let mut first_seq = 0;
    loop {
        let told = live(&identity, &manner, &figures, first_seq, &mut orders).await;
        if told.is_none() {
            return;
        }
        first_seq += SEQ_STEP;
    }
}

/// One link, from its start to its goodbye. The order that ended it.
async fn live(
    identity: &Identity,
    manner: &Manner,
    figures: &Figures,
    first_seq: u64,
    orders: &mut mpsc::Receiver<Order>,
) -> Option<Order> {
    let bundle = identity.bundle.clone();
    let mut verifier = GrantVerifier::new(bundle.device.clone(), bundle.grant_key.clone());
    let mut config = AgentConfig::new(bundle, "swarm", manner.boot_id.clone(), first_seq);
    config.clock = manner.clock.clone();
    let (link, mut down) = Link::start(config);
    let state = state();
    if let Err(error) = link.publish_state(Section::Video, &state) {
        tracing::error!(%error, "the swarm's own state is refused");
    }
    let mut status = link.status();
    let mut there = Online::new(figures, manner.good);
    // Spread evenly, so that a fleet started at once does not measure at once.
    let first = tokio::time::Instant::now() + manner.telemetry.mul_f64(rand::random());
    let mut measure = tokio::time::interval_at(first, manner.telemetry);
    measure.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let told = loop {
        tokio::select! {
            changed = status.changed() => {
                if changed.is_err() {
                    break None;
                }
                there.set(*status.borrow_and_update() == Status::Online);
            }
            _ = measure.tick() => {
                let telemetry = Telemetry {
                    at_ms: clock_ms(&manner.clock),
                    ..Telemetry::default()
                };
                if let Err(error) = link.publish_tele(&telemetry) {
                    tracing::error!(%error, "the swarm's own telemetry is refused");
                }
            }
            message = down.recv() => match message {
                Some(Down::Rtc { session, message: RtcDown::Open { grant, offer, .. } }) => {
                    let device = identity.device();
                    let now_s = clock_ms(&manner.clock) / 1000;
                    let key = &identity.bundle.identity;
                    let said = answer(&mut verifier, key, device, &session, (&grant, &offer), now_s);
                    let accepted = matches!(said, heron_protocol::messages::RtcUp::Answer { .. });
                    figures.count(|counted| {
                        let one = if accepted { &mut counted.answered } else { &mut counted.denied };
                        *one += 1;
                    });
                    if let Err(error) = link.publish_rtc(session, &said) {
                        tracing::error!(%error, "the swarm's own answer is refused");
                    }
                }
                Some(_) => {}
                None => break None,
            },
            order = orders.recv() => break order,
        }
    };
    link.stop(Offline::Restart).await;
    there.leave();
    told
}

/// Whether one camera is counted as online: only good ones are.
struct Online<'a> {
    figures: &'a Figures,
    good: bool,
    now: bool,
}

impl<'a> Online<'a> {
    const fn new(figures: &'a Figures, good: bool) -> Self {
        Self {
            figures,
            good,
            now: false,
        }
    }

    fn set(&mut self, online: bool) {
        if self.now == online {
            return;
        }
        if online {
            self.now = true;
            if self.good {
                self.figures.came();
            }
            return;
        }
        self.leave();
        let good = self.good;
        self.figures.count(|counted| {
            let one = if good {
                &mut counted.lost
            } else {
                &mut counted.odd_lost
            };
            *one += 1;
        });
    }

    /// It leaves because it was told to.
    fn leave(&mut self) {
        if std::mem::take(&mut self.now) && self.good {
            self.figures.went();
        }
    }
}

impl Drop for Online<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

fn state() -> ReportedState {
    let state = json!({ "width": 1280, "height": 720, "fps": 30, "encoder": "none" });
    ReportedState {
        rev: 0,
        state: state.as_object().cloned().unwrap_or_default(),
        errors: serde_json::Map::new(),
    }
}

/// Unix milliseconds by a camera's clock.
fn clock_ms(clock: &Clock) -> u64 {
    let since = clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
