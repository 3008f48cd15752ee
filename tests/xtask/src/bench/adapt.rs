//! `cargo xtask bench adapt`: Chromium behind a link that turns slow, and one that loses packets.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use heron_net_lab::{Direction, End, Forwarder, Impairment, Namespace, Queue};
use serde::Deserialize;
use serde_json::{json, to_string};

use super::server::{self, Servers};
use super::subject::{self, Content};
use crate::node::Node;
use crate::{browser, build, netns};

const LIMIT: Duration = Duration::from_secs(900);
/// The addresses of the link: the servers' side, and Chromium's.
const HERE: &str = "10.78.0.1";
const THERE: &str = "10.78.0.2";
const SEED: u64 = 1;
/// What waits at the bottleneck at most: an ordinary router's.
const QUEUE: Duration = Duration::from_millis(300);

/// Measures, prints the table, and fails when the first server misses a figure.
pub fn run(names: &[String]) -> Result<()> {
    if !netns::inside() {
        subject::prepare(true)?;
    }
    netns::enter()?;
    let node = Node::ensure()?;
    let folder = server::folder()?;
    let lab = Lab::new()?;
    let mut servers = Servers::new(folder.join("adapt"), Content::Noise);
    let input = json!({
        "chromium": build::chromium(),
        "chromiumBehindLink": browser::on(&lab.viewer, &folder)?,
        "output": folder,
        "servers": names,
    });
    let answer = &mut |what: &str, argument: &str| match what {
        "serve" => Ok(servers.serve(argument)?.to_string()),
        "link" => lab.set(argument).map(|()| String::new()),
        "trace" => Ok(to_string(&*lab.trace())?),
        _ => bail!("this bench knows no `{what}`"),
    };
    let outcome = browser::run(&node, "adapt", &input, LIMIT, answer)?;
    server::write(&folder.join("adapt.json"), &outcome.data)?;
    outcome.conclude()
}

/// Unix time in milliseconds, and the bytes that came to and went from the link towards Chromium.
type Moment = [u64; 3];

/// Chromium's own host, and the link to it.
struct Lab {
    // In the order in which they end: the recording holds the link, the link its hosts.
    _recording: Sender<()>,
    link: Arc<Forwarder>,
    viewer: Namespace,
    trace: Arc<Mutex<Vec<Moment>>>,
}

/// As a script says it: what happens towards Chromium. On the way back packets are only delayed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    kbps: u64,
    delay_ms: u64,
    jitter_ms: u64,
    loss: f64,
}

impl Lab {
    fn new() -> Result<Self> {
        let (home, viewer) = (Namespace::current("home"), Namespace::new("viewer")?);
        let link = Forwarder::between(
            End {
                namespace: &home,
                address: &format!("{HERE}/30"),
            },
            End {
                namespace: &viewer,
                address: &format!("{THERE}/30"),
            },
            SEED,
        )?;
        viewer.route("default", HERE)?;
        let link = Arc::new(link);
        let trace = Arc::default();
        Ok(Self {
            _recording: record(Arc::clone(&link), Arc::clone(&trace)),
            link,
            viewer,
            trace,
        })
    }

    fn set(&self, condition: &str) -> Result<()> {
        let condition: Condition = serde_json::from_str(condition)?;
        let delay = Duration::from_millis(condition.delay_ms);
        let back = Impairment {
            delay,
            ..Impairment::NONE
        };
        let forth = Impairment {
            rate: Some(condition.kbps * 1000),
            queue: Queue::Time(QUEUE),
            jitter: Duration::from_millis(condition.jitter_ms),
            loss: condition.loss,
            ..back
        };
        self.link.set(Direction::Forth, forth);
        self.link.set(Direction::Back, back);
        Ok(())
    }

    fn trace(&self) -> std::sync::MutexGuard<'_, Vec<Moment>> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes what goes over the link until the sender is dropped.
fn record(link: Arc<Forwarder>, trace: Arc<Mutex<Vec<Moment>>>) -> Sender<()> {
    const EVERY: Duration = Duration::from_millis(20);
    let (sender, end) = channel();
    thread::spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(EVERY) {
            let counters = link.counters(Direction::Forth);
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
            let moment = [now, counters.offered_bytes, counters.delivered_bytes];
            let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
            trace.push(moment);
        }
    });
    sender
}
