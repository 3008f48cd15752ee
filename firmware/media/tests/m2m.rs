//! Real V4L2 encoders: the ARM lab's own H.264 node (`heron_h264enc`) and the kernel's `vicodec`. By
//! hand, where they are: `cargo test -p heron-media --test m2m -- --ignored --test-threads=1`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod harness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{PATIENCE, Screen, Watched, config};
use heron_media::encoder::{self, FailureKind};
use heron_media::source::Polled;
use heron_media::v4l2::{self, EncoderInfo, m2m::Decoder};
use heron_media::{
    EncodeError, Encoded, EncoderChoice, EncoderSettings, Frame, FramePool, HardwareEncoder,
    PixelFormat, Rung, SourceConfig, Timestamp, VideoConfig, VideoEncoder, clock, probe,
};

const SIZE: (u32, u32) = (320, 180);
/// The lab's driver, and its module.
const DRIVER: &str = "heron-h264enc";
const PARAMETERS: &str = "/sys/module/heron_h264enc/parameters";

fn settings(bitrate: u32) -> EncoderSettings {
    EncoderSettings {
        bitrate,
        fps: 30.0,
        key_interval: 0,
    }
}

/// A grey picture with a clock.
fn picture(pool: &FramePool, (width, height): (u32, u32), unix_ms: u64) -> Arc<Frame> {
    let mut frame = pool.frame(width, height, Timestamp::now());
    for (number, byte) in frame.data_mut().iter_mut().enumerate() {
        *byte = 112 + (number / 7 % 32) as u8;
    }
    clock::draw(&mut frame, unix_ms);
    Arc::new(frame)
}

fn lab() -> EncoderInfo {
    let encoders = v4l2::encoders();
    let lab = encoders
        .iter()
        .find(|info| info.gives_h264() && info.driver == DRIVER);
    lab.unwrap_or_else(|| panic!("none of {encoders:?}"))
        .clone()
}

fn parameter(name: &str) -> String {
    let text = std::fs::read_to_string(format!("{PARAMETERS}/{name}")).unwrap();
    text.trim().to_owned()
}

/// A parameter of the lab's module that has another value, until dropped.
struct Changed {
    name: &'static str,
    before: String,
}

impl Changed {
    fn set(name: &'static str, value: &str) -> Self {
        let before = parameter(name);
        std::fs::write(format!("{PARAMETERS}/{name}"), value).unwrap();
        Self { name, before }
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let _ = std::fs::write(format!("{PARAMETERS}/{}", self.name), &self.before);
    }
}

/// Encodes one picture and waits for it.
fn encode(
    encoder: &mut HardwareEncoder,
    frame: &Arc<Frame>,
    key: bool,
) -> Result<Encoded, EncodeError> {
    encoder.submit(frame, key)?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(encoded) = encoder.receive(Duration::from_millis(100))? {
            return Ok(encoded);
        }
    }
    panic!("nothing came: {encoder:?}, {:?}", encoder.counters());
}

#[test]
#[ignore = "needs the lab's encoder"]
fn what_comes_out_is_the_picture_and_keys_come_when_asked_for() {
    let pool = FramePool::new();
    let first = picture(&pool, SIZE, 0);
    let mut encoder = HardwareEncoder::new(&lab(), &first, settings(4_000_000)).unwrap();
    let mut screen = Screen::new();
    for number in 0..20_u64 {
        let asked = number == 7 || number == 13;
        let drawn = 1_795_000_000_000 + number * 33;
        let frame = picture(&pool, SIZE, drawn);
        let encoded = encode(&mut encoder, &frame, asked).unwrap();
        assert_eq!(encoded.captured, frame.captured());
        assert_eq!(encoded.key, asked || number == 0, "picture {number}");
        let kinds: Vec<u8> = heron_media::h264::nal_units(&encoded.data)
            .map(|unit| unit[0] & 0x1f)
            .collect();
        if encoded.key {
            assert!(
                kinds.starts_with(&[7, 8]) && kinds.contains(&5),
                "{kinds:?}"
            );
            assert!(Screen::new().show(&encoded.data).is_some());
        }
        let shown = screen
            .show(&encoded.data)
            .expect("each access unit is a picture");
        assert_eq!((shown.width, shown.height), SIZE);
        if encoded.key {
            // The lab's encoder need not bring all of a picture within the others' bitrate.
            assert_eq!(
                shown.clock(),
                Some(drawn & 0xff_ffff_ffff),
                "picture {number}"
            );
        }
    }
    println!("{}: {:?}", encoder.description(), encoder.counters());
    assert_eq!(encoder.counters().delivered, 20);
}

