//! What an enrolment is told at its start.

use std::path::PathBuf;

use heron_protocol::DeviceId;

use crate::server::ServerUrl;

/// How a camera without a claim file is enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Introduction {
    /// By a code that a person confirms.
    #[default]
    Pairing,
    /// By its serial number and a key that was made in the factory.
    Factory,
}

/// What an enrolment needs to know.
#[derive(Debug, Clone)]
pub struct EnrolmentConfig {
    /// Where the bundle will be; the files of an enrolment are beside it.
    pub bundle: PathBuf,
    /// Where a claim file is looked for.
    pub claim_file: PathBuf,
    /// The control plane of a camera without a claim file.
    pub server: Option<ServerUrl>,
    /// Who signs that server's certificate, PEM; without it the authorities that this machine trusts.
    pub ca: Option<String>,
    /// How a camera without a claim file is enrolled.
    pub by: Introduction,
    /// The device id to ask for; without one the control plane chooses.
    pub device: Option<DeviceId>,
    /// The board's serial number.
    pub serial: Option<String>,
    /// Enrol although there is a bundle, whose identity is refused for good. It is replaced in the end.
    pub replace: bool,
}

impl EnrolmentConfig {
    /// A claim file or nothing.
    #[must_use]
    pub fn new(bundle: impl Into<PathBuf>, claim_file: impl Into<PathBuf>) -> Self {
        Self {
            bundle: bundle.into(),
            claim_file: claim_file.into(),
            server: None,
            ca: None,
            by: Introduction::default(),
            device: None,
            serial: None,
            replace: false,
        }
    }
}
