//! WebRTC sessions of a camera: one encode, many viewers.
//!
//! # Place
//!
//! Between the encoders and the network. This crate knows neither MQTT nor cameras: the camera's binary hands it
//! encoded media and the control plane's messages, and acts on the [`Event`]s that come back.
//!
//! # Flow
//!
//! ```text
//! RtcDown ──► Hub ── grant verified? ──no──► RtcUp::Closed
//!              │ yes
//!              ▼
//!            Viewer (a task each): answer + proof, candidates, phases, stats, reaping ──► Event::Send(RtcUp)
//!
//! VideoUnit ─► packetise once ─► Outlet of each viewer ─► Pump: headers ─► Tap ─► SRTP, UDP
//! AudioUnit ─►                   bounded, drops to IDR    (a task each)     ▲
//!                                                                           │ RTCP: PLI, NACK, reports
//! Event::KeyFrameWanted ◄──────── throttle ◄───────────────────── Feedback ─┘
//! ```
//!
//! - **Nothing before the grant.** An `Open` costs a signature check; only then memory, sockets and tasks.
//! - **One encode for all.** A frame is packetised once (RFC 6184, RFC 7587); viewers share the bytes and add
//!   headers. The frame path never waits: every viewer has a bounded queue, and one that overflows is emptied up
//!   to the next key frame. A slow viewer delays nobody.
//! - **Fast start.** The answer does not wait for candidates, the device starts DTLS, the encoder is warm by
//!   [`Event::Demand`] before ICE is done, and the key frame is asked for in the moment DTLS is up, never before.
//! - **One time line.** RTP timestamps are capture times; sender reports and `abs-capture-time` tie them to NTP.
//! - **The `webrtc` crate** is used here and nowhere else in Heron: `connection`, `tracks`, `runtime`, `tap`,
//!   `outlet` and `feedback` are the only modules that drive it. Everything else is pure, with the time passed in.
//!
//! # On failure
//!
//! A refused or failed session ends with `RtcUp::Closed`, its reason and one sentence. Viewers that never connect,
//! fall silent or lose their path are reaped (see [`Patience`]). Other sessions never notice.
//!
//! # Example
//!
//! ```no_run
//! use heron_protocol::{SessionId, SigningKey, VerifyingKey, messages::RtcDown};
//! use heron_session::{Event, Hub, HubConfig, VideoUnit};
//!
//! # async fn example(key: SigningKey, grant_key: VerifyingKey, message: (SessionId, RtcDown), unit: VideoUnit)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let (hub, mut events) = Hub::new(HubConfig::new("front-door-01".parse()?, key, grant_key));
//! hub.handle(&message.0, message.1); // from MQTT
//! hub.video(unit); // from the encoder's thread
//! while let Some(event) = events.recv().await {
//!     match event {
//!         Event::Send { session, message } => { /* publish on up/rtc/{session} */ }
//!         Event::KeyFrameWanted => { /* encoder.request_key_frame() */ }
//!         Event::Demand { viewers } => { /* encoder.set_active(viewers > 0) */ }
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod clock;
mod config;
mod connection;
mod event;
mod feedback;
mod hub;
mod ice;
mod keyframe;
mod liveness;
mod media;
mod nomination;
mod offer;
mod outlet;
mod packetise;
mod queue;
mod runtime;
mod stats;
mod stream;
mod tap;
mod tracks;
mod trickle;
mod viewer;

pub use clock::monotonic_ns;
pub use config::HubConfig;
pub use event::Event;
pub use hub::Hub;
pub use liveness::Patience;
pub use media::{AudioUnit, VideoUnit};
pub use stats::{HubStats, ViewerStats};

/// Ways in for the fuzz targets of `tests/fuzz`, which see only what is public.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Reads an SDP offer, and writes it for the stack.
    pub fn offer(sdp: &str) {
        if let Ok(offer) = crate::offer::Offer::read(sdp, true, true) {
            offer.restrict(sdp);
        }
    }
}
