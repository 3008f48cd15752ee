//! The server on real sockets: against clients written by others, against clients of ill will, and with every peer that
//! is refused, beside coturn.
//!
//! The clients of others come with Debian's package `coturn`, which `cargo xtask test` installs; without them these
//! tests fail.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client;
mod families;
mod foreign_clients;
mod hostile;
mod refused_peers;
mod setup;
