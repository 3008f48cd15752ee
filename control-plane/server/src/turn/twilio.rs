//! Twilio's Network Traversal Service: `POST /2010-04-01/Accounts/{sid}/Tokens.json` (twilio.com/docs/stun-turn/api).

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heron_protocol::messages::IceServer;
use serde_json::Value;

use super::fetched::{CredentialApi, read_servers};
use super::https;

/// Where the API is.
pub const API: &str = "https://api.twilio.com";

/// An account.
pub struct Twilio {
    /// Where the API is.
    pub api: String,
    /// The account's SID.
    pub account_sid: String,
    /// The file with its auth token; read at each request, so that it can be replaced.
    pub token_file: PathBuf,
}

#[async_trait]
impl CredentialApi for Twilio {
    async fn fetch(&self, life: Duration) -> anyhow::Result<Vec<IceServer>> {
        let token = super::fetched::token(&self.token_file)?;
        let basic = STANDARD.encode(format!("{}:{token}", self.account_sid));
        let mut basic = HeaderValue::try_from(format!("Basic {basic}"))?;
        basic.set_sensitive(true);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers =
            HeaderMap::from_iter([(header::AUTHORIZATION, basic), (header::CONTENT_TYPE, form)]);
        let url = format!(
            "{}/2010-04-01/Accounts/{}/Tokens.json",
            self.api.trim_end_matches('/'),
            self.account_sid
        );
        let body = format!("Ttl={}", life.as_secs());
        let answer = https::post(&url, headers, body.into()).await?;
        ensure!(
            answer.status.is_success(),
            "Twilio's API answers {}",
            answer.status
        );
        let mut answer: Value =
            serde_json::from_slice(&answer.body).context("Twilio's answer is no JSON")?;
        read_servers(answer["ice_servers"].take())
    }
}
