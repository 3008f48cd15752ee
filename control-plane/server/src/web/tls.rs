//! TLS: of the HTTPS listener, and of our own connection to the broker.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use crate::identity::Issued;

/// TURN in TLS (RFC 7443).
pub(super) const STUN_TURN: &[u8] = b"stun.turn";
/// HTTP/1.1 is the only HTTP that is offered (RFC 7301): the dashboard is a handful of files, and WebSockets want it.
const HTTP: &[u8] = b"http/1.1";

/// Why a certificate and a key do not make a TLS server.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM of the right kind.
    #[error("{}: {reason}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Our own certificate is not one; this does not happen.
    #[error("our client certificate: {0}")]
    Client(String),
    /// They do not belong together, or are of no kind that TLS can use.
    #[error("{} and {} do not make a TLS server", certificate.display(), key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What TLS said.
        source: rustls::Error,
    },
}

/// The TLS of the HTTPS listener, which speaks TURN too (RFC 7443).
///
/// Devices show their certificates there, but only who names HTTP in the handshake is asked for one: a browser ends
/// its connection to a TURN server that asks, even if it would take no for an answer. Browsers name nothing there.
pub struct HttpsTls {
    http: Arc<ServerConfig>,
    other: Arc<ServerConfig>,
}

impl HttpsTls {
    /// Reads a certificate chain and its key, both PEM; `clients` judges the certificates that clients show.
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the file.
    pub fn new(
        certificate: &Path,
        key: &Path,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Result<Self, TlsError> {
        let protocols = vec![HTTP.to_vec(), STUN_TURN.to_vec()];
        Ok(Self {
            http: config(certificate, key, clients, protocols)?,
            other: relay_tls(certificate, key)?,
        })
    }

    /// How to go on with a client that said this.
    pub(super) fn answer(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let names_http = hello
            .alpn()
            .is_some_and(|mut names| names.any(|name| name == HTTP));
        Arc::clone(if names_http { &self.http } else { &self.other })
    }
}

/// The same for a listener that speaks nothing but TURN. Nobody is asked for a certificate.
///
/// # Errors
///
/// [`TlsError`] names the file.
pub fn relay_tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let protocols = vec![STUN_TURN.to_vec()];
    config(
        certificate,
        key,
        WebPkiClientVerifier::no_client_auth(),
        protocols,
    )
}

fn config(
    certificate: &Path,
    key: &Path,
    clients: Arc<dyn ClientCertVerifier>,
    protocols: Vec<Vec<u8>>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let failed = |file: &Path, reason: String| TlsError::File {
        file: file.to_owned(),
        reason,
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| failed(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(failed(
            certificate,
            "holds no certificate; PEM with BEGIN CERTIFICATE is allowed".to_owned(),
        ));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, error.to_string()))?;
    let pair = |source| TlsError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = protocols;
    Ok(Arc::new(config))
}

/// A client that trusts one CA (PEM) and shows this certificate.
///
/// # Errors
///
/// [`TlsError::Client`] when something of it cannot be read.
pub fn client_config(ca: &str, own: &Issued) -> Result<Arc<ClientConfig>, TlsError> {
    let failed = |error: &dyn std::fmt::Display| TlsError::Client(error.to_string());
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca.as_bytes()).map_err(|error| failed(&error))?;
    roots.add(ca).map_err(|error| failed(&error))?;
    let certificate = CertificateDer::from_pem_slice(own.certificate.as_bytes())
        .map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).map_err(|error| failed(&error))?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_root_certificates(roots)
                .with_client_auth_cert(vec![certificate], key)
        })
        .map_err(|error| failed(&error))?;
    Ok(Arc::new(config))
}
