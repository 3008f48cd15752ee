//! Enrolment over Secure Transport (RFC 7030, with the transfer encoding that RFC 8951 clarifies).
//!
//! ```text
//! GET  /.well-known/est/cacerts         the CAs to trust: of devices, and of this server
//! GET  /.well-known/est/csrattrs        what a request should hold: a P-256 key, ECDSA with SHA-256
//! POST /.well-known/est/simpleenroll    HTTP Basic: claim, pair or factory -> a first certificate
//! POST /.well-known/est/simplereenroll  TLS client certificate             -> the next one
//! ```
//!
//! A request is base64 of a PKCS#10 request in DER, an answer base64 of a certs-only PKCS#7. What fails is answered by
//! a status and one line of text, and counted. Nothing here decides: [`crate::identity`] does.

mod answers;
mod basic;
mod counters;
mod throttling;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use answers::certs_only;
pub use counters::EnrolmentCounters;

use crate::access::{Arrival, DeviceConnection};
use crate::api::Context;
use crate::clock::unix_ms;
use crate::identity::{
    Asker, BadRequest, CertificateRequest, Credential, EnrolError, Enrolled, Purpose,
};
use answers::{Refusal, attributes, certificates};
use basic::Basic;

const PATH: &str = "/.well-known/est";
/// How soon a device asks again whether its code was confirmed, in seconds.
const ASK_AGAIN_S: &str = "2";
const MODEL_LONGEST: usize = 100;

/// What EST needs beside the API's context.
#[derive(Clone)]
pub(crate) struct Est {
    context: Context,
    guesses: Arc<throttling::Guesses>,
}

/// The four routes.
pub fn router(context: Context) -> Router {
    let est = Est {
        context,
        guesses: Arc::default(),
    };
    Router::new()
        .route(&format!("{PATH}/cacerts"), get(cacerts))
        .route(&format!("{PATH}/csrattrs"), get(csrattrs))
        .route(&format!("{PATH}/simpleenroll"), post(simpleenroll))
        .route(&format!("{PATH}/simplereenroll"), post(simplereenroll))
        .with_state(est)
}

/// Middleware: a connection with a certificate that has expired may ask for the next one, and nothing else.
pub async fn expired_only_renew(request: Request, next: Next) -> Response {
    let shown = request.extensions().get::<DeviceConnection>();
    let expired = shown.is_some_and(|shown| shown.0.not_after_ms <= unix_ms(SystemTime::now()));
    if expired && request.uri().path() != format!("{PATH}/simplereenroll") {
        let detail = "the client certificate has expired; only simplereenroll takes it";
        return Refusal::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    next.run(request).await
}

async fn cacerts(State(est): State<Est>) -> Result<Response, Refusal> {
    let enrolment = &est.context.enrolment;
    let ours = [
        enrolment.devices.certificate_pem(),
        enrolment.broker_ca.as_str(),
    ];
    certificates(&ours)
}

async fn csrattrs() -> Response {
    attributes()
}

async fn simpleenroll(
    State(est): State<Est>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let counters = &est.context.counters;
    let done = est.enrol(arrival.peer, &headers, &body).await;
    match done {
        Ok(Enrolled::Certificate(certificate)) => {
            EnrolmentCounters::count(&counters.enrolled);
            certificates(&[&certificate.pem]).into_response()
        }
        Ok(Enrolled::Waiting) => {
            let text = "waiting for a person to confirm the code\n";
            let headers = [(header::RETRY_AFTER, ASK_AGAIN_S)];
            (StatusCode::ACCEPTED, headers, text).into_response()
        }
        Err(refusal) => {
            EnrolmentCounters::count(&counters.refused);
            tracing::info!(peer = %arrival.peer, reason = refusal.reason(), "enrolment refused");
            refusal.into_response()
        }
    }
}

async fn simplereenroll(
    State(est): State<Est>,
    Extension(arrival): Extension<Arrival>,
    shown: Option<Extension<DeviceConnection>>,
    body: String,
) -> Response {
    let counters = &est.context.counters;
    let done = est.renew(shown.map(|Extension(shown)| shown), &body).await;
    match done {
        Ok(pem) => {
            EnrolmentCounters::count(&counters.renewed);
            certificates(&[&pem]).into_response()
        }
        Err(refusal) => {
            EnrolmentCounters::count(&counters.refused);
            tracing::info!(peer = %arrival.peer, reason = refusal.reason(), "renewal refused");
            refusal.into_response()
        }
    }
}

impl Est {
    async fn enrol(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        body: &str,
    ) -> Result<Enrolled, Refusal> {
        let basic = Basic::of(headers).ok_or_else(Refusal::who_are_you)?;
        let credential = match basic.user.as_str() {
            "claim" => Credential::Claim(&basic.password),
            "pair" => Credential::Pair(&basic.password),
            "factory" => Credential::Factory(&basic.password),
            _ => return Err(Refusal::who_are_you()),
        };
        self.guesses.check(peer)?;
        let request = request(body)?;
        let agent = headers.get(header::USER_AGENT);
        let model = agent.and_then(|agent| agent.to_str().ok());
        let asker = Asker {
            address: peer.to_string(),
            model: model.map(|model| model.chars().take(MODEL_LONGEST).collect()),
        };
        let now = SystemTime::now();
        let done = self
            .context
            .enrolment
            .enrol(credential, &request, asker, now)
            .await
            .inspect_err(|error| {
                if is_guess(error) {
                    self.guesses.note(peer);
                }
            })?;
        if matches!(done, Enrolled::Certificate(_)) {
            self.context.settle().await;
        }
        Ok(done)
    }

    async fn renew(&self, shown: Option<DeviceConnection>, body: &str) -> Result<String, Refusal> {
        let Some(DeviceConnection(shown)) = shown else {
            let detail = "simplereenroll wants the certificate that is to be renewed, as TLS client certificate";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, detail));
        };
        let request = request(body)?;
        let (context, now) = (&self.context, SystemTime::now());
        context
            .gate
            .admit(&shown.device, &shown.serial, Purpose::Renew, now)
            .map_err(EnrolError::from)?;
        // A first use is written before the next certificate: what was never used gives way to it.
        context.gate.write_uses().await.map_err(EnrolError::from)?;
        let certificate = context
            .enrolment
            .renew(&shown.device, &request, now)
            .await?;
        context.settle().await;
        tracing::info!(camera = %shown.device, serial = certificate.serial, "certificate renewed");
        Ok(certificate.pem)
    }
}

fn is_guess(error: &EnrolError) -> bool {
    matches!(
        error,
        EnrolError::ClaimUnknown | EnrolError::CodeTaken | EnrolError::NotListed
    )
}

/// Reads a body; white space in it means nothing (RFC 8951 section 3.1).
fn request(body: &str) -> Result<CertificateRequest, Refusal> {
    let bare: String = body
        .chars()
        .filter(|letter| !letter.is_ascii_whitespace())
        .collect();
    let der = STANDARD.decode(bare).map_err(|_| BadRequest::Encoding)?;
    Ok(CertificateRequest::from_der(&der)?)
}
