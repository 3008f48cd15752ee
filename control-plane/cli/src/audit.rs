//! `heron audit`: who changed what.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::Outcome;
use crate::arguments::AuditFilter;
use crate::camera::understood;
use crate::http::Client;
use crate::table::{table, time};

#[derive(Deserialize)]
struct Page {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: i64,
    at_ms: i64,
    actor_name: String,
    address: String,
    action: String,
    subject: Option<String>,
    before: Option<serde_json::Value>,
    after: Option<serde_json::Value>,
}

pub async fn list(client: &Client, filter: &AuditFilter) -> anyhow::Result<Outcome> {
    let mut query = format!("?limit={}", filter.limit);
    let texts = [("action", &filter.action), ("subject", &filter.subject)];
    for (name, value) in texts {
        if let Some(value) = value {
            query.push_str(&format!(
                "&{name}={}",
                utf8_percent_encode(value, NON_ALPHANUMERIC)
            ));
        }
    }
    if let Some(before) = filter.before {
        query.push_str(&format!("&before={before}"));
    }
    let answer = client.get(&format!("/audit{query}")).await?;
    let page: Page = understood(&answer)?;
    let rows: Vec<_> = page.entries.into_iter().map(row).collect();
    let heading = [
        "no.", "when", "who", "from", "what", "to", "before", "after",
    ];
    Ok(Outcome {
        text: table(heading, &rows, "nothing was changed"),
        json: answer,
    })
}

fn row(entry: Entry) -> [String; 8] {
    let json =
        |value: Option<serde_json::Value>| value.map(|value| value.to_string()).unwrap_or_default();
    [
        entry.id.to_string(),
        time(entry.at_ms),
        entry.actor_name,
        entry.address,
        entry.action,
        entry.subject.unwrap_or_default(),
        json(entry.before),
        json(entry.after),
    ]
}
