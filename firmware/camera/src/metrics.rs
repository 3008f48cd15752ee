//! Figures for Prometheus, in its text format (version 0.0.4), on a loopback address.

use std::fmt::Write;
use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::figures::{Figures, Sources};
use crate::machine;

/// Listens, and answers `GET /metrics` from then on.
pub async fn serve(address: SocketAddr, sources: Sources) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("metrics.listen: {address} cannot be used"))?;
    info!("metrics at http://{}/metrics", listener.local_addr()?);
    let answer = get(async move || {
        let text = render(&sources.figures(), machine::resident_bytes());
        ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
    });
    tokio::spawn(async move {
        let router = Router::new().route("/metrics", answer);
        if let Err(error) = axum::serve(listener, router).await {
            warn!("the metrics listener ended: {error}");
        }
    });
    Ok(())
}

fn render(figures: &Figures, resident_bytes: u64) -> String {
    let video = &figures.video;
    let mut text = String::new();
    let mut metric = |kind: &str, name: &str, help: &str, value: u64| {
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "# HELP heron_{name} {help}\n# TYPE heron_{name} {kind}\nheron_{name} {value}\n"
        );
    };
    let running = u64::from(video.encoders_running);
    metric(
        "gauge",
        "encoders_running",
        "Video encoders at work now.",
        running,
    );
    let viewers = u64::from(figures.viewers);
    metric("gauge", "viewers", "Sessions whose media flows.", viewers);
    let online = u64::from(figures.online);
    metric(
        "gauge",
        "broker_connected",
        "Whether the broker is there.",
        online,
    );
    let bitrate = u64::from(video.bitrate);
    metric("gauge", "video_bits_per_second", "Encoded video.", bitrate);
    metric(
        "gauge",
        "resident_bytes",
        "Resident memory.",
        resident_bytes,
    );
    for (name, help, value) in [
        ("frames_captured", "Frames from the source.", video.captured),
        (
            "frames_encoded",
            "Frames that left the encoder.",
            video.encoded,
        ),
        (
            "frames_dropped",
            "Frames replaced by a newer one before the encoder took them.",
            video.dropped_before_encoder,
        ),
        (
            "key_frames",
            "Key frames that left the encoder.",
            video.key_frames,
        ),
        (
            "source_losses",
            "Times the video source was lost.",
            video.losses,
        ),
        (
            "sessions_opened",
            "Sessions accepted.",
            figures.sessions_opened,
        ),
        (
            "sessions_refused",
            "Sessions refused.",
            figures.sessions_refused,
        ),
        (
            "messages_refused",
            "Messages from the broker that broke a rule.",
            figures.messages_refused,
        ),
        (
            "messages_dropped",
            "Messages to the broker that grew old or too many.",
            figures.messages_dropped,
        ),
    ] {
        metric("counter", &format!("{name}_total"), help, value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use heron_media::VideoStats;

    #[test]
    fn every_line_is_a_comment_or_a_metric_of_ours() {
        let figures = Figures {
            video: VideoStats {
                encoders_running: 1,
                captured: 300,
                ..VideoStats::default()
            },
            viewers: 5,
            online: true,
            ..Figures::default()
        };
        let text = render(&figures, 42);
        for expected in [
            "\nheron_encoders_running 1\n",
            "\nheron_viewers 5\n",
            "\nheron_frames_captured_total 300\n",
            "\nheron_resident_bytes 42\n",
            "# TYPE heron_frames_captured_total counter\n",
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
