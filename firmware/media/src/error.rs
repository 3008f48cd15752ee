//! What goes wrong with a source, in one line each.

use std::{fmt, io};

/// Why a source gives no more pictures or sound for now. The pipeline opens it again after a pause.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system refused or failed a call.
    #[error("{what}: {error}")]
    Io {
        /// The source and what was tried.
        what: String,
        /// The system's answer.
        error: io::Error,
    },
    /// The device, file or child exists but cannot be used as configured.
    #[error("{what}: {reason}")]
    Unusable {
        /// The source.
        what: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The source was working and stopped: unplugged, ended, or wedged.
    #[error("{what} {reason}")]
    Lost {
        /// The source.
        what: String,
        /// What happened to it.
        reason: String,
    },
}

impl SourceError {
    /// For `map_err`: a failed call on `what`.
    pub(crate) fn io<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Self::Io {
            what,
            error: error.into(),
        }
    }

    pub(crate) fn unusable(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unusable {
            what: what.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn lost(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Lost {
            what: what.into(),
            reason: reason.into(),
        }
    }
}

/// A configuration that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A field has a value outside what is allowed.
    #[error("{field} is {value}; allowed: {allowed}")]
    Value {
        /// The field's name.
        field: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be set to.
        allowed: &'static str,
    },
    /// The system would not start a thread.
    #[error("starting a media thread: {0}")]
    Thread(#[from] io::Error),
}

impl ConfigError {
    /// Fails unless `fits`.
    pub(crate) fn check(
        fits: bool,
        field: &'static str,
        value: impl fmt::Display,
        allowed: &'static str,
    ) -> Result<(), Self> {
        if fits {
            return Ok(());
        }
        let value = format!("{value}");
        Err(Self::Value {
            field,
            value,
            allowed,
        })
    }
}
