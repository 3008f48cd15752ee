//! Figures for Prometheus, in its text format (version 0.0.4), on a loopback address.

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use heron_media::{Rung, RungStats};
use heron_session::ViewerStats;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::exposition::Exposition;
use crate::figures::{Figures, Sources};
use crate::{machine, wiring};

/// Listens, and answers `GET /metrics` from then on.
pub async fn serve(address: SocketAddr, sources: Sources) -> anyhow::Result<JoinHandle<()>> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("metrics.listen: {address} cannot be used"))?;
    info!("metrics at http://{}/metrics", listener.local_addr()?);
    let answer = get(async move || {
        let text = render(&sources.figures(), machine::resident_bytes());
        ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
    });
    Ok(tokio::spawn(async move {
        let router = Router::new().route("/metrics", answer);
        if let Err(error) = axum::serve(listener, router).await {
            warn!("the metrics listener ended: {error}");
        }
    }))
}

fn render(figures: &Figures, resident_bytes: u64) -> String {
    let mut text = Exposition::default();
    totals(&mut text, figures, resident_bytes);
    rungs(&mut text, figures);
    viewers(&mut text, figures);
    stages(&mut text, figures);
    text.finish()
}

fn totals(text: &mut Exposition, figures: &Figures, resident_bytes: u64) {
    let Figures { video, hub, .. } = figures;
    for (name, help, value) in [
        (
            "encoders_running",
            "Video encoders at work now.",
            u64::from(video.encoders_running()),
        ),
        (
            "viewers",
            "Sessions whose media flows.",
            figures.viewers().into(),
        ),
        (
            "broker_connected",
            "Whether the broker is there.",
            figures.online.into(),
        ),
        (
            "video_bits_per_second",
            "Encoded video.",
            video.bitrate().into(),
        ),
        (
            "tcp_connections",
            "TCP connections of viewers.",
            hub.tcp_connections as u64,
        ),
        ("resident_bytes", "Resident memory.", resident_bytes),
    ] {
        text.single("gauge", name, help, value);
    }
    for (name, help, value) in [
        (
            "frames_captured_total",
            "Frames from the source.",
            video.captured,
        ),
        (
            "frames_lost_total",
            "Frames that the source dropped or damaged.",
            video.lost,
        ),
        (
            "source_losses_total",
            "Times the video source was lost.",
            video.losses,
        ),
        (
            "sessions_opened_total",
            "Sessions whose offer was answered.",
            hub.sessions_opened,
        ),
        (
            "sessions_refused_total",
            "Sessions refused.",
            hub.sessions_refused,
        ),
        (
            "key_frames_wanted_total",
            "Key frames asked of the encoders.",
            hub.key_frames_wanted,
        ),
        (
            "strange_datagrams_total",
            "Datagrams that belonged to no viewer.",
            hub.strange_datagrams,
        ),
        (
            "tcp_refused_total",
            "TCP connections for media that were cut off: too many, or not a viewer's.",
            hub.tcp_refused,
        ),
        (
            "tcp_dropped_total",
            "Packets that a viewer's TCP connection had no room for.",
            hub.tcp_dropped,
        ),
        (
            "messages_refused_total",
            "Messages from the broker that broke a rule.",
            figures.messages_refused,
        ),
        (
            "messages_dropped_total",
            "Messages to the broker that grew old or too many.",
            figures.messages_dropped,
        ),
    ] {
        text.single("counter", name, help, value);
    }
}

/// What is read of a rung.
type OfRung = fn(&RungStats) -> u64;

fn rungs(text: &mut Exposition, figures: &Figures) {
    let families: [(&str, &str, &str, OfRung); 8] = [
        (
            "gauge",
            "rung_encoders_running",
            "Encoders at work now.",
            |rung| rung.encoders_running.into(),
        ),
        ("gauge", "rung_bits_per_second", "Encoded video.", |rung| {
            rung.bitrate.into()
        }),
        (
            "gauge",
            "rung_target_bits_per_second",
            "What the encoder was asked for.",
            |rung| rung.target.map_or(0, |target| target.bitrate.into()),
        ),
        (
            "counter",
            "frames_encoded_total",
            "Frames that left the encoder.",
            |rung| rung.encoded,
        ),
        (
            "counter",
            "frames_dropped_total",
            "Frames replaced by a newer one before the encoder took them.",
            |rung| rung.dropped,
        ),
        (
            "counter",
            "frames_decimated_total",
            "Frames left out to give the wanted frame rate.",
            |rung| rung.decimated,
        ),
        (
            "counter",
            "key_frames_total",
            "Key frames that left the encoder.",
            |rung| rung.key_frames,
        ),
        (
            "counter",
            "encoder_failures_total",
            "Times an encoder failed or could not be opened.",
            |rung| rung.encoder_failures,
        ),
    ];
    for (kind, name, help, read) in families {
        text.family(kind, name, help);
        for (rung, stats) in each(figures) {
            text.sample(name, &[("rung", rung.name())], read(stats));
        }
    }
    text.family("gauge", "rung_viewers", "Sessions on the rung.");
    for rung in Rung::ALL {
        let viewers = figures.viewers_on(rung);
        text.sample("rung_viewers", &[("rung", rung.name())], viewers);
    }
}

fn each(figures: &Figures) -> impl Iterator<Item = (Rung, &RungStats)> {
    Rung::ALL.into_iter().zip(&figures.video.rungs)
}

