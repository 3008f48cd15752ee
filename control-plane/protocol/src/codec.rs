//! Bytes to typed messages and back, with the limits applied on the way in.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// No message may be larger, whatever its type (design: 64 KB hard limit).
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// A body that travels on some topic.
pub trait Message: Serialize + DeserializeOwned {
    /// The message's name in documents and errors.
    const NAME: &'static str;
    /// The largest encoded size that is accepted, in bytes.
    const MAX_BYTES: usize;

    /// Checks the limits that the types alone do not carry.
    ///
    /// # Errors
    ///
    /// Names the field and what is allowed.
    fn check(&self) -> Result<(), String>;
}

/// Why a message was refused. One line, fit for a log or an answer to the sender.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// The body is larger than its type allows.
    #[error("{name}: {bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// The message's name.
        name: &'static str,
        /// The size that arrived.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Not JSON of this message's shape.
    #[error("{name}: {reason}")]
    Malformed {
        /// The message's name.
        name: &'static str,
        /// What the parser found, with line and column.
        reason: String,
    },
    /// The shape is right, a field's value is not.
    #[error("{name}: {reason}")]
    OutOfLimits {
        /// The message's name.
        name: &'static str,
        /// The field and what is allowed.
        reason: String,
    },
}

/// Reads a message and checks its limits.
///
/// # Errors
///
/// [`Refused`], which the caller counts and, where there is somebody to tell, sends back.
pub fn decode<M: Message>(bytes: &[u8]) -> Result<M, Refused> {
    if bytes.len() > M::MAX_BYTES {
        return Err(Refused::TooLarge {
            name: M::NAME,
            bytes: bytes.len(),
            max: M::MAX_BYTES,
        });
    }
    let message: M = serde_json::from_slice(bytes).map_err(|error| Refused::Malformed {
        name: M::NAME,
        // The parser quotes what it met; a hostile sender must not fill the log with it.
        reason: error.to_string().chars().take(200).collect(),
    })?;
    message.check().map_err(|reason| Refused::OutOfLimits {
        name: M::NAME,
        reason,
    })?;
    Ok(message)
}

/// Writes a message, holding our own side to the same limits.
///
/// # Errors
///
/// [`Refused`] if the message breaks its own limits.
pub fn encode<M: Message>(message: &M) -> Result<Vec<u8>, Refused> {
    message.check().map_err(|reason| Refused::OutOfLimits {
        name: M::NAME,
        reason,
    })?;
    let bytes = serde_json::to_vec(message).map_err(|error| Refused::Malformed {
        name: M::NAME,
        reason: error.to_string(),
    })?;
    if bytes.len() > M::MAX_BYTES {
        return Err(Refused::TooLarge {
            name: M::NAME,
            bytes: bytes.len(),
            max: M::MAX_BYTES,
        });
    }
    Ok(bytes)
}
