//! What a camera under test has besides its picture and its sound: a loudspeaker, and a local view.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

/// The local view refuses shorter ones.
const TOKEN: &str = "0123456789abcdef";
const PORT: u16 = 8889;

/// A loudspeaker that needs no sound card, and where the local view is.
pub struct Equipment {
    /// ALSA's configuration: the real library, with a file in place of a device.
    alsa: PathBuf,
    /// What the loudspeaker plays: 16-bit samples, mono, 48 kHz. Empty again whenever it is opened.
    played: PathBuf,
    host: String,
}

impl Equipment {
    /// Writes what it needs into `folder`.
    pub fn new(folder: &Path, host: &str) -> Result<Self> {
        let (alsa, played) = (folder.join("asound.conf"), folder.join("loudspeaker.raw"));
        fs::write(
            &alsa,
            format!(
                "pcm.nothing {{ type null }}\npcm.loudspeaker {{ type file slave.pcm nothing file \"{}\" format \"raw\" }}\n",
                played.display()
            ),
        )?;
        Ok(Self {
            alsa,
            played,
            host: host.to_owned(),
        })
    }

    /// What the camera's environment needs.
    pub fn environment(&self) -> (&'static str, &Path) {
        ("ALSA_CONFIG_PATH", &self.alsa)
    }

    /// The lines for the camera's section `[audio]`.
    pub fn audio(&self) -> &'static str {
        "loudspeaker = \"loudspeaker\"\n"
    }

    /// The sections for the end of its configuration.
    pub fn sections(&self) -> String {
        let address = format!("{}:{PORT}", self.host);
        format!("\n[local_view]\nlisten = \"{address}\"\ntoken = \"{TOKEN}\"\n")
    }

    /// What a browser script needs to know of it.
    pub fn input(&self) -> Value {
        json!({
            "localView": format!("http://{}:{PORT}/", self.host),
            "token": TOKEN,
            "loudspeaker": self.played,
        })
    }
}