/// What is read of a viewer; nothing where it is not known.
type OfViewer = fn(&ViewerStats) -> Option<f64>;

fn viewers(text: &mut Exposition, figures: &Figures) {
    let families: [(&str, &str, &str, OfViewer); 14] = [
        (
            "gauge",
            "viewer_round_trip_seconds",
            "Round trip time.",
            |viewer| viewer.rtt.map(|rtt| rtt.as_secs_f64()),
        ),
        (
            "gauge",
            "viewer_loss_ratio",
            "Part of the packets lost lately.",
            |viewer| viewer.loss,
        ),
        (
            "gauge",
            "viewer_estimate_bits_per_second",
            "What its path is believed to carry.",
            |viewer| Some(viewer.estimate_bps.into()),
        ),
        (
            "gauge",
            "viewer_first_frame_seconds",
            "From its arrival until its first picture left.",
            |viewer| viewer.first_frame.map(|time| time.as_secs_f64()),
        ),
        (
            "counter",
            "viewer_frames_sent_total",
            "Frames sent.",
            |viewer| Some(viewer.frames_sent as f64),
        ),
        (
            "counter",
            "viewer_frames_dropped_total",
            "Frames missed because the viewer was slow, or before its first key frame.",
            |viewer| Some(viewer.frames_dropped as f64),
        ),
        (
            "counter",
            "viewer_packets_sent_total",
            "RTP packets sent.",
            |viewer| Some(viewer.packets_sent as f64),
        ),
        (
            "counter",
            "viewer_packets_repaired_total",
            "Packets sent again.",
            |viewer| Some(viewer.repaired as f64),
        ),
        (
            "counter",
            "viewer_fec_packets_total",
            "Packets of forward error correction.",
            |viewer| Some(viewer.fec_packets as f64),
        ),
        (
            "counter",
            "viewer_fec_bytes_total",
            "Their payload.",
            |viewer| Some(viewer.fec_bytes as f64),
        ),
        (
            "gauge",
            "viewer_protected",
            "Whether forward error correction is on.",
            |viewer| Some(f64::from(u8::from(viewer.protected.is_some()))),
        ),
        (
            "counter",
            "viewer_key_frame_requests_total",
            "Key frames asked for by PLI and FIR.",
            |viewer| Some(viewer.key_frame_requests as f64),
        ),
        (
            "counter",
            "viewer_freezes_total",
            "Freezes it reported.",
            |viewer| viewer.freezes.map(|(count, _)| count as f64),
        ),
        (
            "counter",
            "viewer_frozen_seconds_total",
            "How long they took together.",
            |viewer| viewer.freezes.map(|(_, time)| time.as_secs_f64()),
        ),
    ];
    for (kind, name, help, read) in families {
        text.family(kind, name, help);
        for viewer in figures.hub.viewers.iter().filter(|viewer| viewer.connected) {
            if let Some(value) = read(viewer) {
                let rung = viewer
                    .rung
                    .map_or("none", |rung| wiring::media_rung(rung).name());
                // The first characters tell sessions apart; the whole id is nobody's business here.
                let labels = [("session", viewer.session.short()), ("rung", rung)];
                text.sample(name, &labels, value);
            }
        }
    }
}

fn stages(text: &mut Exposition, figures: &Figures) {
    const NAME: &str = "stage_seconds";
    text.family(
        "histogram",
        NAME,
        "How long each stage takes, from the lens to the socket.",
    );
    let Figures { video, hub, .. } = figures;
    for (stage, read) in [("capture", &video.capture), ("convert", &video.convert)] {
        text.histogram(NAME, &[("stage", stage)], read);
    }
    for (rung, stats) in each(figures) {
        for (stage, read) in [
            ("queue", &stats.queue),
            ("scale", &stats.scale),
            ("encode", &stats.encode),
            ("capture_to_encoded", &stats.total),
        ] {
            text.histogram(NAME, &[("stage", stage), ("rung", rung.name())], read);
        }
    }
    for (stage, read) in [
        ("packetise", &hub.packetise),
        ("pace", &hub.pace),
        ("send", &hub.send),
    ] {
        text.histogram(NAME, &[("stage", stage)], read);
    }
}

#[cfg(test)]
mod tests {
    use heron_media::VideoStats;

    use super::*;

    #[test]
    fn every_line_is_a_comment_or_a_metric_of_ours() {
        let mut video = VideoStats {
            captured: 300,
            ..VideoStats::default()
        };
        video.rungs[0].encoders_running = 1;
        let figures = Figures {
            video,
            online: true,
            ..Figures::default()
        };
        let text = render(&figures, 42);
        for expected in [
            "\nheron_encoders_running 1\n",
            "\nheron_viewers 0\n",
            "\nheron_frames_captured_total 300\n",
            "\nheron_resident_bytes 42\n",
            "\nheron_rung_encoders_running{rung=\"main\"} 1\n",
            "# TYPE heron_stage_seconds histogram\n",
            "\nheron_stage_seconds_count{stage=\"encode\",rung=\"sub\"} 0\n",
        ] {
            assert!(text.contains(expected), "no {expected:?} in\n{text}");
        }
        for line in text.lines() {
            let metric = line
                .strip_prefix("# HELP ")
                .or(line.strip_prefix("# TYPE "));
            assert!(metric.unwrap_or(line).starts_with("heron_"), "{line}");
        }
    }
}
