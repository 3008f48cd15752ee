//! What systemd is told: that we are ready, that we are alive, that we stop.
//!
//! Without systemd all of it does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

/// Everything is started.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line for `systemctl status`.
pub fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// A stop has begun and is not a crash.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// We are alive; without this systemd kills and restarts us.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How often to call [`alive`]: twice in the time that systemd allows; `None` without a watchdog.
pub fn alive_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
        .map(|allowed| allowed / 2)
        .filter(|interval| !interval.is_zero())
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!("systemd could not be told: {error}");
    }
}
