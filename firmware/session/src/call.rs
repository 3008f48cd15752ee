//! One viewer's calls on the control channel: what is about this viewer alone is answered here, the rest passed on.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::control::{self, CallId, ControlError};
use crate::viewer::{Viewer, Wanted};

impl Viewer {
    /// A message on the control channel. What is about this viewer alone is answered here.
    pub(crate) fn message(&mut self, message: &[u8], now: Instant) {
        let incoming = self.calls.receive(message);
        if let Some(answer) = incoming.answer {
            self.say(&answer, now);
        }
        for call in incoming.calls {
            match call.method.as_str() {
                "stats" => {
                    let stats = self.record.told(
                        &self.peer.stats(),
                        &self.outlet,
                        &self.estimator.estimate(),
                    );
                    self.answer(call.id, Ok(stats), now);
                }
                "report" => {
                    let outcome = self.reported(&call.params);
                    self.answer(call.id, outcome, now);
                }
                _ => self.wanted.push_back(Wanted::Call(call)),
            }
        }
    }

    /// How the viewer fares: `{"freezes": count, "freeze_ms": together}`, counted from its start.
    fn reported(&mut self, params: &Value) -> Result<Value, ControlError> {
        let number = |name: &str| params.get(name).and_then(Value::as_f64);
        let (Some(count), Some(ms)) = (number("freezes"), number("freeze_ms")) else {
            return Err(ControlError::invalid_params(
                "freezes and freeze_ms are numbers",
            ));
        };
        let total = Duration::try_from_secs_f64(ms / 1000.0)
            .map_err(|_| ControlError::invalid_params("freeze_ms is a time"))?;
        self.record.froze(count.max(0.0) as u64, total);
        Ok(Value::Bool(true))
    }

    /// The outcome of a call.
    pub fn answer(&mut self, call: CallId, outcome: Result<Value, ControlError>, now: Instant) {
        if let Some(answer) = self.calls.answer(call, outcome) {
            self.say(&answer, now);
        }
    }

    /// Says something on the control channel.
    pub fn say(&mut self, text: &str, now: Instant) {
        if let Err(error) = self
            .peer
            .send_message(control::LABEL, text.as_bytes(), true, now)
        {
            tracing::debug!(%error, "a message for the viewer is lost");
        }
    }
}
