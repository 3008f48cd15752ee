//! What viewers may ask of the camera on the data channel `control`: its picture's controls, and still pictures.
//!
//! The channel speaks JSON-RPC 2.0; a message has at most 16 KiB, either way. `heron-session` answers what is about the
//! session itself: `stats`, `report`, `talk.begin`, `talk.end`. The rest is here:
//!
//! | method | right | parameters | result |
//! |---|---|---|---|
//! | `image.controls` | view | none | `{"controls", "settable"}`: a list, empty where the source has none, and whether this viewer may set them |
//! | `image.set` | control | `{"brightness": 120, "horizontal_flip": true}`, one or more | the same, as all controls are then |
//! | `snapshot` | view | none | `{"picture", "type", "width", "height", "captured_ms", "bytes", "parts"}` |
//! | `snapshot.part` | view | `{"picture": 3, "part": 0}` | `{"data"}`, base64 of 12000 bytes, fewer in the last part |
//! | `network.test` | control | none | `{"at_ms", "works", "checks"}`, within half a minute |
//!
//! A control is `{"name", "label", "kind", "value", "default"}`; an `integer` has `min`, `max` and `step`, a `menu` has
//! `menu`, a list of `{"value", "label"}`, a `boolean` is true or false. `"inactive": true` says that another control
//! decides at the moment. Several controls are all checked before any is set, and `image.set` tells what the driver made
//! of it. A snapshot is fetched within a minute, a few parts at a time, one call a message. A check of the network is
//! `{"name", "state", "sentence", "advice"}`, the state `ok`, `warning`, `failed` or `skipped` ([`crate::doctor`]).
//!
//! Errors are the specification's, and -32000 the right is missing, -32002 too many calls wait, -32003 the camera or the
//! picture is not there. Nothing here waits on the main loop: a driver may take its time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use heron_media::Timestamp;
use heron_media::v4l2::{ControlKind, ImageControl, ImageControlError, MenuEntry};
use heron_session::{ControlError, ControlReply, ControlRequest};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::media::Media;
use crate::self_test::SelfTest;
use crate::snapshots::{self, Snapshots};

/// Calls that may wait for the camera, of all viewers.
const QUEUE: usize = 32;
/// A snapshot may be this old, so that several who ask share it.
const STILL_AGE: Duration = Duration::from_millis(300);
/// How long a camera may take to show a picture. A page waits for 5 s.
const STILL_PATIENCE: Duration = Duration::from_secs(4);

type Outcome = Result<Value, ControlError>;
type Job = Box<dyn FnOnce() + Send>;

/// Answers the calls.
pub struct Control {
    media: Arc<Media>,
    self_test: Arc<SelfTest>,
    snapshots: Arc<Mutex<Snapshots>>,
    /// One after the other each, in the order they were called.
    image: mpsc::Sender<Job>,
    stills: mpsc::Sender<Job>,
}

impl Control {
    /// Within the async runtime that is to do the work.
    pub fn new(media: Arc<Media>, self_test: Arc<SelfTest>) -> Self {
        Self {
            media,
            self_test,
            snapshots: Arc::default(),
            image: worker(),
            stills: worker(),
        }
    }

    /// Answers a call, at once or when its outcome is known.
    pub fn call(&self, request: ControlRequest, reply: ControlReply) {
        let ControlRequest {
            rights,
            method,
            params,
            ..
        } = request;
        let allowed = match method.as_str() {
            "image.set" | "network.test" => rights.control,
            "image.controls" | "snapshot" | "snapshot.part" => rights.view,
            _ => return reply.error(ControlError::unknown_method(&method)),
        };
        if !allowed {
            return reply.error(ControlError::not_allowed(&method));
        }
        if method == "network.test" {
            return self.self_test.ask(reply);
        }
        let media = Arc::clone(&self.media);
        match method.as_str() {
            "image.controls" => queue(&self.image, reply, move || {
                listed(media.image_controls(), rights.control)
            }),
            "image.set" => match wanted(&params) {
                Ok(wanted) => queue(&self.image, reply, move || {
                    listed(media.set_image_controls(&wanted), rights.control)
                }),
                Err(error) => reply.error(error),
            },
            "snapshot" => {
                let snapshots = Arc::clone(&self.snapshots);
                queue(&self.stills, reply, move || snapshot(&media, &snapshots));
            }
            _ => answer(reply, self.part(&params)),
        }
    }

    fn part(&self, params: &Value) -> Outcome {
        let number = |name: &str| params.get(name).and_then(Value::as_u64);
        let (Some(picture), Some(part)) = (number("picture"), number("part")) else {
            let why =
                "picture and part are numbers: the one that snapshot gave, and one below its parts";
            return Err(ControlError::invalid_params(why));
        };
        let part = usize::try_from(part).unwrap_or(usize::MAX);
        let mut snapshots = self.snapshots.lock();
        let data = snapshots.part(picture, part, Instant::now());
        let data = data.ok_or_else(|| {
            let why =
                format!("picture {picture} has no part {part}, or is gone; take another snapshot");
            ControlError::new(ControlError::UNAVAILABLE, why)
        })?;
        Ok(json!({ "data": STANDARD.encode(data) }))
    }
}

/// Does jobs that may block, one after the other, until nobody can give it another.
fn worker() -> mpsc::Sender<Job> {
    let (jobs, mut inbox) = mpsc::channel::<Job>(QUEUE);
    tokio::spawn(async move {
        while let Some(job) = inbox.recv().await {
            // A job that panics leaves its reply, which answers for itself.
            let _ = spawn_blocking(job).await;
        }
    });
    jobs
}

