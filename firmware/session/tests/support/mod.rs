//! A camera and viewers in one process, over real sockets on loopback.

// Every test file uses another part of it.
#![allow(dead_code, unused_imports)]

mod camera;
mod media;
mod viewer;

use std::time::Duration;

pub use camera::{Camera, key_pair, unix_now};
pub use media::{Feed, access_unit, is_small, small_unit, sound};
pub use viewer::{Seen, Viewer};

/// Nothing in these tests takes this long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(15);

pub const LOOPBACK: &str = "127.0.0.1:0";
