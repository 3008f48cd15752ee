//! Janus with its streaming plugin, by its JSON API over HTTP, behind a WHEP endpoint.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{RTP, Setting, bridge, ready, script, tied};
use crate::http::{self, Answer, Request};

/// Where Debian's package keeps what Janus loads.
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu/janus";
/// Where Janus takes JSON.
const API: &str = "http://127.0.0.1:8088/janus";
/// Where Janus takes the source's sender reports and answers with PLI.
const RTCP: &str = "127.0.0.1:5005";
/// The stream's number in Janus.
const MOUNTPOINT: u32 = 1;
/// How long Janus may take to answer at first.
const START: Duration = Duration::from_secs(10);

/// Serves until the process ends.
pub fn serve(setting: &Setting) -> Result<()> {
    let listener = TcpListener::bind(setting.listen)?;
    let folder = &setting.folder;
    configure(setting)?;
    let log = File::create(folder.join("janus.log"))?;
    let mut janus = tied("/usr/bin/janus")
        .arg(format!("--configs-folder={}", folder.display()))
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("Janus did not start: it comes with the package janus")?;
    let begin = Instant::now();
    while http::ask("GET", &format!("{API}/info"), &[], "").is_err() {
        if begin.elapsed() > START || janus.try_wait()?.is_some() {
            bail!(
                "Janus does not answer: {}",
                folder.join("janus.log").display()
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
    let mut source = setting.picture.start()?;
    let encoder = match setting.picture.raw() {
        Some([raw, kbps]) => {
            let frames = source.stdout.take().context("the source writes nothing")?;
            let arguments = ["--raw", &raw, "--kbps", &kbps, "--rtp", RTP, "--rtcp", RTCP];
            Some(
                script("encode.py")
                    .args(arguments)
                    .stdin(frames)
                    .stdout(Stdio::null())
                    .spawn()?,
            )
        }
        None => None,
    };
    ready(janus.id());
    thread::spawn(move || {
        // Whichever part ends, nothing comes any more.
        let _ = janus.wait();
        let _ = source.kill();
        drop(encoder);
        std::process::exit(1);
    });
    http::serve(&listener, |request| match request.method.as_str() {
        "POST" => match join(&request.body) {
            Ok(answer) => answer,
            Err(error) => Answer {
                status: 406,
                content_type: "text/plain".to_owned(),
                body: format!("{error:#}"),
                ..Answer::default()
            },
        },
        "DELETE" => leave(request),
        _ => Answer {
            status: 204,
            ..Answer::default()
        },
    })
}

/// A player's offer becomes a session of Janus' API of its own.
fn join(offer: &str) -> Result<Answer> {
    let player = bridge::Side::read(offer)?;
    let session = id(&call(API, &json!({ "janus": "create" }))?)?;
    let session_url = format!("{API}/{session}");
    let attach = json!({ "janus": "attach", "plugin": "janus.plugin.streaming" });
    let handle = id(&call(&session_url, &attach)?)?;
    let handle_url = format!("{session_url}/{handle}");
    create_mountpoint(&handle_url, player.payload_type())?;
    let watch = json!({ "request": "watch", "id": MOUNTPOINT });
    call(&handle_url, &json!({ "janus": "message", "body": watch }))?;
    let server = loop {
        let event = http::ask("GET", &format!("{session_url}?maxev=1"), &[], "")?;
        let event: Value = serde_json::from_str(&event.body)?;
        if let Some(sdp) = event["jsep"]["sdp"].as_str() {
            break sdp.to_owned();
        }
        if event["janus"] != "keepalive" {
            bail!("Janus said {event} where an offer was due");
        }
    };
    let (to_player, to_janus) = bridge::answers(&player, &bridge::Side::read(&server)?);
    call(
        &handle_url,
        &json!({
            "janus": "message",
            "body": { "request": "start" },
            "jsep": { "type": "answer", "sdp": to_janus, "trickle": false },
        }),
    )?;
    Ok(Answer {
        status: 201,
        content_type: "application/sdp".to_owned(),
        location: Some(format!("/whep/{session}")),
        body: to_player,
    })
}

/// Creates what players watch, unless it is there. Janus does not translate payload types: the first
/// player's is everybody's.
fn create_mountpoint(handle_url: &str, payload_type: u8) -> Result<()> {
    static CREATED: Mutex<Option<u8>> = Mutex::new(None);
    let mut created = CREATED.lock().unwrap_or_else(PoisonError::into_inner);
    match *created {
        Some(first) if first == payload_type => return Ok(()),
        Some(_) => bail!("the payload type must be the first player's"),
        None => {}
    }
    let body = json!({
        "request": "create",
        "type": "rtp",
        "id": MOUNTPOINT,
        "audio": false,
        "video": true,
        "videoport": 5004,
        "videortcpport": 5005,
        "videopt": payload_type,
        "videocodec": "h264",
        "videofmtp": "profile-level-id=42e01f;packetization-mode=1",
    });
    let answer = call(handle_url, &json!({ "janus": "message", "body": body }))?;
    if answer["plugindata"]["data"]["streaming"] != "created" {
        bail!("Janus created no mountpoint: {answer}");
    }
    *created = Some(payload_type);
    Ok(())
}

fn leave(request: &Request) -> Answer {
    let session = request.path.rsplit('/').next().unwrap_or_default();
    let gone = call(&format!("{API}/{session}"), &json!({ "janus": "destroy" }));
    Answer {
        status: if gone.is_ok() { 200 } else { 404 },
        ..Answer::default()
    }
}

/// One request of the API; Janus' errors are errors.
fn call(url: &str, request: &Value) -> Result<Value> {
    let mut request = request.clone();
    request["transaction"] = "heron".into();
    let answer = http::ask("POST", url, &[], &request.to_string())?;
    let answer: Value = serde_json::from_str(&answer.body)?;
    if answer["janus"] == "error" {
        bail!("Janus refused: {}", answer["error"]["reason"]);
    }
    Ok(answer)
}

fn id(answer: &Value) -> Result<u64> {
    answer["data"]["id"].as_u64().context("Janus named no id")
}

/// Writes a configuration that loads what is needed and nothing else.
fn configure(setting: &Setting) -> Result<()> {
    let folder = &setting.folder;
    fs::create_dir_all(folder)?;
    let others = |kind: &str, wanted: &str| -> Result<String> {
        let mut names = Vec::new();
        for file in fs::read_dir(format!("{LIBRARIES}/{kind}"))? {
            let name = file?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".so") && !name.contains(wanted) {
                names.push(name);
            }
        }
        Ok(names.join(","))
    };
    let janus = format!(
        r#"general: {{
    configs_folder = "{}"
    plugins_folder = "{LIBRARIES}/plugins"
    transports_folder = "{LIBRARIES}/transports"
    events_folder = "{LIBRARIES}/none"
    loggers_folder = "{LIBRARIES}/none"
    debug_level = 3
    session_timeout = 0
}}
nat: {{ ice_lite = true }}
plugins: {{ disable = "{}" }}
transports: {{ disable = "{}" }}
"#,
        folder.display(),
        others("plugins", "streaming")?,
        others("transports", "http")?
    );
    fs::write(folder.join("janus.jcfg"), janus)?;
    let http = r#"general: {
    json = "compact"
    base_path = "/janus"
    http = true
    port = 8088
    ip = "127.0.0.1"
    https = false
}
"#;
    fs::write(folder.join("janus.transport.http.jcfg"), http)?;
    // The mountpoint is created when the first player has said its payload type.
    fs::write(folder.join("janus.plugin.streaming.jcfg"), "general: {}\n")?;
    Ok(())
}
