//! The bodies of all topics. JSON with snake_case names; unknown fields are ignored, so that a newer sender can
//! add one. Times are Unix milliseconds unless a name ends in another unit.

mod device;
mod rtc;
mod view;
mod work;

pub use device::{
    Alarm, DesiredState, Event, Offline, Presence, ReportedState, RungTelemetry, Section, Severity,
    Telemetry,
};
pub use rtc::{
    Candidate, CandidateKind, CandidatePair, DevicePhases, EndReason, IcePolicy, IceServer, Level,
    PairState, Path, RestartReason, RtcDown, RtcUp, SessionStats,
};
pub use view::{CameraUpdate, ViewDown, ViewUp, ViewerPhases, ViewerStats};
pub use work::{Job, JobProgress, JobState, RpcReply, RpcRequest};

/// A field's text must not be longer than `max` bytes.
fn text(field: &str, value: &str, max: usize) -> Result<(), String> {
    if value.len() > max {
        return Err(format!(
            "{field} has {} bytes, at most {max} are allowed",
            value.len()
        ));
    }
    Ok(())
}

/// A list must not have more than `max` entries.
fn count<T>(field: &str, values: &[T], max: usize) -> Result<(), String> {
    if values.len() > max {
        return Err(format!(
            "{field} has {} entries, at most {max} are allowed",
            values.len()
        ));
    }
    Ok(())
}

/// Implements [`crate::Message`]; with `limits` for a type that has a method of that name, and without for one whose
/// size is all there is to check.
macro_rules! message {
    ($type:ty, $name:literal, $max:expr $(, $limits:ident)?) => {
        impl crate::Message for $type {
            const NAME: &'static str = $name;
            const MAX_BYTES: usize = $max;

            fn check(&self) -> Result<(), String> {
                $(self.$limits()?;)?
                Ok(())
            }
        }
    };
}
use message;
