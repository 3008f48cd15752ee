//! What an enrolment does next: a pure function of what is on the disk.
//!
//! ```text
//!        ┌────────┐ key  ┌─────────────────────┐ issued ┌───────────────────┐ bundle ┌────────┐
//! ──────►│MakeKey ├─────►│Ask                  ├───────►│Introduce          ├───────►│TidyUp  ├──► Done
//!        └────────┘      │claim │ pair │ factory│        │GET /api/v1/device │        │claim, …│
//!                        └─────────────────────┘        └───────────────────┘        └────────┘
//! ```
//!
//! Every arrow is a file that is safely on the disk, and the next step is decided from the files alone.
//! So a power cut between two steps is nothing but a pause, and one within a step repeats that step:
//! the same key asks again, and the control plane gives the same key its certificate again.

use super::claim::Claim;
use crate::est::Credentials;
use crate::server::ServerUrl;

/// What is on the disk.
#[derive(Debug, Default)]
pub struct Found {
    /// The bundle: which certificate is in it, and which key.
    pub bundle: Option<Identity>,
    /// The key that was made for this enrolment, PEM.
    pub key: Option<String>,
    /// The certificate that it got.
    pub issued: Option<Issued>,
}

/// What is in a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
}

/// A certificate that is not in a bundle yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// PEM.
    pub certificate: String,
    /// Whether it is for the key that was found.
    pub matches: bool,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make the key.
    MakeKey,
    /// Ask for a certificate.
    Ask,
    /// Connect with the certificate, ask where everything is, and write the bundle.
    Introduce,
    /// Remove the claim file, then what is beside the bundle.
    TidyUp,
    /// There is a bundle, and nothing else to do.
    Done,
}

/// The next step. `replace`: the bundle's identity is refused for good, and another one is wanted.
pub fn step(found: &Found, replace: bool) -> Step {
    if let Some(bundle) = &found.bundle {
        let from_here = match (&found.issued, &found.key) {
            (Some(issued), _) => issued.certificate == bundle.certificate,
            (None, Some(key)) => *key == bundle.key,
            (None, None) => false,
        };
        if from_here {
            return Step::TidyUp;
        }
        if !replace {
            return Step::Done;
        }
    }
    match (&found.key, &found.issued) {
        (None, _) => Step::MakeKey,
        (Some(_), Some(issued)) if issued.matches => Step::Introduce,
        (Some(_), _) => Step::Ask,
    }
}

/// How a certificate is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By the claim file's secret.
    Claim(String),
    /// By a code that a person confirms.
    Pair,
    /// By the board's serial number, which the control plane's factory list has with our key.
    Factory(String),
}

/// Whom to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The control plane.
    pub server: ServerUrl,
    /// Who signs its certificate, PEM; without it the authorities that this machine trusts.
    pub ca: Option<String>,
    /// How.
    pub way: Way,
    /// The claim file's digest, if it is the claim file that says so.
    pub claim: Option<[u8; 32]>,
}

impl Route {
    /// The claim file's way.
    pub fn by_claim(claim: Claim) -> Self {
        Self {
            server: claim.server,
            ca: claim.ca,
            way: claim.secret.map_or(Way::Pair, Way::Claim),
            claim: Some(claim.digest),
        }
    }
}

impl Way {
    /// What to log in with; `code` is the pairing code where it is pairing.
    pub fn credentials(&self, code: &str) -> Credentials {
        let (user, password) = match self {
            Self::Claim(secret) => ("claim", secret.as_str()),
            Self::Pair => ("pair", code),
            Self::Factory(serial) => ("factory", serial.as_str()),
        };
        Credentials {
            user,
            password: password.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str) -> Identity {
        Identity {
            certificate: format!("certificate {name}"),
            key: format!("key {name}"),
        }
    }

    fn found(bundle: Option<&str>, key: Option<&str>, issued: Option<(&str, bool)>) -> Found {
        Found {
            bundle: bundle.map(identity),
            key: key.map(|name| identity(name).key),
            issued: issued.map(|(name, matches)| Issued {
                certificate: identity(name).certificate,
                matches,
            }),
        }
    }

    #[test]
    fn each_file_leads_to_the_next_step() {
        for (found, expected) in [
            (found(None, None, None), Step::MakeKey),
            (found(None, Some("a"), None), Step::Ask),
            (found(None, Some("a"), Some(("a", true))), Step::Introduce),
            (found(Some("a"), Some("a"), Some(("a", true))), Step::TidyUp),
            (found(Some("a"), Some("a"), None), Step::TidyUp),
            (found(Some("a"), None, None), Step::Done),
            // A certificate whose key is gone or another is of no use.
            (found(None, None, Some(("a", false))), Step::MakeKey),
            (found(None, Some("b"), Some(("a", false))), Step::Ask),
        ] {
            assert_eq!(step(&found, false), expected, "{found:?}");
        }
    }

    #[test]
    fn a_bundle_is_replaced_only_when_it_has_to_be_and_never_tidied_for_another_identity() {
        for (found, replace, expected) in [
            (found(Some("old"), None, None), true, Step::MakeKey),
            (found(Some("old"), Some("new"), None), true, Step::Ask),
            (
                found(Some("old"), Some("new"), Some(("new", true))),
                true,
                Step::Introduce,
            ),
            (
                found(Some("new"), Some("new"), Some(("new", true))),
                true,
                Step::TidyUp,
            ),
            (
                found(Some("old"), Some("new"), Some(("new", true))),
                false,
                Step::Done,
            ),
        ] {
            assert_eq!(step(&found, replace), expected, "{found:?}");
        }
    }
}