fn queue(
    jobs: &mpsc::Sender<Job>,
    reply: ControlReply,
    work: impl FnOnce() -> Outcome + Send + 'static,
) {
    match jobs.try_reserve() {
        Ok(place) => place.send(Box::new(move || answer(reply, work()))),
        Err(_) => reply.error(ControlError::new(
            ControlError::TOO_MANY,
            "too many calls wait for the camera",
        )),
    }
}

fn answer(reply: ControlReply, outcome: Outcome) {
    match outcome {
        Ok(result) => reply.result(result),
        Err(error) => reply.error(error),
    }
}

fn snapshot(media: &Media, snapshots: &Mutex<Snapshots>) -> Outcome {
    let still = media
        .still(STILL_AGE, STILL_PATIENCE)
        .map_err(|reason| ControlError::new(ControlError::UNAVAILABLE, reason.to_string()))?;
    let age = Timestamp::now().since(still.captured);
    let captured = SystemTime::now() - age;
    let captured = captured.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut described = json!({
        "type": "image/jpeg",
        "width": still.width,
        "height": still.height,
        "captured_ms": u64::try_from(captured.as_millis()).unwrap_or(u64::MAX),
        "bytes": still.jpeg.len(),
        "parts": snapshots::parts(&still),
    });
    let picture = snapshots.lock().keep(still, Instant::now());
    described["picture"] = picture.into();
    Ok(described)
}

/// The parameters of `image.set`: names and values.
fn wanted(params: &Value) -> Result<Vec<(String, i32)>, ControlError> {
    let params = params.as_object().filter(|params| !params.is_empty());
    let params = params.ok_or_else(|| {
        ControlError::invalid_params("name one or more controls, as in {\"brightness\": 120}")
    })?;
    let value = |(name, value): (&String, &Value)| {
        let number = match value {
            Value::Bool(on) => Some(i32::from(*on)),
            other => other.as_i64().and_then(|number| number.try_into().ok()),
        };
        let number = number.ok_or_else(|| {
            let allowed = "a whole number, false or true";
            ControlError::invalid_params(format!("{name} is {value}; allowed: {allowed}"))
        })?;
        Ok((name.clone(), number))
    };
    params.iter().map(value).collect()
}

fn listed(controls: Result<Vec<ImageControl>, ImageControlError>, settable: bool) -> Outcome {
    match controls {
        Ok(controls) => {
            let controls: Vec<_> = controls.iter().map(described).collect();
            Ok(json!({"controls": controls, "settable": settable}))
        }
        Err(error @ (ImageControlError::Unknown { .. } | ImageControlError::Value { .. })) => {
            Err(ControlError::invalid_params(error.to_string()))
        }
        Err(error) => Err(ControlError::new(
            ControlError::UNAVAILABLE,
            error.to_string(),
        )),
    }
}

fn described(control: &ImageControl) -> Value {
    let mut fields = Map::new();
    let mut say = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    say("name", control.name.as_str().into());
    say("label", control.label.as_str().into());
    match control.kind {
        ControlKind::Boolean => {
            say("kind", "boolean".into());
            say("value", (control.value != 0).into());
            say("default", (control.default != 0).into());
        }
        ControlKind::Integer => {
            say("kind", "integer".into());
            say("value", control.value.into());
            say("default", control.default.into());
            say("min", control.min.into());
            say("max", control.max.into());
            say("step", control.step.into());
        }
        ControlKind::Menu => {
            let entry =
                |MenuEntry { value, label }: &MenuEntry| json!({"value": value, "label": label});
            say("kind", "menu".into());
            say("value", control.value.into());
            say("default", control.default.into());
            say("menu", control.menu.iter().map(entry).collect());
        }
    }
    if control.inactive {
        say("inactive", true.into());
    }
    fields.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(kind: ControlKind) -> ImageControl {
        ImageControl {
            name: "white_balance_automatic".to_owned(),
            label: "White Balance, Automatic".to_owned(),
            kind,
            min: 0,
            max: 1,
            step: 1,
            default: 1,
            value: 0,
            menu: vec![MenuEntry {
                value: 0,
                label: "Off".to_owned(),
            }],
            inactive: false,
            id: 0,
        }
    }

    #[test]
    fn a_control_is_told_with_what_its_kind_has() {
        let boolean = described(&control(ControlKind::Boolean));
        assert_eq!(
            (&boolean["value"], &boolean["default"]),
            (&json!(false), &json!(true))
        );
        assert!(boolean.get("max").is_none() && boolean.get("menu").is_none());
        let integer = described(&control(ControlKind::Integer));
        assert_eq!((&integer["value"], &integer["max"]), (&json!(0), &json!(1)));
        let menu = described(&control(ControlKind::Menu));
        assert_eq!(menu["menu"], json!([{"value": 0, "label": "Off"}]));
        assert!(menu.get("inactive").is_none());
    }

    #[test]
    fn values_are_numbers_or_switches() {
        let wanted = |params: Value| wanted(&params).map_err(|error| error.message);
        let both = wanted(json!({"brightness": -3, "horizontal_flip": true}));
        let expected = [
            ("brightness".to_owned(), -3),
            ("horizontal_flip".to_owned(), 1),
        ];
        assert_eq!(both.unwrap(), expected);
        assert_eq!(
            wanted(json!({"brightness": "bright"})).unwrap_err(),
            "brightness is \"bright\"; allowed: a whole number, false or true"
        );
        for nothing in [json!({}), json!([]), Value::Null] {
            assert!(wanted(nothing).unwrap_err().starts_with("name one or more"));
        }
        assert!(wanted(json!({"gain": 1.5})).is_err());
        assert!(wanted(json!({"gain": 1_i64 << 40})).is_err());
    }
}
