//! The control plane as its clients see it. One program, for it is the linking that takes long.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod audit;
mod backup;
mod broker_restart;
mod browser;
mod cameras;
mod certificates;
mod clones;
mod documents;
mod enrolment;
mod first_start;
mod foreign_client;
mod gateway;
mod hooks;
mod kill;
mod mosquitto;
#[path = "../store/postgres.rs"]
mod postgres;
mod relays;
mod renewal_over_years;
mod sign_in;
mod signalling;
mod support;
