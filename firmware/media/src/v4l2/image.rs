//! The controls of a camera's picture: brightness, exposure, focus, and what else its driver lets be set.
//!
//! Which there are is asked of the driver each time, through an open file of its own: cameras take controls while
//! another one streams, and while none does. Only what is standard, about the picture, and one number, switch or choice is
//! shown: a driver's private controls, buttons, and the sound of television cards are left out, and so is what would
//! change the size of the picture. What is set lasts until the camera is unplugged.

use std::path::Path;

use v4l::v4l_sys as raw;

use super::sys::{ControlInfo, Node};
use crate::SourceError;

/// Controls from here on within a class are a driver's own (`V4L2_CTRL_DRIVER_PRIV`).
const PRIVATE: u32 = 0x1000;
/// What is not, or not now, or not safely to be set while pictures flow.
const UNUSABLE: u32 = raw::V4L2_CTRL_FLAG_DISABLED
    | raw::V4L2_CTRL_FLAG_READ_ONLY
    | raw::V4L2_CTRL_FLAG_WRITE_ONLY
    | raw::V4L2_CTRL_FLAG_MODIFY_LAYOUT;
/// What can be set only after another control was, such as exposure while it is automatic.
const INACTIVE: u32 = raw::V4L2_CTRL_FLAG_INACTIVE | raw::V4L2_CTRL_FLAG_GRABBED;

/// A control of a camera's picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageControl {
    /// What it is set by: the label in small letters, digits and underscores, as `v4l2-ctl` calls it.
    pub name: String,
    /// The driver's name for it, for a person.
    pub label: String,
    /// What its value means.
    pub kind: ControlKind,
    /// The lowest value.
    pub min: i32,
    /// The highest value.
    pub max: i32,
    /// From one value to the next; the driver rounds what is in between.
    pub step: i32,
    /// What the driver begins with.
    pub default: i32,
    /// What it is now.
    pub value: i32,
    /// What can be chosen, of a menu.
    pub menu: Vec<MenuEntry>,
    /// Has no effect now, since another control decides: exposure while it is automatic, say.
    pub inactive: bool,
    /// The kernel's number for it (`V4L2_CID_*`).
    pub id: u32,
}

/// What the value of a control means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlKind {
    /// A number.
    Integer,
    /// Off (0) or on (1).
    Boolean,
    /// One of [`ImageControl::menu`].
    Menu,
}

/// One entry of a menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MenuEntry {
    /// The value that chooses it.
    pub value: i32,
    /// What it means, for a person.
    pub label: String,
}

