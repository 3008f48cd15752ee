//! Pairing codes: what a device shows and a person types. 40 bits in Crockford's base 32, which has no I, L, O and U.

use std::time::Duration;

use thiserror::Error;

/// How long a code can be confirmed, and how long after that it can be used.
pub const CODE_LIFE: Duration = Duration::from_secs(15 * 60);
const LETTERS: usize = 8;
const ALPHABET: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A text that is no code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "a pairing code has 8 letters and digits, such as AB3D-9FGH; I, L, O and U are not among them"
)]
pub struct BadCode;

/// The code as it is stored: capitals without the dash. What people mistake (Crockford's rule) is taken
/// for what they meant.
///
/// # Errors
///
/// [`BadCode`].
pub fn parse_code(text: &str) -> Result<String, BadCode> {
    let meant = |letter: char| match letter.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    if text.len() > 4 * LETTERS {
        return Err(BadCode);
    }
    let code: String = text
        .chars()
        .filter(|letter| !matches!(letter, '-' | ' '))
        .map(meant)
        .collect();
    let is_letter = |byte: u8| ALPHABET.contains(&byte);
    if code.len() == LETTERS && code.bytes().all(is_letter) {
        Ok(code)
    } else {
        Err(BadCode)
    }
}

/// The code as it is shown.
pub fn show_code(code: &str) -> String {
    match code.split_at_checked(LETTERS / 2) {
        Some((front, back)) => format!("{front}-{back}"),
        None => code.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_understood_as_people_type_it() {
        for typed in ["AB3D-90GH", "ab3d90gh", "AB3D 9OGH", " ab3d-9ogh "] {
            assert_eq!(parse_code(typed), Ok("AB3D90GH".to_owned()), "{typed}");
        }
        assert_eq!(show_code("AB3D90GH"), "AB3D-90GH");
        for wrong in ["", "AB3D-90G", "AB3D-90GHJ", "AB3D-90GU", "ÄB3D-90G"] {
            assert_eq!(parse_code(wrong), Err(BadCode), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_code_or_is_not(text: String) {
            if let Ok(code) = parse_code(&text) {
                proptest::prop_assert_eq!(parse_code(&show_code(&code)), Ok(code));
            }
        }
    }
}
