//! Pairing codes: eight characters that a person reads off a camera and confirms in the dashboard.
//!
//! Crockford's base32 without I, L, O and U: nothing in it is mistaken for something else, and no code
//! spells a word that somebody minds. Forty bits at random, good for a quarter of an hour, and bound by
//! the control plane to the key that was asked for with it.

use std::fmt;
use std::str::FromStr;

use rand::Rng;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 8;

/// A pairing code. Displays as `ABCD-EFGH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingCode(String);

impl PairingCode {
    /// A new one, from the caller's dice.
    pub fn random(dice: &mut impl Rng) -> Self {
        let character = |_| char::from(ALPHABET[dice.random_range(0..ALPHABET.len())]);
        Self((0..LENGTH).map(character).collect())
    }

    /// Without its hyphen, as it stands in addresses and requests.
    #[must_use]
    pub fn compact(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(LENGTH / 2);
        write!(f, "{first}-{second}")
    }
}

impl FromStr for PairingCode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let compact = text.trim().replace('-', "");
        let valid = compact.len() == LENGTH && compact.bytes().all(|byte| ALPHABET.contains(&byte));
        if valid { Ok(Self(compact)) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_eight_characters_that_cannot_be_mistaken() {
        let code = PairingCode::random(&mut rand::rng());
        assert_eq!(code.compact().len(), 8);
        assert_eq!(code.to_string().parse(), Ok(code.clone()));
        assert_ne!(code, PairingCode::random(&mut rand::rng()));
        for wrong in ["", "ABCD-EFG", "ABCD-EFGI", "abcd-efgh", "ABCD-EFGHJ"] {
            assert_eq!(wrong.parse::<PairingCode>(), Err(()), "{wrong}");
        }
    }
}
