//! Networks that change during a session: addresses of ours, and the mapping of a NAT.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heron_net_lab::Namespace;
use heron_protocol::messages::RestartReason;

use crate::support::{Camera, Feed, Viewer, access_unit, is_small};

const FIRST: &str = "10.79.0.1";
const SECOND: &str = "10.79.0.2";
const VIEWER: &str = "10.79.0.9:0";

fn ip(host: &Namespace, arguments: &str) {
    let done = host.command("ip").args(arguments.split(' ')).status();
    assert!(done.unwrap().success(), "ip {arguments}");
}

/// A session on a host of its own, whose only address is replaced.
async fn address_changes(host: &Namespace) {
    let mut camera = Camera::start(|config| {
        config.bind = vec![format!("{FIRST}:0"), format!("{SECOND}:0")];
        config.stats_interval = Duration::from_millis(300);
    });
    let mut viewer = Viewer::at(1, vec![VIEWER], vec![]).await;
    viewer.connect(&mut camera).await;
    camera.key_frame_wanted().await;
    camera.hub.video(access_unit(0));
    viewer.frame().await;
    let feed = Feed::start(&camera.hub, Duration::from_millis(20));
    let session = viewer.session.clone();

    // Nothing changed: nobody is asked for anything.
    camera.hub.network_changed();
    viewer.frame().await;

    ip(host, &format!("address del {FIRST}/24 dev camera0"));
    camera.hub.network_changed();
    let reason = camera.restart_wanted(&session).await;
    assert_eq!(reason, RestartReason::NetworkChanged);

    ip(host, &format!("address add {SECOND}/24 dev camera0"));
    camera.hub.network_changed();
    let told = viewer.take_candidates(&mut camera).await;
    assert!(told[0].candidate.contains(SECOND), "{told:?}");
    let answer = viewer.restart(&mut camera, vec![]).await;
    assert!(
        answer.contains(SECOND) && !answer.contains(FIRST),
        "{answer}"
    );
    while viewer.seen.try_recv().is_ok() {}
    for _ in 0..30 {
        viewer.frame().await;
    }
    feed.stop();
    let moved = |address: &String| address.starts_with(SECOND);
    let stats = camera.stats(&session, |stats| {
        let path = stats.path.as_ref();
        path.is_some_and(|path| path.local_address.as_ref().is_some_and(moved))
    });
    assert_eq!(stats.await.restarts, 1);
    assert_eq!(camera.hub.stats().sessions_opened, 1);
}

#[test]
fn a_session_survives_another_address_of_the_camera() {
    let host = Namespace::new("camera").unwrap();
    ip(&host, "link add camera0 type veth peer name viewer0");
    ip(&host, &format!("address add {FIRST}/24 dev camera0"));
    ip(&host, "address add 10.79.0.9/24 dev viewer0");
    ip(&host, "link set camera0 up");
    ip(&host, "link set viewer0 up");
    let session = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(address_changes(&host));
    };
    host.run(session).unwrap();
}

/// A NAT in front of the viewer: the camera sees another port of it after each `rebind`.
struct Nat {
    stop: Arc<AtomicBool>,
    rebind: Arc<AtomicBool>,
    /// Nothing goes through.
    cut: Arc<AtomicBool>,
    address: SocketAddr,
}

impl Nat {
    fn start(camera: SocketAddr) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = near.local_addr().unwrap();
        let [stop, rebind, cut] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let (stopped, rebound, closed) = (Arc::clone(&stop), Arc::clone(&rebind), Arc::clone(&cut));
        let outside = move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(camera).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_millis(2)))
                .unwrap();
            socket
        };
        let mut far = outside();
        near.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let (mut viewer, mut data) = (None, [0; 2048]);
            while !stopped.load(Ordering::Relaxed) {
                if rebound.swap(false, Ordering::Relaxed) {
                    let before = std::mem::replace(&mut far, outside());
                    drop(before);
                }
                while let Ok((size, from)) = near.recv_from(&mut data) {
                    viewer = Some(from);
                    if !closed.load(Ordering::Relaxed) {
                        let _ = far.send(&data[..size]);
                    }
                }
                while let Ok(size) = far.recv(&mut data) {
                    if let Some(viewer) = viewer.filter(|_| !closed.load(Ordering::Relaxed)) {
                        let _ = near.send_to(&data[..size], viewer);
                    }
                }
            }
        });
        Self {
            stop,
            rebind,
            cut,
            address,
        }
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A viewer that the camera learns of from its checks, through the NAT: what the viewer tells itself would go past it.
async fn behind_nat(camera: &mut Camera) -> (Viewer, Nat) {
    let viewer = Viewer::new(1).await;
    let grant = camera.grant(&viewer.session, &viewer.offer);
    camera.open(&viewer.session, &grant, &viewer.offer);
    let (answer, _) = Viewer::answer(&viewer.session, camera).await;
    let candidate = answer
        .lines()
        .find_map(|line| line.strip_prefix("a=candidate:"))
        .unwrap();
    let port = candidate.split(' ').nth(5).unwrap();
    let nat = Nat::start(format!("127.0.0.1:{port}").parse().unwrap());
    let behind = format!(" {} ", nat.address.port());
    viewer
        .apply(&answer.replace(&format!(" {port} "), &behind))
        .await;
    (viewer, nat)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_is_no_congestion_the_picture_comes_back_whole() {
    let mut camera = Camera::start(|_| {});
    let (mut viewer, nat) = behind_nat(&mut camera).await;
    let feed = Feed::start(&camera.hub, Duration::from_millis(33));
    viewer.frame().await;
    nat.cut.store(true, Ordering::Relaxed);
    // Until then the camera has slowed down to nothing.
    let slowed_down = async {
        while camera.hub.stats().viewers[0].rung.is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), slowed_down)
        .await
        .expect("nothing is sent into the silence");
    while viewer.seen.try_recv().is_ok() {}
    camera.events_so_far();
    nat.cut.store(false, Ordering::Relaxed);
    loop {
        let (frame, _) = viewer.frame().await;
        if !is_small(&frame) {
            break;
        }
    }
    feed.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nat_that_maps_the_viewer_anew_costs_no_restart() {
    let mut camera = Camera::start(|_| {});
    let (mut viewer, nat) = behind_nat(&mut camera).await;
    let feed = Feed::start(&camera.hub, Duration::from_millis(20));
    viewer.frame().await;
    for _ in 0..2 {
        nat.rebind.store(true, Ordering::Relaxed);
        // What is under way still arrives.
        while nat.rebind.load(Ordering::Relaxed) {
            viewer.frame().await;
        }
        while viewer.seen.try_recv().is_ok() {}
        for _ in 0..30 {
            viewer.frame().await;
        }
    }
    feed.stop();
    assert_eq!(camera.hub.stats().viewers.len(), 1);
}
