//! The two sizes in which a camera's pictures are encoded.

use std::fmt;

/// One encoding of the camera's pictures, shared by all viewers who are on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rung {
    /// The full size.
    Main,
    /// A smaller size, for viewers who cannot take the full one. See [`crate::SubConfig`].
    Sub,
}

impl Rung {
    /// Both, the better one first.
    pub const ALL: [Self; 2] = [Self::Main, Self::Sub];

    /// The rung's name in statistics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Sub => "sub",
        }
    }

    /// The rung's place in [`Rung::ALL`] and in [`crate::VideoStats::rungs`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a rung's encoder is to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RungTarget {
    /// Bits a second.
    pub bitrate: u32,
    /// Frames a second at most. Of a source that gives more, evenly spaced pictures are taken.
    pub fps: u32,
}
