//! What was counted at enrolment.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::live::Counter;

/// Counters since the start.
#[derive(Debug, Default)]
pub struct EnrolmentCounters {
    /// First certificates given out.
    pub enrolled: AtomicU64,
    /// Certificates renewed.
    pub renewed: AtomicU64,
    /// Requests for certificates refused.
    pub refused: AtomicU64,
    /// TLS client certificates that were refused in the handshake.
    pub bad_certificates: AtomicU64,
}

impl EnrolmentCounters {
    /// One more.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// As metrics.
    pub fn figures(&self) -> [Counter; 4] {
        let figure = |name: &'static str, help: &'static str, counter: &AtomicU64| Counter {
            name: name.into(),
            help: help.into(),
            value: counter.load(Ordering::Relaxed),
        };
        [
            figure(
                "heron_enrolments_total",
                "First certificates given out.",
                &self.enrolled,
            ),
            figure(
                "heron_renewals_total",
                "Certificates renewed.",
                &self.renewed,
            ),
            figure(
                "heron_enrolments_refused_total",
                "Requests for certificates refused.",
                &self.refused,
            ),
            figure(
                "heron_client_certificates_refused_total",
                "TLS client certificates refused in the handshake with the HTTPS server.",
                &self.bad_certificates,
            ),
        ]
    }
}
