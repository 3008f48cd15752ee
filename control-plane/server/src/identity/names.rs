//! Names that people give, and the device ids made of them.

use heron_protocol::{DeviceId, ParseIdError};
use thiserror::Error;

const NAME_LONGEST: usize = 64;
/// Leaves room for the random end in the 40 characters of a device id.
const SLUG_LONGEST: usize = 31;
const TAGS_MOST: usize = 16;
const TAG_LONGEST: usize = 32;
const REASON_LONGEST: usize = 200;

/// A text of a person's that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadName {
    /// It is empty, too long, or holds something that is not to be shown.
    #[error(
        "the {what} has {length} characters{control}; 1 to {longest} are allowed, none of them a control character"
    )]
    Text {
        /// What it is.
        what: &'static str,
        /// How long it is.
        length: usize,
        /// How long it may be.
        longest: usize,
        /// Whether it holds a control character, in words.
        control: &'static str,
    },
    /// There are too many tags.
    #[error("there are {0} tags; up to 16 are allowed")]
    Tags(usize),
}

/// A camera's name without the blanks around it.
///
/// # Errors
///
/// [`BadName`] with what is allowed.
pub fn check_camera_name(name: &str) -> Result<&str, BadName> {
    check("name of a camera", name, NAME_LONGEST)
}

/// A person's name without the blanks around it.
///
/// # Errors
///
/// [`BadName`] with what is allowed.
pub fn check_person_name(name: &str) -> Result<&str, BadName> {
    check("name of a person", name, NAME_LONGEST)
}

/// A site's name without the blanks around it.
///
/// # Errors
///
/// [`BadName`] with what is allowed.
pub fn check_site(site: &str) -> Result<&str, BadName> {
    check("site", site, NAME_LONGEST)
}

/// A reason for the record, without the blanks around it.
///
/// # Errors
///
/// [`BadName`] with what is allowed.
pub fn check_reason(reason: &str) -> Result<&str, BadName> {
    check("reason", reason, REASON_LONGEST)
}

/// Tags without the blanks around them.
///
/// # Errors
///
/// [`BadName`] with what is allowed.
pub fn check_tags(tags: &[String]) -> Result<Vec<String>, BadName> {
    if tags.len() > TAGS_MOST {
        return Err(BadName::Tags(tags.len()));
    }
    let tag = |tag: &String| check("tag", tag, TAG_LONGEST).map(str::to_owned);
    tags.iter().map(tag).collect()
}

fn check<'a>(what: &'static str, name: &'a str, longest: usize) -> Result<&'a str, BadName> {
    let name = name.trim();
    let length = name.chars().count();
    let control = if name.contains(char::is_control) {
        " and a control character among them"
    } else {
        ""
    };
    if (1..=longest).contains(&length) && control.is_empty() {
        return Ok(name);
    }
    Err(BadName::Text {
        what,
        length,
        longest,
        control,
    })
}

/// A device id for a new camera of that name.
///
/// # Errors
///
/// None that happen: every name makes one.
pub fn new_device_id(name: &str) -> Result<DeviceId, ParseIdError> {
    device_id(name, rand::random()).parse()
}

/// A readable device id: the name in plain letters, and random digits that make it unique.
pub(super) fn device_id(name: &str, random: u32) -> String {
    let mut slug = String::new();
    for letter in name.to_lowercase().chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(SLUG_LONGEST);
    let slug = slug.trim_end_matches('-');
    let slug = if slug.is_empty() { "camera" } else { slug };
    format!("{slug}-{random:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_id_can_be_read_aloud() {
        assert_eq!(device_id("Front door", 0xabc), "front-door-00000abc");
        assert_eq!(device_id("  Küche / 2 ", 1), "k-che-2-00000001");
        assert_eq!(device_id("門", 1), "camera-00000001");
    }

    #[test]
    fn a_bad_name_is_told_what_is_allowed() {
        assert_eq!(check_camera_name("  Hall "), Ok("Hall"));
        let error = check_camera_name(" ").unwrap_err().to_string();
        assert!(
            error.contains("name of a camera has 0 characters; 1 to 64 are allowed"),
            "{error}"
        );
        assert!(check_person_name(&"x".repeat(65)).is_err());
        let tags = vec!["indoor".to_owned(); 17];
        assert_eq!(
            check_tags(&tags).unwrap_err().to_string(),
            "there are 17 tags; up to 16 are allowed"
        );
        assert_eq!(check_tags(&tags[..16]), Ok(tags[..16].to_vec()));
        assert!(
            check_camera_name("a\nb")
                .unwrap_err()
                .to_string()
                .contains("control character")
        );
    }

    proptest::proptest! {
        #[test]
        fn every_name_gives_a_device_id(name: String, random: u32) {
            let id = device_id(&name, random);
            proptest::prop_assert!(id.parse::<DeviceId>().is_ok(), "{}", id);
        }
    }
}
