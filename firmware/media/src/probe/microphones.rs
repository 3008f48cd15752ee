//! Microphones by ALSA's list of names.

use alsa::Direction;
use alsa::card::Iter;
use alsa::ctl::{Ctl, DeviceIter};
use alsa::device_name::HintIter;

/// A name that ALSA can open for capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MicrophoneInfo {
    /// The name for the configuration.
    pub name: String,
    /// ALSA's description, in one line.
    pub description: String,
}

/// All names for capture at this moment: ALSA's `default` and such first, then each card's.
#[must_use]
pub fn microphones() -> Vec<MicrophoneInfo> {
    let _remarks = alsa::Output::local_error_handler();
    let Ok(hints) = HintIter::new(None, c"pcm") else {
        return Vec::new();
    };
    let captures = hints.filter(|hint| hint.direction != Some(Direction::Playback));
    let named = captures.filter_map(|hint| {
        let name = hint.name.filter(|name| name != "null")?;
        let description = hint.desc.unwrap_or_default().replace('\n', ", ");
        Some(MicrophoneInfo { name, description })
    });
    named.collect()
}

/// The name to use where none is configured: `default` if any card can capture.
///
/// The list of names has a `default` even on a machine without a sound card, so the cards are
/// asked.
#[must_use]
pub fn default_microphone() -> Option<String> {
    let _remarks = alsa::Output::local_error_handler();
    let captures = Iter::new().flatten().any(|card| {
        let Ok(control) = Ctl::from_card(&card, false) else {
            return false;
        };
        DeviceIter::new(&control).any(|device| {
            let device = u32::try_from(device).unwrap_or(0);
            control.pcm_info(device, 0, Direction::Capture).is_ok()
        })
    });
    captures.then(|| "default".to_owned())
}
