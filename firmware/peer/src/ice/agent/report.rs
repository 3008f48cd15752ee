//! The pairs that were tried, for the record of a session.

use super::Agent;
use crate::event::Selected;

/// A pair unanswered after so many checks counts as failed. It is checked on: the way may open late.
const HOPELESS: u32 = 12;

/// How far a pair's checks have come (RFC 8445 section 6.1.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PairState {
    /// A check was answered.
    Succeeded,
    /// Checks are under way.
    InProgress,
    /// Not checked yet.
    Waiting,
    /// No check was answered.
    Failed,
}

/// A pair of candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairReport {
    /// Its ends and what they are.
    pub pair: Selected,
    /// How its checks went.
    pub state: PairState,
    /// Whether media takes it.
    pub chosen: bool,
}

impl Agent {
    /// Every pair: the chosen one first, then by how far they came and by priority.
    pub fn pairs(&self) -> Vec<PairReport> {
        let mut order: Vec<usize> = (0..self.pairs.len()).collect();
        let rank = |at: usize| {
            let pair = &self.pairs[at];
            let state = match (pair.answered, pair.tries) {
                (Some(_), _) => PairState::Succeeded,
                (None, 0) => PairState::Waiting,
                (None, HOPELESS..) => PairState::Failed,
                (None, _) => PairState::InProgress,
            };
            (self.selected != Some(at), state)
        };
        order.sort_by_key(|at| (rank(*at), u64::MAX - self.priority(&self.pairs[*at])));
        let report = |at| {
            let (unchosen, state) = rank(at);
            PairReport {
                pair: self.describe(&self.pairs[at]),
                state,
                chosen: !unchosen,
            }
        };
        order.into_iter().map(report).collect()
    }
}
