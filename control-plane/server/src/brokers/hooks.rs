//! The questions of brokers that ask over HTTP: may this client connect, may it publish or subscribe there.
//!
//! | path below `/broker/{secret}` | asked by | answer |
//! |---|---|---|
//! | `authn` | EMQX 5 (HTTP authentication) | 200 `{"result": "allow" or "deny", ...}` |
//! | `authz` | EMQX 5 (HTTP authorisation) | 200 `{"result": "allow" or "deny"}` |
//! | `go-auth/user`, `go-auth/superuser`, `go-auth/acl` | mosquitto-go-auth (its HTTP back end, JSON) | 200 or 403, `{"ok": ..., "error": ...}` |
//!
//! The answers come from the same rules as the embedded broker's: [`Gate`], the browsers' tokens, and the protocol's
//! table. EMQX takes an error status for "ask the next", so it always gets a 200. A client is the
//! camera that its certificate names, the control plane by a certificate too, or the browser whose token it has.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router, routing};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heron_protocol::DeviceId;
use heron_protocol::acl::{self, Client};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::identity::{CONTROL_NAME, Gate, Purpose};
use crate::signalling::BrowserRegistry;

/// What the answers come from. Cheap to clone.
#[derive(Clone)]
pub struct Hooks {
    secret: [u8; 32],
    gate: Arc<Gate>,
    browsers: Arc<BrowserRegistry>,
}

/// Who asks to come in. Brokers leave out, or leave empty, what they do not know.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Arriving {
    clientid: String,
    username: String,
    password: String,
    /// The common name of the certificate that the broker has verified.
    cert_common_name: String,
    /// That certificate: PEM or DER, in base64.
    cert_pem: String,
}

/// What a client that is in wants to do.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    clientid: String,
    username: String,
    cert_common_name: String,
    topic: String,
    /// EMQX: `publish` or `subscribe`.
    action: String,
    /// mosquitto-go-auth: 1 to be sent a message, 2 to publish, 3 both, 4 to subscribe.
    acc: u8,
    /// EMQX: `true` or `false`.
    retain: String,
}

#[derive(Serialize)]
struct Verdict {
    result: &'static str,
    is_superuser: bool,
    /// Seconds since the Unix epoch: the broker ends the connection then.
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_at: Option<u64>,
}

#[derive(Serialize)]
struct Granted {
    ok: bool,
    error: String,
}

impl Hooks {
    /// Reached with that secret only.
    pub fn new(secret: &str, gate: Arc<Gate>, browsers: Arc<BrowserRegistry>) -> Self {
        Self {
            secret: Sha256::digest(secret).into(),
            gate,
            browsers,
        }
    }

    /// Their routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/broker/{secret}/authn", routing::post(authn))
            .route("/broker/{secret}/authz", routing::post(authz))
            .route("/broker/{secret}/go-auth/user", routing::post(go_auth_user))
            .route(
                "/broker/{secret}/go-auth/superuser",
                routing::post(go_auth_superuser),
            )
            .route("/broker/{secret}/go-auth/acl", routing::post(go_auth_acl))
            .with_state(self)
    }

    /// Hashes are compared, so the time this takes tells nothing about the secret.
    fn knows(&self, secret: &str) -> Result<(), String> {
        if <[u8; 32]>::from(Sha256::digest(secret)) == self.secret {
            return Ok(());
        }
        Err("broker.hook_secret in the path is another".into())
    }

    /// Who comes in, and until when.
    fn admit(&self, arriving: &Arriving) -> Result<Option<SystemTime>, String> {
        let now = SystemTime::now();
        let name = &arriving.cert_common_name;
        if name == CONTROL_NAME {
            return Ok(None);
        }
        if !name.is_empty() {
            let device: DeviceId = name.parse().map_err(|_| "no device's certificate")?;
            if arriving.clientid != *name {
                return Err("the client id must be the certificate's common name".into());
            }
            let admitted = match serial(&arriving.cert_pem) {
                Some(serial) => self.gate.admit(&device, &serial, Purpose::Connect, now),
                None => self.gate.standing(&device),
            };
            return admitted.map(|()| None).map_err(|error| error.to_string());
        }
        let (browser, access) = self
            .browsers
            .verify(&arriving.password, now)
            .ok_or("neither a certificate nor a valid token")?;
        if arriving.clientid != browser.as_str() || arriving.username != browser.as_str() {
            return Err("client id and user name must be the token's browser id".into());
        }
        Ok(Some(access.expires))
    }

    /// Who a client is that was let in. Browser ids are random and given by us, so none is a camera's too.
    fn client(&self, wanted: &Wanted) -> Result<Client, String> {
        let name = match wanted.cert_common_name.as_str() {
            "" => wanted.username.as_str(),
            name => name,
        };
        if name == CONTROL_NAME {
            return Ok(Client::Control);
        }
        let browser = name.parse().ok();
        let now = SystemTime::now();
        if let Some((browser, known)) =
            browser.and_then(|id| self.browsers.get(&id, now).map(|known| (id, known)))
        {
            return Ok(Client::Browser {
                tenant: known.tenant,
                browser,
            });
        }
        let device: DeviceId = name
            .parse()
            .map_err(|_| "neither a camera nor a browser with a valid token")?;
        self.gate
            .standing(&device)
            .map_err(|error| error.to_string())?;
        Ok(Client::Device(device))
    }

    fn allow(&self, wanted: &Wanted) -> Result<(), String> {
        let client = self.client(wanted)?;
        let retain = wanted.retain == "true";
        let publish = || match (&client, wanted.clientid.parse::<DeviceId>()) {
            // The control plane in a camera's place: to put it out, and to speak its last word.
            (Client::Control, Ok(device)) => {
                acl::may_will(&Client::Device(device), &wanted.topic, retain).map(|_| ())
            }
            _ => acl::may_publish(&client, &wanted.topic, retain).map(|_| ()),
        };
        let subscribe = || acl::may_subscribe(&client, &wanted.topic);
        let verdict = match (wanted.action.as_str(), wanted.acc) {
            ("publish", _) | ("", 2) => publish(),
            ("subscribe", _) | ("", 1 | 4) => subscribe(),
            ("", 3) => publish().and_then(|()| subscribe()),
            _ => return Err("neither publish nor subscribe".into()),
        };
        verdict.map_err(|denied| denied.to_string())
    }
}

