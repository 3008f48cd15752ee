//! Why the camera was last away, kept over reboots.
//!
//! A file beside the bundle says that the service runs, in which boot, and when it stops, why. The next
//! process reads it and knows more than any broker could:
//!
//! | found | then it was |
//! |---|---|
//! | a stop, in this boot | what the stop said |
//! | a stop by order, in another boot | a reboot |
//! | running, in this boot | a crash |
//! | running, in another boot, and the kernel knows why it reset | the watchdog, heat, or under-voltage |
//! | running, in another boot, in distress at the end | heat or under-voltage |
//! | running, in another boot | power |
//!
//! It is written at the start, at the stop, and when distress begins or ends: no wear to speak of.

use std::path::PathBuf;

use heron_protocol::messages::Offline;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::folder::{Entry, Folder};

/// The record of one service, while it runs.
#[derive(Debug)]
pub struct Parting {
    folder: Folder,
    record: Record,
}

/// The file's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    boot_id: String,
    /// Why it stopped; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<Offline>,
    /// What threatens the machine now.
    #[serde(skip_serializing_if = "Option::is_none")]
    distress: Option<Offline>,
}

impl Parting {
    /// Reads what the service before this one left beside the bundle, and notes that one runs. `kernel` is what the
    /// kernel says of the last reset. Returns why the camera was away; `None` at its first start.
    #[must_use]
    pub fn open(
        bundle: impl Into<PathBuf>,
        boot_id: &str,
        kernel: Option<Offline>,
    ) -> (Self, Option<Offline>) {
        let folder = Folder::new(bundle.into());
        let before = folder.read(Entry::Last).ok().flatten();
        let before = before.and_then(|text| toml::from_str::<Record>(&text).ok());
        let reason = before.and_then(|before| last_reason(&before, boot_id, kernel));
        let parting = Self {
            folder,
            record: Record {
                boot_id: boot_id.to_owned(),
                stopped: None,
                distress: None,
            },
        };
        parting.write();
        (parting, reason)
    }

    /// What threatens the machine now: `thermal`, `under_voltage` or nothing. Should the power go, that is blamed.
    pub fn distress(&mut self, distress: Option<Offline>) {
        if self.record.distress != distress {
            self.record.distress = distress;
            self.write();
        }
    }

    /// The service stops in an orderly way.
    pub fn stopping(&mut self, reason: Offline) {
        self.record.stopped = Some(reason);
        self.write();
    }

    fn write(&self) {
        let written = toml::to_string(&self.record)
            .map_err(std::io::Error::other)
            .and_then(|text| self.folder.write(Entry::Last, &text));
        if let Err(error) = written {
            let path = self.folder.path(Entry::Last);
            warn!(
                "{}: cannot be written, so the next start will not know why this one ended: {error}",
                path.display()
            );
        }
    }
}

fn last_reason(before: &Record, boot_id: &str, kernel: Option<Offline>) -> Option<Offline> {
    let same_boot = before.boot_id == boot_id;
    Some(match (before.stopped, same_boot) {
        (Some(Offline::Shutdown), false) => Offline::Reboot,
        (Some(reason), _) => reason,
        (None, true) => Offline::Crash,
        (None, false) => kernel.or(before.distress).unwrap_or(Offline::Power),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_known_to_the_next_start() {
        let place = tempfile::tempdir().unwrap();
        let bundle = place.path().join("bundle.toml");
        let start = |boot: &str, kernel| Parting::open(bundle.clone(), boot, kernel);

        let (_, reason) = start("a", None);
        assert_eq!(reason, None, "the first start of all");
        let (mut parting, reason) = start("a", None);
        assert_eq!(reason, Some(Offline::Crash));
        parting.stopping(Offline::Update);
        let (mut parting, reason) = start("a", None);
        assert_eq!(reason, Some(Offline::Update));
        parting.stopping(Offline::Shutdown);
        let (mut parting, reason) = start("a", None);
        assert_eq!(reason, Some(Offline::Shutdown));
        parting.stopping(Offline::Shutdown);
        let (_, reason) = start("b", Some(Offline::Watchdog));
        assert_eq!(reason, Some(Offline::Reboot), "an orderly one");
        let (_, reason) = start("c", None);
        assert_eq!(reason, Some(Offline::Power));
        let (_, reason) = start("d", Some(Offline::Watchdog));
        assert_eq!(reason, Some(Offline::Watchdog));

        let (mut parting, _) = start("d", None);
        parting.distress(Some(Offline::UnderVoltage));
        let (mut parting, reason) = start("e", None);
        assert_eq!(reason, Some(Offline::UnderVoltage));
        parting.distress(Some(Offline::Thermal));
        parting.distress(None);
        let (_, reason) = start("f", None);
        assert_eq!(reason, Some(Offline::Power), "it had cooled down");

        std::fs::write(place.path().join("bundle.toml.last"), "boot_id = ").unwrap();
        assert_eq!(start("f", None).1, None, "a damaged file says nothing");
    }
}
