//! What was acknowledged is there, whatever happens to the process that said so.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::postgres::Postgres;
use crate::support::{ADMIN, Answer, Client, config_file, heron_control, trusting};

const WRITERS: usize = 8;
const WRITES: usize = 125;

/// A `heron-control` of its own, as a service would run it.
struct Process {
    child: Child,
    client: Client,
}

impl Process {
    async fn start(config: &Path) -> Self {
        let mut command = heron_control(&["serve"], config);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // "Heron is at https://127.0.0.1:PORT (on this machine ..."
        let line = lines.next().expect("the control plane starts").unwrap();
        let address = line
            .split("https://")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let root = std::fs::read(config.with_file_name("data").join("root.pem")).unwrap();
        let mut client = Client {
            address: address.unwrap().parse().unwrap(),
            tls: trusting(&root),
            cookie: None,
        };
        let (name, password) = ADMIN;
        let signed_in = client
            .post(
                "/api/v1/sign-in",
                &json!({ "name": name, "password": password }),
            )
            .await;
        assert_eq!(signed_in.status, 200, "{}", signed_in.body);
        client.cookie = signed_in.cookie();
        Self { child, client }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one writer was told is done.
#[derive(Default)]
struct Acknowledged {
    claims: BTreeSet<String>,
    cameras: BTreeSet<String>,
    serials: BTreeSet<String>,
    /// The last policy of each camera; it may have been followed by one that was not acknowledged.
    rates: BTreeMap<String, u64>,
}

/// Sends a request; `None` when the server is gone.
async fn send(client: &Client, method: &'static str, path: String, body: Value) -> Option<Answer> {
    // A connection that is not there any more is no failure here.
    TcpStream::connect(client.address).await.ok()?;
    let client = client.clone();
    let answer = tokio::spawn(async move {
        let headers = [("content-type", "application/json")];
        client
            .send(method, &path, &headers, &body.to_string())
            .await
    });
    let answer = answer.await.ok()?;
    assert!(answer.status < 300, "{}", answer.body);
    Some(answer)
}

async fn write(client: Client, writer: usize, done: Arc<AtomicUsize>) -> Acknowledged {
    let mut said = Acknowledged::default();
    let mut camera = String::new();
    for number in 0..WRITES {
        let (id, name) = (
            |answer: &Answer| answer.json()["id"].as_str().unwrap().to_owned(),
            format!("{writer}-{number}"),
        );
        let acknowledged = match number % 4 {
            0 => send(
                &client,
                "POST",
                "/api/v1/cameras".into(),
                json!({ "name": name }),
            )
            .await
            .map(|answer| {
                camera = id(&answer);
                said.cameras.insert(camera.clone());
            }),
            1 => send(
                &client,
                "POST",
                "/api/v1/claims".into(),
                json!({ "name": name }),
            )
            .await
            .map(|answer| {
                said.claims.insert(id(&answer));
            }),
            2 => {
                let rate = 1_000_000 + number as u64;
                let path = format!("/api/v1/cameras/{camera}/relay-policy");
                send(&client, "PUT", path, json!({ "max_bps": rate }))
                    .await
                    .map(|_| {
                        said.rates.insert(camera.clone(), rate);
                    })
            }
            _ => {
                let entry = json!({ "serial": name, "key_sha256": format!("{:064x}", writer * 1000 + number) });
                send(
                    &client,
                    "POST",
                    "/api/v1/factory-list".into(),
                    json!({ "entries": [entry] }),
                )
                .await
                .map(|_| {
                    said.serials.insert(name);
                })
            }
        };
        if acknowledged.is_none() {
            break;
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    said
}

async fn killed_in_the_middle(store: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    let config = config_file(dir.path(), store);
    let mut add = heron_control(&["user", "add", ADMIN.0, "--password-stdin"], &config);
    let mut add = add
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut add.stdin.take().unwrap(), ADMIN.1.as_bytes()).unwrap();
    assert!(add.wait().unwrap().success());

    let mut process = Process::start(&config).await;
    let done = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(process.client.clone(), writer, Arc::clone(&done))))
        .collect();
    while done.load(Ordering::Relaxed) < WRITERS * WRITES / 2
        && !writers.iter().any(tokio::task::JoinHandle::is_finished)
    {
        tokio::task::yield_now().await;
    }
    // SIGKILL.
    process.child.kill().unwrap();
    let mut all = Vec::new();
    for writer in writers {
        all.push(writer.await.unwrap());
    }
    let count = done.load(Ordering::Relaxed);
    assert!(
        (WRITERS * WRITES / 2..WRITERS * WRITES).contains(&count),
        "killed after {count} writes"
    );
    drop(process);

    let process = Process::start(&config).await;
    let list = async |path: &str, key: &str, name: &str| -> BTreeSet<String> {
        let body = process.client.get(path).await.json();
        let rows = body[key]
            .as_array()
            .unwrap_or_else(|| panic!("{key} in {body}"));
        rows.iter()
            .map(|row| row[name].as_str().unwrap().to_owned())
            .collect()
    };
    let cameras = list("/api/v1/cameras", "cameras", "id").await;
    let claims = list("/api/v1/claims", "claims", "id").await;
    let serials = list("/api/v1/factory-list", "devices", "serial").await;
    for said in all {
        assert!(
            said.cameras.is_subset(&cameras),
            "lost: {:?}",
            said.cameras.difference(&cameras)
        );
        assert!(
            said.claims.is_subset(&claims),
            "lost: {:?}",
            said.claims.difference(&claims)
        );
        assert!(
            said.serials.is_subset(&serials),
            "lost: {:?}",
            said.serials.difference(&serials)
        );
        for (camera, rate) in said.rates {
            let policy = process
                .client
                .get(&format!("/api/v1/cameras/{camera}/relay-policy"))
                .await
                .json();
            let found = [&policy["max_bps"], &policy["policy"]["max_bps"]]
                .into_iter()
                .find_map(Value::as_u64);
            assert!(found >= Some(rate), "{camera}: {policy}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_on_sqlite() {
    killed_in_the_middle(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_on_postgresql() {
    let postgres = Postgres::start();
    postgres.open().await.close().await;
    killed_in_the_middle(Some(&postgres.address())).await;
}
