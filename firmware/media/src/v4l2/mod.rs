//! Cameras of the kernel's Video4Linux (V4L2): finding them, asking what they offer, capturing.

mod camera;
mod discover;
mod mode;
mod sys;

pub(crate) use camera::Camera;
pub use discover::{CameraInfo, EncoderInfo, OtherFormat, cameras};
pub(crate) use discover::{encoders, first_camera};
pub use mode::{Mode, Offer, SizeRange, Wanted, best_mode};
