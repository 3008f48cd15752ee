//! What the hub tells its owner.

use heron_protocol::SessionId;
use heron_protocol::messages::RtcUp;

/// One thing to do for the hub. Events come through one unbounded channel, so that neither the frame path nor a
/// viewer ever waits for its reader; their number is bounded by viewers and time (a few a second each).
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a few a second: moving one costs nothing"
)]
pub enum Event {
    /// Send a message to the control plane.
    Send {
        /// The session it belongs to.
        session: SessionId,
        /// The message.
        message: RtcUp,
    },
    /// Have the encoder make its next frame a key frame.
    KeyFrameWanted,
    /// The number of viewers, connected or connecting, changed: encode while it is not zero. It rises when a
    /// viewer is accepted, so that the encoder starts while the connection is made.
    Demand {
        /// How many.
        viewers: usize,
    },
}
