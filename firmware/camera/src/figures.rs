//! All figures of the camera at one moment: what metrics and telemetry are made of.

use heron_agent::{Link, Status};
use heron_media::{AudioStats, VideoStats};
use heron_session::{Hub, HubStats};

use crate::media::Media;

/// One look at everything that counts.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Captured, encoded, dropped.
    pub video: VideoStats,
    /// The same for sound; `None` without it.
    pub audio: Option<AudioStats>,
    /// Sessions whose media flows.
    pub viewers: u32,
    /// Sessions accepted since the start.
    pub sessions_opened: u64,
    /// Sessions refused since the start.
    pub sessions_refused: u64,
    /// Whether the broker is there.
    pub online: bool,
    /// Messages from the broker that broke a rule.
    pub messages_refused: u64,
    /// Messages to the broker that grew old or too many.
    pub messages_dropped: u64,
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
        let HubStats {
            viewers,
            sessions_opened,
            sessions_refused,
            ..
        } = self.hub.stats();
        let connected = viewers.iter().filter(|viewer| viewer.connected).count();
        Figures {
            video: self.media.video_stats(),
            audio: self.media.audio_stats(),
            viewers: u32::try_from(connected).unwrap_or(u32::MAX),
            sessions_opened,
            sessions_refused,
            online: *self.link.status().borrow() == Status::Online,
            messages_refused: self.link.refused(),
            messages_dropped: self.link.dropped(),
        }
    }
}
