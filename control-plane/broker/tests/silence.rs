//! Ten thousand connections that never speak: they cost a socket each for a while, and nobody else notices.
//!
//! A test binary of its own, and the silent ones in a process of theirs: each fills its process's table of files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking; two processes talk over standard output"
)]

mod support;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use heron_broker::Limits;
use rumqttc::PubAckReason;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{CAMERA, OTHER_CAMERA, PATIENCE, Site, Tokens, topic};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{ChildStdout, Command};

const SILENT: usize = 10_000;
/// And the rest of the process.
const FILES: u64 = SILENT as u64 + 500;
/// The doors, for the process of the silent ones.
const DOORS: &str = "HERON_TEST_DOORS";

fn make_room() {
    let limit = getrlimit(Resource::Nofile);
    let room = limit.maximum.is_none_or(|most| most >= FILES);
    assert!(
        room,
        "this test needs {FILES} files (ulimit -Hn): {limit:?}"
    );
    let current = limit.current.map(|now| now.max(FILES));
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
}

/// The silent ones: no test of its own.
#[tokio::test]
async fn the_silent_ones() {
    let Ok(doors) = std::env::var(DOORS) else {
        return;
    };
    make_room();
    let doors: Vec<SocketAddr> = doors.split(' ').map(|door| door.parse().unwrap()).collect();
    let mut silent = Vec::with_capacity(SILENT);
    for number in 0..SILENT {
        silent.push(
            TcpStream::connect(doors[number % doors.len()])
                .await
                .unwrap(),
        );
    }
    println!("\nall are there");
    for mut socket in silent {
        // A connection may end with an error as well as in order.
        let _ = socket.read(&mut [0; 16]).await;
    }
    println!("\nall are gone");
}

async fn says(lines: &mut Lines<BufReader<ChildStdout>>, wanted: &str) {
    let wait = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line == wanted {
                return;
            }
        }
        panic!("the silent ones ended before {wanted:?}");
    };
    tokio::time::timeout(PATIENCE * 3, wait)
        .await
        .unwrap_or_else(|_| panic!("not {wanted:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_that_never_speak() {
    make_room();
    let limits = Limits {
        handshake: Duration::from_secs(5),
        ..Limits::default()
    };
    let site = Site::start_with(Tokens::usual(), limits).await;
    let presence = topic(OTHER_CAMERA, "up/presence");
    let mut bystander = site.camera(OTHER_CAMERA).connect().await.unwrap();
    let addresses = site.broker.addresses();
    let doors = [addresses.devices, addresses.control, addresses.websocket];
    let doors = doors.map(|door| door.to_string()).join(" ");
    let mut silent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_silent_ones", "--nocapture"])
        .env(DOORS, doors)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(silent.stdout.take().unwrap()).lines();
    says(&mut lines, "all are there").await;
    let answer = bystander.publish(&presence, "online", true).await;
    assert_eq!(answer, PubAckReason::Success);

    // Whoever speaks is heard meanwhile.
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    let mut control = site.control().connect().await.unwrap();
    control.subscribe("cam/1/+/+/up/presence").await;
    assert_eq!(control.text().await.0, presence);
    let own = topic(CAMERA, "up/presence");
    let answer = camera.publish(&own, "online", true).await;
    assert_eq!(answer, PubAckReason::Success);
    assert_eq!(control.text().await.0, own);

    says(&mut lines, "all are gone").await;
    let answer = bystander.publish(&presence, "online", true).await;
    assert_eq!(answer, PubAckReason::Success);
    site.stats(|stats| stats.devices == 2 && stats.control == 1)
        .await;
}
