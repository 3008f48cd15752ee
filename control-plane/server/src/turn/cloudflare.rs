//! Cloudflare's TURN service: `POST /v1/turn/keys/{id}/credentials/generate-ice-servers`
//! (developers.cloudflare.com/realtime/turn/generate-credentials).

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, header};
use heron_protocol::messages::IceServer;
use serde_json::{Value, json};

use super::fetched::{CredentialApi, read_servers};
use super::https;

/// Where the API is.
pub const API: &str = "https://rtc.live.cloudflare.com";

/// A TURN key of an account.
pub struct Cloudflare {
    /// Where the API is.
    pub api: String,
    /// The id of the key.
    pub key_id: String,
    /// The file with its API token; read at each request, so that it can be replaced.
    pub token_file: PathBuf,
}

#[async_trait]
impl CredentialApi for Cloudflare {
    async fn fetch(&self, life: Duration) -> anyhow::Result<Vec<IceServer>> {
        let token = super::fetched::token(&self.token_file)?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .context("the token holds characters that no header may have")?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (header::AUTHORIZATION, bearer),
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            ),
        ]);
        let url = format!(
            "{}/v1/turn/keys/{}/credentials/generate-ice-servers",
            self.api.trim_end_matches('/'),
            self.key_id
        );
        let body = json!({ "ttl": life.as_secs() }).to_string();
        let answer = https::post(&url, headers, body.into()).await?;
        ensure!(
            answer.status.is_success(),
            "Cloudflare's API answers {}",
            answer.status
        );
        let mut answer: Value =
            serde_json::from_slice(&answer.body).context("Cloudflare's answer is no JSON")?;
        read_servers(answer["iceServers"].take())
    }
}
