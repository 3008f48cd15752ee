//! How fast to send to each viewer, and what to encode for all of them.
//!
//! Four state machines without IO: the caller has clock, sockets and queues, and passes `now`.
//!
//! - [`Estimator`], one a viewer: Google congestion control (draft-ietf-rmcat-gcc-02) from transport-wide feedback,
//!   with probing; receiver reports and REMB where a viewer sends no such feedback.
//! - [`Pacer`], one a viewer: when the next packet may leave.
//! - [`Protection`], one a viewer: when forward error correction pays, and its share of the target.
//! - [`Ladder`], one a camera: turns the viewers' estimates into bitrate and frame rate of two rungs, and says who
//!   gets which.
//!
//! ```text
//!   feedback ──► Estimator ──target──► Pacer ──► packets of one viewer
//!                  │   └──probes────────┘
//!                  └──target──► Protection ──less parity──► Ladder ──► encoders, level of each viewer
//! ```
//!
//! Nothing here fails: what a viewer reports may be wrong, late, doubled or missing, and is counted
//! ([`Estimator::counters`]) and survived. `firmware/congestion/NUMBERS.md` says where the numbers come from.
//!
//! # Example
//!
//! ```
//! use std::time::{Duration, Instant};
//! use heron_congestion::*;
//!
//! let mut now = Instant::now();
//! let viewer = ViewerId(1);
//! let mut estimator = Estimator::new(EstimatorConfig::default(), now);
//! let mut pacer = Pacer::new(PacerConfig::default(), now);
//! let mut ladder = Ladder::new(LadderConfig::default());
//! ladder.joined(viewer, Wish::default(), estimator.estimate().target_bps, now);
//! estimator.set_useful(ladder.useful_bps(viewer));
//!
//! let (epoch, mut seq) = (now, 0_u16);
//! for _ in 0..40 {
//!     // Ten packets of a picture; the network takes 20 ms and changes nothing.
//!     (0..10).for_each(|_| pacer.queued(Class::Video, 1200, now));
//!     if let Some(probe) = estimator.poll_probe(now) {
//!         pacer.probe(probe, now);
//!     }
//!     let mut arrivals = Vec::new();
//!     let end = now + Duration::from_millis(33);
//!     while now < end {
//!         match pacer.next(now) {
//!             When::Now { class, probe } => {
//!                 pacer.sent(class, 1200, now);
//!                 estimator.sent(Sent { seq, size: 1200, at: now, probe });
//!                 arrivals.push(Arrival { seq, at: Some(now - epoch + Duration::from_millis(20)) });
//!                 seq = seq.wrapping_add(1);
//!             }
//!             When::At(at) => now = at.min(end),
//!             When::Idle => now = end,
//!         }
//!     }
//!     estimator.feedback(&arrivals, now);
//!     let estimate = estimator.estimate();
//!     pacer.set_target(estimate.target_bps, estimate.spare, now);
//!     ladder.estimate(viewer, estimate.target_bps, now);
//! }
//! assert!(estimator.estimate().target_bps > 2_500_000); // probing found the room
//! let decision = ladder.decide(now);
//! assert_eq!(decision.rungs[Rung::Sub as usize], None);
//! ```

pub mod estimator;
pub mod ladder;
pub mod pacer;
pub mod protection;

pub use estimator::{
    Arrival, Config as EstimatorConfig, Counters, Estimate, Estimator, Probe, ProbeId, Sent, Usage,
};
pub use ladder::{
    Change, Config as LadderConfig, Decision, Ladder, Level, Rung, RungConfig, RungTarget,
    ViewerId, Wish,
};
pub use pacer::{Class, Config as PacerConfig, Pacer, When};
pub use protection::Protection;
