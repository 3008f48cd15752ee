//! What coturn relays, as it reports it in Redis (`redis-statsdb`): joined to sessions by user name.
//!
//! coturn publishes on `turn/realm/{realm}/user/{user}/allocation/{id}/...`: `status` when an allocation comes, is
//! refreshed and goes; `traffic` every 2,048 packets, with what came since; `total_traffic` when it goes, with all of it
//! (coturn's `schema.stats.redis`). Messages are not kept by Redis: what is published while we are away is missing,
//! but for allocations that end later, whose total has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use heron_protocol::SessionId;
use heron_turn::{End, Username};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::meter::Relayed;

const PATTERN: &str = "turn/realm/*/user/*/allocation/*";
const RETRY: Duration = Duration::from_secs(5);
/// The last figures of a session come within moments of its end, and nobody asks for them after that.
const MEMORY: Duration = Duration::from_secs(3600);
/// Allocations that are remembered; more than any coturn of one machine has.
const MOST: usize = 100_000;

/// One allocation.
#[derive(Debug)]
struct Allocation {
    session: String,
    end: End,
    bytes: u64,
    is_over: bool,
    heard: Instant,
}

/// What was reported so far: a state machine without IO.
#[derive(Debug, Default)]
struct Reported {
    /// By user name and number.
    allocations: HashMap<(String, String), Allocation>,
}

impl Reported {
    /// A message on one of the channels. Those about foreign user names are passed over.
    fn hear(&mut self, channel: &str, text: &str, now: Instant) {
        let Some((user, number, what)) = parts(channel) else {
            return;
        };
        let Ok(Username { holder, .. }) = user.parse() else {
            return;
        };
        if self.allocations.len() >= MOST {
            self.forget(now);
        }
        let key = (user.to_owned(), number.to_owned());
        if self.allocations.len() >= MOST && !self.allocations.contains_key(&key) {
            return;
        }
        let allocation = self.allocations.entry(key).or_insert(Allocation {
            session: holder.session,
            end: holder.end,
            bytes: 0,
            is_over: false,
            heard: now,
        });
        allocation.heard = now;
        match what {
            "traffic" => allocation.bytes = allocation.bytes.saturating_add(bytes(text)),
            "total_traffic" => {
                allocation.bytes = bytes(text);
                allocation.is_over = true;
            }
            "status" if text.starts_with("deleted") => allocation.is_over = true,
            _ => {}
        }
    }

    fn forget(&mut self, now: Instant) {
        self.allocations
            .retain(|_, allocation| !allocation.is_over || now < allocation.heard + MEMORY);
    }

    fn relayed(&self, session: &str) -> Option<Relayed> {
        let of_session = |allocation: &&Allocation| allocation.session == session;
        let mut relayed = None;
        for allocation in self.allocations.values().filter(of_session) {
            let sum: &mut Relayed = relayed.get_or_insert_default();
            match allocation.end {
                End::Viewer => sum.viewer += allocation.bytes,
                End::Device => sum.device += allocation.bytes,
            }
        }
        relayed
    }

    fn live(&self) -> u64 {
        let live = self.allocations.values().filter(|one| !one.is_over);
        live.count() as u64
    }
}

/// User name, number of the allocation, and what it is about.
fn parts(channel: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = channel.split_once("/user/")?;
    let (user, rest) = rest.split_once("/allocation/")?;
    let (number, what) = rest.split_once('/')?;
    Some((user, number, what))
}

