//! Plays a WHEP endpoint with GStreamer's own client, `whepsrc`, and decodes what comes:
//! `whep-player URL TOKEN SECONDS`.
//!
//! Prints one line of JSON: how many pictures were decoded and their size. Exits non-zero when the
//! endpoint refused, the connection failed or nothing was decoded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gst::prelude::*;

/// What is asked for. Without parameters H.264 means one packet a picture (RFC 6184, section 8.1).
const H264: &str = "application/x-rtp,media=(string)video,encoding-name=(string)H264,payload=(int)103,\
    clock-rate=(int)90000,packetization-mode=(string)1,profile-level-id=(string)42e01f,\
    level-asymmetry-allowed=(string)1";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, token, seconds] = arguments.as_slice() else {
        bail!("usage: whep-player URL TOKEN SECONDS");
    };
    gst::init()?;
    gstwebrtchttp::plugin_register_static()?;
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("whepsrc")
        .property("whep-endpoint", url)
        .property("auth-token", token)
        .property("video-caps", H264.parse::<gst::Caps>()?)
        .build()?;
    pipeline.add(&source)?;

    let pictures = Arc::new(AtomicU64::new(0));
    let size = Arc::new(Mutex::new(None));
    let (weak, count, seen) = (pipeline.downgrade(), Arc::clone(&pictures), Arc::clone(&size));
    source.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else {
            return;
        };
        let (count, seen) = (Arc::clone(&count), Arc::clone(&seen));
        if let Err(error) = decode(&pipeline, pad, count, seen) {
            eprintln!("whep-player: {error:#}");
        }
    });

    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    let end = Instant::now() + Duration::from_secs_f64(seconds.parse()?);
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let left = gst::ClockTime::try_from(left)?;
        let Some(message) = bus.timed_pop_filtered(left, &[gst::MessageType::Error]) else {
            break;
        };
        if let gst::MessageView::Error(error) = message.view() {
            bail!("{} ({:?})", error.error(), error.debug());
        }
    }
    // It also deletes the resource at the endpoint.
    pipeline.set_state(gst::State::Null)?;
    let pictures = pictures.load(Ordering::Relaxed);
    let size = size.lock().map_or(None, |size| *size);
    let Some((width, height)) = size else {
        bail!("nothing was decoded within {seconds} s");
    };
    println!(r#"{{"pictures":{pictures},"width":{width},"height":{height}}}"#);
    Ok(())
}

/// Decodes one of the streams; only pictures are counted.
fn decode(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    count: Arc<AtomicU64>,
    size: Arc<Mutex<Option<(i32, i32)>>>,
) -> Result<()> {
    let decoder = gst::ElementFactory::make("decodebin").build()?;
    pipeline.add(&decoder)?;
    let weak = pipeline.downgrade();
    decoder.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else {
            return;
        };
        let (count, size) = (Arc::clone(&count), Arc::clone(&size));
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
            let caps = pad.current_caps();
            let structure = caps.as_ref().and_then(|caps| caps.structure(0));
            if let Some(structure) = structure.filter(|it| it.name() == "video/x-raw") {
                count.fetch_add(1, Ordering::Relaxed);
                if let (Ok(width), Ok(height)) = (structure.get("width"), structure.get("height"))
                    && let Ok(mut size) = size.lock()
                {
                    *size = Some((width, height));
                }
            }
            gst::PadProbeReturn::Ok
        });
        let end = gst::ElementFactory::make("fakesink").property("sync", false).build();
        let linked = end.map_err(anyhow::Error::from).and_then(|end| {
            pipeline.add(&end)?;
            end.sync_state_with_parent()?;
            let sink = end.static_pad("sink").context("a sink has a pad")?;
            Ok(pad.link(&sink)?)
        });
        if let Err(error) = linked {
            eprintln!("whep-player: {error:#}");
        }
    });
    decoder.sync_state_with_parent()?;
    let sink = decoder.static_pad("sink").context("a decoder has a pad")?;
    pad.link(&sink)?;
    Ok(())
}
