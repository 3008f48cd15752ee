//! A light viewer whose packets come through a link of a given rate, with a short queue in front of it.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use heron_bench::viewer::Viewer;

use super::running::Camera;

/// What waits at most; more is lost.
const QUEUE: Duration = Duration::from_millis(400);
/// How often both ends of the link are looked at.
const LOOK: Duration = Duration::from_millis(2);

/// A viewer behind the link, in a thread of its own.
pub struct SlowViewer {
    leaving: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SlowViewer {
    /// Joins; what the camera sends comes at so many bits a second.
    pub fn join(camera: &Camera, bps: u32) -> Self {
        let (mut viewer, offer) = Viewer::new(Ipv4Addr::LOCALHOST.into(), Instant::now()).unwrap();
        // Its candidate is in the offer, and so the camera would send to it directly.
        let offer = without_candidates(&offer);
        let answer = camera.offer(&offer);
        assert_eq!(answer.status, 201, "{}", answer.text());
        let camera = candidate(answer.text());
        let mut link = Link::new(camera, bps);
        let here = link.near.local_addr().unwrap();
        let answer = answer.text().replace(
            &format!(" {} typ", camera.port()),
            &format!(" {} typ", here.port()),
        );
        viewer.answered(&answer).unwrap();

        let leaving = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&leaving);
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 2048];
            while !told.load(Ordering::Relaxed) {
                link.carry();
                viewer.receive(&mut buffer, &mut |_| {}).unwrap();
                viewer.drive(Instant::now()).unwrap();
                std::thread::sleep(LOOK);
            }
            viewer.close();
            link.carry();
        });
        Self {
            leaving,
            thread: Some(thread),
        }
    }

    /// Says goodbye.
    pub fn leave(mut self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Two sockets and a queue.
struct Link {
    /// Where the viewer sends to.
    near: UdpSocket,
    /// Where the camera sends to.
    far: UdpSocket,
    camera: SocketAddr,
    viewer: Option<SocketAddr>,
    bps: u32,
    /// Packets for the viewer, with the time at which each is through.
    queue: VecDeque<(Instant, Vec<u8>)>,
    free: Instant,
}

impl Link {
    fn new(camera: SocketAddr, bps: u32) -> Self {
        let socket = || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        Self {
            near: socket(),
            far: socket(),
            camera,
            viewer: None,
            bps,
            queue: VecDeque::new(),
            free: Instant::now(),
        }
    }

    /// Moves what can be moved now.
    fn carry(&mut self) {
        let mut buffer = [0; 2048];
        while let Some((length, from)) = take(&self.near, &mut buffer) {
            self.viewer = Some(from);
            let _ = self.far.send_to(&buffer[..length], self.camera);
        }
        let now = Instant::now();
        while let Some((length, _)) = take(&self.far, &mut buffer) {
            let begin = self.free.max(now);
            if begin > now + QUEUE {
                continue;
            }
            let bits = 8.0 * length as f64;
            self.free = begin + Duration::from_secs_f64(bits / f64::from(self.bps));
            self.queue.push_back((self.free, buffer[..length].to_vec()));
        }
        while let Some((_, packet)) = self.queue.pop_front_if(|(due, _)| *due <= now) {
            if let Some(viewer) = self.viewer {
                let _ = self.near.send_to(&packet, viewer);
            }
        }
    }
}

fn take(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(buffer) {
        Ok(received) => Some(received),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

fn without_candidates(sdp: &str) -> String {
    let lines = sdp.lines().filter(|line| !line.starts_with("a=candidate:"));
    lines.map(|line| format!("{line}\r\n")).collect()
}

/// The address of the first UDP candidate of an answer.
fn candidate(sdp: &str) -> SocketAddr {
    let line = sdp
        .lines()
        .filter(|line| line.starts_with("a=candidate:"))
        .find(|line| line.to_ascii_lowercase().contains(" udp "));
    let fields: Vec<_> = line.expect("a candidate").split(' ').collect();
    SocketAddr::new(fields[4].parse().unwrap(), fields[5].parse().unwrap())
}
