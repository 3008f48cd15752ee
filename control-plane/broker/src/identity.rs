//! Who a client is, from the listener it came to and what it showed there.

use heron_protocol::{BrowserId, DeviceId};
use thiserror::Error;

/// The door a client came through. Each has its own kind of proof, so the door decides the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// A certificate of the device CA was shown.
    Devices,
    /// A certificate of the control CA was shown.
    Control,
    /// Nothing was shown yet: the password is a token.
    Browsers,
}

impl Door {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Devices, Self::Control, Self::Browsers];

    /// The number by which the MQTT library knows the listener.
    pub(crate) const fn listener_id(self) -> u16 {
        match self {
            Self::Devices => 1,
            Self::Control => 2,
            Self::Browsers => 3,
        }
    }

    /// The door with that number.
    pub(crate) fn from_listener_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|door| door.listener_id() == id)
    }

    /// Its name in messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Control => "control",
            Self::Browsers => "websocket",
        }
    }
}

/// What a CONNECT says about its sender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) door: Door,
    /// 5, or the level of an older protocol.
    pub(crate) protocol_level: u8,
    pub(crate) client_id: &'a str,
    /// The common name of the certificate that TLS has verified.
    pub(crate) common_name: Option<&'a str>,
    pub(crate) username: Option<&'a str>,
}

/// A claim that is consistent. Only the browser's is not proved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claimed {
    Device(DeviceId),
    Control,
    Browser(BrowserId),
}

/// Why a claim is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ClaimError {
    #[error("this broker speaks MQTT 5, not level {0}")]
    Protocol(u8),
    #[error("the client certificate has no common name")]
    NoCommonName,
    #[error("the certificate's common name is not a device id: {0}")]
    CommonName(String),
    #[error("the client id must be the certificate's common name {0:?}")]
    ClientId(String),
    #[error(
        "the control plane's client id must not have the form of a device id, as `control` has not"
    )]
    ControlClientId,
    #[error("the client id is not a browser id: {0}")]
    BrowserId(String),
    #[error("the user name must be the browser id, as the client id is")]
    Username,
}

impl Claim<'_> {
    /// Checks that the parts agree with each other and with the door.
    ///
    /// All clients share one space of client ids, and who connects with the id of another takes over its session.
    /// So a camera may only use its own id, and the control plane only one that no camera or browser can have.
    pub(crate) fn check(&self) -> Result<Claimed, ClaimError> {
        if self.protocol_level != 5 {
            return Err(ClaimError::Protocol(self.protocol_level));
        }
        match self.door {
            Door::Devices => {
                let name = self.common_name.ok_or(ClaimError::NoCommonName)?;
                let device: DeviceId =
                    name.parse()
                        .map_err(|error: heron_protocol::ParseIdError| {
                            ClaimError::CommonName(error.to_string())
                        })?;
                if self.client_id != name {
                    return Err(ClaimError::ClientId(name.to_owned()));
                }
                Ok(Claimed::Device(device))
            }
            Door::Control => {
                if self.client_id.parse::<DeviceId>().is_ok()
                    || self.client_id.parse::<BrowserId>().is_ok()
                {
                    return Err(ClaimError::ControlClientId);
                }
                Ok(Claimed::Control)
            }
            Door::Browsers => {
                let browser: BrowserId =
                    self.client_id
                        .parse()
                        .map_err(|error: heron_protocol::ParseIdError| {
                            ClaimError::BrowserId(error.to_string())
                        })?;
                if self.username != Some(self.client_id) {
                    return Err(ClaimError::Username);
                }
                Ok(Claimed::Browser(browser))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA: Claim<'_> = Claim {
        door: Door::Devices,
        protocol_level: 5,
        client_id: "front-door-01",
        common_name: Some("front-door-01"),
        username: None,
    };

    #[test]
    fn a_camera_is_who_its_certificate_says() {
        assert_eq!(
            CAMERA.check(),
            Ok(Claimed::Device("front-door-01".parse().unwrap()))
        );
        let other = Claim {
            client_id: "back-door-01",
            ..CAMERA
        };
        assert_eq!(
            other.check(),
            Err(ClaimError::ClientId("front-door-01".into()))
        );
        let nameless = Claim {
            common_name: None,
            username: Some("front-door-01"),
            ..CAMERA
        };
        assert_eq!(nameless.check(), Err(ClaimError::NoCommonName));
        let odd = Claim {
            client_id: "Front/+",
            common_name: Some("Front/+"),
            ..CAMERA
        };
        assert!(matches!(odd.check(), Err(ClaimError::CommonName(_))));
    }

    #[test]
    fn the_control_plane_cannot_meet_a_camera_in_the_space_of_client_ids() {
        let control = Claim {
            door: Door::Control,
            client_id: "control",
            common_name: Some("any"),
            ..CAMERA
        };
        assert_eq!(control.check(), Ok(Claimed::Control));
        let clash = Claim {
            client_id: "front-door-01",
            ..control
        };
        assert_eq!(clash.check(), Err(ClaimError::ControlClientId));
    }

    #[test]
    fn a_browser_says_its_id_twice() {
        let browser = Claim {
            door: Door::Browsers,
            client_id: "browser-01",
            common_name: None,
            username: Some("browser-01"),
            ..CAMERA
        };
        assert_eq!(
            browser.check(),
            Ok(Claimed::Browser("browser-01".parse().unwrap()))
        );
        assert_eq!(
            Claim {
                username: None,
                ..browser
            }
            .check(),
            Err(ClaimError::Username)
        );
        assert!(matches!(
            Claim {
                client_id: "x",
                ..browser
            }
            .check(),
            Err(ClaimError::BrowserId(_))
        ));
    }

    #[test]
    fn older_protocols_are_refused_at_every_door() {
        for door in Door::ALL {
            let old = Claim {
                door,
                protocol_level: 4,
                ..CAMERA
            };
            assert_eq!(old.check(), Err(ClaimError::Protocol(4)));
            assert_eq!(Door::from_listener_id(door.listener_id()), Some(door));
        }
        assert_eq!(Door::from_listener_id(0), None);
    }
}
