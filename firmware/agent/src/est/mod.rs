//! Enrolment over Secure Transport (RFC 7030, with the transfer encoding of RFC 8951): a certificate for a key.
//!
//! | operation | who we are | section |
//! |---|---|---|
//! | `simpleenroll` | a word that the control plane knows: claim, pairing code, serial number | RFC 7030 4.2.1 |
//! | `simplereenroll` | the certificate that is to be replaced, by mutual TLS | RFC 7030 4.2.2 |
//!
//! The answer is a certs-only PKCS#7 (RFC 5652 section 5); it is taken only if it holds a certificate for our key.

mod key;
pub(crate) mod pkcs7;

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use rustls::ClientConfig;
use thiserror::Error;

use crate::clock::Clock;
use crate::https::{self, Ask, HttpsError, Reply};
use crate::server::ServerUrl;

pub use key::{DeviceKey, KeyError, Subject};

const PKCS10: &str = "application/pkcs10";
const PKCS7: &str = "application/pkcs7-mime";
/// How long to wait after a 202 that does not say, and at most whatever it says.
const LATER: Duration = Duration::from_secs(5);
const LATEST: Duration = Duration::from_secs(60);

/// How a device without a certificate says why it may have one.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Which way: `claim`, `pair` or `factory`.
    pub user: &'static str,
    /// The claim's secret, the pairing code, or the serial number.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, ..)", self.user)
    }
}

/// What an EST server made of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The certificate and those above it, PEM, ours first.
    Issued(String),
    /// Somebody has to decide first: ask the same again after this time.
    Later(Duration),
}

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EstError {
    /// The server is not there, or cannot answer now.
    #[error("the control plane cannot be reached: {reason}")]
    Away {
        /// What happened.
        reason: String,
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The server is not the one we are to believe.
    #[error("the control plane's certificate is not trusted: {0}")]
    Untrusted(String),
    /// The server answered, and the answer is no.
    #[error("refused ({status}): {reason}")]
    Refused {
        /// The HTTP status; 403 where our certificate was refused before there was any HTTP.
        status: u16,
        /// The server's own words.
        reason: String,
    },
    /// The server answered with something that is no certificate for our key.
    #[error("the control plane's answer cannot be used: {0}")]
    Unusable(String),
}

/// A control plane, as somebody who wants a certificate sees it.
#[derive(Debug, Clone)]
pub struct Est {
    /// Where it is.
    pub server: ServerUrl,
    tls: Arc<ClientConfig>,
    clock: Clock,
}

impl Est {
    /// Nothing is asked yet. `tls` holds whom to believe, and our certificate where there is one.
    pub fn new(server: ServerUrl, tls: Arc<ClientConfig>, clock: Clock) -> Self {
        Self { server, tls, clock }
    }

    /// Asks for a first certificate.
    ///
    /// # Errors
    ///
    /// [`EstError`]: nobody there, nobody to believe, or a refusal.
    pub async fn simple_enroll(
        &self,
        credentials: &Credentials,
        key: &DeviceKey,
        subject: &Subject,
    ) -> Result<Answer, EstError> {
        let basic = Some((credentials.user, credentials.password.as_str()));
        self.enroll("/.well-known/est/simpleenroll", basic, key, subject)
            .await
    }

    /// Asks for the next certificate, for a new key, by the one in the TLS connection.
    ///
    /// # Errors
    ///
    /// [`EstError`], as above.
    pub async fn simple_reenroll(
        &self,
        key: &DeviceKey,
        subject: &Subject,
    ) -> Result<Answer, EstError> {
        self.enroll("/.well-known/est/simplereenroll", None, key, subject)
            .await
    }

    /// What the control plane knows of the device whose certificate is in the TLS connection: `GET /api/v1/device`.
    ///
    /// # Errors
    ///
    /// [`EstError`], as above.
    pub async fn device(&self) -> Result<String, EstError> {
        let ask = Ask {
            path: "/api/v1/device",
            accept: "application/json",
            ..Ask::default()
        };
        let reply = self.ask(ask).await?;
        match reply.status {
            StatusCode::OK => String::from_utf8(reply.body.to_vec())
                .map_err(|_| EstError::Unusable("not text".to_owned())),
            _ => Err(refused(&reply)),
        }
    }

    async fn enroll(
        &self,
        path: &str,
        basic: Option<(&str, &str)>,
        key: &DeviceKey,
        subject: &Subject,
    ) -> Result<Answer, EstError> {
        let request = key
            .request(subject)
            .map_err(|error| EstError::Unusable(error.to_string()))?;
        let ask = Ask {
            path,
            body: Some((PKCS10, request)),
            basic,
            accept: PKCS7,
        };
        let reply = self.ask(ask).await?;
        match reply.status {
            StatusCode::OK if reply.media_type == PKCS7 => pkcs7::certificates(&reply.body)
                .and_then(|certificates| pkcs7::ours_first(&certificates, &key.public_key()))
                .map(Answer::Issued)
                .map_err(EstError::Unusable),
            StatusCode::OK => Err(EstError::Unusable(format!(
                "it is {:?} instead of {PKCS7}",
                reply.media_type
            ))),
            StatusCode::ACCEPTED => Ok(Answer::Later(
                reply
                    .retry_after
                    .unwrap_or(LATER)
                    .clamp(Duration::from_secs(1), LATEST),
            )),
            _ => Err(refused(&reply)),
        }
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<Reply, EstError> {
        let reply = https::ask(&self.server, &self.tls, ask).await?;
        // Whoever answered is believed by now.
        if let Some(date) = reply.date {
            self.clock.tell(date);
        }
        Ok(reply)
    }
}

impl From<HttpsError> for EstError {
    fn from(error: HttpsError) -> Self {
        match error {
            HttpsError::Unreachable(reason) => Self::Away {
                reason,
                retry_after: None,
            },
            HttpsError::Untrusted(reason) => Self::Untrusted(reason),
            HttpsError::Unaccepted(reason) => Self::Refused {
                status: 403,
                reason,
            },
            HttpsError::Broken(reason) => Self::Unusable(reason),
        }
    }
}

/// A status that is neither a certificate nor a promise.
fn refused(reply: &Reply) -> EstError {
    let status = reply.status;
    let reason = reply.sentence();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return EstError::Away {
            reason: format!("it answers {}: {reason}", status.as_u16()),
            retry_after: reply.retry_after,
        };
    }
    EstError::Refused {
        status: status.as_u16(),
        reason,
    }
}
