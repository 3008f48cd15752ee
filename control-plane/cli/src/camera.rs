//! `heron camera`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Outcome;
use crate::http::Client;
use crate::table::{clean, facts, table, time};

#[derive(Deserialize)]
struct Camera {
    id: String,
    name: String,
    standing: String,
    online: bool,
    reason: Option<String>,
    since_ms: Option<i64>,
    firmware: Option<String>,
    viewers: u32,
}

#[derive(Deserialize)]
struct Identity {
    state: String,
    reason: Option<String>,
    since_ms: Option<i64>,
    renew_after_ms: Option<i64>,
    certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
struct Certificate {
    serial: String,
    issued_ms: i64,
    not_after_ms: i64,
    state: String,
    first_used_ms: Option<i64>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Connection {
    at_ms: i64,
    online: bool,
    reason: Option<String>,
    boot_id: String,
    firmware: String,
}

pub async fn list(client: &Client) -> anyhow::Result<Outcome> {
    let answer = client.get("/cameras").await?;
    let rows: Vec<_> = cameras(&answer)?
        .into_iter()
        .map(|camera| {
            let presence = presence(&camera);
            [
                camera.id,
                camera.name,
                presence,
                camera.standing,
                camera.firmware.unwrap_or_default(),
                camera.viewers.to_string(),
            ]
        })
        .collect();
    let heading = ["id", "name", "presence", "standing", "firmware", "viewers"];
    Ok(Outcome {
        text: table(heading, &rows, "no cameras"),
        json: answer,
    })
}

pub async fn show(client: &Client, wanted: &str) -> anyhow::Result<Outcome> {
    let camera = find(client, wanted).await?;
    let path = format!("/cameras/{}", camera.id);
    let (detail, answer) = (
        client.get(&path).await?,
        client.get(&format!("{path}/identity")).await?,
    );
    let identity: Identity = understood(&answer)?;
    let at = |ms: Option<i64>| ms.map(time).unwrap_or_default();
    let mut text = facts(&[
        ("id", camera.id.clone()),
        ("name", camera.name.clone()),
        ("presence", presence(&camera)),
        ("since", at(camera.since_ms)),
        ("firmware", camera.firmware.unwrap_or_default()),
        ("viewers", camera.viewers.to_string()),
        ("identity", identity.state),
        ("because", identity.reason.unwrap_or_default()),
        ("decided", at(identity.since_ms)),
        ("renews", at(identity.renew_after_ms)),
    ]);
    let rows: Vec<_> = identity
        .certificates
        .into_iter()
        .map(|one| {
            [
                one.serial,
                one.state,
                time(one.issued_ms),
                time(one.not_after_ms),
                at(one.first_used_ms),
                one.reason.unwrap_or_default(),
            ]
        })
        .collect();
    let heading = [
        "certificate",
        "state",
        "issued",
        "ends",
        "first used",
        "reason",
    ];
    text.push('\n');
    text.push_str(&table(heading, &rows, "no certificates"));
    Ok(Outcome {
        text,
        json: json!({ "camera": detail, "identity": answer }),
    })
}

pub async fn connections(client: &Client, wanted: &str, limit: u32) -> anyhow::Result<Outcome> {
    let camera = find(client, wanted).await?;
    let path = format!("/cameras/{}/connections?limit={limit}", camera.id);
    let answer = client.get(&path).await?;
    let list: Vec<Connection> = understood(&answer["connections"])?;
    let rows: Vec<_> = list
        .into_iter()
        .map(|one| {
            let word = if one.online { "online" } else { "offline" };
            [
                time(one.at_ms),
                word.to_owned(),
                one.reason.unwrap_or_default(),
                one.firmware,
                one.boot_id,
            ]
        })
        .collect();
    let heading = ["when", "presence", "reason", "firmware", "boot"];
    Ok(Outcome {
        text: table(heading, &rows, "it has never connected"),
        json: answer,
    })
}

pub async fn revoke(
    client: &Client,
    wanted: &str,
    reason: &str,
    yes: bool,
) -> anyhow::Result<Outcome> {
    let camera = find(client, wanted).await?;
    if !yes {
        ensure_meant(&camera)?;
    }
    let done = act(client, &camera, "revoke", Some(reason)).await?;
    Ok(said(done, &camera, "is revoked"))
}

pub async fn quarantine(client: &Client, wanted: &str, reason: &str) -> anyhow::Result<Outcome> {
    let camera = find(client, wanted).await?;
    let done = act(client, &camera, "quarantine", Some(reason)).await?;
    Ok(said(done, &camera, "is quarantined"))
}

pub async fn release(client: &Client, wanted: &str) -> anyhow::Result<Outcome> {
    let camera = find(client, wanted).await?;
    let done = act(client, &camera, "release", None).await?;
    Ok(said(done, &camera, "is released"))
}

async fn act(
    client: &Client,
    camera: &Camera,
    verb: &str,
    reason: Option<&str>,
) -> anyhow::Result<Value> {
    let body = reason.map(|reason| json!({ "reason": reason }));
    let path = format!("/cameras/{}/{verb}", camera.id);
    client.post(&path, body.as_ref()).await
}

fn said(json: Value, camera: &Camera, what: &str) -> Outcome {
    Outcome {
        json,
        text: format!("{} ({}) {what}.\n", clean(&camera.name), camera.id),
    }
}

/// There is no way back from a revocation: a person types the name, a script says `--yes`.
fn ensure_meant(camera: &Camera) -> anyhow::Result<()> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!("a revocation cannot be undone: say --yes");
    }
    let mut errors = std::io::stderr();
    let name = clean(&camera.name);
    write!(
        errors,
        "Revoke {name} ({}) for good? Type its name: ",
        camera.id
    )?;
    errors.flush()?;
    let mut typed = String::new();
    input.lock().read_line(&mut typed)?;
    if typed.trim() != camera.name {
        bail!("that is not its name: nothing was done");
    }
    Ok(())
}

/// The id of a camera that is given by its id or its name.
pub async fn id(client: &Client, wanted: &str) -> anyhow::Result<String> {
    Ok(find(client, wanted).await?.id)
}

/// The camera of that id, or of that name.
async fn find(client: &Client, wanted: &str) -> anyhow::Result<Camera> {
    let mut cameras = cameras(&client.get("/cameras").await?)?;
    let by_id = cameras.iter().position(|camera| camera.id == wanted);
    let called = |camera: &Camera| camera.name.to_lowercase() == wanted.to_lowercase();
    let found = by_id.or_else(|| cameras.iter().position(called));
    found
        .map(|index| cameras.swap_remove(index))
        .with_context(|| format!("no camera has the id or name {wanted:?}"))
}

fn cameras(answer: &Value) -> anyhow::Result<Vec<Camera>> {
    understood(&answer["cameras"])
}

/// Reads a part of an answer.
pub fn understood<'a, T: Deserialize<'a>>(json: &'a Value) -> anyhow::Result<T> {
    T::deserialize(json)
        .context("the control plane's answer is not understood: is it of another version?")
}

fn presence(camera: &Camera) -> String {
    match (camera.online, &camera.reason) {
        (true, _) => "online".to_owned(),
        (false, Some(reason)) => format!("offline: {}", reason.replace('_', " ")),
        (false, None) if camera.since_ms.is_none() => "never connected".to_owned(),
        (false, None) => "offline".to_owned(),
    }
}
