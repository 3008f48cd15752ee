//! The claim file: what a person puts on the boot partition of a new camera.
//!
//! ```toml
//! server = "https://heron.example:8443"
//! claim = "q2D4..."          # without it: pairing with that server
//! ca = """..."""             # PEM; without it the authorities that this machine trusts
//! ```
//!
//! It is written on whatever computer the card was in, so a byte order mark and Windows line ends are
//! taken as they come. A file cut in half is an error that names the line, and the next look may find
//! it whole.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::server::ServerUrl;
use crate::trust;

/// A claim and a certificate or two; anything longer is some other file.
const MAX_BYTES: usize = 64 * 1024;
/// A secret is printable and is not a book.
const MAX_SECRET: usize = 256;

/// Why a claim file cannot be used. Never quotes it: it holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("claim file {}{}: {reason}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct ClaimError {
    path: PathBuf,
    line: Option<usize>,
    reason: String,
}

/// What the file says.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// The control plane.
    pub server: ServerUrl,
    /// The secret that lets one camera in; without it, a person confirms a pairing code.
    pub secret: Option<String>,
    /// Who signs the server's certificate, PEM.
    pub ca: Option<String>,
    /// Tells one file from another without keeping a secret.
    pub digest: [u8; 32],
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimFile {
    server: String,
    claim: Option<String>,
    ca: Option<String>,
}

impl Claim {
    /// Reads a claim file; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`ClaimError`], one line with the file and the field.
    pub fn load(path: &Path) -> Result<Option<Self>, ClaimError> {
        let wrong = |reason: String| ClaimError {
            path: path.to_owned(),
            line: None,
            reason,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| wrong(format!("cannot be read: {error}")))?;
        Self::parse(path, &bytes).map(Some)
    }

    /// Checks the bytes of a claim file; `path` is for messages.
    ///
    /// # Errors
    ///
    /// [`ClaimError`], one line with the file and the field.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ClaimError> {
        let at = |line, reason: String| ClaimError {
            path: path.to_owned(),
            line,
            reason,
        };
        if bytes.len() > MAX_BYTES {
            return Err(at(None, format!("longer than {MAX_BYTES} bytes")));
        }
        let digest = Sha256::digest(bytes).into();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text =
            std::str::from_utf8(bytes).map_err(|_| at(None, "not a text in UTF-8".to_owned()))?;
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let file: ClaimFile = toml::from_str(&text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let line = 1 + text
                .bytes()
                .take(offset)
                .filter(|&byte| byte == b'\n')
                .count();
            at(
                Some(line),
                format!("{} (is the whole file there?)", error.message()),
            )
        })?;
        let field = |name: &str, reason: String| at(None, format!("{name}: {reason}"));
        let server = file
            .server
            .trim()
            .parse()
            .map_err(|error| field("server", format!("{error}")))?;
        let secret = file.claim.map(|secret| secret.trim().to_owned());
        if let Some(secret) = &secret
            && (secret.is_empty()
                || secret.len() > MAX_SECRET
                || !secret.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(field(
                "claim",
                format!(
                    "allowed: 1 to {MAX_SECRET} letters, digits and signs, as the control plane wrote it"
                ),
            ));
        }
        if let Some(pem) = &file.ca {
            trust::roots(pem).map_err(|reason| field("ca", reason))?;
        }
        Ok(Self {
            server,
            secret,
            ca: file.ca,
            digest,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Claim, String> {
        let outcome = Claim::parse(Path::new("heron-claim.toml"), bytes);
        outcome.map_err(|error| error.to_string())
    }

    fn whole() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap().pem();
        format!(
            "server = \"https://heron.example:8443\"\nclaim = \"q2D4-secret\"\nca = \"\"\"\n{ca}\"\"\"\n"
        )
    }

    #[test]
    fn a_file_from_any_computer_says_the_same() {
        let unix = whole();
        let windows = format!("\u{feff}{}", unix.replace('\n', "\r\n"));
        let (unix, windows) = (
            parse(unix.as_bytes()).unwrap(),
            parse(windows.as_bytes()).unwrap(),
        );
        assert_eq!(unix.server.to_string(), "https://heron.example:8443");
        assert_eq!(unix.secret.as_deref(), Some("q2D4-secret"));
        assert_eq!(
            (&windows.server, &windows.secret, &windows.ca),
            (&unix.server, &unix.secret, &unix.ca)
        );
        assert!(!format!("{unix:?}").contains("secret"));

        let pairing = parse(b"server = \"https://heron.example\"").unwrap();
        assert_eq!((pairing.secret, pairing.ca), (None, None));
    }

    #[test]
    fn what_is_wrong_is_one_line_that_names_it_and_keeps_the_secret() {
        let whole = whole();
        let half = &whole[..whole.len() / 2];
        for (text, expected) in [
            (half, "(is the whole file there?)"),
            ("", "missing field `server`"),
            (
                "server = \"http://heron.example\"",
                "server: \"http://heron.example\" is not https://HOST",
            ),
            (
                "server = \"https://h\"\nclaim = \"\"",
                "claim: allowed: 1 to 256",
            ),
            (
                "server = \"https://h\"\nclaim = \"a secret\"",
                "claim: allowed",
            ),
            (
                "server = \"https://h\"\nca = \"x\"",
                "ca: no BEGIN CERTIFICATE",
            ),
            (
                "server = \"https://h\"\ntoken = 1",
                "2: unknown field `token`",
            ),
        ] {
            let complaint = parse(text.as_bytes()).unwrap_err();
            assert!(complaint.contains(expected), "{complaint}");
            assert!(
                !complaint.contains("secret") && complaint.lines().count() == 1,
                "{complaint}"
            );
        }
        assert!(parse(&[0xff, 0xfe, 0]).unwrap_err().contains("UTF-8"));
        assert!(
            parse(&vec![b' '; MAX_BYTES + 1])
                .unwrap_err()
                .contains("longer than")
        );
    }

    #[test]
    fn no_file_is_no_claim() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Claim::load(&folder.path().join("none")).unwrap(), None);
        assert!(Claim::load(folder.path()).is_err(), "a folder");
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_file_cut_anywhere_is_refused_or_whole(at in 0usize..900) {
            let whole = "server = \"https://heron.example:8443\"\nclaim = \"q2D4\"\n";
            let _ = parse(&whole.as_bytes()[..at % whole.len()]);
        }
    }
}