/// Why a control was not set.
#[derive(Debug, thiserror::Error)]
pub enum ImageControlError {
    /// The camera has no such control.
    #[error("there is no control {name:?}; allowed: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The control does not take the value.
    #[error("{name} is {value}; allowed: {allowed}")]
    Value {
        /// The control.
        name: String,
        /// What was asked for.
        value: i32,
        /// What it takes.
        allowed: String,
    },
    /// The driver did not take a value that it says it takes.
    #[error("{name}: the camera does not take {value} now: {reason}")]
    Refused {
        /// The control.
        name: String,
        /// What was asked for.
        value: i32,
        /// The driver's reason.
        reason: std::io::Error,
    },
    /// The camera cannot be asked.
    #[error(transparent)]
    Camera(#[from] SourceError),
}

/// All controls of the camera at `path`, with their values.
pub(crate) fn image_controls(path: &Path) -> Result<Vec<ImageControl>, ImageControlError> {
    Ok(all(&open(path)?))
}

/// Sets controls by their names, all of them checked before any is set; returns all controls as they are then.
pub(crate) fn set_image_controls(
    path: &Path,
    wanted: &[(String, i32)],
) -> Result<Vec<ImageControl>, ImageControlError> {
    let node = open(path)?;
    for (control, value) in chosen(&all(&node), wanted)? {
        node.set_control(control.id, value)
            .map_err(|reason| ImageControlError::Refused {
                name: control.name.clone(),
                value,
                reason,
            })?;
    }
    Ok(all(&node))
}

/// Sets controls where there are none: an error, unless none is wanted.
pub(crate) fn no_image_controls(
    wanted: &[(String, i32)],
) -> Result<Vec<ImageControl>, ImageControlError> {
    chosen(&[], wanted).map(|_| Vec::new())
}

fn open(path: &Path) -> Result<Node, SourceError> {
    Node::open(path).map_err(SourceError::io(format!("v4l2: {}", path.display())))
}

fn all(node: &Node) -> Vec<ImageControl> {
    let mut controls: Vec<ImageControl> = Vec::new();
    for info in node.controls() {
        let Some(kind) = kind(&info) else {
            continue;
        };
        let name = name(&info.name);
        // One that cannot be read now is as good as not there, and a second of the same name cannot be called.
        let Ok(value) = node.control(info.id) else {
            continue;
        };
        if name.is_empty() || controls.iter().any(|control| control.name == name) {
            continue;
        }
        let menu = if kind == ControlKind::Menu {
            node.menu(&info)
        } else {
            Vec::new()
        };
        controls.push(ImageControl {
            name,
            kind,
            min: info.range.min,
            max: info.range.max,
            step: info.range.step.max(1),
            default: info.default,
            value,
            menu: menu
                .into_iter()
                .map(|(value, label)| MenuEntry { value, label })
                .collect(),
            inactive: info.flags & INACTIVE != 0,
            id: info.id,
            label: info.name,
        });
    }
    controls
}

/// What a control's value means; nothing for a control that is not to be shown.
fn kind(info: &ControlInfo) -> Option<ControlKind> {
    let (class, number) = (info.id & 0x0fff_0000, info.id & 0xffff);
    let pictures = match class {
        raw::V4L2_CTRL_CLASS_USER => !is_sound(info.id),
        raw::V4L2_CTRL_CLASS_CAMERA => true,
        _ => false,
    };
    if !pictures || number >= PRIVATE || info.flags & UNUSABLE != 0 {
        return None;
    }
    match info.kind {
        raw::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER => Some(ControlKind::Integer),
        raw::v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN => Some(ControlKind::Boolean),
        raw::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU
        | raw::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU => Some(ControlKind::Menu),
        _ => None,
    }
}

fn is_sound(id: u32) -> bool {
    (raw::V4L2_CID_AUDIO_VOLUME..=raw::V4L2_CID_AUDIO_LOUDNESS).contains(&id)
}

/// A driver's name as one word: `White Balance, Automatic` is `white_balance_automatic`.
fn name(label: &str) -> String {
    let words = label.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join("_").to_ascii_lowercase()
}

/// The controls that are meant, in the order to set them in: switches and choices first, since what is automatic must be
/// off before its number can be set.
fn chosen<'a>(
    there: &'a [ImageControl],
    wanted: &[(String, i32)],
) -> Result<Vec<(&'a ImageControl, i32)>, ImageControlError> {
    let find = |(name, value): &(String, i32)| {
        let control = there.iter().find(|control| control.name == *name);
        let control = control.ok_or_else(|| ImageControlError::Unknown {
            name: name.clone(),
            known: known(there),
        })?;
        control.check(*value)?;
        Ok((control, *value))
    };
    let mut chosen = wanted
        .iter()
        .map(find)
        .collect::<Result<Vec<_>, ImageControlError>>()?;
    chosen.sort_by_key(|(control, _)| control.kind == ControlKind::Integer);
    Ok(chosen)
}

fn known(there: &[ImageControl]) -> String {
    if there.is_empty() {
        return "none, this source has no controls".to_owned();
    }
    let names: Vec<_> = there.iter().map(|control| control.name.as_str()).collect();
    names.join(", ")
}

impl ImageControl {
    /// Fails on a value that the control does not take.
    fn check(&self, value: i32) -> Result<(), ImageControlError> {
        let fits = match self.kind {
            ControlKind::Menu => self.menu.iter().any(|entry| entry.value == value),
            ControlKind::Integer | ControlKind::Boolean => (self.min..=self.max).contains(&value),
        };
        if fits {
            return Ok(());
        }
        Err(ImageControlError::Value {
            name: self.name.clone(),
            value,
            allowed: self.allowed(),
        })
    }

