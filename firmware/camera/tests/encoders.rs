//! Encode once: however many watch, one encoder runs for each rung in use; while nobody watches none does, and the camera
//! does next to nothing. All of it as seen from outside: by the camera's exposition and the kernel's count of its time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod running;
#[path = "running/slow_link.rs"]
mod slow_link;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use heron_bench::crowd::Crowd;
use heron_bench::whep::Endpoint;
use running::{Camera, PATIENCE, TOKEN, until};
use slow_link::SlowViewer;

const VIEWERS: usize = 10;
/// Pictures that each of them must get.
const PICTURES: u64 = 20;
/// Less than the floor of the main rung, which is a quarter of its 300 kbit/s, and enough for the small one.
const SLOW_BPS: u32 = 60_000;
/// What a camera may use that nobody watches: two hundredths of one core, in a build that is hardly optimised.
const IDLE: f64 = 0.02;
/// How long that is measured.
const MEASURED: Duration = Duration::from_secs(4);

fn crowd(camera: &Camera) -> Crowd {
    let endpoint = Endpoint {
        url: format!("http://{}/whep", camera.view),
        token: Some(TOKEN.to_owned()),
    };
    Crowd::new(endpoint, IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Serves everybody until each has so many pictures, and says how many encoders there were at most.
fn watch(camera: &Camera, crowd: &mut Crowd, pictures: u64) -> f64 {
    let deadline = Instant::now() + PATIENCE;
    let mut most = 0.0_f64;
    while crowd
        .viewers()
        .any(|(_, viewer)| viewer.counts().frames < pictures)
    {
        assert!(Instant::now() < deadline, "{:?}", crowd.counts());
        let look = Instant::now() + Duration::from_millis(100);
        crowd.serve(look, &mut |_, _| false).unwrap();
        most = most.max(camera.figure("heron_encoders_running"));
    }
    most
}

fn encoders(camera: &Camera, rung: &str) -> f64 {
    camera.figure(&format!("heron_rung_encoders_running{{rung=\"{rung}\"}}"))
}

/// The time that the process has had on a processor, of all its threads.
fn used(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // "pid (name) state ...": the name may hold anything; utime and stime are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum();
    // Linux has told every program that a tick is 10 ms, whatever it is inside.
    Duration::from_millis(ticks * 10)
}

/// The part of one core that the camera uses now.
fn load(camera: &Camera) -> f64 {
    let (begun, before) = (Instant::now(), used(camera.id()));
    // Not waiting for anything: this is the time over which is measured.
    std::thread::sleep(MEASURED);
    (used(camera.id()) - before).as_secs_f64() / begun.elapsed().as_secs_f64()
}

#[test]
fn ten_viewers_have_one_encoder_and_nobody_has_none() {
    let camera = Camera::start("");
    let mut crowd = crowd(&camera);
    for _ in 0..VIEWERS {
        crowd.join().unwrap();
    }
    let most = watch(&camera, &mut crowd, PICTURES);
    assert!((most - 1.0).abs() < 0.1, "{most} encoders at once");
    assert_eq!(camera.figure("heron_viewers") as usize, VIEWERS);
    assert_eq!(
        (encoders(&camera, "main"), encoders(&camera, "sub")),
        (1.0, 0.0)
    );

    crowd.leave_all();
    camera.until_figure("heron_viewers", 0.0);
    camera.until_figure("heron_encoders_running", 0.0);
    // The source is kept open for a moment, for whoever reloads a page.
    let mut captured = 0.0;
    until("the source is closed", || {
        std::thread::sleep(Duration::from_millis(500));
        let now = camera.figure("heron_frames_captured_total");
        let rests = now == captured;
        captured = now;
        rests
    });
    let load = load(&camera);
    println!("nobody watches: {:.2} % of a core", 100.0 * load);
    assert!(
        load < IDLE,
        "{:.2} % of a core with nobody watching",
        100.0 * load
    );
}

#[test]
fn a_slow_viewer_brings_a_second_encoder_and_takes_it_along() {
    let camera = Camera::start("");
    let mut crowd = crowd(&camera);
    for _ in 0..3 {
        crowd.join().unwrap();
    }
    watch(&camera, &mut crowd, PICTURES);
    assert_eq!(
        (encoders(&camera, "main"), encoders(&camera, "sub")),
        (1.0, 0.0)
    );

    let slow = SlowViewer::join(&camera, SLOW_BPS);
    let mut served = |what: &str, holds: &dyn Fn() -> bool| {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "never: {what}");
            let look = Instant::now() + Duration::from_millis(100);
            crowd.serve(look, &mut |_, _| false).unwrap();
            assert!(encoders(&camera, "main") < 1.5 && encoders(&camera, "sub") < 1.5);
        }
    };
    served("the slow one is on the small rung", &|| {
        let small = camera.figure("heron_rung_viewers{rung=\"sub\"}");
        (small - 1.0).abs() < 0.1 && encoders(&camera, "sub") > 0.5
    });
    assert_eq!(
        (encoders(&camera, "main"), encoders(&camera, "sub")),
        (1.0, 1.0)
    );
    let main = camera.figure("heron_rung_viewers{rung=\"main\"}");
    assert!(
        (main - 3.0).abs() < 0.1,
        "the others keep their rung: {main}"
    );
    slow.leave();
    served("the second encoder is gone", &|| {
        encoders(&camera, "sub") < 0.5
    });
    assert_eq!(encoders(&camera, "main"), 1.0);
    crowd.leave_all();
}