#[test]
#[ignore = "needs the lab's encoder"]
fn a_new_bitrate_reaches_the_driver_while_it_encodes() {
    let pool = FramePool::new();
    let frame = picture(&pool, SIZE, 0);
    let mut encoder = HardwareEncoder::new(&lab(), &frame, settings(1_000_000)).unwrap();
    encode(&mut encoder, &frame, false).unwrap();
    assert_eq!(encoder.bitrate(), Some(1_000_000));
    for (asked, taken) in [(512_345, 500_000), (3_000_000, 3_000_000), (1, 50_000)] {
        encoder.set_bitrate(asked).unwrap();
        encode(&mut encoder, &picture(&pool, SIZE, 1), false).unwrap();
        assert_eq!(encoder.bitrate(), Some(taken));
        assert_eq!(parameter("bitrate"), taken.to_string());
        println!("asked for {asked}: {}", parameter("streaming"));
    }
}

#[test]
#[ignore = "needs the lab's encoder"]
fn a_drain_gives_all_that_went_in_and_the_next_picture_begins_anew() {
    let pool = FramePool::new();
    let mut encoder =
        HardwareEncoder::new(&lab(), &picture(&pool, SIZE, 0), settings(1_000_000)).unwrap();
    for round in 0..3 {
        for number in 0..3 {
            encoder
                .submit(&picture(&pool, SIZE, number), false)
                .unwrap();
        }
        encoder.drain().unwrap();
        let mut keys = Vec::new();
        while let Some(encoded) = encoder.receive(PATIENCE).unwrap() {
            keys.push(encoded.key);
        }
        assert_eq!(keys, [true, false, false], "round {round}");
        assert!(encoder.drained());
    }
    assert_eq!(encoder.counters().unanswered, 0);
}

#[test]
#[ignore = "needs the lab's encoder"]
fn another_size_needs_another_encoder_and_too_much_is_refused_with_what_fits() {
    let pool = FramePool::new();
    // 180 lines are no whole macroblocks, 98 columns neither.
    for size in [(320, 180), (640, 360), (98, 66)] {
        let frame = picture(&pool, size, 0);
        let mut encoder = HardwareEncoder::new(&lab(), &frame, settings(1_000_000)).unwrap();
        assert!(!encoder.fits(&picture(&pool, (200, 100), 0)));
        let encoded = encode(&mut encoder, &frame, false).unwrap();
        let shown = Screen::new().show(&encoded.data).unwrap();
        assert_eq!((shown.width, shown.height), size);
    }
    let fast = EncoderSettings {
        fps: 120.0,
        ..settings(1_000_000)
    };
    let error = HardwareEncoder::new(&lab(), &picture(&pool, (1920, 1080), 0), fast).unwrap_err();
    println!("{error}");
    assert_eq!(error.kind(), FailureKind::Refused);
    assert!(error.to_string().contains("fps is the most"));
}

#[test]
#[ignore = "needs vivid and the lab's encoder, and root"]
fn an_encoder_of_whole_macroblocks_gives_the_visible_part_and_gets_copies() {
    let _aligned = Changed::set("height_step", "16");
    let pool = FramePool::new();
    let drawn = 1_795_000_000_000;
    let frame = picture(&pool, SIZE, drawn);
    let mut encoder = HardwareEncoder::new(&lab(), &frame, settings(4_000_000)).unwrap();
    let encoded = encode(&mut encoder, &frame, false).unwrap();
    let shown = Screen::new().show(&encoded.data).unwrap();
    assert_eq!((shown.width, shown.height), SIZE);
    assert_eq!(shown.clock(), Some(drawn & 0xff_ffff_ffff));
    drop(encoder);
    // The camera's pictures have 180 lines, the encoder's 192.
    let watched = Watched::start(camera(PixelFormat::Nv12, EncoderChoice::Hardware));
    let unit = watched.next_of(Rung::Main);
    let shown = Screen::new().show(&unit.data).unwrap();
    assert_eq!((shown.width, shown.height), SIZE);
    let rung = watched.rung(Rung::Main);
    assert_eq!(rung.encoder, Some(lab().name()));
    assert_eq!(rung.encoder_failures, 0, "{:?}", rung.last_error);
}

