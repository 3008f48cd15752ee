//! Who may come in: passwords, the sign-in cookie, throttling, and where a request comes from.
//!
//! [`Door`] does the work; the extractors [`SignedIn`], [`Admin`] and [`EnrolledDevice`] guard
//! handlers; [`same_origin`] guards every
//! request that changes something against other sites' pages.

mod arrival;
mod cookie;
mod device;
mod door;
mod guard;
mod origin;
mod password;
mod throttle;

pub use arrival::Arrival;
pub use device::{DeviceConnection, EnrolledDevice};
pub use door::{Door, SignInError};
pub use guard::{Admin, SignedIn};
pub use origin::{same_origin, websocket_origin};
pub use password::{PasswordHash, WeakPassword, check_password, generate_password};
pub use throttle::Throttle;

pub use crate::store::{Person, Role};
