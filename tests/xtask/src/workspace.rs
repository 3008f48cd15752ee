//! Where things lie in the checkout.

use std::path::{Path, PathBuf};

/// The root of the checkout.
pub fn root() -> &'static Path {
    // This crate lies two folders below it.
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own)
}

/// The folder of the dashboard's sources.
pub fn dashboard() -> PathBuf {
    root().join("control-plane/dashboard")
}

/// The folder of the browser scripts.
pub fn e2e() -> PathBuf {
    root().join("tests/e2e")
}

/// Cargo's build folder, which also holds everything xtask makes.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Tools that xtask brought because the system's are missing or too old.
pub fn tools() -> PathBuf {
    target().join("tools")
}