/// Bytes from and to the client in `rcvp=1, rcvb=2, sentp=3, sentb=4`.
fn bytes(text: &str) -> u64 {
    let pairs = text
        .split(',')
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .filter(|(key, _)| matches!(*key, "rcvb" | "sentb"))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

/// What one coturn, or many with the same database, relay. Listens until it is dropped.
pub struct CoturnStatus {
    reported: Arc<Mutex<Reported>>,
    task: AbortHandle,
}

impl CoturnStatus {
    /// Listens at a `redis:` URL.
    pub fn start(name: String, url: &str) -> anyhow::Result<Self> {
        let client =
            redis::Client::open(url).with_context(|| format!("turn.pool {name:?}: redis"))?;
        let reported = Arc::new(Mutex::new(Reported::default()));
        let task = tokio::spawn(keep_listening(name, client, Arc::clone(&reported)));
        Ok(Self {
            reported,
            task: task.abort_handle(),
        })
    }

    /// How many allocations live.
    pub fn allocations(&self) -> Option<u64> {
        Some(self.reported.lock().live())
    }

    /// What was relayed for a session so far.
    pub fn relayed(&self, session: &SessionId) -> Option<Relayed> {
        self.reported.lock().relayed(session.as_str())
    }
}

impl Drop for CoturnStatus {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_listening(name: String, client: redis::Client, reported: Arc<Mutex<Reported>>) {
    let mut is_there = true;
    loop {
        let ended = listen(&client, &reported, || {
            if !is_there {
                tracing::info!(relay = name, "coturn's reports in Redis are there again");
            }
            is_there = true;
        });
        let reason = ended
            .await
            .err()
            .map_or_else(|| "the connection ended".into(), |error| error.to_string());
        if is_there {
            is_there = false;
            tracing::warn!(
                relay = name,
                reason,
                "coturn's reports in Redis are missing; sessions go on without figures"
            );
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn listen(
    client: &redis::Client,
    reported: &Mutex<Reported>,
    mut connected: impl FnMut(),
) -> redis::RedisResult<()> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.psubscribe(PATTERN).await?;
    connected();
    let mut messages = subscription.on_message();
    while let Some(message) = messages.next().await {
        let text: String = message.get_payload().unwrap_or_default();
        let now = Instant::now();
        reported.lock().hear(message.get_channel_name(), &text, now);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str =
        "turn/realm/heron/user/1800000600:home.front-door-01.00ff.d/allocation/001000000000000001/";

    #[test]
    fn traffic_adds_up_and_the_total_has_the_last_word() {
        let mut reported = Reported::default();
        let now = Instant::now();
        let mut hear = |what: &str, text: &str| reported.hear(&format!("{USER}{what}"), text, now);
        hear("status", "new lifetime=600");
        hear("traffic", "rcvp=1000, rcvb=500, sentp=1048, sentb=70");
        hear("traffic", "rcvp=1000, rcvb=500, sentp=1048, sentb=30");
        hear("traffic/peer", "rcvp=1000, rcvb=500, sentp=1048, sentb=30");
        let device = |device| Some(Relayed { viewer: 0, device });
        assert_eq!(reported.relayed("00ff"), device(1100));
        assert_eq!(reported.live(), 1);
        let mut hear = |what: &str, text: &str| reported.hear(&format!("{USER}{what}"), text, now);
        hear(
            "total_traffic",
            "rcvp=3000, rcvb=1500, sentp=3000, sentb=150",
        );
        hear("status", "deleted");
        assert_eq!(reported.relayed("00ff"), device(1650));
        assert_eq!(reported.live(), 0);
        assert_eq!(reported.relayed("0100"), None);
        reported.forget(now + MEMORY);
        assert!(reported.allocations.is_empty());
    }

    #[test]
    fn foreign_names_and_nonsense_are_passed_over() {
        let mut reported = Reported::default();
        for channel in [
            "",
            "turn/realm/x/user/admin/allocation/1/status",
            "turn/user/allocation",
        ] {
            reported.hear(channel, "new", Instant::now());
        }
        assert!(reported.allocations.is_empty());
        assert_eq!(bytes("rcvb=x, sentb=, y"), 0);
    }

    proptest::proptest! {
        #[test]
        fn any_message_is_taken(channel: String, text: String) {
            let mut reported = Reported::default();
            reported.hear(&channel, &text, Instant::now());
            reported.hear(&format!("{USER}{channel}"), &text, Instant::now());
        }
    }
}