#[test]
#[ignore = "needs the lab's encoder, and root"]
fn a_failing_encoder_says_why_and_a_reopened_one_works() {
    let pool = FramePool::new();
    for (how, what) in [
        ("error", "gives only buffers that it marks as damaged"),
        ("empty", "gives only empty buffers"),
        ("eio", "error"),
        ("stall", "has given nothing for"),
    ] {
        let frame = picture(&pool, SIZE, 0);
        let mut encoder = HardwareEncoder::new(&lab(), &frame, settings(1_000_000)).unwrap();
        encode(&mut encoder, &frame, false).unwrap();
        let failing = Changed::set("fail", how);
        let error = (0..100).find_map(|number| {
            let submitted = encoder.submit(&picture(&pool, SIZE, number), false);
            let received = encoder.receive(Duration::from_millis(50)).map(|_| ());
            submitted.and(received).err()
        });
        let error = error.unwrap_or_else(|| panic!("{how}: {:?}", encoder.counters()));
        println!("{how}: {error}; {:?}", encoder.counters());
        assert!(
            error.is_wedged() && error.to_string().contains(what),
            "{error}"
        );
        drop(encoder);
        drop(failing);
        let mut again = HardwareEncoder::new(&lab(), &frame, settings(1_000_000)).unwrap();
        assert!(encode(&mut again, &frame, false).unwrap().key);
    }
    let _failing = Changed::set("fail", "streamon");
    let frame = picture(&pool, SIZE, 0);
    let error = HardwareEncoder::new(&lab(), &frame, settings(1_000_000)).unwrap_err();
    println!("streamon: {error}");
    assert!(error.is_wedged() && error.to_string().contains("does not start"));
    // Software takes over where that is allowed.
    let opened = encoder::open(EncoderChoice::Auto, &frame, settings(1_000_000)).unwrap();
    assert_eq!(opened.encoder.name(), "OpenH264");
    assert_eq!(opened.passed_over, Some(error));
}

#[test]
#[ignore = "needs the lab's encoder, and root"]
fn a_bad_buffer_is_survived_and_a_key_frame_follows() {
    let pool = FramePool::new();
    let frame = picture(&pool, SIZE, 0);
    let mut encoder = HardwareEncoder::new(&lab(), &frame, settings(1_000_000)).unwrap();
    assert!(encode(&mut encoder, &frame, false).unwrap().key);
    for how in ["error", "empty"] {
        assert!(
            !encode(&mut encoder, &picture(&pool, SIZE, 1), false)
                .unwrap()
                .key
        );
        let failing = Changed::set("fail", how);
        encoder.submit(&picture(&pool, SIZE, 2), false).unwrap();
        let before = encoder.counters();
        let deadline = Instant::now() + PATIENCE;
        while encoder.counters() == before && Instant::now() < deadline {
            assert!(
                encoder
                    .receive(Duration::from_millis(20))
                    .unwrap()
                    .is_none()
            );
        }
        drop(failing);
        assert!(
            encode(&mut encoder, &picture(&pool, SIZE, 3), false)
                .unwrap()
                .key
        );
    }
    let counters = encoder.counters();
    assert_eq!((counters.damaged, counters.empty), (1, 1));
}

fn camera(format: PixelFormat, encoder: EncoderChoice) -> VideoConfig {
    let source = SourceConfig::V4l2 {
        device: None,
        format: Some(format),
    };
    VideoConfig {
        encoder,
        fps: 10,
        ..config(source)
    }
}

#[test]
#[ignore = "needs vivid and the lab's encoder"]
fn the_camera_s_buffers_go_into_the_encoder_without_a_copy() {
    for format in [PixelFormat::Nv12, PixelFormat::Yu12, PixelFormat::Yuyv] {
        let watched = Watched::start(camera(format, EncoderChoice::Hardware));
        let mut screen = Screen::new();
        for number in 0..30 {
            let unit = watched.next_of(Rung::Main);
            assert!(number > 0 || unit.key);
            let shown = screen.show(&unit.data).expect("a picture");
            assert!((20..220).contains(&shown.mean()), "{}", shown.mean());
            let age = Timestamp::now().since(unit.captured);
            assert!(age < Duration::from_secs(2), "{age:?}");
        }
        let rung = watched.rung(Rung::Main);
        let name = rung.encoder.clone().unwrap();
        println!(
            "{format}: {name}, {} encoded, {} dropped",
            rung.encoded, rung.dropped
        );
        // Anything but 4:2:0 is converted, and so copied.
        assert_eq!(name.ends_with("zero-copy"), format != PixelFormat::Yuyv);
        assert_eq!(rung.encoder_failures, 0, "{:?}", rung.last_error);

        // The other rung scales the same pictures, which it can only look at.
        watched.watch(Rung::Sub);
        let unit = watched.next_of(Rung::Sub);
        assert!(unit.key && unit.width < watched.next_of(Rung::Main).width);
    }
}

#[test]
#[ignore = "needs vivid and the lab's encoder, and root"]
fn software_takes_over_while_the_hardware_is_down() {
    let watched = Watched::start(camera(PixelFormat::Nv12, EncoderChoice::Auto));
    watched.next_of(Rung::Main);
    assert!(watched.rung(Rung::Main).encoder.unwrap().contains(DRIVER));
    let failing = Changed::set("fail", "stall");
    let by = |name: &'static str| {
        move |stats: &heron_media::VideoStats| {
            let rung = stats.rung(Rung::Main);
            rung.encoder
                .as_ref()
                .is_some_and(|encoder| encoder.contains(name))
        }
    };
    let stats = watched.until(by("OpenH264"));
    println!("{:?}", stats.rung(Rung::Main).last_error);
    watched.forget();
    assert!(
        Screen::new()
            .show(&watched.next_of(Rung::Main).data)
            .is_some()
    );
    drop(failing);
    watched.until(by(DRIVER));
    watched.forget();
    watched.next_of(Rung::Main);
}

