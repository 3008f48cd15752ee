//! `heron claim`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Outcome;
use crate::arguments::ClaimTerms;
use crate::camera::understood;
use crate::http::Client;
use crate::session::write_private;
use crate::table::{table, time};

#[derive(Deserialize)]
struct Made {
    id: String,
    file: String,
    expires_ms: i64,
    max_uses: u32,
}

#[derive(Deserialize)]
struct Claim {
    id: String,
    name: Option<String>,
    uses: u32,
    max_uses: u32,
    made_ms: i64,
    expires_ms: i64,
}

pub async fn new(client: &Client, terms: &ClaimTerms) -> anyhow::Result<Outcome> {
    let mut wanted = json!({
        "tags": terms.tags,
        "max_uses": terms.uses,
        "ttl_s": u64::from(terms.hours) * 3600,
    });
    for (key, value) in [("name", &terms.name), ("site", &terms.site)] {
        if let Some(value) = value {
            wanted[key] = Value::from(value.as_str());
        }
    }
    let answer = client.post("/claims", Some(&wanted)).await?;
    let made: Made = understood(&answer)?;
    // Printed alone, so that the file is what a redirection saves.
    let mut text = made.file.clone();
    if let Some(out) = &terms.out {
        write_private(out, &made.file)?;
        text = format!(
            "Claim {} for {} camera(s), until {}: {}\nCopy it as heron-claim.toml onto the boot partition.\n",
            made.id,
            made.max_uses,
            time(made.expires_ms),
            out.display(),
        );
    }
    Ok(Outcome { json: answer, text })
}

pub async fn list(client: &Client) -> anyhow::Result<Outcome> {
    let answer = client.get("/claims").await?;
    let claims: Vec<Claim> = understood(&answer["claims"])?;
    let rows: Vec<_> = claims
        .into_iter()
        .map(|claim| {
            [
                claim.id,
                claim.name.unwrap_or_default(),
                format!("{} of {}", claim.uses, claim.max_uses),
                time(claim.made_ms),
                time(claim.expires_ms),
            ]
        })
        .collect();
    let heading = ["id", "name", "used", "made", "ends"];
    Ok(Outcome {
        text: table(heading, &rows, "no claims"),
        json: answer,
    })
}

pub async fn remove(client: &Client, id: &str) -> anyhow::Result<Outcome> {
    anyhow::ensure!(
        !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
        "{id:?} is not the id of a claim: `heron claim list` shows them"
    );
    let json = client.delete(&format!("/claims/{id}")).await?;
    let text = format!("Claim {id} is withdrawn.\n");
    Ok(Outcome { json, text })
}
