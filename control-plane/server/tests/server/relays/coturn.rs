//! Debian's coturn as a relay: provisioned credentials, those that are refused, and usage joined by user name.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use heron_control::turn::SecretFile;
use heron_protocol::messages::IceServer;
use heron_turn::{End, Holder, Secret, mint};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{control_in, is_refused, relays, session, turn};
use crate::support::mqtt::PATIENCE;

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts a server and waits until its TCP port answers.
async fn start(program: &str, arguments: &[String], dir: &Path, port: u16) -> Child {
    let child = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let child = child
        .unwrap_or_else(|error| panic!("{program} (apt-get install coturn redis-server): {error}"));
    let answers = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answered = tokio::time::timeout(2 * PATIENCE, answers).await;
    answered.unwrap_or_else(|_| panic!("{program} does not listen on {port}"));
    child
}

async fn redis(dir: &Path) -> (Child, u16) {
    let port = free_port();
    let arguments = [
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
    ];
    let arguments = arguments.map(str::to_owned);
    (start("redis-server", &arguments, dir, port).await, port)
}

/// coturn with the configuration that we print for it, and the pool that names it.
async fn coturn(dir: &Path, redis: u16) -> (Child, String) {
    let port = free_port();
    let secret = dir.join("coturn.secret");
    SecretFile::open_or_make(&secret).unwrap();
    let pool = format!(
        "embedded = false\nrelay_ports = \"20460-20559\"\n\
         [[turn.pool]]\nkind = \"coturn\"\nhost = \"127.0.0.1\"\nport = {port}\nsecret_file = {secret:?}\n\
         redis = \"redis://127.0.0.1:{redis}/0\"\n"
    );
    let config = dir.join("control.toml");
    std::fs::write(&config, super::text(dir, &pool)).unwrap();
    let mut printed = Vec::new();
    let arguments = [
        "heron-control",
        "turn",
        "config",
        "--for",
        "coturn",
        "--config",
    ];
    let arguments = arguments.into_iter().chain(config.to_str());
    let cli = <heron_control::Cli as clap::Parser>::try_parse_from(arguments).unwrap();
    cli.run(&mut printed).await.unwrap();
    let file = dir.join("turnserver.conf");
    std::fs::write(&file, &printed).unwrap();
    // What belongs to this machine and not to Heron.
    let mut arguments = vec!["-c".to_owned(), file.to_str().unwrap().to_owned()];
    arguments.extend(
        [
            "--listening-ip=127.0.0.1",
            "--no-cli",
            "--log-file=stdout",
            "--allow-loopback-peers",
        ]
        .map(str::to_owned),
    );
    arguments.push(format!("--pidfile={}", dir.join("coturn.pid").display()));
    (start("turnserver", &arguments, dir, port).await, pool)
}

#[tokio::test]
async fn a_session_through_coturn_is_relayed_and_accounted() {
    let dir = tempfile::tempdir().unwrap();
    let (_redis, redis) = redis(dir.path()).await;
    let (_coturn, pool) = coturn(dir.path(), redis).await;
    let secret = std::fs::read_to_string(dir.path().join("coturn.secret")).unwrap();
    let control = control_in(dir, &pool).await;
    let open = session(&control).await;
    let viewers = turn(&open.viewer_servers);
    for url in &viewers.urls {
        relays(viewers, url).await;
    }
    relays(turn(&open.device_servers), &viewers.urls[0]).await;

    // In the record by the user name alone; coturn reports when an allocation goes.
    let bytes = open
        .viewer
        .row(|row| row["relayed_bytes"].as_u64() >= Some(3 * 2 * 20 * 500))
        .await;
    assert_eq!(bytes["id"], open.session.as_str());

    // Expired by a second, and made with another secret.
    let holder = Holder {
        tenant: "home".into(),
        device: open.bundle.device.to_string(),
        session: open.session.to_string(),
        end: End::Viewer,
    };
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let minted = |secret: &str, at: u64, life: u64| {
        let secret = Secret::new(secret.as_bytes());
        let credential = mint(&secret, holder.clone(), at, Duration::from_secs(life));
        IceServer {
            urls: viewers.urls.clone(),
            username: credential.username,
            credential: credential.password,
        }
    };
    let secret = secret.split_whitespace().next().unwrap();
    is_refused(&minted(secret, now - 61, 60), &viewers.urls[0]).await;
    is_refused(
        &minted("of another control plane", now, 60),
        &viewers.urls[0],
    )
    .await;
    relays(&minted(secret, now, 60), &viewers.urls[0]).await;
    control.server.stop().await;
}
