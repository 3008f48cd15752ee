//! SRTP and SRTCP (RFC 3711, RFC 7714), keyed by DTLS (RFC 5764).
//!
//! What we send most of, RTP, takes a path of our own ([`gcm`], [`cm`]): in place, without allocation. The rest (RTCP,
//! and what comes in) is rtc-srtp's.

mod cm;
mod gcm;
mod key;

use std::fmt;

use bytes::BytesMut;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use crate::event::SrtpProfile;

/// RFC 5764 section 4.2.
pub(crate) const LABEL: &str = "EXTRACTOR-dtls_srtp";

/// Reordering that is put up with (RFC 3711 section 3.3.2).
const REPLAY_WINDOW: usize = 128;

const KEY: usize = 16;

const GCM_TAG: usize = 16;
const CM_TAG: usize = 10;

/// Master keys and salts of both directions.
pub struct KeyingMaterial {
    ours: (Vec<u8>, Vec<u8>),
    theirs: (Vec<u8>, Vec<u8>),
}

impl fmt::Debug for KeyingMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyingMaterial(..)")
    }
}

impl KeyingMaterial {
    const fn salt(profile: SrtpProfile) -> usize {
        match profile {
            SrtpProfile::AeadAes128Gcm => 12,
            SrtpProfile::Aes128CmHmacSha1_80 => 14,
        }
    }

    /// How many bytes are exported for a profile.
    pub const fn length(profile: SrtpProfile) -> usize {
        2 * (KEY + Self::salt(profile))
    }

    /// Takes the exported bytes apart: client key, server key, client salt, server salt.
    pub fn new(profile: SrtpProfile, exported: &[u8], client: bool) -> Option<Self> {
        let salt = Self::salt(profile);
        if exported.len() != Self::length(profile) {
            return None;
        }
        let (keys, salts) = exported.split_at(2 * KEY);
        let (client_key, server_key) = keys.split_at(KEY);
        let (client_salt, server_salt) = salts.split_at(salt);
        let theirs = (server_key.to_vec(), server_salt.to_vec());
        let ours = (client_key.to_vec(), client_salt.to_vec());
        Some(if client {
            Self { ours, theirs }
        } else {
            Self {
                ours: theirs,
                theirs: ours,
            }
        })
    }
}

/// Both directions of a session.
pub struct Srtp {
    sealer: Sealer,
    /// RTCP of ours.
    sender: Context,
    receiver: Context,
}

enum Sealer {
    Gcm(Box<gcm::Sealer>),
    Cm(Box<cm::Sealer>),
}

impl fmt::Debug for Srtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Srtp(..)")
    }
}

impl Srtp {
    pub fn new(profile: SrtpProfile, keys: &KeyingMaterial) -> Result<Self, String> {
        let provider = rtc_crypto::default_provider().map_err(|error| error.to_string())?;
        let reference = match profile {
            SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            SrtpProfile::Aes128CmHmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        };
        let context = |(key, salt): &(Vec<u8>, Vec<u8>), replay: bool| {
            Context::new(
                key,
                salt,
                reference,
                replay.then(|| srtp_replay_protection(REPLAY_WINDOW)),
                replay.then(|| srtcp_replay_protection(REPLAY_WINDOW)),
                provider.crypto(),
            )
            .map_err(|error| error.to_string())
        };
        let (key, salt) = &keys.ours;
        let sealer = match profile {
            SrtpProfile::AeadAes128Gcm => {
                gcm::Sealer::new(key, salt).map(Box::new).map(Sealer::Gcm)
            }
            SrtpProfile::Aes128CmHmacSha1_80 => {
                cm::Sealer::new(key, salt).map(Box::new).map(Sealer::Cm)
            }
        };
        Ok(Self {
            sealer: sealer.ok_or("SRTP keys of a wrong length")?,
            sender: context(&keys.ours, false)?,
            receiver: context(&keys.theirs, true)?,
        })
    }

