//! A camera's identity: its device bundle, for the agent and for clients that are not the agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use heron_agent::Bundle;
use heron_protocol::DeviceId;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;

/// The text of a device bundle, and what the agent reads from it.
#[derive(Clone)]
pub struct Identity {
    /// As the agent reads it.
    pub bundle: Bundle,
    text: Arc<str>,
}

/// The parts that [`Bundle`] keeps to itself.
#[derive(Deserialize)]
struct Pem {
    ca: String,
    certificate: String,
    key: String,
}

impl Identity {
    /// Reads the text of a bundle.
    ///
    /// # Errors
    ///
    /// What the agent says of it.
    pub fn parse(text: &str) -> Result<Self> {
        let text = without_public_authorities(text)?;
        Ok(Self {
            bundle: Bundle::parse(Path::new("bundle"), &text)?,
            text: text.into(),
        })
    }

    /// Whose it is.
    #[must_use]
    pub fn device(&self) -> &DeviceId {
        &self.bundle.device
    }

    /// Its text, with the private key in it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// TLS with this identity, for a client that is not the agent.
    ///
    /// # Errors
    ///
    /// None for a bundle that the agent has accepted.
    pub fn tls(&self) -> Result<Arc<rustls::ClientConfig>> {
        let pem: Pem = toml::from_str(&self.text)?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.ca.as_bytes())?)?;
        let chain = CertificateDer::pem_slice_iter(pem.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        Ok(Arc::new(config))
    }
}

/// The bundle with its own CA for HTTPS too: thousands of copies of the machine's public ones would fill its memory.
fn without_public_authorities(text: &str) -> Result<String> {
    let mut table: toml::Table = text.parse()?;
    if let Some(ca) = table.get("ca").cloned() {
        table.entry("server_ca").or_insert(ca);
    }
    Ok(toml::to_string(&table)?)
}

/// Reads the first `cameras` bundles of a folder, by name.
///
/// # Errors
///
/// Fewer bundles than that, or one that cannot be used.
pub fn load(folder: &Path, cameras: usize) -> Result<Vec<Identity>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("{}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    ensure!(
        files.len() >= cameras,
        "{}: {} bundles; {cameras} are wanted",
        folder.display(),
        files.len()
    );
    files
        .iter()
        .take(cameras)
        .map(|file| {
            let text = fs::read_to_string(file)?;
            Identity::parse(&text).with_context(|| format!("{}", file.display()))
        })
        .collect()
}
