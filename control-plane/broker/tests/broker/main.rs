//! The broker as its clients see it. One program, for it is the linking that takes long.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod access;
mod acl_matrix;
mod bad_input;
mod browsers;
mod certificates;
mod gate;
mod hostile;
mod lifecycle;
mod mosquitto;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
