//! Devices of the kernel's Video4Linux (V4L2): finding cameras and encoders, asking what they offer,
//! capturing, [setting the picture](ImageControl), and [codecs](m2m).

mod camera;
mod discover;
mod image;
pub mod m2m;
mod mode;
mod sys;

pub(crate) use camera::Camera;
pub use camera::open_camera;
pub(crate) use discover::first_camera;
pub use discover::{CameraInfo, EncoderInfo, OtherFormat, cameras, encoders};
pub use image::{ControlKind, ImageControl, ImageControlError, MenuEntry};
pub(crate) use image::{image_controls, no_image_controls, set_image_controls};
pub(crate) use m2m::RawPicture;
pub use mode::{Mode, Offer, SizeRange, Wanted, best_mode};
pub(crate) use sys::Lent;
