//! What can go wrong when a lab is set up.

/// A part of the lab could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A command of the system did not start or said no.
    #[error("`{command}` failed: {complaint}")]
    Command {
        /// As a person would type it.
        command: String,
        /// What it said, or why it did not start.
        complaint: String,
    },
    /// A namespace could not be made or entered.
    #[error("namespace `{name}`: {source} (it takes root, or `unshare --map-root-user --net`)")]
    Namespace {
        /// Its name.
        name: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A TUN device could not be made.
    #[error("TUN device `{name}`: {source}")]
    Tun {
        /// Its name.
        name: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The thread of a forwarder did not start.
    #[error("the forwarder's thread did not start: {0}")]
    Thread(#[source] std::io::Error),
}
