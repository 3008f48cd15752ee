//! Whom a camera believes: TLS on the client's side, with a clock that may be late.
//!
//! Server certificates are checked as everywhere (rustls' own verifier), with one exception. A board
//! whose clock is only a lower bound cannot know that a certificate is "not valid yet", so for such a
//! board the check is repeated at the time where the certificate begins. Expired stays expired.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::clock::Clock;

/// A chain has a handful of certificates, each of which may begin later than the one before.
const CHAIN: usize = 8;
/// Sessions to resume, all of the one server that each configuration is for: rustls sets the memory for all it may keep
/// aside at once, which by default is more than a megabyte.
const SESSIONS: usize = 8;

/// The certificates of a PEM text, at least one.
pub fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("not a certificate in PEM: {error}"))?;
    if chain.is_empty() {
        return Err("no BEGIN CERTIFICATE in it".to_owned());
    }
    Ok(chain)
}

/// The certificate authorities of a PEM text.
pub fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pem)? {
        roots
            .add(certificate)
            .map_err(|error| format!("not a certificate authority: {error}"))?;
    }
    Ok(roots)
}

/// Whether a PEM text holds certificate authorities, and nothing else.
///
/// # Errors
///
/// One line that says what it is not.
pub fn check_authorities(pem: &str) -> Result<(), String> {
    roots(pem).map(|_| ())
}

/// The authorities that this machine's system trusts.
pub fn public_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "this machine has no public certificate authorities (package ca-certificates)"
                .to_owned(),
        );
    }
    Ok(roots)
}

/// A certificate with its key, both PEM.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads a certificate and its key.
pub fn identity(certificate: &str, key: &str) -> Result<Identity, String> {
    let chain = chain(certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|error| format!("not a private key in PEM: {error}"))?;
    Ok((chain, key))
}

/// TLS towards servers under `roots`, with a certificate of our own or without.
pub fn client_config(
    roots: RootCertStore,
    identity: Option<Identity>,
    clock: &Clock,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Lenient {
        inner: WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| format!("not a certificate authority: {error}"))?,
        clock: clock.clone(),
    };
    let builder = ClientConfig::builder_with_provider(provider as Arc<CryptoProvider>)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| format!("does not belong to the certificate: {error}"))?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(config)
}

/// The usual verifier under our own clock.
#[derive(Debug)]
struct Lenient {
    inner: Arc<WebPkiServerVerifier>,
    clock: Clock,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unix = self
            .clock
            .now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let mut now = UnixTime::since_unix_epoch(unix);
        let bound = self.clock.is_bound();
        for _ in 0..CHAIN {
            let outcome = self.inner.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            );
            match outcome {
                Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before,
                    ..
                })) if bound && not_before.as_secs() > now.as_secs() => now = not_before,
                other => return other,
            }
        }
        Err(CertificateError::NotValidYet.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    /// A server's certificate that is valid from tomorrow, or was until yesterday.
    fn verify(from: i64, until: i64, clock: &Clock) -> Result<(), Error> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(["heron.test".to_owned()]).unwrap();
        let at = |days: i64| {
            let now = SystemTime::now();
            let day = Duration::from_secs(86_400 * days.unsigned_abs());
            if days < 0 { now - day } else { now + day }.into()
        };
        params.not_before = at(from);
        params.not_after = at(until);
        let certificate = params
            .signed_by(&KeyPair::generate().unwrap(), &authority)
            .unwrap();
        let roots = Arc::new(roots(&authority.pem()).unwrap());
        let provider = Arc::new(ring::default_provider());
        let verifier = Lenient {
            inner: WebPkiServerVerifier::builder_with_provider(roots, provider)
                .build()
                .unwrap(),
            clock: clock.clone(),
        };
        verifier
            .verify_server_cert(
                certificate.der(),
                &[],
                &"heron.test".try_into().unwrap(),
                &[],
                UnixTime::now(),
            )
            .map(|_| ())
    }

    #[test]
    fn a_board_without_a_clock_takes_what_begins_after_its_build_and_nothing_that_has_ended() {
        // Built in a month: this board's clock is wrong for certain.
        let lost = Clock::built_at(SystemTime::now() + Duration::from_secs(30 * 86_400));
        verify(40, 80, &lost).unwrap();
        verify(-40, 80, &lost).unwrap();
        verify(-40, 20, &lost).unwrap_err();

        let sure = Clock::built_at(SystemTime::now() - Duration::from_secs(30 * 86_400));
        verify(-1, 20, &sure).unwrap();
        verify(1, 20, &sure).unwrap_err();
        // Once told, it is sure too.
        lost.tell(SystemTime::now() + Duration::from_secs(31 * 86_400));
        verify(40, 80, &lost).unwrap_err();
    }
}
