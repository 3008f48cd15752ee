//! The judge of client certificates at the HTTPS listener. Browsers show none and are let in all the same.
//!
//! TLS checks that the device CA issued it and that it is in date; whether it was revoked is the gate's question, at
//! each request. One that has expired within the year is let through the handshake, because a camera that was off for
//! long has nothing else to show; [`est::expired_only_renew`](crate::est::expired_only_renew) keeps it to its renewal.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::TlsError;
use crate::est::EnrolmentCounters;
use crate::identity::{RENEWABLE, ShownCertificate};

#[derive(Debug)]
struct DeviceCertificates {
    by_the_book: Arc<dyn ClientCertVerifier>,
    counters: Arc<EnrolmentCounters>,
}

/// Accepts certificates of the device CA (PEM), and clients without one.
///
/// # Errors
///
/// [`TlsError::Client`] when the CA is none.
pub fn device_certificates(
    device_ca: &str,
    counters: Arc<EnrolmentCounters>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let failed = |error: &dyn std::fmt::Display| TlsError::Client(error.to_string());
    let mut roots = RootCertStore::empty();
    let ca =
        CertificateDer::from_pem_slice(device_ca.as_bytes()).map_err(|error| failed(&error))?;
    roots.add(ca).map_err(|error| failed(&error))?;
    let provider = Arc::new(ring::default_provider());
    let by_the_book = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|error| failed(&error))?;
    Ok(Arc::new(DeviceCertificates {
        by_the_book,
        counters,
    }))
}

impl DeviceCertificates {
    /// As if it were a moment before the certificate's end, if that was within the year.
    fn expired(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Option<Result<ClientCertVerified, Error>> {
        let shown = ShownCertificate::from_der(leaf)?;
        let end = Duration::from_millis(u64::try_from(shown.not_after_ms).ok()?);
        let since = Duration::from_secs(now.as_secs()).checked_sub(end)?;
        let before = UnixTime::since_unix_epoch(end.checked_sub(Duration::from_secs(1))?);
        (since < RENEWABLE).then(|| {
            self.by_the_book
                .verify_client_cert(leaf, intermediates, before)
        })
    }
}

impl ClientCertVerifier for DeviceCertificates {
    fn client_auth_mandatory(&self) -> bool {
        self.by_the_book.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.by_the_book.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let mut verdict = self
            .by_the_book
            .verify_client_cert(leaf, intermediates, now);
        if let Err(Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) = &verdict
            && let Some(expired) = self.expired(leaf, intermediates, now)
        {
            verdict = expired;
        }
        if let Err(error) = &verdict {
            EnrolmentCounters::count(&self.counters.bad_certificates);
            tracing::info!(%error, "a client certificate is refused");
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_the_book
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_the_book
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_the_book.supported_verify_schemes()
    }
}
