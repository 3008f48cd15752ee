//! ICE restarts of a session (RFC 8445 section 9, RFC 8839 section 4.4.1.1.1): how often one may be asked for, and
//! which candidates belong to the path that is looked for now.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use heron_protocol::messages::Candidate;

/// The shortest time between two.
pub(super) const SPACING: Duration = Duration::from_millis(500);
/// The most of them within [`WINDOW`]: a path that is lost so often is not found by looking once more.
const MOST: usize = 30;
const WINDOW: Duration = Duration::from_secs(60);

/// Lets through what comes seldom enough.
#[derive(Debug, Default)]
pub(super) struct Pace {
    recent: VecDeque<Instant>,
}

impl Pace {
    /// Whether one more may come now; then it counts.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        while self.recent.front().is_some_and(|at| *at + WINDOW <= now) {
            self.recent.pop_front();
        }
        let soon = self.recent.back().is_some_and(|at| *at + SPACING > now);
        if soon || self.recent.len() >= MOST {
            return false;
        }
        self.recent.push_back(now);
        true
    }
}

/// The ICE user name fragments of a session's two ends: what tells one generation of candidates from the next.
#[derive(Debug, Default)]
pub(super) struct Generation {
    viewer: Option<String>,
    device: Option<String>,
    /// The viewer has made a new offer, which the device has not answered.
    answer_due: bool,
}

impl Generation {
    /// That of a first offer.
    pub(super) fn begin(offer: &str) -> Self {
        Self {
            viewer: ufrag(offer),
            device: None,
            answer_due: true,
        }
    }

    /// The viewer offers a new one.
    pub(super) fn offered(&mut self, offer: &str) {
        self.viewer = ufrag(offer);
        self.answer_due = true;
    }

    /// Whether the device owes an answer.
    pub(super) fn answer_due(&self) -> bool {
        self.answer_due
    }

    /// The device answers; false if there was nothing to answer.
    pub(super) fn answered(&mut self, answer: &str) -> bool {
        if !self.answer_due {
            return false;
        }
        self.answer_due = false;
        self.device = ufrag(answer);
        true
    }

    /// Those of the viewer's candidates that are of this generation.
    pub(super) fn of_viewer(&self, mut candidates: Vec<Candidate>) -> Vec<Candidate> {
        let (Some(current), false) = (&self.viewer, candidates.is_empty()) else {
            return candidates;
        };
        candidates.retain(|one| named(one).is_none_or(|name| name == current));
        candidates
    }

    /// Those of the device's candidates that are of this generation. They may come before the answer that says its
    /// name; those of the generation before are known by theirs.
    pub(super) fn of_device(&self, mut candidates: Vec<Candidate>) -> Vec<Candidate> {
        let (Some(last), false) = (&self.device, candidates.is_empty()) else {
            return candidates;
        };
        candidates.retain(|one| named(one).is_none_or(|name| (name == last) != self.answer_due));
        candidates
    }
}

fn named(candidate: &Candidate) -> Option<&str> {
    candidate
        .username_fragment
        .as_deref()
        .filter(|name| !name.is_empty())
}

/// The user name fragment of an SDP (RFC 8839 section 5.4): one for all, as all media are bundled.
fn ufrag(sdp: &str) -> Option<String> {
    sdp.lines()
        .find_map(|line| line.strip_prefix("a=ice-ufrag:"))
        .map(|name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(ufrag: &str) -> Candidate {
        Candidate {
            candidate: "candidate:1".into(),
            sdp_mid: None,
            sdp_m_line_index: None,
            username_fragment: (!ufrag.is_empty()).then(|| ufrag.to_owned()),
        }
    }

    fn sdp(ufrag: &str) -> String {
        format!("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:{ufrag}\r\n")
    }

    fn names(candidates: Vec<Candidate>) -> Vec<String> {
        let name = |one: Candidate| one.username_fragment.unwrap_or_default();
        candidates.into_iter().map(name).collect()
    }

    #[test]
    fn half_a_second_apart_and_thirty_a_minute() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut pace = Pace::default();
        assert!(pace.admit(at(0)));
        assert!(!pace.admit(at(499)));
        for turn in 1..30 {
            assert!(pace.admit(at(500 * turn)), "{turn}");
        }
        assert!(!pace.admit(at(30_000)));
        assert!(pace.admit(at(60_000)));
        assert!(!pace.admit(at(60_100)));
    }

    #[test]
    fn candidates_of_the_generation_before_are_left_out() {
        let mut generation = Generation::begin(&sdp("v1"));
        let both = || vec![candidate("d1"), candidate("d2"), candidate("")];
        assert_eq!(names(generation.of_device(both())).len(), 3, "not answered");
        assert!(generation.answered(&sdp("d1")));
        assert!(!generation.answered(&sdp("d1")), "nothing to answer");
        assert_eq!(names(generation.of_device(both())), ["d1", ""]);

        generation.offered(&sdp("v2"));
        assert!(generation.answer_due());
        let viewers = vec![candidate("v1"), candidate("v2"), candidate("")];
        assert_eq!(names(generation.of_viewer(viewers)), ["v2", ""]);
        assert_eq!(names(generation.of_device(both())), ["d2", ""]);
        assert!(generation.answered(&sdp("d2")));
        assert_eq!(names(generation.of_device(both())), ["d2", ""]);
    }

    #[test]
    fn an_sdp_without_a_name_shuts_nothing_out() {
        let mut generation = Generation::begin("v=0");
        assert!(generation.answered("v=0"));
        let any = vec![candidate("x"), candidate("")];
        assert_eq!(names(generation.of_viewer(any.clone())), ["x", ""]);
        assert_eq!(names(generation.of_device(any)), ["x", ""]);
    }
}
