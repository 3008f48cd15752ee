//! The bundle's file and those beside it, written so that a power cut leaves the old or the new, never half.
//!
//! | file | what | while |
//! |---|---|---|
//! | `bundle.toml` | the device bundle | enrolled |
//! | `bundle.toml.next` | the bundle that a renewal tries | renewing |
//! | `bundle.toml.key` | the key that a certificate is asked for | enrolling |
//! | `bundle.toml.pairing` | the code that a person is to confirm | pairing |
//! | `bundle.toml.issued` | the certificate, and who issued it | enrolling |
//! | `bundle.toml.last` | why the camera was last away | always |
//!
//! All of them have mode 0600. A file is written beside its place, synced, renamed over it, and the
//! folder synced: only then does the caller go on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// No file here is longer.
const MAX_BYTES: u64 = 256 * 1024;

/// What a file beside the bundle is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The bundle itself.
    Bundle,
    /// The bundle that a renewal tries.
    Next,
    /// The key that a certificate is asked for.
    Key,
    /// The pairing code that waits to be confirmed.
    Pairing,
    /// The certificate that an enrolment got.
    Issued,
    /// Why the camera was last away.
    Last,
}

/// The bundle's folder.
#[derive(Debug, Clone)]
pub struct Folder {
    bundle: PathBuf,
}

impl Folder {
    /// Around the bundle at this path; nothing is touched.
    #[must_use]
    pub fn new(bundle: PathBuf) -> Self {
        Self { bundle }
    }

    /// Where an entry is.
    #[must_use]
    pub fn path(&self, entry: Entry) -> PathBuf {
        let suffix = match entry {
            Entry::Bundle => return self.bundle.clone(),
            Entry::Next => ".next",
            Entry::Key => ".key",
            Entry::Pairing => ".pairing",
            Entry::Issued => ".issued",
            Entry::Last => ".last",
        };
        beside(&self.bundle, suffix)
    }

    /// An entry's text; `None` where there is none.
    ///
    /// # Errors
    ///
    /// What the system says, or that it is no text of a sensible length.
    pub fn read(&self, entry: Entry) -> io::Result<Option<String>> {
        let file = match File::open(self.path(entry)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text)?;
        Ok(Some(text))
    }

    /// Replaces an entry, and returns when it is safely on the disk.
    ///
    /// # Errors
    ///
    /// What the system says; the entry is then as it was.
    pub fn write(&self, entry: Entry, text: &str) -> io::Result<()> {
        let path = self.path(entry);
        let half = beside(&path, ".half");
        remove(&half)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&half)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&half, &path)?;
        sync_around(&path)
    }

    /// Makes one entry another, replacing what was there.
    ///
    /// # Errors
    ///
    /// What the system says; both entries are then as they were.
    pub fn rename(&self, from: Entry, to: Entry) -> io::Result<()> {
        let to = self.path(to);
        fs::rename(self.path(from), &to)?;
        sync_around(&to)
    }

    /// Removes an entry, if it is there, for good.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn remove(&self, entry: Entry) -> io::Result<()> {
        remove(&self.path(entry))
    }
}

/// Removes a file, if it is there, and returns when the folder on the disk knows.
///
/// # Errors
///
/// What the system says.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_around(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn sync_around(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_entry_is_replaced_whole_and_only_its_owner_reads_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path().join("bundle.toml"));
        assert_eq!(folder.read(Entry::Key).unwrap(), None);
        folder.write(Entry::Key, "one").unwrap();
        // What a power cut left of an earlier attempt is in nobody's way.
        fs::write(place.path().join("bundle.toml.key.half"), "tw").unwrap();
        folder.write(Entry::Key, "two").unwrap();
        assert_eq!(folder.read(Entry::Key).unwrap().as_deref(), Some("two"));
        let mode = fs::metadata(folder.path(Entry::Key))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);

        folder.write(Entry::Next, "next").unwrap();
        folder.rename(Entry::Next, Entry::Bundle).unwrap();
        assert_eq!(folder.read(Entry::Bundle).unwrap().as_deref(), Some("next"));
        folder.remove(Entry::Key).unwrap();
        folder.remove(Entry::Key).unwrap();
        let left: Vec<_> = fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["bundle.toml"]);
    }
}
