//! Adding a camera: a device id, a key, a certificate, and the bundle that carries them to the camera.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use heron_protocol::{DeviceId, ParseIdError, TenantId};
use thiserror::Error;

use super::{Authority, Bundle, IdentityError, Subject};
use crate::clock::unix_ms;
use crate::store::{CameraRow, Cameras, StoreError};

/// Cameras cannot renew their certificates yet, so these last as long as the hardware may.
const LIFE: Duration = Duration::from_secs(3600 * 24 * 3600);
const NAME_LONGEST: usize = 64;
/// Leaves room for the random end in the 40 characters of a device id.
const SLUG_LONGEST: usize = 31;

/// Why a camera was not added.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// No certificate could be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The name is taken, or the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No device id could be made from the name.
    #[error(transparent)]
    Id(#[from] ParseIdError),
    /// The bundle could not be written as TOML.
    #[error("cannot write the bundle")]
    Bundle(#[from] toml::ser::Error),
}

/// A name that is not one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the name of a {what} has {length} characters{control}; 1 to 64 are allowed, none of them a control character"
)]
pub struct BadName {
    what: &'static str,
    length: usize,
    control: &'static str,
}

/// A camera that was just added.
pub struct AddedBundle {
    /// Its device id.
    pub id: DeviceId,
    /// Its bundle, as TOML.
    pub bundle: String,
}

/// Makes identities for new cameras.
pub struct Enrolment {
    /// Issues the cameras' certificates.
    pub devices: Arc<Authority>,
    /// The CA that cameras check the broker's certificate with, in PEM.
    pub broker_ca: String,
    /// Where cameras find the broker: host and port.
    pub broker: String,
    /// Verifies grants, in PEM.
    pub grant_public_key: String,
}

impl Enrolment {
    /// Issues a certificate, stores the camera, and returns the bundle. The key is in the bundle only.
    ///
    /// # Errors
    ///
    /// [`EnrolError`]; then no camera was stored.
    pub async fn add_camera(
        &self,
        cameras: &dyn Cameras,
        tenant: &TenantId,
        name: &str,
        now: SystemTime,
    ) -> Result<AddedBundle, EnrolError> {
        let id: DeviceId = device_id(name, rand::random()).parse()?;
        let issued = self
            .devices
            .issue(&Subject::Client(id.as_str()), LIFE, now)?;
        let bundle = toml::to_string_pretty(&Bundle {
            device: id.clone(),
            tenant: tenant.clone(),
            broker: self.broker.clone(),
            ca: self.broker_ca.clone(),
            certificate: issued.certificate.clone(),
            key: issued.key,
            grant_key: self.grant_public_key.clone(),
        })?;
        let camera = CameraRow {
            id: id.clone(),
            tenant: tenant.clone(),
            name: name.to_owned(),
            certificate: issued.certificate,
            added_ms: unix_ms(now),
        };
        cameras.add(&camera).await?;
        Ok(AddedBundle { id, bundle })
    }
}

/// A camera's name without the blanks around it.
///
/// # Errors
///
/// [`BadName`] with what is allowed.
pub fn check_camera_name(name: &str) -> Result<&str, BadName> {
    check_name("camera", name)
}

/// A person's name without the blanks around it.
///
/// # Errors
///
/// [`BadName`] with what is allowed.
pub fn check_person_name(name: &str) -> Result<&str, BadName> {
    check_name("person", name)
}

fn check_name<'a>(what: &'static str, name: &'a str) -> Result<&'a str, BadName> {
    let name = name.trim();
    let length = name.chars().count();
    let control = if name.contains(char::is_control) {
        " and a control character among them"
    } else {
        ""
    };
    if (1..=NAME_LONGEST).contains(&length) && control.is_empty() {
        return Ok(name);
    }
    Err(BadName {
        what,
        length,
        control,
    })
}

/// A readable device id: the name in plain letters, and random digits that make it unique.
fn device_id(name: &str, random: u32) -> String {
    let mut slug = String::new();
    for letter in name.to_lowercase().chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(SLUG_LONGEST);
    let slug = slug.trim_end_matches('-');
    let slug = if slug.is_empty() { "camera" } else { slug };
    format!("{slug}-{random:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_id_can_be_read_aloud() {
        assert_eq!(device_id("Front door", 0xabc), "front-door-00000abc");
        assert_eq!(device_id("  Küche / 2 ", 1), "k-che-2-00000001");
        assert_eq!(device_id("門", 1), "camera-00000001");
    }

    #[test]
    fn a_bad_name_is_told_what_is_allowed() {
        assert_eq!(check_camera_name("  Hall "), Ok("Hall"));
        let error = check_camera_name(" ").unwrap_err().to_string();
        assert!(
            error.contains("camera has 0 characters; 1 to 64 are allowed"),
            "{error}"
        );
        assert!(check_person_name(&"x".repeat(65)).is_err());
        assert!(
            check_camera_name("a\nb")
                .unwrap_err()
                .to_string()
                .contains("control character")
        );
    }

    proptest::proptest! {
        #[test]
        fn every_name_gives_a_device_id(name: String, random: u32) {
            let id = device_id(&name, random);
            proptest::prop_assert!(id.parse::<DeviceId>().is_ok(), "{}", id);
        }
    }
}
