//! Tells the crate when it was built, for boards that do not know what time it is.
//!
//! `SOURCE_DATE_EPOCH` (Unix seconds) makes it reproducible; without it, it is the time of this build.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok();
    let seconds = match given.map(|text| text.trim().parse::<u64>()) {
        Some(Ok(seconds)) => seconds,
        Some(Err(_)) => {
            println!("cargo::error=SOURCE_DATE_EPOCH is not a number of seconds since 1970");
            return;
        }
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
    };
    println!("cargo::rustc-env=HERON_BUILT={seconds}");
}
