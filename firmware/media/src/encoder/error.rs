//! Why a picture could not be encoded, and what helps.

/// What kind of failure it is, and so what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// There is no such encoder on this machine.
    Absent,
    /// The encoder does not take such pictures or settings: trying again does not help, another
    /// size or another encoder does.
    Refused,
    /// The encoder stopped working, or would not start: it must be dropped and opened again after a
    /// pause.
    Wedged,
}

/// Why a picture could not be encoded, in one line for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{encoder} at {width}x{height}: {reason}")]
pub struct EncodeError {
    kind: FailureKind,
    encoder: String,
    width: u32,
    height: u32,
    reason: String,
}

impl EncodeError {
    pub(crate) fn new(
        kind: FailureKind,
        encoder: impl Into<String>,
        (width, height): (u32, u32),
        reason: &impl ToString,
    ) -> Self {
        Self {
            kind,
            encoder: encoder.into(),
            width,
            height,
            reason: reason.to_string(),
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Whether the encoder must be dropped and opened again after a pause.
    #[must_use]
    pub fn is_wedged(&self) -> bool {
        self.kind == FailureKind::Wedged
    }
}
