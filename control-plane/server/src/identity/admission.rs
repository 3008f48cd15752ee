//! The rule by which a certificate opens a door. Pure: what is known of the camera and the time come in.
//!
//! ```text
//!            issued            first use              first use of a newer one, 24 h later
//!   (none) ---------> pending -----------> active ---------------------------------------> (refused)
//!                        |                    |
//!                        +---- revocation ----+-----> revoked: refused at once, for ever
//! ```
//!
//! A quarantined camera is refused whatever it shows, until it is released. A certificate that has expired opens
//! nothing but its own renewal, for a year, so that a camera that was switched off for long comes back by itself.

use std::time::Duration;

use thiserror::Error;

use crate::store::{CertificateRow, CertificateState, KnownCamera, Standing};

/// How long a superseded certificate stays good: a camera that lost the newer one in a power cut still gets in.
pub const OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// How long after its end a certificate can still be renewed.
pub const RENEWABLE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Which door it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The broker, and everything else but renewal.
    Connect,
    /// `simplereenroll`.
    Renew,
}

/// Why a camera is not let in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum NotAdmitted {
    #[error("this camera was never enrolled here, or has been removed")]
    UnknownCamera,
    #[error("this certificate is not on record: it was superseded long ago, or never issued here")]
    UnknownCertificate,
    #[error("the camera was revoked: {0}")]
    CameraRevoked(String),
    #[error("the camera is quarantined: {0}")]
    Quarantined(String),
    #[error("the certificate was revoked: {0}")]
    Revoked(String),
    #[error("the certificate was superseded more than 24 hours ago")]
    Superseded,
    #[error("the certificate has expired; renew it with simplereenroll")]
    Expired,
    #[error("the certificate expired more than 365 days ago; enrol the camera anew")]
    ExpiredForLong,
}

impl NotAdmitted {
    /// A word for metrics and hooks.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::UnknownCamera | Self::UnknownCertificate => "unknown",
            Self::CameraRevoked(_) | Self::Revoked(_) => "revoked",
            Self::Quarantined(_) => "quarantined",
            Self::Superseded => "superseded",
            Self::Expired | Self::ExpiredForLong => "expired",
        }
    }
}

/// Whether `camera` may come in with the certificate of that serial number; the certificate, if so.
///
/// # Errors
///
/// [`NotAdmitted`], the camera's standing before the certificate's.
pub fn admit<'a>(
    camera: &'a KnownCamera,
    serial: &str,
    purpose: Purpose,
    now_ms: i64,
) -> Result<&'a CertificateRow, NotAdmitted> {
    standing(camera)?;
    let certificate = camera
        .certificates
        .iter()
        .find(|certificate| certificate.serial == serial)
        .ok_or(NotAdmitted::UnknownCertificate)?;
    let expired_for_ms = now_ms - certificate.not_after_ms;
    match certificate.state {
        CertificateState::Revoked => Err(NotAdmitted::Revoked(why(&certificate.reason))),
        CertificateState::Superseded if now_ms >= overlap_ends_ms(certificate) => {
            Err(NotAdmitted::Superseded)
        }
        _ if expired_for_ms < 0 => Ok(certificate),
        CertificateState::Superseded => Err(NotAdmitted::Superseded),
        CertificateState::Pending | CertificateState::Active => {
            if expired_for_ms >= millis(RENEWABLE) {
                Err(NotAdmitted::ExpiredForLong)
            } else if purpose == Purpose::Renew {
                Ok(certificate)
            } else {
                Err(NotAdmitted::Expired)
            }
        }
    }
}

/// Whether the camera may take part at all, whatever it shows.
///
/// # Errors
///
/// [`NotAdmitted`]: removed, revoked or quarantined.
pub fn standing(camera: &KnownCamera) -> Result<(), NotAdmitted> {
    match camera.standing {
        _ if camera.removed => Err(NotAdmitted::UnknownCamera),
        Standing::Revoked => Err(NotAdmitted::CameraRevoked(why(&camera.reason))),
        Standing::Quarantined => Err(NotAdmitted::Quarantined(why(&camera.reason))),
        Standing::Trusted => Ok(()),
    }
}

fn why(reason: &Option<String>) -> String {
    reason.clone().unwrap_or_else(|| "no reason given".into())
}

/// A connection was made with that certificate: it is active now, and those before it end. What the store does, too.
pub fn used(camera: &mut KnownCamera, serial: &str, now_ms: i64) {
    let pending = |one: &CertificateRow| one.state == CertificateState::Pending;
    if !camera
        .certificates
        .iter()
        .any(|one| one.serial == serial && pending(one))
    {
        return;
    }
    for one in &mut camera.certificates {
        if one.serial == serial {
            one.state = CertificateState::Active;
            one.first_used_ms = Some(now_ms);
        } else if matches!(
            one.state,
            CertificateState::Pending | CertificateState::Active
        ) {
            one.state = CertificateState::Superseded;
            one.ended_ms = Some(now_ms);
        }
    }
}

