//! ICE (RFC 8445): the controlled agent of an answerer.

pub(crate) mod agent;
mod candidate;
mod stun;

#[cfg(test)]
mod tests;

use rand::RngCore;

pub use agent::{PairReport, PairState};
pub use candidate::{CandidateKind, LocalCandidate, RemoteCandidate};

/// Whether this is a STUN message that can be read, for the fuzz target.
#[cfg(fuzzing)]
pub(crate) fn read_stun(bytes: &[u8]) -> bool {
    stun::Message::read(bytes).is_some()
}

/// Where ICE stands (RFC 8829 section 4.2.4 names the states).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IceState {
    /// Looking for a path.
    Checking,
    /// A path is in use.
    Connected,
    /// Nothing was heard for some seconds; it may come back.
    Disconnected,
    /// Given up. Only a restart helps.
    Failed,
}

/// User name fragment and password of one end (RFC 8445 section 5.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub ufrag: String,
    pub password: String,
}

impl Credentials {
    /// New ones: 48 and 144 random bits.
    pub fn random(rng: &mut dyn RngCore) -> Self {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut word = |length: usize| {
            let mut bytes = vec![0; length];
            rng.fill_bytes(&mut bytes);
            bytes
                .iter()
                .map(|byte| char::from(ALPHABET[usize::from(byte % 64)]))
                .collect::<String>()
        };
        Self {
            ufrag: word(8),
            password: word(24),
        }
    }
}
