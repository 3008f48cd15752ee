//! A relay on its own (`heron-control turn`): the TURN server, and the endpoint where its control plane asks.
//!
//! It needs the configuration's `[turn]` and the secret file, and neither database nor broker. See `relay_link` for
//! what the control plane asks, and how.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use heron_turn::TurnServer;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::embedded;
use super::meter::Relayed;
use super::relay_link::{Ask, CLOCKS, PATH, SIGNATURE, Tell, signature};
use super::secrets::SecretFile;
use crate::clock::unix_ms;
use crate::config::Config;
use crate::web::{self, HttpListener, Security};

/// The largest question: a thousand sessions each to end, to watch and to limit.
const LARGEST: usize = 256 * 1024;
/// How long allocations may go on once the process was told to stop.
const DRAIN: Duration = Duration::from_secs(60);

/// A running relay.
pub struct RelayProcess {
    turn: Arc<TurnServer>,
    admin: Option<HttpListener>,
    following: AbortHandle,
    draining: Arc<Mutex<bool>>,
}

struct Desk {
    turn: Arc<TurnServer>,
    secret: Arc<SecretFile>,
    run: String,
    draining: Arc<Mutex<bool>>,
}

impl RelayProcess {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// One line: the key, the file or the address, and why.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let path = secret_file(config);
        let secret = SecretFile::open(&path).with_context(|| {
            format!(
                "a relay needs the secret of its control plane: copy turn.secret from its data directory to {}",
                path.display()
            )
        })?;
        let secret = Arc::new(secret);
        let tls = match (&config.server.certificate, &config.server.key) {
            (Some(certificate), Some(key)) => Some(web::relay_tls(certificate, key)?),
            _ if config.turn.tls_listen.is_some() => anyhow::bail!(
                "turn.tls_listen: a stand-alone relay needs server.certificate and server.key for TLS"
            ),
            _ => None,
        };
        let turn = Arc::new(embedded::start(config, &secret, tls).await?);
        let draining = Arc::new(Mutex::new(false));
        let admin = match config.turn.admin_listen {
            Some(address) => {
                let desk = Desk {
                    turn: Arc::clone(&turn),
                    secret: Arc::clone(&secret),
                    run: format!("{:016x}", rand::random::<u64>()),
                    draining: Arc::clone(&draining),
                };
                let listener = TcpListener::bind(address).await;
                let listener = listener
                    .with_context(|| format!("turn.admin_listen: cannot listen on {address}"))?;
                let address = listener.local_addr()?;
                // Questions and answers are signed, and say nothing that must be kept secret.
                let site = Router::new()
                    .route(PATH, post(answer))
                    .layer(DefaultBodyLimit::max(LARGEST))
                    .with_state(Arc::new(desk));
                Some(HttpListener::serve(
                    listener,
                    address,
                    Security::Loopback,
                    site,
                ))
            }
            None => None,
        };
        let following = secret.follow({
            let turn = Arc::downgrade(&turn);
            move |secrets| {
                if let Some(turn) = turn.upgrade() {
                    turn.set_secrets(secrets);
                }
            }
        });
        Ok(Self {
            turn,
            admin,
            following,
            draining,
        })
    }

    /// The server itself.
    pub fn turn(&self) -> &TurnServer {
        &self.turn
    }

    /// Where its control plane asks.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(HttpListener::address)
    }

    /// Takes nobody new, lets the allocations end for a minute at most, and stops.
    pub async fn drain(self) {
        *self.draining.lock() = true;
        self.turn.drain();
        let left = self.turn.drained(DRAIN).await;
        if left > 0 {
            tracing::warn!(left, "allocations that did not end are cut off");
        }
        self.stop().await;
    }

    /// Stops at once.
    pub async fn stop(self) {
        self.following.abort();
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
        if let Some(turn) = Arc::into_inner(self.turn) {
            turn.stop().await;
        }
    }
}

/// The secret file of this configuration.
pub fn secret_file(config: &Config) -> PathBuf {
    let given = config.turn.secret_file.clone();
    given.unwrap_or_else(|| config.server.data_dir.join("turn.secret"))
}

async fn answer(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    let shown = headers.get(SIGNATURE).map(HeaderValue::as_bytes);
    let secrets = desk.secret.secrets();
    // Compared as texts of HMACs of one length: how far they agree tells nothing about the secret.
    let signed_by = secrets
        .iter()
        .find(|secret| Some(signature(secret, "ask", &body).as_bytes()) == shown);
    let Some(secret) = signed_by else {
        return (
            StatusCode::UNAUTHORIZED,
            "not signed with the shared secret\n",
        )
            .into_response();
    };
    let question: Ask = match serde_json::from_slice(&body) {
        Ok(question) => question,
        Err(error) => {
            return (
                StatusCode::BAD_REQUEST,
                format!("not a question: {error}\n"),
            )
                .into_response();
        }
    };
    let now = unix_ms(SystemTime::now()).cast_unsigned() / 1000;
    if question.at.abs_diff(now) > CLOCKS {
        let reason = format!(
            "asked at {}, and it is {now} here: set the clocks\n",
            question.at
        );
        return (StatusCode::FORBIDDEN, reason).into_response();
    }
    let told = tell(&desk, &question);
    let Ok(body) = serde_json::to_vec(&told) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let signature = signature(secret, "tell", &body);
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (SIGNATURE, signature),
    ];
    (headers, body).into_response()
}

fn tell(desk: &Desk, question: &Ask) -> Tell {
    let turn = &desk.turn;
    for (session, rate) in &question.limit {
        turn.set_session_rate(session, Some(*rate));
    }
    for session in &question.end {
        turn.end_session(session);
    }
    let asked = question.end.iter().chain(&question.watch);
    let relayed = asked.map(|session| {
        let Relayed { viewer, device } = embedded::relayed(turn, session);
        (session.clone(), [viewer, device])
    });
    Tell {
        at: question.at,
        run: desk.run.clone(),
        draining: *desk.draining.lock(),
        allocations: turn.stats().allocations as u64,
        relayed: relayed.collect(),
    }
}
