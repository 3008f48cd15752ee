//! How a request reached the server.

use std::net::IpAddr;

/// The connection a request came on; the listener attaches it to every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The other end.
    pub peer: IpAddr,
    /// Over TLS; otherwise over plain HTTP on the loopback interface.
    pub secure: bool,
}

impl Arrival {
    /// The scheme that a browser names in `Origin` for it.
    pub const fn scheme(self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}
