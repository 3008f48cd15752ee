//! What a viewer's estimate leads to: the pacer's rate, probes, parity, and what is left for pictures.

use std::time::{Duration, Instant};

use heron_congestion::{Estimate, Estimator, EstimatorConfig, Protection, Usage, protection};
use heron_peer::Parity;

use crate::viewer::{Viewer, Wanted};

/// A gap shows with the next packet: at the latest with the next picture, at 30 a second.
const PICTURE: Duration = Duration::from_millis(33);

impl Viewer {
    /// Where an estimate begins, bits/s.
    pub fn start_bps() -> u32 {
        EstimatorConfig::default().start_bps
    }

    /// What its path carries of media, parity taken off, bits/s.
    pub fn media_bps(&self) -> u32 {
        self.protection
            .media_bps(self.estimator.estimate().target_bps)
    }

    /// What could be sent to it usefully, bits/s of media.
    pub fn set_useful(&mut self, bps: u32) {
        self.estimator.set_useful(self.protection.total_bps(bps));
    }

    /// What the path carries is not known any more: it is learned as at the start.
    pub(crate) fn learn_anew(&mut self, now: Instant) {
        self.estimator = Estimator::new(EstimatorConfig::default(), now);
        self.protection = Protection::new();
        self.peer.protect(None);
        self.wanted.push_back(Wanted::Anew);
    }

    /// The estimate may have changed.
    pub(crate) fn estimated(&mut self, now: Instant) {
        let estimate = self.estimator.estimate();
        self.protect(&estimate, now);
        self.outlet
            .set_target(estimate.target_bps, estimate.spare, now);
        while let Some(probe) = self.estimator.poll_probe(now) {
            self.outlet.probe(probe, now);
        }
        self.wanted.push_back(Wanted::Estimate(self.media_bps()));
    }

    /// Switches forward error correction by what is lost and how long a repair takes.
    fn protect(&mut self, estimate: &Estimate, now: Instant) {
        if !self.peer.can_protect() {
            return;
        }
        let loss = if self.peer.has_transport_feedback() {
            f64::from(estimate.loss)
        } else {
            self.peer.stats().loss.unwrap_or_default()
        };
        let path = protection::Path {
            loss,
            rtt: estimate.rtt,
            congested: estimate.usage == Usage::Over,
        };
        let before = self.protection.packets();
        let packets = self.protection.update(path, now);
        if packets != before {
            tracing::debug!(
                session = self.opening.session.short(),
                loss,
                rtt_ms = estimate.rtt.as_millis(),
                packets,
                "forward error correction"
            );
        }
        self.peer.protect(packets.map(|packets| Parity {
            packets,
            span: estimate.rtt + PICTURE,
        }));
    }
}
