//! Asks a relay for a STUN binding (RFC 8489, section 14) every few seconds: who does not answer is not given out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heron_turn::stun::{Class, Message, Transaction, Writer, method};
use tokio::net::{UdpSocket, lookup_host};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// One packet may be lost without anything being wrong.
const TRIES: usize = 3;

/// A relay that is probed until this is dropped.
pub struct Probe {
    answers: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Probe {
    /// Probes `host` (name or address, and port) at once and then every `period`. Until the first verdict it counts as
    /// answering.
    pub fn start(name: String, host: String, period: Duration) -> Self {
        let answers = Arc::new(AtomicBool::new(true));
        let told = Arc::clone(&answers);
        let task = tokio::spawn(async move {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let answer = ask(&host).await;
                let is_there = answer.is_ok();
                if told.swap(is_there, Ordering::Relaxed) != is_there {
                    match answer {
                        Ok(()) => tracing::info!(relay = name, "the relay answers again"),
                        Err(reason) => tracing::warn!(
                            relay = name,
                            host,
                            reason,
                            "the relay does not answer; sessions get others"
                        ),
                    }
                }
            }
        });
        Self {
            answers,
            task: task.abort_handle(),
        }
    }

    /// Whether it answered when it was last asked.
    pub fn answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `Ok` as soon as one address of the host answers.
async fn ask(host: &str) -> Result<(), String> {
    let addresses: Vec<SocketAddr> = match timeout(PATIENCE, lookup_host(host)).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Err(format!("its name is not found: {error}")),
        Err(_) => return Err("its name is not found in time".into()),
    };
    let mut reason = "its name has no address".to_owned();
    for address in addresses {
        for _ in 0..TRIES {
            match timeout(PATIENCE, bind(address)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => {
                    reason = error.to_string();
                    break;
                }
                Err(_) => reason = format!("no answer from {address}"),
            }
        }
    }
    Err(reason)
}

async fn bind(address: SocketAddr) -> std::io::Result<()> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    let transaction: Transaction = rand::random();
    let request = Writer::new(Class::Request, method::BINDING, &transaction).unsigned();
    socket.send(&request).await?;
    let mut answer = [0; 1500];
    loop {
        let length = socket.recv(&mut answer).await?;
        let answer = Message::parse(&answer[..length]);
        // An error is an answer, too: whoever refuses to bind may still relay.
        let is_ours = |answer: &Message<'_>| {
            answer.transaction == transaction
                && answer.method == method::BINDING
                && matches!(answer.class, Class::Success | Class::Error)
        };
        if answer.as_ref().is_some_and(is_ours) {
            return Ok(());
        }
    }
}