/// The decoder's pictures have a least size, of which ours are the upper left part.
fn assert_alike(sent: &Frame, got: &Frame) {
    for (sent_plane, got_plane, part) in [
        (sent.y(), got.y(), 1),
        (sent.u(), got.u(), 2),
        (sent.v(), got.v(), 2),
    ] {
        let (width, stride) = (sent.width() / part, got.width() / part);
        let lines = sent_plane
            .chunks(width as usize)
            .zip(got_plane.chunks(stride as usize));
        let wrong: u64 = lines
            .flat_map(|(sent, got)| sent.iter().zip(got))
            .map(|(sent, got)| u64::from(sent.abs_diff(*got)))
            .sum();
        let mean = wrong as f32 / sent_plane.len() as f32;
        assert!(mean < 8.0, "off by {mean} on average");
    }
}

fn vicodec() -> (EncoderInfo, Decoder) {
    let fwht = |info: &EncoderInfo| info.formats.iter().any(|format| format == "FWHT");
    let encoder = v4l2::encoders().into_iter().find(fwht).expect("vicodec");
    let decoder = Decoder::find(*b"FWHT").expect("a decoder");
    (encoder, Decoder::open(&decoder, *b"FWHT").unwrap())
}

#[test]
#[ignore = "needs vicodec"]
fn a_driver_that_nobody_here_wrote_encodes_and_its_decoder_shows_the_picture() {
    let (info, mut decoder) = vicodec();
    println!("{info:?}");
    let pool = FramePool::new();
    // Sides in whole blocks of FWHT, which pads others.
    let size = (320, 184);
    let frame = picture(&pool, size, 0);
    let mut encoder =
        HardwareEncoder::with_format(&info, *b"FWHT", &frame, settings(1_000_000)).unwrap();
    let mut shown = 0;
    for number in 0..10_u64 {
        let frame = picture(&pool, size, 1_795_000_000_000 + number);
        let encoded = encode(&mut encoder, &frame, false).unwrap();
        assert_eq!(encoded.captured, frame.captured());
        let Some(decoded) = decoder.decode(&encoded.data, PATIENCE).unwrap() else {
            continue;
        };
        shown += 1;
        let seen = clock::read(decoded.y(), decoded.width() as usize, size.0, size.1);
        assert_eq!(seen, Some((1_795_000_000_000 + number) & 0xff_ffff_ffff));
        assert_alike(&frame, &decoded);
    }
    assert_eq!(shown, 10);
    encoder.submit(&frame, false).unwrap();
    encoder.drain().unwrap();
    let mut rest = 0;
    while encoder.receive(PATIENCE).unwrap().is_some() {
        rest += 1;
    }
    assert!(rest == 1 && encoder.drained(), "{rest}");
}

#[test]
#[ignore = "needs vivid and vicodec"]
fn the_camera_s_pictures_survive_the_way_through_encoder_and_decoder() {
    let (info, mut decoder) = vicodec();
    let config = VideoConfig {
        width: 640,
        height: 360,
        ..camera(PixelFormat::Yu12, EncoderChoice::Auto)
    };
    let mut source = v4l2::open_camera(&config).unwrap();
    let mut encoder = None;
    let (mut shown, deadline) = (0, Instant::now() + PATIENCE);
    while shown < 10 && Instant::now() < deadline {
        let Polled::Frame(frame) = source.next(Duration::from_millis(500)).unwrap() else {
            continue;
        };
        let frame = Arc::new(frame);
        let encoder = encoder.get_or_insert_with(|| {
            HardwareEncoder::with_format(&info, *b"FWHT", &frame, settings(1_000_000)).unwrap()
        });
        let encoded = encode(encoder, &frame, false).unwrap();
        assert_eq!(encoded.captured, frame.captured());
        if let Some(decoded) = decoder.decode(&encoded.data, PATIENCE).unwrap() {
            assert_alike(&frame, &decoded);
            shown += 1;
        }
    }
    println!("{}", encoder.unwrap().description());
    assert_eq!(shown, 10);
}

#[test]
#[ignore = "needs the lab's encoder"]
fn the_choice_is_explained() {
    let report = probe::probe(SIZE.0, SIZE.1, 10);
    println!("{report}");
    let name = lab().name();
    assert_eq!(report.pick.encoder.name, name);
    assert!(
        report
            .to_string()
            .contains(&format!("  encoder  {name}: hardware, up to"))
    );
}
