//! All cameras of one process.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use heron_agent::Clock;
use heron_protocol::DeviceId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::behaviour::{Behaviour, Mix};
use crate::camera::{self, Manner, Order};
use crate::figures::Figures;
use crate::identity::Identity;
use crate::misfit;

/// Further than any tolerance of grants, and not so far that the broker's certificate would have expired. The agent
/// knows that a clock before its own build is wrong, so the wrong one is ahead.
const AHEAD: Duration = Duration::from_secs(3600);

/// How a swarm is.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many behave oddly.
    pub mix: Mix,
    /// Between two messages of telemetry of a good camera; `heron-camera` has 10 s.
    pub telemetry: Duration,
    /// What a flooding camera sends in a second.
    pub flood_per_second: u32,
    /// Cameras started in a second.
    pub start_per_second: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mix: Mix::default(),
            telemetry: Duration::from_secs(10),
            flood_per_second: 1000,
            start_per_second: 1000,
        }
    }
}

/// A running swarm; dropped, its cameras vanish without a word.
pub struct Swarm {
    figures: Figures,
    /// Of the good cameras only.
    orders: BTreeMap<DeviceId, mpsc::Sender<Order>>,
    /// Of the others that are on the agent.
    others: Vec<mpsc::Sender<Order>>,
    tasks: JoinSet<()>,
}

impl Swarm {
    /// Starts a camera for each identity, a few at a time; returns when all are started. They connect by themselves.
    pub async fn start(identities: Vec<Identity>, options: &Options) -> Self {
        let mut swarm = Self {
            figures: Figures::default(),
            orders: BTreeMap::new(),
            others: Vec::new(),
            tasks: JoinSet::new(),
        };
        let behaviours: Vec<_> = options.mix.assign(identities.len()).collect();
        let gap = Duration::from_secs(1) / options.start_per_second.max(1);
        let mut pace = tokio::time::interval(gap);
        for (number, (identity, behaviour)) in identities.into_iter().zip(behaviours).enumerate() {
            pace.tick().await;
            swarm.add(identity, behaviour, number, options);
        }
        swarm
    }

    fn add(&mut self, identity: Identity, behaviour: Behaviour, number: usize, options: &Options) {
        let figures = self.figures.clone();
        let device = identity.device().clone();
        match behaviour {
            Behaviour::Good => {
                let orders = self.agent(identity, behaviour, options);
                self.orders.insert(device, orders);
            }
            Behaviour::ClockSkew => {
                let orders = self.agent(identity, behaviour, options);
                self.others.push(orders);
            }
            Behaviour::Duplicate => {
                for _ in 0..2 {
                    let orders = self.agent(identity.clone(), behaviour, options);
                    self.others.push(orders);
                }
            }
            Behaviour::Flood => {
                let per_second = options.flood_per_second;
                self.misfit(device, misfit::flood(identity, figures, per_second));
            }
            Behaviour::WrongShard => self.misfit(device, misfit::wrong_shard(identity, figures)),
            Behaviour::Silence => {
                let bare = number.is_multiple_of(2);
                self.misfit(device, misfit::silence(identity, figures, bare));
            }
        }
    }

    fn agent(
        &mut self,
        identity: Identity,
        behaviour: Behaviour,
        options: &Options,
    ) -> mpsc::Sender<Order> {
        let (sender, orders) = mpsc::channel(4);
        let manner = Manner {
            telemetry: options.telemetry,
            clock: match behaviour {
                Behaviour::ClockSkew => Clock::built_at(SystemTime::now() + AHEAD),
                _ => Clock::new(),
            },
            boot_id: format!("{:016x}", rand::random::<u64>()),
            good: behaviour == Behaviour::Good,
        };
        let figures = self.figures.clone();
        self.tasks
            .spawn(camera::run(identity, manner, figures, orders));
        sender
    }

    fn misfit(
        &mut self,
        device: DeviceId,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(%device, "a misfit could not begin: {error:#}");
            }
        });
    }

    /// What is counted.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The good cameras.
    pub fn good(&self) -> impl Iterator<Item = &DeviceId> {
        self.orders.keys()
    }

    /// Good cameras, spread evenly over all of them.
    #[must_use]
    pub fn some(&self, cameras: usize) -> Vec<DeviceId> {
        let step = (self.orders.len() / cameras.max(1)).max(1);
        self.good().step_by(step).take(cameras).cloned().collect()
    }

    /// Lets a good camera leave with a goodbye and come back at once.
    pub fn blink(&self, device: &DeviceId) {
        if let Some(orders) = self.orders.get(device) {
            // One that has not done the last four yet needs no fifth.
            let _ = orders.try_send(Order::Blink);
        }
    }

    /// Lets all cameras on the agent say goodbye.
    pub async fn stop(mut self) {
        drop(std::mem::take(&mut self.orders));
        drop(std::mem::take(&mut self.others));
        // Misfits have no manners.
        let goodbye = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(5), goodbye).await;
    }
}
