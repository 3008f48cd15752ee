//! `heron session`: who watched what, and how pictures found their way.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::Outcome;
use crate::camera::{self, understood};
use crate::http::Client;
use crate::table::{facts, table, time};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Deserialize)]
struct Sessions {
    sessions: Vec<VideoSession>,
}

#[derive(Deserialize)]
struct VideoSession {
    id: String,
    camera: String,
    camera_name: Option<String>,
    person: String,
    person_name: Option<String>,
    opened_ms: i64,
    path: Option<String>,
    kind: Option<String>,
    restarts: u32,
    phases: Phases,
    end_reason: Option<String>,
}

#[derive(Deserialize)]
struct Phases {
    first_frame_ms: Option<f64>,
}

#[derive(Deserialize)]
struct Overview {
    sessions: u64,
    shown: u64,
    restarts: u64,
    relayed_share: Option<f64>,
    kinds: Vec<Kind>,
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
    sessions: u64,
    first_frame_ms: Option<Percentiles>,
}

#[derive(Deserialize)]
struct Percentiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

#[derive(Deserialize)]
struct Failure {
    reason: String,
    sessions: u64,
    before_picture: u64,
}

/// Ends a session that lasts.
pub async fn end(client: &Client, id: &str, reason: &str) -> anyhow::Result<Outcome> {
    let body = serde_json::json!({ "reason": reason });
    let json = client
        .post(&format!("/sessions/{id}/end"), Some(&body))
        .await?;
    let text = format!("{id} is being ended\n");
    Ok(Outcome { json, text })
}

pub async fn list(
    client: &Client,
    camera: Option<&str>,
    live: bool,
    limit: u32,
) -> anyhow::Result<Outcome> {
    let camera = of_camera(client, camera).await?;
    let answer = client
        .get(&format!("/sessions?limit={limit}&live={live}{camera}"))
        .await?;
    let sessions: Sessions = understood(&answer)?;
    let rows: Vec<_> = sessions.sessions.into_iter().map(row).collect();
    let heading = [
        "id", "began", "camera", "viewer", "path", "restarts", "start", "ended",
    ];
    Ok(Outcome {
        text: table(heading, &rows, "no sessions"),
        json: answer,
    })
}

fn row(session: VideoSession) -> [String; 8] {
    [
        session.id,
        time(session.opened_ms),
        session.camera_name.unwrap_or(session.camera),
        session.person_name.unwrap_or(session.person),
        session.kind.or(session.path).unwrap_or_default(),
        session.restarts.to_string(),
        session.phases.first_frame_ms.map(ms).unwrap_or_default(),
        session.end_reason.unwrap_or_default(),
    ]
}

pub async fn paths(client: &Client, camera: Option<&str>, days: u32) -> anyhow::Result<Outcome> {
    let camera = of_camera(client, camera).await?;
    let since = SystemTime::now()
        .checked_sub(DAY * days)
        .and_then(|then| then.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    let path = format!("/paths?since_ms={}{camera}", since.as_millis());
    let answer = client.get(&path).await?;
    let overview: Overview = understood(&answer)?;
    let share = |share: f64| format!("{:.0} %", 100.0 * share);
    let mut text = facts(&[
        ("sessions", overview.sessions.to_string()),
        ("with a picture", overview.shown.to_string()),
        (
            "relayed",
            overview.relayed_share.map(share).unwrap_or_default(),
        ),
        ("restarts", overview.restarts.to_string()),
    ]);
    let kinds: Vec<_> = overview.kinds.into_iter().map(kind_row).collect();
    text.push('\n');
    text.push_str(&table(
        ["path", "sessions", "p50", "p95", "p99"],
        &kinds,
        "no path is known",
    ));
    let failures: Vec<_> = overview
        .failures
        .into_iter()
        .map(|failure| {
            [
                failure.reason,
                failure.sessions.to_string(),
                failure.before_picture.to_string(),
            ]
        })
        .collect();
    text.push('\n');
    text.push_str(&table(
        ["ended by", "sessions", "before a picture"],
        &failures,
        "no failures",
    ));
    Ok(Outcome { text, json: answer })
}

fn kind_row(kind: Kind) -> [String; 5] {
    let times = kind.first_frame_ms;
    let at = |of: fn(&Percentiles) -> f64| times.as_ref().map(of).map(ms).unwrap_or_default();
    let [p50, p95, p99] = [
        at(|times| times.p50),
        at(|times| times.p95),
        at(|times| times.p99),
    ];
    [kind.kind, kind.sessions.to_string(), p50, p95, p99]
}

fn ms(time: f64) -> String {
    format!("{time:.0} ms")
}

/// The end of a query for one camera, or for all.
async fn of_camera(client: &Client, camera: Option<&str>) -> anyhow::Result<String> {
    Ok(match camera {
        Some(camera) => format!("&camera={}", camera::id(client, camera).await?),
        None => String::new(),
    })
}
