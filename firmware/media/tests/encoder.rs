//! The real encoder, checked with the real decoder.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod harness;

use harness::Screen;
use heron_media::{EncoderSettings, Frame, FramePool, H264Encoder, Timestamp, clock};

const SIZE: (u32, u32) = (640, 360);

fn settings(bitrate: u32) -> EncoderSettings {
    EncoderSettings {
        bitrate,
        fps: 30.0,
        key_interval: 0,
    }
}

/// A picture that is hard to encode: every frame has other noise, over a clock.
fn noise(pool: &FramePool, seed: u32, unix_ms: u64) -> Frame {
    let mut frame = pool.frame(SIZE.0, SIZE.1, Timestamp::now());
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    for byte in frame.data_mut() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *byte = 96 + (state >> 28) as u8;
    }
    clock::draw(&mut frame, unix_ms);
    frame
}

#[test]
fn the_clock_survives_a_low_bitrate() {
    let pool = FramePool::new();
    let mut encoder = H264Encoder::new(&noise(&pool, 0, 0), settings(200_000)).unwrap();
    let mut screen = Screen::new();
    for number in 0..30 {
        let drawn = 1_795_000_000_000 + u64::from(number) * 33;
        let encoded = encoder.encode(&noise(&pool, number, drawn), false).unwrap();
        let picture = screen
            .show(&encoded.data)
            .expect("each access unit is a picture");
        assert_eq!((picture.width, picture.height), SIZE);
        assert_eq!(
            picture.clock(),
            Some(drawn & 0xff_ffff_ffff),
            "frame {number}"
        );
    }
}

#[test]
fn a_key_frame_comes_when_asked_for_and_at_no_other_time() {
    let pool = FramePool::new();
    let mut encoder = H264Encoder::new(&noise(&pool, 0, 0), settings(1_000_000)).unwrap();
    for number in 0..40 {
        let asked = number % 13 == 5;
        let encoded = encoder.encode(&noise(&pool, number, 0), asked).unwrap();
        assert_eq!(encoded.key, asked || number == 0, "frame {number}");
        if encoded.key {
            // A viewer who starts here has all a decoder needs.
            assert!(Screen::new().show(&encoded.data).is_some());
        }
    }
}

#[test]
fn the_stream_is_constrained_baseline_of_a_fitting_level() {
    let pool = FramePool::new();
    let frame = noise(&pool, 1, 0);
    let encoded = H264Encoder::new(&frame, settings(1_000_000))
        .unwrap()
        .encode(&frame, false)
        .unwrap();
    let sps = heron_media::h264::nal_units(&encoded.data)
        .find(|unit| unit[0] & 0x1f == 7)
        .unwrap();
    let [profile, constraints, level] = [sps[1], sps[2], sps[3]];
    assert_eq!(profile, 66);
    assert_eq!(constraints & 0x40, 0x40, "constraint_set1_flag");
    assert_eq!(level, 30);
}

#[test]
fn a_new_bitrate_is_followed_at_once() {
    let pool = FramePool::new();
    let mut encoder = H264Encoder::new(&noise(&pool, 0, 0), settings(3_000_000)).unwrap();
    let second = |encoder: &mut H264Encoder, from: u32| -> usize {
        (from..from + 30)
            .map(|seed| {
                encoder
                    .encode(&noise(&pool, seed, 0), false)
                    .unwrap()
                    .data
                    .len()
            })
            .sum()
    };
    second(&mut encoder, 0);
    let plenty = second(&mut encoder, 30);
    encoder.set_bitrate(600_000).unwrap();
    assert_eq!(encoder.bitrate(), 600_000);
    second(&mut encoder, 60);
    let little = second(&mut encoder, 90);
    encoder.set_bitrate(3_000_000).unwrap();
    second(&mut encoder, 120);
    let again = second(&mut encoder, 150);
    assert!(little * 2 < plenty, "{little} of {plenty}");
    assert!(again * 10 > plenty * 8, "{again} of {plenty}");
}

#[test]
fn a_bitrate_set_before_the_first_picture_counts() {
    let pool = FramePool::new();
    let frame = noise(&pool, 1, 0);
    let mut encoder = H264Encoder::new(&frame, settings(5_000_000)).unwrap();
    encoder.set_bitrate(100).unwrap();
    assert_eq!(encoder.bitrate(), 50_000, "no lower than what can be shown");
    assert!(encoder.encode(&frame, false).unwrap().key);
}
