//! The data directory: files that only their user can read, written whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::IdentityError;

/// The data directory.
#[derive(Debug, Clone)]
pub struct Keep {
    dir: PathBuf,
}

impl Keep {
    /// Opens the directory; makes it, for its user only, if there is none.
    ///
    /// # Errors
    ///
    /// [`IdentityError::File`].
    pub fn open(dir: &Path) -> Result<Self, IdentityError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| IdentityError::File {
            path: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// Where a file is or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Keeps other processes from making files at the same time, until the lock is dropped.
    ///
    /// # Errors
    ///
    /// [`IdentityError::File`].
    pub fn lock(&self) -> Result<File, IdentityError> {
        let file = self.private_file("lock")?;
        file.lock().map_err(|source| self.failed("lock", source))?;
        Ok(file)
    }

    /// Opens a file for its user only; makes an empty one if there is none.
    ///
    /// # Errors
    ///
    /// [`IdentityError::File`].
    pub fn private_file(&self, name: &str) -> Result<File, IdentityError> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path(name));
        file.map_err(|source| self.failed(name, source))
    }

    /// A file's text; `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// [`IdentityError::File`].
    pub fn read(&self, name: &str) -> Result<Option<String>, IdentityError> {
        match std::fs::read_to_string(self.path(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed(name, source)),
        }
    }

    /// Writes a file whole: a crash leaves the old one or the new one.
    ///
    /// # Errors
    ///
    /// [`IdentityError::File`].
    pub fn write(&self, name: &str, text: &str) -> Result<(), IdentityError> {
        let draft = format!("{name}.new");
        let mut file = self.private_file(&draft)?;
        let written = file
            .set_len(0)
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_all());
        let moved = written.and_then(|()| std::fs::rename(self.path(&draft), self.path(name)));
        moved.map_err(|source| self.failed(name, source))
    }

    /// A file's text; made and written if there is none.
    ///
    /// # Errors
    ///
    /// [`IdentityError`], also that of `make`.
    pub fn read_or_make(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<String, IdentityError>,
    ) -> Result<String, IdentityError> {
        if let Some(text) = self.read(name)? {
            return Ok(text);
        }
        let text = make()?;
        self.write(name, &text)?;
        Ok(text)
    }

    pub(super) fn unreadable(&self, name: &str, reason: &dyn std::fmt::Display) -> IdentityError {
        IdentityError::Unreadable {
            path: self.path(name),
            reason: reason.to_string(),
        }
    }

    fn failed(&self, name: &str, source: std::io::Error) -> IdentityError {
        IdentityError::File {
            path: self.path(name),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_are_for_their_user_only_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::open(&dir.path().join("a/b")).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("a/b")), 0o700);
        assert_eq!(keep.read("x").unwrap(), None);
        assert_eq!(
            keep.read_or_make("x", || Ok("first".into())).unwrap(),
            "first"
        );
        assert_eq!(
            keep.read_or_make("x", || Ok("second".into())).unwrap(),
            "first"
        );
        assert_eq!(mode(&keep.path("x")), 0o600);
        keep.write("x", "new").unwrap();
        assert_eq!(keep.read("x").unwrap().as_deref(), Some("new"));
    }

    #[test]
    fn an_error_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("x")).unwrap();
        let error = Keep::open(dir.path())
            .unwrap()
            .read("x")
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("/x"), "{error}");
    }
}
