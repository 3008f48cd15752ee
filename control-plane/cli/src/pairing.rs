//! `heron pairing`.

use anyhow::ensure;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Outcome;
use crate::camera::understood;
use crate::http::Client;
use crate::table::{clean, facts, time};

#[derive(Deserialize)]
struct Pairing {
    code: String,
    serial: Option<String>,
    model: Option<String>,
    key_fingerprint: String,
    address: String,
    asked_ms: i64,
    expires_ms: i64,
    state: String,
    camera: Option<String>,
}

pub async fn show(client: &Client, code: &str) -> anyhow::Result<Outcome> {
    let answer = client.get(&path(code, "")?).await?;
    let pairing: Pairing = understood(&answer)?;
    let text = facts(&[
        ("code", pairing.code),
        ("state", pairing.state),
        ("model", pairing.model.unwrap_or_default()),
        ("serial", pairing.serial.unwrap_or_default()),
        ("key", pairing.key_fingerprint),
        ("address", pairing.address),
        ("asked", time(pairing.asked_ms)),
        ("ends", time(pairing.expires_ms)),
        ("camera", pairing.camera.unwrap_or_default()),
    ]);
    Ok(Outcome { json: answer, text })
}

pub async fn confirm(
    client: &Client,
    code: &str,
    name: &str,
    site: Option<&str>,
    tags: &[String],
) -> anyhow::Result<Outcome> {
    let mut wanted = json!({ "name": name, "tags": tags });
    if let Some(site) = site {
        wanted["site"] = Value::from(site);
    }
    let answer = client.post(&path(code, "/confirm")?, Some(&wanted)).await?;
    let id = clean(answer["camera"].as_str().unwrap_or_default());
    let text = format!("{name} is confirmed, its id is {id}.\n");
    Ok(Outcome { json: answer, text })
}

pub async fn refuse(client: &Client, code: &str) -> anyhow::Result<Outcome> {
    let json = client.post(&path(code, "/refuse")?, None).await?;
    let text = format!("{code} is refused.\n");
    Ok(Outcome { json, text })
}

/// The route of a code; what it means exactly is the control plane's business.
fn path(code: &str, rest: &str) -> anyhow::Result<String> {
    let code: String = code.chars().filter(|c| *c != ' ').collect();
    ensure!(
        !code.is_empty() && code.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
        "{code:?} is not a pairing code, such as ABCD-EFGH"
    );
    Ok(format!("/pairings/{code}{rest}"))
}
