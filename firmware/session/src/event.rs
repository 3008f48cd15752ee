//! What the hub tells its owner.

use heron_congestion::{Rung, RungTarget};
use heron_protocol::SessionId;
use heron_protocol::messages::RtcUp;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::control::{CallId, ControlError};
use crate::driver::{Command, ViewerKey};
use crate::rights::Rights;
use crate::talk::TalkEvent;

/// One thing to do for the hub. Events come through one unbounded channel, so that neither the frame path nor a
/// viewer ever waits for its reader; their number is bounded by viewers and time (a few a second each, sound of
/// the one talker aside: 50 a second).
#[expect(
    clippy::large_enum_variant,
    reason = "a few a second, and moved once; the large one is the usual one"
)]
#[derive(Debug)]
pub enum Event {
    /// Send a message to the control plane.
    Send {
        /// The session it belongs to.
        session: SessionId,
        /// The message.
        message: RtcUp,
    },
    /// Have an encoder make its next frame a key frame.
    KeyFrameWanted {
        /// Which one.
        rung: Rung,
    },
    /// What to encode changed: in the order of [`Rung::ALL`], `None` where nobody needs it. The first viewer's
    /// targets come when it is accepted, so that the encoder starts while the connection is made.
    Targets([Option<RungTarget>; 2]),
    /// The number of viewers, connected or connecting, changed: sound is wanted while it is not zero.
    Demand {
        /// How many.
        viewers: usize,
    },
    /// A viewer talks to the camera.
    Talk(TalkEvent),
    /// A viewer calls something of the camera's on the data channel `control`.
    Control {
        /// The call.
        request: ControlRequest,
        /// Answers it.
        reply: ControlReply,
    },
}

/// A call (JSON-RPC 2.0) that the hub does not answer itself. Whether `rights` are enough for it is the owner's to say.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlRequest {
    /// Who calls.
    pub session: SessionId,
    /// What the viewer may do.
    pub rights: Rights,
    /// What is called.
    pub method: String,
    /// An object, an array, or null when nothing was given.
    pub params: Value,
}

/// The answer to a call, from any thread. One that is dropped unused answers with an internal error; one for a
/// notification, or for a viewer that is gone, does nothing.
#[derive(Debug)]
pub struct ControlReply {
    /// Where the answer goes, until it went.
    open: Option<(mpsc::Sender<Command>, ViewerKey, CallId)>,
}

impl ControlReply {
    pub(crate) fn new(commands: mpsc::Sender<Command>, viewer: ViewerKey, call: CallId) -> Self {
        Self {
            open: Some((commands, viewer, call)),
        }
    }

    /// The call succeeded.
    pub fn result(mut self, result: Value) {
        self.send(Ok(result));
    }

    /// The call failed.
    pub fn error(mut self, error: ControlError) {
        self.send(Err(error));
    }

    fn send(&mut self, outcome: Result<Value, ControlError>) {
        if let Some((commands, viewer, call)) = self.open.take() {
            let answer = Command::Answer {
                viewer,
                call,
                outcome,
            };
            if let Err(error) = commands.try_send(answer) {
                tracing::debug!(%error, "an answer to a viewer's call is lost");
            }
        }
    }
}

impl Drop for ControlReply {
    fn drop(&mut self) {
        if self.open.is_some() {
            self.send(Err(ControlError::internal("the camera did not answer")));
        }
    }
}