    pub fn profile(&self) -> SrtpProfile {
        match self.sealer {
            Sealer::Gcm(_) => SrtpProfile::AeadAes128Gcm,
            Sealer::Cm(_) => SrtpProfile::Aes128CmHmacSha1_80,
        }
    }

    /// What encryption adds to a packet.
    pub fn overhead(&self) -> usize {
        match self.sealer {
            Sealer::Gcm(_) => GCM_TAG,
            Sealer::Cm(_) => CM_TAG,
        }
    }

    /// Encrypts the RTP packet that begins at `start` and ends with `buffer`; its header ends at `header`. `index` is
    /// its extended sequence number: the roll-over counter in the upper 32 bits (RFC 3711 section 3.3.1). False when
    /// that is not possible: the packet must not be sent.
    pub fn seal(&self, buffer: &mut Vec<u8>, start: usize, header: usize, index: u64) -> bool {
        match &self.sealer {
            Sealer::Gcm(sealer) => sealer.seal(buffer, start, header, index),
            Sealer::Cm(sealer) => sealer.seal(buffer, start, header, index),
        }
    }

    /// Encrypts a compound RTCP packet.
    pub fn seal_rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.sender
            .encrypt_rtcp(packet)
            .ok()
            .map(|packet| packet.to_vec())
    }

    /// Decrypts an RTP packet. `None` when it is not authentic, or replayed.
    pub fn open_rtp(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.receiver.decrypt_rtp(packet).ok()
    }

    /// Decrypts a compound RTCP packet. `None` when it is not authentic, or replayed.
    pub fn open_rtcp(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.receiver.decrypt_rtcp(packet).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(profile: SrtpProfile) -> (Srtp, Srtp) {
        let exported: Vec<u8> = (0..KeyingMaterial::length(profile) as u8).collect();
        let side = |client| {
            let keys = KeyingMaterial::new(profile, &exported, client).unwrap();
            Srtp::new(profile, &keys).unwrap()
        };
        (side(true), side(false))
    }

    const HEADER: [u8; 12] = [0x80, 96, 0x12, 0x34, 0, 0, 0, 9, 0xca, 0xfe, 0, 1];

    #[test]
    fn the_fast_path_agrees_with_the_reference_across_the_roll_over() {
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
            let (ours, mut theirs) = pair(profile);
            for index in 0xfff0_u64..0x1_0010 {
                let mut buffer = b"before".to_vec();
                buffer.extend(HEADER);
                buffer[8..10].copy_from_slice(&(index as u16).to_be_bytes());
                buffer.extend(index.to_be_bytes().repeat(20));
                let plain = buffer[6..].to_vec();
                assert!(ours.seal(&mut buffer, 6, 18, index));
                assert_eq!(buffer.len(), 6 + plain.len() + ours.overhead());
                assert_eq!(&buffer[..6], b"before");
                assert_eq!(theirs.open_rtp(&buffer[6..]).unwrap()[..], plain[..]);
                assert!(theirs.open_rtp(&buffer[6..]).is_none(), "replayed");
            }
        }
    }

    #[test]
    fn rtcp_goes_both_ways() {
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
            let (mut ours, mut theirs) = pair(profile);
            let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
            let sealed = ours.seal_rtcp(&report).unwrap();
            assert_eq!(theirs.open_rtcp(&sealed).unwrap()[..], report);
            let sealed = theirs.seal_rtcp(&report).unwrap();
            assert_eq!(ours.open_rtcp(&sealed).unwrap()[..], report);
        }
    }

    proptest! {
        #[test]
        fn any_packet_is_opened_or_refused(packet: Vec<u8>, tail in prop::collection::vec(any::<u8>(), 0..60)) {
            for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
                let (mut srtp, _) = pair(profile);
                let headed = [&HEADER[..], &tail].concat();
                for packet in [&packet, &headed] {
                    let _ = (srtp.open_rtp(packet), srtp.open_rtcp(packet));
                }
            }
        }
    }
}
