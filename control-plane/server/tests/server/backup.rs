//! A backup that is taken while people work, and what becomes of it in another place.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use heron_control::{Config, Server};
use serde_json::json;

use crate::postgres::Postgres;
use crate::support::{ADMIN, Client, ControlPlane, config_file, heron_control};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// Runs a command of `heron-control` to its end, beside the server in this process.
async fn run(arguments: &[&str], config: &Path) -> Output {
    let mut command = heron_control(arguments, config);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

/// Adds cameras until it is told to stop; returns the ids of those that were acknowledged.
fn busy(
    client: &Client,
    stop: &Arc<AtomicBool>,
    worker: usize,
) -> tokio::task::JoinHandle<Vec<String>> {
    let (client, stop) = (client.clone(), Arc::clone(stop));
    tokio::spawn(async move {
        let mut added = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let name = format!("camera {worker}-{}", added.len());
            let answer = client
                .post("/api/v1/cameras", &json!({ "name": name }))
                .await;
            assert_eq!(answer.status, 201, "{}", answer.body);
            added.push(answer.json()["id"].as_str().unwrap().to_owned());
        }
        added
    })
}

/// Backs up one control plane at work and restores it elsewhere.
async fn moves(from: Option<&str>, to: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    let file = config_file(dir.path(), from);
    let server = Server::start(Config::load(&file).unwrap()).await.unwrap();
    server
        .home()
        .add_person(ADMIN.0, ADMIN.1, heron_control::access::Role::Admin)
        .await
        .unwrap();
    let control = ControlPlane { server, dir };
    let admin = control.signed_in(ADMIN).await;
    let first = admin
        .post("/api/v1/cameras", &json!({ "name": "the first" }))
        .await
        .json();

    let stop = Arc::new(AtomicBool::new(false));
    let workers = [1, 2, 3].map(|worker| busy(&admin, &stop, worker));
    let backup = control.dir.path().join("heron.backup");
    let path = backup.to_str().unwrap();
    let made = run(&["backup", path], &file).await;
    stop.store(true, Ordering::Relaxed);
    assert!(made.status.success(), "{}", said(&made));
    for worker in workers {
        worker.await.unwrap();
    }
    let again = run(&["backup", path], &file).await;
    assert!(
        said(&again).contains("File exists"),
        "an older backup is not written over: {}",
        said(&again)
    );
    control.server.stop().await;

    let elsewhere = tempfile::tempdir().unwrap();
    let file = config_file(elsewhere.path(), to);
    let restored = run(&["restore", path], &file).await;
    assert!(restored.status.success(), "{}", said(&restored));
    let twice = run(&["restore", path], &file).await;
    assert!(said(&twice).contains("is in use"), "{}", said(&twice));
    assert_eq!(twice.status.code(), Some(1));

    let server = Server::start(Config::load(&file).unwrap()).await.unwrap();
    let control = ControlPlane {
        server,
        dir: elsewhere,
    };
    let admin = control.signed_in(ADMIN).await;
    let cameras = admin.get("/api/v1/cameras").await.json()["cameras"]
        .as_array()
        .unwrap()
        .clone();
    assert!(
        cameras.iter().any(|camera| camera["id"] == first["id"]),
        "what was there before is there"
    );
    for camera in &cameras {
        // Camera and certificate are written together: both are there, or neither.
        let detail = admin
            .get(&format!(
                "/api/v1/cameras/{}",
                camera["id"].as_str().unwrap()
            ))
            .await;
        assert!(detail.json()["identity_key"].is_object(), "{}", detail.body);
    }
    let more = admin
        .post("/api/v1/cameras", &json!({ "name": "one more" }))
        .await;
    assert_eq!(more.status, 201, "{}", more.body);
    control.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_moves_to_postgresql() {
    let postgres = Postgres::start();
    postgres.open().await.close().await;
    moves(None, Some(&postgres.address())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_moves_to_sqlite() {
    let postgres = Postgres::start();
    postgres.open().await.close().await;
    moves(Some(&postgres.address()), None).await;
}

#[tokio::test]
async fn a_backup_that_was_cut_off_or_changed_is_refused_and_nothing_is_written() {
    let ControlPlane { server, dir } = ControlPlane::start().await;
    server.stop().await;
    let backup = dir.path().join("heron.backup");
    let made = run(
        &["backup", backup.to_str().unwrap()],
        &config_file(dir.path(), None),
    )
    .await;
    assert!(made.status.success(), "{}", said(&made));
    let whole = std::fs::read(&backup).unwrap();

    let cut = whole[..whole.len() / 2].to_vec();
    let mut changed = whole.clone();
    let at = whole.windows(3).position(|three| three == b"Ada").unwrap();
    changed[at] = b'E';
    for (bytes, expected) in [
        (cut, "not a whole backup"),
        (
            changed,
            "damaged: tables/person.jsonl is not what its manifest says",
        ),
        (b"something else".to_vec(), "not a whole backup"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let bad = place.path().join("bad");
        std::fs::write(&bad, bytes).unwrap();
        let refused = run(
            &["restore", bad.to_str().unwrap()],
            &config_file(place.path(), None),
        )
        .await;
        assert!(!refused.status.success());
        assert!(said(&refused).contains(expected), "{}", said(&refused));
        assert!(!place.path().join("data").exists(), "nothing is written");
    }
    let place = tempfile::tempdir().unwrap();
    let absent = run(&["restore", "/nowhere/x"], &config_file(place.path(), None)).await;
    assert!(
        said(&absent).contains("/nowhere/x: No such file"),
        "{}",
        said(&absent)
    );
}
