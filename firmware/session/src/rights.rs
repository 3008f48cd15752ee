//! What one viewer may do.

use heron_protocol::grant::{Grant, Right};

/// The rights of a viewer, from its grant or from the camera's owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights {
    /// Receive the picture.
    pub view: bool,
    /// Receive sound.
    pub listen: bool,
    /// Be heard at the camera.
    pub talk: bool,
    /// Change things at the camera, by calls on the data channel.
    pub control: bool,
}

impl Rights {
    /// Picture and sound, nothing else.
    pub const WATCH: Self = Self {
        view: true,
        listen: true,
        talk: false,
        control: false,
    };
}

impl From<&Grant> for Rights {
    fn from(grant: &Grant) -> Self {
        Self {
            view: grant.allows(Right::View),
            listen: grant.allows(Right::Listen),
            talk: grant.allows(Right::Talk),
            control: grant.allows(Right::Control),
        }
    }
}
