//! Slows down guessing of claims, codes and serial numbers: an address that guessed wrong too often has to wait.

use std::net::IpAddr;
use std::time::Instant;

use axum::http::StatusCode;
use parking_lot::Mutex;

use super::answers::Refusal;
use crate::access::Throttle;

/// Wrong guesses so far. Right ones cost nothing, so a hundred cameras behind one address enrol at once.
#[derive(Default)]
pub(super) struct Guesses(Mutex<Throttle>);

impl Guesses {
    /// Whether the address may ask.
    pub(super) fn check(&self, peer: IpAddr) -> Result<(), Refusal> {
        let mut throttle = self.0.lock();
        let name = peer.to_string();
        throttle.take(peer, &name, Instant::now()).map_err(|wait| {
            let seconds = wait.as_secs() + 1;
            let reason = format!("too many wrong guesses; try again in {seconds} s");
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, reason)
        })?;
        throttle.give_back(peer, &name);
        Ok(())
    }

    /// It guessed wrong.
    pub(super) fn note(&self, peer: IpAddr) {
        // Nothing more can be taken from one that has nothing left.
        let name = peer.to_string();
        let _ = self.0.lock().take(peer, &name, Instant::now());
    }
}