/// The serial number in a certificate: lower-case hexadecimal without leading zeros.
fn serial(base64: &str) -> Option<String> {
    let bytes = STANDARD.decode(base64.trim()).ok()?;
    let pem = parse_x509_pem(&bytes).ok().map(|(_, pem)| pem.contents);
    let der = pem.as_deref().unwrap_or(&bytes);
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.serial.to_str_radix(16))
}

async fn authn(
    State(hooks): State<Hooks>,
    Path(secret): Path<String>,
    Json(arriving): Json<Arriving>,
) -> Json<Verdict> {
    let admitted = hooks.knows(&secret).and_then(|()| hooks.admit(&arriving));
    log(&arriving.clientid, "connect", "", admitted.as_ref().err());
    let until = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok();
    Json(Verdict {
        result: if admitted.is_ok() { "allow" } else { "deny" },
        is_superuser: false,
        expire_at: admitted
            .ok()
            .flatten()
            .and_then(until)
            .map(|since| since.as_secs()),
    })
}

async fn authz(
    State(hooks): State<Hooks>,
    Path(secret): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Json<Verdict> {
    let allowed = hooks.knows(&secret).and_then(|()| hooks.allow(&wanted));
    log(
        &wanted.clientid,
        "reach",
        &wanted.topic,
        allowed.as_ref().err(),
    );
    Json(Verdict {
        result: if allowed.is_ok() { "allow" } else { "deny" },
        is_superuser: false,
        expire_at: None,
    })
}

async fn go_auth_user(
    State(hooks): State<Hooks>,
    Path(secret): Path<String>,
    Json(arriving): Json<Arriving>,
) -> Response {
    let admitted = hooks.knows(&secret).and_then(|()| hooks.admit(&arriving));
    log(&arriving.clientid, "connect", "", admitted.as_ref().err());
    granted(admitted.map(|_| ()))
}

/// Nobody is above the rules.
async fn go_auth_superuser() -> Response {
    granted(Err("there are no superusers".into()))
}

async fn go_auth_acl(
    State(hooks): State<Hooks>,
    Path(secret): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Response {
    let allowed = hooks.knows(&secret).and_then(|()| hooks.allow(&wanted));
    log(
        &wanted.clientid,
        "reach",
        &wanted.topic,
        allowed.as_ref().err(),
    );
    granted(allowed)
}

fn granted(verdict: Result<(), String>) -> Response {
    match verdict {
        Ok(()) => Json(Granted {
            ok: true,
            error: String::new(),
        })
        .into_response(),
        Err(error) => (StatusCode::FORBIDDEN, Json(Granted { ok: false, error })).into_response(),
    }
}

fn log(client: &str, attempt: &str, topic: &str, refused: Option<&String>) {
    if let Some(reason) = refused {
        // The client chose these texts: they are quoted, so that they cannot forge a line.
        tracing::debug!(
            ?client,
            attempt,
            ?topic,
            reason,
            "refused to a client of the broker"
        );
    }
}
