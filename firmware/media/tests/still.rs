//! Still pictures, with and without viewers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod harness;

use std::time::Duration;

use harness::{PATIENCE, Watched, config, unix_ms};
use heron_media::{ExecStream, Rung, SourceConfig, SourceState, Still, Timestamp, clock};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// The luma of a JPEG file, which must be of the size it says.
fn luma(still: &Still) -> Vec<u8> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&still.jpeg[..]), options);
    let luma = decoder.decode().unwrap();
    let info = decoder.info().unwrap();
    let size = (u32::from(info.width), u32::from(info.height));
    assert_eq!(size, (still.width, still.height));
    luma
}

#[test]
fn a_still_picture_needs_no_viewer_and_no_encoder() {
    let watched = Watched::start_inactive(config(SourceConfig::Pattern));
    let still = watched.pipeline.still(Duration::ZERO, PATIENCE).unwrap();
    assert_eq!((still.width, still.height), (320, 180));
    let drawn = clock::read(&luma(&still), 320, 320, 180).unwrap();
    assert!((0..5000).contains(&clock::age_ms(drawn, unix_ms())));
    let stats = watched.until(|stats| stats.source == SourceState::Idle);
    assert!(stats.rungs.iter().all(|rung| rung.encoder.is_none()));
    assert!(watched.units.try_recv().is_err());
}

#[test]
fn a_still_picture_is_made_once_for_all_who_ask_within_its_age() {
    let watched = Watched::start(config(SourceConfig::Pattern));
    watched.next();
    let still = |age| watched.pipeline.still(age, PATIENCE).unwrap();
    let first = still(Duration::ZERO);
    assert_eq!(still(PATIENCE), first);
    assert!(still(Duration::ZERO).captured > first.captured);
    std::thread::scope(|scope| {
        let asked = Timestamp::now();
        for asker in [(); 6].map(|()| scope.spawn(|| still(Duration::from_secs(1)))) {
            let age = asked.since(asker.join().unwrap().captured);
            assert!(age < Duration::from_secs(2), "{age:?}");
        }
    });
    assert!(watched.rung(Rung::Main).encoders_running == 1);
}

#[test]
fn a_source_that_is_not_there_is_told() {
    let path = "/nowhere/pictures.y4m".into();
    let watched = Watched::start_inactive(config(SourceConfig::Y4m { path }));
    let patience = Duration::from_millis(300);
    let error = watched
        .pipeline
        .still(Duration::ZERO, patience)
        .unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn a_source_that_encodes_by_itself_is_decoded() {
    // The stream of another camera.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stream.h264");
    let camera = Watched::start(config(SourceConfig::Pattern));
    let stream: Vec<_> = (0..10).flat_map(|_| camera.next().data.to_vec()).collect();
    std::fs::write(&path, stream).unwrap();
    drop(camera);

    let script = format!("while cat '{}'; do sleep 0.1; done", path.display());
    let command = ["sh", "-c", &script].map(str::to_owned).to_vec();
    let stream = ExecStream::H264;
    let watched = Watched::start_inactive(config(SourceConfig::Exec { command, stream }));
    let still = watched.pipeline.still(Duration::ZERO, PATIENCE).unwrap();
    assert_eq!((still.width, still.height), (320, 180));
    assert!(clock::read(&luma(&still), 320, 320, 180).is_some());
    assert!(watched.pipeline.stats().passes_through);
    assert!(watched.units.try_recv().is_err(), "nobody watches");
}
