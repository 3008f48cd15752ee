//! Heron's control plane in one binary: HTTPS API, dashboard, embedded broker and TURN server, SQLite.
//!
//! # Place
//!
//! Cameras and browsers meet here. `heron-control` embeds [`heron_broker`] and [`heron_turn`], speaks
//! [`heron_protocol`], and knows nothing of the firmware. This crate is the library behind the binary, so that tests
//! can start a whole control plane in their own process; `main.rs` reads the command line and no more.
//!
//! # Flow
//!
//! ```text
//!              HTTPS :8443 (and HTTP on loopback)                        MQTT over TLS :8883
//! browser ──┬─ /            dashboard (embedded files)                        camera
//!           ├─ /api/v1/...  api ── access (who) ── store (SQLite)               │
//! camera ───┼─ /.well-known/est  est ── identity (enrolment, gate) ── store     │
//!           └─ /mqtt        mqtt_socket ──────────── broker ────────────────────┘
//!                                                      │ its control listener
//!                                                   signalling ── directory (who may watch what)
//!                                                      │      └── store: one row for each video session
//!                                                   turn: relays and credentials for both ends of each session
//! ```
//!
//! Modules by what they hold: [`config`] the file, [`identity`] keys and certificates, [`est`] how cameras get them,
//! [`store`] what is kept, [`access`] who may come in, [`api`] the JSON, [`web`] HTTP itself, [`signalling`] the router between browsers and
//! cameras, [`turn`] which relays a session gets, [`server`] which starts and stops all of them in order, and the command line.
//!
//! # Example
//!
//! ```no_run
//! use std::path::Path;
//! use heron_control::{Config, Server};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let text = "[server]\ndata_dir = \"/tmp/heron\"\nlisten = \"127.0.0.1:0\"";
//! let server = Server::start(Config::parse(text, Path::new("heron-control.toml"))?).await?;
//! println!("{}", server.summary());
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod access;
pub mod api;
mod backup;
pub mod brokers;
mod clock;
mod commands;
pub mod config;
mod directory;
pub mod est;
pub mod home;
pub mod identity;
pub mod live;
pub mod server;
pub mod signalling;
pub mod store;
mod tokens;
pub mod turn;
pub mod web;

pub use commands::Cli;
pub use config::Config;
pub use server::Server;
