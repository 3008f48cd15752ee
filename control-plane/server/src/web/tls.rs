//! TLS: of the HTTPS listener, and of our own connection to the broker.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use crate::identity::Issued;

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

/// Reads a certificate chain and its key, both PEM; `clients` judges the certificates that clients show. HTTP/1.1 is all that is offered (RFC 7301): the dashboard is a
/// handful of files, and WebSockets want it.
///
/// # Errors
///
/// [`TlsError`] names the file.
pub fn server_config(
    certificate: &Path,
    key: &Path,
    clients: Arc<dyn ClientCertVerifier>,
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
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
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
