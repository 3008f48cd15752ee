//! Sessions through relays that are real: the embedded server, one on its own, Debian's coturn; and the credential APIs
//! as their documents describe them.

mod coturn;
mod credential_apis;
mod embedded;
mod stand_alone;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Output, Stdio};

use heron_control::access::Role;
use heron_control::identity::Bundle;
use heron_control::{Config, Server};
use heron_protocol::messages::{IceServer, RtcDown, RtcUp, ViewDown};
use heron_protocol::{SessionId, Topic};
use tokio::net::UdpSocket;
use tokio::process::Command;

use crate::signalling::{Viewer, add_camera, call, opened, presence};
use crate::support::mqtt::{PATIENCE, Peer};
use crate::support::{ADMIN, ControlPlane, VIEWER};

/// A control plane with its own keys of `[turn]`, and what comes after them.
pub async fn control(turn: &str) -> ControlPlane {
    let dir = tempfile::tempdir().unwrap();
    control_in(dir, turn).await
}

pub async fn control_in(dir: tempfile::TempDir, turn: &str) -> ControlPlane {
    let config = Config::parse(&text(dir.path(), turn), Path::new("test.toml")).unwrap();
    let server = Server::start(config).await.unwrap();
    for ((name, password), role) in [(ADMIN, Role::Admin), (VIEWER, Role::Viewer)] {
        let added = server.home().add_person(name, password, role).await;
        added.unwrap();
    }
    ControlPlane { server, dir }
}

/// A configuration with these keys of `[turn]`. Relayed ports are not among those that the system gives to peers of
/// tests: a relay passes nothing on to its own.
pub fn text(dir: &Path, turn: &str) -> String {
    let ports = if turn.contains("relay_ports") {
        ""
    } else {
        "relay_ports = \"20160-20359\"\n"
    };
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nhttp_listen = \"127.0.0.1:0\"\npublic_host = \"127.0.0.1\"\n\
         data_dir = {:?}\n[broker]\ndevices = \"127.0.0.1:0\"\ncontrol = \"127.0.0.1:0\"\n\
         [turn]\nlisten = \"127.0.0.1:0\"\nrelay_address = \"127.0.0.1\"\nallow_peers = [\"127.0.0.0/8\"]\n\
         {ports}{turn}",
        dir.join("data")
    )
}

/// A session as both ends were told of it.
pub struct Opened {
    pub viewer: Viewer,
    pub camera: Peer,
    pub bundle: Bundle,
    pub session: SessionId,
    pub device_servers: Vec<IceServer>,
    pub viewer_servers: Vec<IceServer>,
}

/// Opens a session with a new camera.
pub async fn session(control: &ControlPlane) -> Opened {
    let bundle = add_camera(control).await;
    session_with(control, bundle).await
}

pub async fn session_with(control: &ControlPlane, bundle: Bundle) -> Opened {
    let mut viewer = Viewer::of(control).await;
    let mut camera = Peer::camera(&bundle, presence()).await;
    let online = |_: &Topic, update: heron_protocol::messages::CameraUpdate| {
        update.presence.filter(|presence| presence.online)
    };
    viewer.peer.hear(online).await;
    let (session, device_servers, viewer_servers) =
        calls(&mut viewer, &mut camera, &bundle, 1).await;
    Opened {
        viewer,
        camera,
        bundle,
        session,
        device_servers,
        viewer_servers,
    }
}

/// One more session of the same two ends: its id and the servers of camera and viewer.
pub async fn again(open: &mut Opened) -> (SessionId, Vec<IceServer>, Vec<IceServer>) {
    calls(&mut open.viewer, &mut open.camera, &open.bundle, 2).await
}

async fn calls(
    viewer: &mut Viewer,
    camera: &mut Peer,
    bundle: &Bundle,
    number: u8,
) -> (SessionId, Vec<IceServer>, Vec<IceServer>) {
    viewer.opens(&call(number), bundle).await;
    let (session, open) = opened(camera).await;
    let RtcDown::Open { ice_servers, .. } = open else {
        unreachable!()
    };
    let told = |_: &Topic, message: ViewDown| match message {
        ViewDown::Opened { ice_servers, .. } => Some(ice_servers),
        _ => None,
    };
    let viewer_servers = viewer.peer.hear(told).await;
    // A camera that does not answer within 10 s has its session ended, and the relay's allocations with it.
    let answer = RtcUp::Answer {
        seq: 0,
        sdp: "v=0".into(),
        proof: "proof".into(),
    };
    let up = Topic::RtcUp(bundle.device.clone(), session.clone());
    camera.say(&up, &answer).await;
    let answered =
        |_: &Topic, message: ViewDown| matches!(message, ViewDown::Answer { .. }).then_some(());
    viewer.peer.hear(answered).await;
    (session, ice_servers, viewer_servers)
}

/// The first TURN server of a list.
pub fn turn(servers: &[IceServer]) -> &IceServer {
    let turn = servers.iter().find(|server| !server.username.is_empty());
    turn.unwrap_or_else(|| panic!("no TURN server: {servers:?}"))
}

/// Host and port of a URL.
pub fn place(url: &str) -> SocketAddr {
    let place = url.split_once(':').unwrap().1;
    place.split('?').next().unwrap().parse().unwrap()
}

/// Echoes what it receives, as coturn's `turnutils_peer` does.
pub async fn echo_peer() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut data = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut data).await {
            let _ = socket.send_to(&data[..length], from).await;
        }
    });
    port
}

/// coturn's client as it sends `count` messages of 500 bytes, 5 ms apart, to an echoing peer through a relay.
pub async fn uclient(server: &IceServer, url: &str, count: u32) -> Command {
    let place = place(url);
    let mut command = Command::new("turnutils_uclient");
    command.args(["-u", &server.username, "-w", &server.credential]);
    command.args(["-p", &place.port().to_string()]);
    command.args(["-e", "127.0.0.1", "-r", &echo_peer().await.to_string()]);
    command.args(["-c", "-l", "500", "-z", "5", "-n", &count.to_string()]);
    if url.contains("transport=tcp") {
        command.arg("-t");
    }
    if url.starts_with("turns:") {
        command.arg("-S");
    }
    command.arg(place.ip().to_string());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs it to its end.
pub async fn run(mut command: Command) -> (bool, String) {
    let output = tokio::time::timeout(6 * PATIENCE, command.output()).await;
    let output = output
        .expect("the client hangs")
        .unwrap_or_else(|error| panic!("{command:?} (apt-get install coturn): {error}"));
    (output.status.success(), said(&output))
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Every message came back.
pub async fn relays(server: &IceServer, url: &str) {
    let (is_done, said) = run(uclient(server, url, 20).await).await;
    assert!(is_done, "{url}: {said}");
    assert!(
        said.contains("Total lost packets 0 (0.000000%)"),
        "{url}: {said}"
    );
}

/// Nothing is relayed with that credential.
pub async fn is_refused(server: &IceServer, url: &str) {
    let (is_done, said) = run(uclient(server, url, 5).await).await;
    assert!(!is_done, "{url}: {said}");
}

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(2 * PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("waited for: {what}"));
}
