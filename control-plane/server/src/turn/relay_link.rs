//! The control plane's end of the link to a stand-alone relay (`heron-control turn`).
//!
//! The control plane asks `POST {admin}/relay` every second, and at once when a session ends; so a relay needs to know
//! nothing of the control plane, and one that was away learns what it missed. A question names the sessions that are
//! over and those whose usage is wanted; the answer has the usage. Both are signed with the secret that is shared
//! anyway, and a question is good for a minute:
//!
//! ```text
//! POST /relay                                            200
//! heron-signature: HMAC(secret, "ask:" body)             heron-signature: HMAC(secret, "tell:" body)
//! {"at":1800000000,"end":["5f0c.."],"watch":["00ff.."]}  {"at":1800000000,"run":"9a..","allocations":2,...}
//! ```
//!
//! When `run` changes the relay was started again and has forgotten which sessions are over: it is told all of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use heron_protocol::SessionId;
use heron_turn::Secret;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::https;
use super::meter::Relayed;
use super::secrets::SecretFile;
use crate::clock::unix_ms;

/// Where a relay is asked.
pub const PATH: &str = "/relay";
/// The signature of a question or an answer.
pub const SIGNATURE: HeaderName = HeaderName::from_static("heron-signature");
/// How far clocks may differ, in seconds; also how long a question can be asked again by somebody who overheard it.
pub const CLOCKS: u64 = 60;

const ASK: Duration = Duration::from_secs(1);
/// A session's credentials have expired after that, so its end need not be told again.
const MEMORY: Duration = Duration::from_secs(24 * 3600);
/// Sessions in one question; the rest is in the next.
const MOST: usize = 1000;

/// A question.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// When, in Unix seconds.
    pub at: u64,
    /// Sessions that are over.
    pub end: Vec<String>,
    /// Sessions whose usage is wanted.
    pub watch: Vec<String>,
    /// What each end of a session may have relayed, in bits a second.
    #[serde(default)]
    pub limit: HashMap<String, u64>,
}

/// An answer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tell {
    /// The question's.
    pub at: u64,
    /// Changes when the relay is started again.
    pub run: String,
    /// Whether it takes nobody new.
    pub draining: bool,
    /// How many allocations it holds.
    pub allocations: u64,
    /// Bytes relayed for each end, viewer and device, of the sessions that were asked about.
    pub relayed: HashMap<String, [u64; 2]>,
}

/// The signature of a question (`ask`) or an answer (`tell`).
pub fn signature(secret: &Secret, kind: &str, body: &[u8]) -> String {
    secret.password(&format!("{kind}:{}", String::from_utf8_lossy(body)))
}

#[derive(Default)]
struct State {
    run: String,
    draining: bool,
    allocations: Option<u64>,
    /// Open sessions, with what they used as far as is known and what they may.
    open: HashMap<String, (Relayed, Option<u64>)>,
    /// Sessions that are over; whether the relay knows, and since when.
    over: HashMap<String, (bool, Instant, Relayed)>,
}

/// A link that asks until it is dropped.
pub struct RelayLink {
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
    task: AbortHandle,
}

impl RelayLink {
    /// Asks the relay at `admin`, an `http:` or `https:` URL.
    pub fn start(name: String, admin: &str, secret: Arc<SecretFile>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let news = Arc::new(Notify::new());
        let link = Asking {
            url: format!("{}{PATH}", admin.trim_end_matches('/')),
            secret,
            state: Arc::clone(&state),
        };
        let task = tokio::spawn(link.run(name, Arc::clone(&news)));
        Self {
            state,
            news,
            task: task.abort_handle(),
        }
    }

    /// Whether it takes nobody new.
    pub fn is_draining(&self) -> bool {
        self.state.lock().draining
    }

    /// How many allocations it holds, if it ever said.
    pub fn allocations(&self) -> Option<u64> {
        self.state.lock().allocations
    }

    /// What it relayed for a session. From the first call on it is asked about that session.
    pub fn relayed(&self, session: &SessionId) -> Option<Relayed> {
        let mut state = self.state.lock();
        if let Some((_, _, relayed)) = state.over.get(session.as_str()) {
            return Some(*relayed);
        }
        let (relayed, _) = state.open.entry(session.to_string()).or_default();
        Some(*relayed)
    }