/// Whether the camera may sign with this certificate's key: what browsers accept a proof from.
pub fn is_valid(certificate: &CertificateRow, now_ms: i64) -> bool {
    let ended = match certificate.state {
        CertificateState::Pending | CertificateState::Active => false,
        CertificateState::Superseded => now_ms >= overlap_ends_ms(certificate),
        CertificateState::Revoked => true,
    };
    !ended && now_ms < certificate.not_after_ms
}

/// When a camera begins to renew this certificate: at two thirds of its life.
pub const fn renew_after_ms(certificate: &CertificateRow) -> i64 {
    let life = certificate.not_after_ms - certificate.issued_ms;
    certificate.issued_ms + life * 2 / 3
}

fn overlap_ends_ms(certificate: &CertificateRow) -> i64 {
    certificate.ended_ms.unwrap_or(certificate.issued_ms) + millis(OVERLAP)
}

/// Durations of ours fit.
pub(super) const fn millis(duration: Duration) -> i64 {
    duration.as_millis() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    fn camera(states: &[(&str, i64, CertificateState)]) -> KnownCamera {
        let certificates = states
            .iter()
            .map(|&(serial, issued_ms, state)| CertificateRow {
                serial: serial.to_owned(),
                camera: "front-door-01".parse().unwrap(),
                pem: String::new(),
                fingerprint: String::new(),
                key_sha256: String::new(),
                issued_ms,
                not_after_ms: issued_ms + 90 * DAY,
                state,
                first_used_ms: None,
                ended_ms: None,
                reason: None,
            });
        KnownCamera {
            certificates: certificates.collect(),
            ..KnownCamera::default()
        }
    }

    fn verdict(camera: &KnownCamera, serial: &str, now_ms: i64) -> Result<(), NotAdmitted> {
        admit(camera, serial, Purpose::Connect, now_ms).map(|_| ())
    }

    #[test]
    fn the_one_before_stays_good_for_a_day_after_the_first_use_of_the_next() {
        let mut camera = camera(&[
            ("a", 0, CertificateState::Active),
            ("b", 60 * DAY, CertificateState::Pending),
        ]);
        let renewed = 61 * DAY;
        assert_eq!(verdict(&camera, "a", renewed), Ok(()));
        used(&mut camera, "b", renewed);
        assert_eq!(camera.certificates[1].state, CertificateState::Active);
        assert_eq!(verdict(&camera, "a", renewed + DAY - 1), Ok(()));
        assert!(is_valid(&camera.certificates[0], renewed + DAY - 1));
        assert_eq!(
            verdict(&camera, "a", renewed + DAY),
            Err(NotAdmitted::Superseded)
        );
        assert!(!is_valid(&camera.certificates[0], renewed + DAY));
        used(&mut camera, "a", renewed + 1);
        assert_eq!(
            camera.certificates[0].state,
            CertificateState::Superseded,
            "no way back"
        );
    }

    #[test]
    fn an_expired_certificate_opens_its_renewal_for_a_year_and_nothing_else() {
        let camera = camera(&[("a", 0, CertificateState::Active)]);
        let end = 90 * DAY;
        let renew = |now| admit(&camera, "a", Purpose::Renew, now).map(|_| ());
        assert_eq!(verdict(&camera, "a", end - 1), Ok(()));
        assert_eq!(verdict(&camera, "a", end), Err(NotAdmitted::Expired));
        assert_eq!(renew(end + 365 * DAY - 1), Ok(()));
        assert_eq!(renew(end + 365 * DAY), Err(NotAdmitted::ExpiredForLong));
    }

    #[test]
    fn an_expired_certificate_that_was_superseded_renews_nothing() {
        let mut camera = camera(&[
            ("a", 0, CertificateState::Active),
            ("b", 89 * DAY, CertificateState::Pending),
        ]);
        used(&mut camera, "b", 90 * DAY - HOUR);
        let renew = admit(&camera, "a", Purpose::Renew, 90 * DAY + HOUR);
        assert_eq!(renew, Err(NotAdmitted::Superseded));
    }

    #[test]
    fn the_cameras_standing_comes_before_its_certificate() {
        let mut camera = camera(&[("a", 0, CertificateState::Active)]);
        camera.standing = Standing::Quarantined;
        camera.reason = Some("two devices".into());
        for serial in ["a", "b"] {
            let refused = verdict(&camera, serial, 1).unwrap_err();
            assert_eq!(
                refused.to_string(),
                "the camera is quarantined: two devices"
            );
        }
        camera.standing = Standing::Trusted;
        assert_eq!(
            verdict(&camera, "b", 1),
            Err(NotAdmitted::UnknownCertificate)
        );
        camera.removed = true;
        assert_eq!(verdict(&camera, "a", 1), Err(NotAdmitted::UnknownCamera));
    }

    #[test]
    fn a_camera_renews_at_two_thirds() {
        let camera = camera(&[("a", 5 * DAY, CertificateState::Active)]);
        assert_eq!(renew_after_ms(&camera.certificates[0]), 65 * DAY);
    }
}
