//! DTLS 1.2 over the selected path (RFC 8827 section 6.5), by rtc-dtls.
//!
//! As the answerer we are the client: the handshake starts as soon as there is a path, one flight earlier than a
//! viewer's would (RFC 8842 section 5.3). The viewer is who its offer says when its certificate has the offer's
//! fingerprint; any other ends the connection.

use std::collections::VecDeque;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;

use crate::certificate::{Certificate, sha256_hex};
use crate::event::SrtpProfile;
use crate::srtp::{KeyingMaterial, LABEL};

/// DTLS belongs to the ICE transport, not to an address: the stack is told a constant one.
const ANYWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 1));

/// How often a flight is repeated that was not answered. The stack gives up after seven times.
const FLIGHT_INTERVAL: Duration = Duration::from_millis(500);

/// Our side of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Client,
    Server,
}

/// What DTLS reports.
#[derive(Debug)]
pub enum DtlsEvent {
    /// The handshake is over.
    Connected(SrtpProfile, KeyingMaterial),
    /// A packet of SCTP.
    Data(BytesMut),
    /// The viewer said goodbye.
    Closed,
    /// The handshake failed.
    Failed(String),
}

/// One association.
pub struct Dtls {
    endpoint: Endpoint,
    role: Role,
    /// The client's, until the handshake has begun.
    config: Option<Arc<HandshakeConfig>>,
    connected: bool,
    ended: bool,
    events: VecDeque<DtlsEvent>,
}

impl fmt::Debug for Dtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dtls")
            .field("role", &self.role)
            .field("connected", &self.connected)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Dtls {
    /// An association that has not begun. `fingerprints` are SHA-256, as in the offer.
    pub fn new(
        certificate: &Certificate,
        fingerprints: Vec<String>,
        role: Role,
    ) -> Result<Self, String> {
        let provider = rtc_crypto::default_provider().map_err(|error| error.to_string())?;
        let verify = move |chain: &[Vec<u8>], _: &[_]| {
            let shown = chain.first().ok_or(Error::ErrNonCertificate)?;
            let shown = sha256_hex(shown);
            if fingerprints
                .iter()
                .any(|announced| announced.eq_ignore_ascii_case(&shown))
            {
                Ok(())
            } else {
                Err(Error::ErrNoMatchingCertificateFingerprint)
            }
        };
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate.dtls.clone()])
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
            ])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // There is no authority to ask; the fingerprint decides, above.
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(Arc::new(verify)))
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_flight_interval(FLIGHT_INTERVAL)
            .build(role == Role::Client, None)
            .map_err(|error| error.to_string())?;
        let config = Arc::new(config);
        let server_config = (role == Role::Server).then(|| Arc::clone(&config));
        Ok(Self {
            endpoint: Endpoint::new(ANYWHERE, TransportProtocol::UDP, server_config),
            role,
            config: (role == Role::Client).then_some(config),
            connected: false,
            ended: false,
            events: VecDeque::new(),
        })
    }

    /// There is a path: the client begins. Later calls do nothing.
    pub fn start(&mut self, now: Instant) {
        if let Some(config) = self.config.take()
            && let Err(error) = self.endpoint.connect(now, ANYWHERE, config, None)
        {
            self.fail(&error);
        }
    }

    /// Takes a datagram in. False when it was refused.
    pub fn handle(&mut self, datagram: &[u8], now: Instant) -> bool {
        if self.ended || self.config.is_some() {
            return false;
        }
        let read = self
            .endpoint
            .read(now, ANYWHERE, None, BytesMut::from(datagram));
        match read {
            Ok(events) => {
                for event in events {
                    self.handle_event(event);
                }
                true
            }
            // Once it is up, a bad record is a bad record (RFC 6347 section 4.1.2.7); before, the handshake is lost.
            Err(error) if self.connected => {
                tracing::debug!(%error, "a DTLS record was refused");
                false
            }
            Err(error) if is_forgeable(&error) => {
                tracing::debug!(%error, "a DTLS record was refused in the handshake");
                false
            }
            Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    fn handle_event(&mut self, event: EndpointEvent) {
        match event {
            EndpointEvent::HandshakeComplete => match self.keys() {
                Ok((profile, keys)) => {
                    self.connected = true;
                    self.events.push_back(DtlsEvent::Connected(profile, keys));
                }
                Err(error) => self.fail(&error),
            },
            EndpointEvent::ApplicationData(data) => self.events.push_back(DtlsEvent::Data(data)),
            EndpointEvent::PeerClosed => {
                self.ended = true;
                self.events.push_back(DtlsEvent::Closed);
            }
            _ => {}
        }
    }

    /// What SRTP is keyed with (RFC 5764 section 4.2).
    fn keys(&self) -> Result<(SrtpProfile, KeyingMaterial), Error> {
        let state = self
            .endpoint
            .get_connection_state(ANYWHERE)
            .ok_or(Error::ErrNoSuchSrtpProfile)?;
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => SrtpProfile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => SrtpProfile::Aes128CmHmacSha1_80,
            _ => return Err(Error::ErrNoSuchSrtpProfile),
        };
        let length = KeyingMaterial::length(profile);
        let bytes = state.export_keying_material(LABEL, &[], length)?;
        let keys = KeyingMaterial::new(profile, bytes.as_ref(), self.role == Role::Client)
            .ok_or(Error::ErrNoSuchSrtpProfile)?;
        Ok((profile, keys))
    }

    /// Sends a packet of SCTP.
    pub fn send(&mut self, data: &[u8], now: Instant) {
        if self.connected
            && !self.ended
            && let Err(error) = self.endpoint.write(now, ANYWHERE, data)
        {
            tracing::debug!(%error, "a packet could not be encrypted");
        }
    }

    /// Says goodbye.
    pub fn close(&mut self, now: Instant) {
        if !self.ended && self.config.is_none() {
            let _ = self.endpoint.close(now);
        }
        self.ended = true;
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.ended || self.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        if let Err(error) = self.endpoint.handle_timeout(ANYWHERE, now) {
            self.fail(&error);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        self.endpoint.poll_timeout(&ANYWHERE)
    }

    pub fn poll_transmit(&mut self) -> Option<BytesMut> {
        self.endpoint
            .poll_transmit()
            .map(|transmit| transmit.message)
    }

    pub fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    fn fail(&mut self, error: &Error) {
        if !self.ended {
            self.ended = true;
            self.events.push_back(DtlsEvent::Failed(error.to_string()));
        }
    }
}

/// What anyone can provoke by a datagram that is no part of the handshake: it must not end it.
fn is_forgeable(error: &Error) -> bool {
    !matches!(
        error,
        Error::ErrNoMatchingCertificateFingerprint
            | Error::ErrNonCertificate
            | Error::ErrNoSuchSrtpProfile
            | Error::ErrVerifyDataMismatch
            | Error::ErrKeySignatureMismatch
            | Error::ErrClientCertificateRequired
            | Error::ErrClientCertificateNotVerified
            | Error::ErrServerRequiredButNoClientEms
            | Error::ErrClientRequiredButNoServerEms
            | Error::ErrCipherSuiteNoIntersection
            | Error::ErrAlertFatalOrClose
    )
}