    /// Tells it at once that a session is over.
    pub fn end_session(&self, session: &SessionId) {
        let mut state = self.state.lock();
        let (relayed, _) = state.open.remove(session.as_str()).unwrap_or_default();
        let now = Instant::now();
        state
            .over
            .insert(session.to_string(), (false, now, relayed));
        self.news.notify_one();
    }

    /// Tells it at once what each end of a session may have relayed.
    pub fn limit(&self, session: &SessionId, bits_per_second: u64) {
        let mut state = self.state.lock();
        let (_, limit) = state.open.entry(session.to_string()).or_default();
        *limit = Some(bits_per_second);
        self.news.notify_one();
    }
}

impl Drop for RelayLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Asking {
    url: String,
    secret: Arc<SecretFile>,
    state: Arc<Mutex<State>>,
}

impl Asking {
    async fn run(self, name: String, news: Arc<Notify>) {
        let mut answers = true;
        loop {
            let asked = self.ask().await;
            if asked.is_ok() != answers {
                answers = asked.is_ok();
                match asked {
                    Ok(()) => {
                        tracing::info!(relay = name, "the relay\'s own answers are there again");
                    }
                    Err(error) => tracing::warn!(
                        relay = name,
                        error = format!("{error:#}"),
                        "the relay cannot be asked: sessions that end are told to it later"
                    ),
                }
            }
            let _ = tokio::time::timeout(ASK, news.notified()).await;
        }
    }

    async fn ask(&self) -> anyhow::Result<()> {
        let now = unix_ms(std::time::SystemTime::now()).cast_unsigned() / 1000;
        let question = self.question(now);
        let body = serde_json::to_vec(&question)?;
        // Signed with the secret that the relay is sure to have, see `SecretFile::minting`.
        let signed = signature(&self.secret.minting(now), "ask", &body);
        let headers = HeaderMap::from_iter([(SIGNATURE, HeaderValue::try_from(signed)?)]);
        let answer = https::post(&self.url, headers, body.into()).await?;
        ensure!(answer.status.is_success(), "it answers {}", answer.status);
        let shown = answer.headers.get(SIGNATURE).map(HeaderValue::as_bytes);
        let secrets = self.secret.secrets();
        let is_signed = secrets
            .iter()
            .any(|secret| Some(signature(secret, "tell", &answer.body).as_bytes()) == shown);
        ensure!(is_signed, "its answer is not signed with our secret");
        let answer: Tell =
            serde_json::from_slice(&answer.body).context("its answer is not of our form")?;
        ensure!(answer.at == now, "its answer is to another question");
        self.take(question, answer);
        Ok(())
    }

    fn question(&self, at: u64) -> Ask {
        let mut state = self.state.lock();
        state
            .over
            .retain(|_, (_, since, _)| since.elapsed() < MEMORY);
        let untold = state.over.iter().filter(|(_, (told, ..))| !told);
        Ask {
            at,
            end: untold.map(|(id, _)| id.clone()).take(MOST).collect(),
            watch: state.open.keys().take(MOST).cloned().collect(),
            limit: state
                .open
                .iter()
                .filter_map(|(id, (_, limit))| Some((id.clone(), (*limit)?)))
                .take(MOST)
                .collect(),
        }
    }

    fn take(&self, question: Ask, answer: Tell) {
        let mut state = self.state.lock();
        state.draining = answer.draining;
        state.allocations = Some(answer.allocations);
        for id in question.end {
            if let Some((told, ..)) = state.over.get_mut(&id) {
                *told = true;
            }
        }
        if state.run != answer.run {
            let is_first = state.run.is_empty();
            state.run = answer.run;
            if !is_first {
                state.over.values_mut().for_each(|(told, ..)| *told = false);
            }
        }
        for (id, [viewer, device]) in answer.relayed {
            let now = Relayed { viewer, device };
            if let Some((_, _, relayed)) = state.over.get_mut(&id) {
                *relayed = most(*relayed, now);
            } else if let Some((relayed, _)) = state.open.get_mut(&id) {
                *relayed = most(*relayed, now);
            }
        }
    }
}

/// Counters only grow; a relay that was started again begins anew, and what it had said stays.
fn most(before: Relayed, now: Relayed) -> Relayed {
    Relayed {
        viewer: before.viewer.max(now.viewer),
        device: before.device.max(now.device),
    }
}
