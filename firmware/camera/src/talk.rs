//! A viewer's voice: from the session to the loudspeaker, and out of the microphone's sound again.
//!
//! The session sees to it that one viewer talks at a time. The loudspeaker is open only while one does.

use std::sync::Arc;
use std::time::Instant;

use heron_media::{Speaker, SpeakerConfig, SpeakerStats};
use heron_session::TalkEvent;
use tracing::{info, warn};

use crate::media::Media;

/// The loudspeaker, where there is one.
pub struct Talk {
    config: Option<SpeakerConfig>,
    media: Arc<Media>,
    speaker: Option<Speaker>,
}

impl Talk {
    /// Silent until somebody talks.
    pub const fn new(config: Option<SpeakerConfig>, media: Arc<Media>) -> Self {
        Self {
            config,
            media,
            speaker: None,
        }
    }

    /// What a viewer does.
    pub fn event(&mut self, event: TalkEvent) {
        match event {
            TalkEvent::Begin(session) => self.begin(session.short()),
            TalkEvent::Packet {
                payload,
                sequence,
                timestamp,
            } => {
                if let Some(speaker) = &self.speaker {
                    speaker.push(sequence, timestamp, payload, Instant::now());
                }
            }
            TalkEvent::End => self.end(),
        }
    }

    fn begin(&mut self, session: &str) {
        self.end();
        let Some(config) = self.config.clone() else {
            return;
        };
        match Speaker::start(config) {
            Ok(speaker) => {
                info!(session, "a viewer talks");
                self.media.cancel_echo(Some(speaker.echo()));
                self.speaker = Some(speaker);
            }
            Err(reason) => warn!(session, "the loudspeaker does not start: {reason}"),
        }
    }

    fn end(&mut self) {
        let Some(speaker) = self.speaker.take() else {
            return;
        };
        self.media.cancel_echo(None);
        let SpeakerStats {
            packets,
            lost,
            garbage,
            last_error,
            ..
        } = speaker.stats();
        info!(packets, lost, garbage, last_error, "the viewer has talked");
        // Waits for the device: not here, on the main loop.
        std::thread::spawn(move || drop(speaker));
    }
}
