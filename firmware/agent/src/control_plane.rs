//! What a camera asks its control plane besides certificates.

use std::sync::Arc;
use std::time::SystemTime;

use heron_protocol::messages::IceServer;
use hyper::StatusCode;
use rustls::ClientConfig;
use serde::Deserialize;

use crate::bundle::Bundle;
use crate::https::{Ask, HttpsError, Reply, ask};
use crate::server::ServerUrl;

/// More would not fit into a session's messages either.
const MAX_SERVERS: usize = 8;

/// The control plane as the device of a bundle meets it: over HTTPS, with the device's certificate.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    server: ServerUrl,
    tls: Arc<ClientConfig>,
}

/// What the control plane answered to the question for STUN and TURN servers.
#[derive(Debug, Clone)]
pub struct ToldServers {
    /// What its clock said.
    pub date: Option<SystemTime>,
    /// The servers with credentials of a minute, or in one line why there are none.
    pub servers: Result<Vec<IceServer>, String>,
}

#[derive(Deserialize)]
struct Servers {
    ice_servers: Vec<IceServer>,
}

impl ControlPlane {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(server: ServerUrl, bundle: &Bundle) -> Self {
        Self {
            server,
            tls: Arc::clone(&bundle.https),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// Asks which STUN and TURN servers this device would be given for a session. Takes 30 s at most.
    ///
    /// # Errors
    ///
    /// [`HttpsError`] when the control plane gave no whole answer.
    pub async fn ice_servers(&self) -> Result<ToldServers, HttpsError> {
        let question = Ask {
            path: "/api/v1/device/ice",
            accept: "application/json",
            ..Ask::default()
        };
        let reply = ask(&self.server, &self.tls, question).await?;
        Ok(ToldServers {
            date: reply.date,
            servers: servers(&reply),
        })
    }
}

fn servers(reply: &Reply) -> Result<Vec<IceServer>, String> {
    match reply.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            return Err("it does not tell cameras (older than this camera?)".to_owned());
        }
        status => return Err(format!("it answered {status}: {}", reply.sentence())),
    }
    let told: Servers = serde_json::from_slice(&reply.body)
        .map_err(|error| format!("its answer makes no sense: {error}"))?;
    if told.ice_servers.len() > MAX_SERVERS {
        return Err(format!(
            "it names {} servers; at most {MAX_SERVERS} are of use",
            told.ice_servers.len()
        ));
    }
    Ok(told.ice_servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: StatusCode, body: &str) -> Result<Vec<IceServer>, String> {
        servers(&Reply {
            status,
            media_type: "application/json".to_owned(),
            date: None,
            retry_after: None,
            body: body.to_owned().into(),
        })
    }

    #[test]
    fn servers_are_told_or_why_not() {
        let body = r#"{"ice_servers":[{"urls":["stun:h"]},{"urls":["turn:h"],"username":"u","credential":"c"}]}"#;
        let servers = told(StatusCode::OK, body).unwrap();
        assert_eq!((servers.len(), servers[1].username.as_str()), (2, "u"));
        for (status, body, why) in [
            (StatusCode::NOT_FOUND, "", "does not tell cameras"),
            (StatusCode::OK, "<html>", "makes no sense"),
            (StatusCode::OK, r#"{"ice_servers":7}"#, "makes no sense"),
            (StatusCode::FORBIDDEN, "kept out", "403 Forbidden: kept out"),
        ] {
            let error = told(status, body).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let many = format!(r#"{{"ice_servers":[{}]}}"#, [r#"{"urls":[]}"#; 9].join(","));
        assert!(
            told(StatusCode::OK, &many)
                .unwrap_err()
                .contains("9 servers")
        );
    }
}
