//! Passwords: argon2id (RFC 9106) with the library's current defaults, in PHC string form.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::phc;
use argon2::password_hash::{Error, PasswordHasher as _, PasswordVerifier as _};
use rand::Rng as _;
use thiserror::Error;

const SHORTEST: usize = 10;
/// Beyond this nobody types; bounds the work of hashing.
const LONGEST: usize = 256;

/// A hashed password. Never shows itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// A password that is not accepted for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the password has {0} characters; 10 to 256 are allowed")]
pub struct WeakPassword(usize);

impl PasswordHash {
    /// Hashes a password with a fresh salt. Takes tens of milliseconds and 19 MiB: not for an async thread.
    ///
    /// # Errors
    ///
    /// Only when the system has no randomness or no memory.
    pub fn of(password: &str) -> Result<Self, Error> {
        let hash: phc::PasswordHash = Argon2::default().hash_password(password.as_bytes())?;
        Ok(Self(hash.to_string()))
    }

    /// Takes one that was stored.
    pub const fn from_stored(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string, for storing.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `password` is the one. As slow as [`PasswordHash::of`].
    pub fn fits(&self, password: &str) -> bool {
        password.chars().count() <= LONGEST
            && phc::PasswordHash::new(&self.0).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            })
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Checks a password that somebody chose. Length is what counts (NIST SP 800-63B section 3.1.1).
///
/// # Errors
///
/// [`WeakPassword`] with what is allowed.
pub fn check_password(password: &str) -> Result<(), WeakPassword> {
    let length = password.chars().count();
    if (SHORTEST..=LONGEST).contains(&length) {
        Ok(())
    } else {
        Err(WeakPassword(length))
    }
}

/// A password for somebody who did not choose one: about 98 random bits, without look-alike letters.
pub fn generate_password() -> String {
    const LETTERS: &[u8; 30] = b"abcdefghjkmnpqrstuvwxyz2345678";
    let mut rng = rand::rng();
    let mut group = || -> String {
        (0..5)
            .map(|_| char::from(LETTERS[rng.random_range(..LETTERS.len())]))
            .collect()
    };
    [group(), group(), group(), group()].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_fits_its_hash() {
        let hash = PasswordHash::of("correct horse").unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$"));
        assert!(PasswordHash::from_stored(hash.as_str().to_owned()).fits("correct horse"));
        assert!(!hash.fits("correct horses"));
        assert!(!PasswordHash::from_stored("garbage".to_owned()).fits("garbage"));
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }

    #[test]
    fn length_is_what_counts() {
        assert_eq!(
            check_password("too short").unwrap_err().to_string(),
            "the password has 9 characters; 10 to 256 are allowed"
        );
        assert!(check_password("long enough").is_ok());
        assert!(check_password(&"x".repeat(257)).is_err());
        assert!(check_password(&generate_password()).is_ok());
        assert_ne!(generate_password(), generate_password());
    }
}
