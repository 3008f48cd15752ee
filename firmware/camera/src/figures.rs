//! All figures of the camera at one moment: what metrics and telemetry are made of.

use heron_agent::{Link, Status};
use heron_media::{AudioStats, Rung, VideoStats};
use heron_session::{Hub, HubStats, ViewerStats};

use crate::media::Media;
use crate::wiring;

/// One look at everything that counts.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Captured, encoded, dropped.
    pub video: VideoStats,
    /// The same for sound; `None` without it.
    pub audio: Option<AudioStats>,
    /// The viewers and what is sent to them.
    pub hub: HubStats,
    /// Whether the broker is there.
    pub online: bool,
    /// Messages from the broker that broke a rule.
    pub messages_refused: u64,
    /// What the last test of the network found.
    pub self_test: Option<serde_json::Value>,
    /// Messages to the broker that grew old or too many.
    pub messages_dropped: u64,
}

impl Figures {
    /// Sessions whose media flows.
    pub fn viewers(&self) -> u32 {
        self.count(|viewer| viewer.connected)
    }

    /// How many of them are on a rung.
    pub fn viewers_on(&self, rung: Rung) -> u32 {
        self.count(|viewer| viewer.connected && viewer.rung.map(wiring::media_rung) == Some(rung))
    }

    fn count(&self, which: impl Fn(&ViewerStats) -> bool) -> u32 {
        let viewers = self.hub.viewers.iter().filter(|viewer| which(viewer));
        u32::try_from(viewers.count()).unwrap_or(u32::MAX)
    }
}

/// Where figures come from. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    /// The pipelines.
    pub media: std::sync::Arc<Media>,
    /// The viewers.
    pub hub: Hub,
    /// The link.
    pub link: Link,
}

impl Sources {
    /// Looks at everything now.
    pub fn figures(&self) -> Figures {
        Figures {
            video: self.media.video_stats(),
            audio: self.media.audio_stats(),
            hub: self.hub.stats(),
            online: *self.link.status().borrow() == Status::Online,
            self_test: None,
            messages_refused: self.link.refused(),
            messages_dropped: self.link.dropped(),
        }
    }
}
