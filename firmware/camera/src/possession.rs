//! Who is this device on this machine: one process at a time, told by a lock beside the bundle.
//!
//! Two connections as one device put each other out for ever, so a service that finds another says so, and a test of
//! the network leaves the connection to whoever has it. A lock goes with its process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Held by the process that is this device.
#[derive(Debug)]
pub struct Possession {
    _file: File,
}

impl Possession {
    /// Takes it; `None` when another process has it.
    ///
    /// # Errors
    ///
    /// When there can be no file beside the bundle.
    pub fn take(bundle: &Path) -> io::Result<Option<Self>> {
        let mut name = bundle.as_os_str().to_owned();
        name.push(".lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("bundle.toml");
        let first = Possession::take(&bundle).unwrap();
        assert!(first.is_some());
        assert!(Possession::take(&bundle).unwrap().is_none());
        drop(first);
        assert!(Possession::take(&bundle).unwrap().is_some());
        assert!(Possession::take(&folder.path().join("no/bundle.toml")).is_err());
    }
}
