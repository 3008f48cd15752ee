//! A certificate that is not in a bundle yet, as it is kept beside it.

use serde::{Deserialize, Serialize};

use crate::folder::{Entry, Folder};
use crate::server::ServerUrl;
use crate::trust;

/// The file's shape: TOML.
#[derive(Serialize, Deserialize)]
pub struct IssuedFile {
    pub server: ServerUrl,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_ca: Option<String>,
    /// SHA-256 of the claim file that led to it: that one is deleted, and no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<[u8; 32]>,
    pub certificate: String,
}

impl IssuedFile {
    /// The one that is there; one that cannot be read is as good as none.
    pub fn load(folder: &Folder) -> Option<Self> {
        let text = folder.read(Entry::Issued).ok().flatten()?;
        toml::from_str(&text).ok()
    }

    /// Puts it on the disk.
    pub fn keep(&self, folder: &Folder) -> std::io::Result<()> {
        let text = toml::to_string_pretty(self).map_err(std::io::Error::other)?;
        folder.write(Entry::Issued, &text)
    }

    /// Whether the certificate is for this key, a SubjectPublicKeyInfo.
    pub fn is_for(&self, public_key: &[u8]) -> bool {
        let Ok(chain) = trust::chain(&self.certificate) else {
            return false;
        };
        x509_parser::parse_x509_certificate(&chain[0])
            .is_ok_and(|(_, certificate)| certificate.public_key().raw == public_key)
    }
}