    /// What the control takes, for a person.
    #[must_use]
    pub fn allowed(&self) -> String {
        match self.kind {
            ControlKind::Boolean => "false or true".to_owned(),
            ControlKind::Integer => format!("{} to {}", self.min, self.max),
            ControlKind::Menu => {
                let entries = self.menu.iter();
                let entries: Vec<_> = entries
                    .map(|MenuEntry { value, label }| format!("{value} ({label})"))
                    .collect();
                entries.join(", ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sys::ControlRange;
    use super::*;

    fn control(name: &str, kind: ControlKind, menu: &[(i32, &str)]) -> ImageControl {
        let entry = |(value, label): &(i32, &str)| MenuEntry {
            value: *value,
            label: (*label).to_owned(),
        };
        ImageControl {
            name: name.to_owned(),
            label: name.to_owned(),
            kind,
            min: 0,
            max: if kind == ControlKind::Integer { 255 } else { 3 },
            step: 1,
            default: 0,
            value: 0,
            menu: menu.iter().map(entry).collect(),
            inactive: false,
            id: 1,
        }
    }

    fn camera() -> Vec<ImageControl> {
        vec![
            control("brightness", ControlKind::Integer, &[]),
            control(
                "auto_exposure",
                ControlKind::Menu,
                &[(1, "Manual Mode"), (3, "Aperture Priority Mode")],
            ),
        ]
    }

    fn complaint(name: &str, value: i32) -> String {
        let wanted = [("brightness".to_owned(), 3), (name.to_owned(), value)];
        chosen(&camera(), &wanted).unwrap_err().to_string()
    }

    #[test]
    fn names_are_one_word() {
        assert_eq!(name("White Balance, Automatic"), "white_balance_automatic");
        assert_eq!(name("Exposure (Absolute)"), "exposure_absolute");
        assert_eq!(name(" -\u{fffd}- "), "");
    }

    #[test]
    fn what_is_automatic_is_set_before_what_it_holds() {
        let wanted = [
            ("brightness".to_owned(), 255),
            ("auto_exposure".to_owned(), 1),
        ];
        let there = camera();
        let order: Vec<_> = chosen(&there, &wanted)
            .unwrap()
            .into_iter()
            .map(|(control, value)| (control.name.as_str(), value))
            .collect();
        assert_eq!(order, [("auto_exposure", 1), ("brightness", 255)]);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        assert_eq!(
            complaint("brightness", 256),
            "brightness is 256; allowed: 0 to 255"
        );
        // Between the lowest and the highest, and yet not in the menu.
        assert_eq!(
            complaint("auto_exposure", 2),
            "auto_exposure is 2; allowed: 1 (Manual Mode), 3 (Aperture Priority Mode)"
        );
        assert_eq!(
            complaint("zoom", 1),
            "there is no control \"zoom\"; allowed: brightness, auto_exposure"
        );
        let none = chosen(&[], &[("zoom".to_owned(), 1)]).unwrap_err();
        assert!(none.to_string().ends_with("this source has no controls"));
    }

    #[test]
    fn only_what_is_standard_about_the_picture_and_can_be_set_is_shown() {
        let info = |id: u32, kind: u32, flags: u32| ControlInfo {
            id,
            kind,
            name: "a control".to_owned(),
            range: ControlRange {
                min: 0,
                max: 1,
                step: 1,
            },
            default: 0,
            flags,
        };
        let integer = raw::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER;
        let button = raw::v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON;
        let brightness = raw::V4L2_CID_BRIGHTNESS;
        let shown = |id, kind_of, flags| kind(&info(id, kind_of, flags));
        assert_eq!(shown(brightness, integer, 0), Some(ControlKind::Integer));
        assert_eq!(
            shown(
                raw::V4L2_CID_FOCUS_ABSOLUTE,
                integer,
                raw::V4L2_CTRL_FLAG_INACTIVE
            ),
            Some(ControlKind::Integer)
        );
        for (id, kind_of, flags) in [
            (brightness, integer, raw::V4L2_CTRL_FLAG_READ_ONLY),
            (brightness, button, 0),
            (raw::V4L2_CID_AUDIO_VOLUME, integer, 0),
            (raw::V4L2_CID_MPEG_VIDEO_BITRATE, integer, 0),
            (brightness | PRIVATE, integer, 0),
        ] {
            assert_eq!(shown(id, kind_of, flags), None, "{id:#x}");
        }
    }
}
