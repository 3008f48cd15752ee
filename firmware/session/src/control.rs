//! The data channel `control`: JSON-RPC 2.0 (jsonrpc.org/specification), one session's calls.
//!
//! A message is a request, a notification, or a batch of them. Calls are answered when their outcome is known, in
//! any order; a batch when all of its are. Nothing a viewer sends ends the session: what is wrong is answered with
//! the error the specification has for it, and what is too much with one of ours.

use std::collections::HashMap;

use serde_json::{Value, json};

/// The label of the channel.
pub const LABEL: &str = "control";

/// The longest message taken or sent, in bytes.
pub const MAX_MESSAGE: usize = 16 * 1024;

/// Calls in one batch.
const MAX_BATCH: usize = 16;

/// Room for the answer to a call whose outcome has none, in bytes.
const REFUSED: usize = 256;

/// Calls of one session that may wait for their outcome.
const MAX_OPEN: usize = 32;

/// Why a call failed: the error object of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct ControlError {
    /// One of the specification's codes, or one of ours from -32000 downwards.
    pub code: i32,
    /// One sentence for a person.
    pub message: String,
}

impl ControlError {
    /// The viewer lacks the right for the method.
    pub const NOT_ALLOWED: i32 = -32_000;
    /// Somebody else holds what was asked for.
    pub const BUSY: i32 = -32_001;
    /// More calls than allowed wait for their outcome.
    pub const TOO_MANY: i32 = -32_002;

    /// What was asked for is not there at the moment.
    pub const UNAVAILABLE: i32 = -32_003;

    /// The viewer's rights do not include the method.
    pub fn not_allowed(method: &str) -> Self {
        let what = format!("the session does not include the right to {method}");
        Self::new(Self::NOT_ALLOWED, what)
    }

    /// An error of the caller's choice.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The method does not exist.
    pub fn unknown_method(method: &str) -> Self {
        Self::new(-32_601, format!("there is no method {method}"))
    }

    /// The method's parameters do not fit.
    pub fn invalid_params(why: impl Into<String>) -> Self {
        Self::new(-32_602, why)
    }

    /// Something broke on our side.
    pub fn internal(why: impl Into<String>) -> Self {
        Self::new(-32_603, why)
    }

    fn parse() -> Self {
        Self::new(-32_700, "the message is not JSON")
    }

    fn invalid(why: &str) -> Self {
        Self::new(-32_600, why)
    }
}

/// Names a call of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(u64);

/// A call that is to be carried out, then answered with [`Calls::answer`].
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Its name.
    pub id: CallId,
    /// What is called.
    pub method: String,
    /// With what; null if nothing was given.
    pub params: Value,
}

/// What a message held.
#[derive(Debug, Default, PartialEq)]
pub struct Incoming {
    /// Calls to carry out.
    pub calls: Vec<Call>,
    /// An answer that is known already.
    pub answer: Option<String>,
}

/// The open calls of a session; pure.
#[derive(Debug, Default)]
pub struct Calls {
    next: u64,
    open: HashMap<CallId, Open>,
    batches: HashMap<u64, Batch>,
}

#[derive(Debug)]
struct Open {
    /// The caller's name for it.
    id: Value,
    batch: u64,
}

/// The answers to one message.
#[derive(Debug)]
struct Batch {
    /// Answered with an array.
    array: bool,
    outstanding: usize,
    answers: Vec<String>,
}

impl Batch {
    /// Adds the outcome of a call, if the message has room for it.
    fn add(&mut self, id: &Value, outcome: Result<Value, ControlError>) {
        let answer = match outcome {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string(),
            Err(error) => failure(id, &error),
        };
        // A comma each, and the brackets.
        let others: usize = self.answers.iter().map(|answer| answer.len() + 1).sum();
        let fits = others + answer.len() + 2 + self.outstanding * REFUSED <= MAX_MESSAGE;
        self.answers.push(if fits {
            answer
        } else {
            failure(id, &ControlError::internal("the answer is too long"))
        });
    }
}

impl Calls {
    /// Reads a message.
    pub fn receive(&mut self, message: &[u8]) -> Incoming {
        let refused = |error: ControlError| Incoming {
            calls: Vec::new(),
            answer: Some(failure(&Value::Null, &error)),
        };
        if message.len() > MAX_MESSAGE {
            return refused(ControlError::invalid("the message is too long"));
        }
        let (requests, array) = match serde_json::from_slice(message) {
            Ok(Value::Array(requests)) => (requests, true),
            Ok(request) => (vec![request], false),
            Err(_) => return refused(ControlError::parse()),
        };
        if requests.is_empty() || requests.len() > MAX_BATCH {
            return refused(ControlError::invalid(
                "a batch has from one to sixteen calls",
            ));
        }
        let number = self.number();
        let mut batch = Batch {
            array,
            outstanding: 0,
            answers: Vec::new(),
        };
        let mut calls = Vec::new();
        for request in requests {
            match self.request(request, number) {
                Ok((call, answered)) => {
                    batch.outstanding += usize::from(answered);
                    calls.push(call);
                }
                Err(answer) => batch.answers.extend(answer),
            }
        }
        let answer = self.settle(number, batch);
        Incoming { calls, answer }
    }

    /// The outcome of a call. Returns what is to be sent; nothing for notifications, unfinished batches, and calls
    /// that were answered before.
    pub fn answer(&mut self, call: CallId, outcome: Result<Value, ControlError>) -> Option<String> {
        let Open { id, batch: number } = self.open.remove(&call)?;
        let mut batch = self.batches.remove(&number)?;
        batch.outstanding = batch.outstanding.saturating_sub(1);
        batch.add(&id, outcome);
        self.settle(number, batch)
    }

    /// A call and whether it will be answered, or the answer to what is none.
    fn request(&mut self, request: Value, batch: u64) -> Result<(Call, bool), Option<String>> {
        let Value::Object(mut request) = request else {
            let error = ControlError::invalid("a call is an object");
            return Err(Some(failure(&Value::Null, &error)));
        };
        let id = request.remove("id");
        let invalid = |why: &str| {
            let id = id.as_ref().filter(|id| is_id(id)).unwrap_or(&Value::Null);
            Err(Some(failure(id, &ControlError::invalid(why))))
        };
        if request.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return invalid("jsonrpc must be \"2.0\"");
        }
        if id.as_ref().is_some_and(|id| !is_id(id)) {
            return invalid("an id is a string, a number or null");
        }
        let Some(Value::String(method)) = request.remove("method") else {
            return invalid("a call names its method");
        };
        let params = request.remove("params").unwrap_or_default();
        if !(params.is_object() || params.is_array() || params.is_null()) {
            return invalid("params are an object or an array");
        }
        let call = CallId(self.number());
        let answered = id.is_some();
        if let Some(id) = id {
            if self.open.len() >= MAX_OPEN {
                let error = ControlError::new(
                    ControlError::TOO_MANY,
                    "too many calls wait for their answers",
                );
                return Err(Some(failure(&id, &error)));
            }
            self.open.insert(call, Open { id, batch });
        }
        let call = Call {
            id: call,
            method,
            params,
        };
        Ok((call, answered))
    }

    /// Sends a batch that is complete, keeps one that is not.
    fn settle(&mut self, number: u64, mut batch: Batch) -> Option<String> {
        if batch.outstanding > 0 {
            self.batches.insert(number, batch);
            return None;
        }
        if batch.array {
            let some = !batch.answers.is_empty();
            return some.then(|| format!("[{}]", batch.answers.join(",")));
        }
        batch.answers.pop()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// A message that nobody asked for and nobody answers.
pub fn notification(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_number() || id.is_null()
}

fn failure(id: &Value, error: &ControlError) -> String {
    let error = json!({"code": error.code, "message": error.message});
    json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: Option<String>) -> Value {
        text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }

    /// Carries calls out as the examples of the specification expect.
    fn talk(message: &str) -> Value {
        let mut calls = Calls::default();
        let incoming = calls.receive(message.as_bytes());
        let mut answer = incoming.answer;
        for call in incoming.calls {
            let outcome = match (call.method.as_str(), &call.params) {
                ("subtract", Value::Array(of)) => {
                    Ok(json!(of[0].as_i64().unwrap() - of[1].as_i64().unwrap()))
                }
                ("subtract", Value::Object(of)) => {
                    let number = |name: &str| of[name].as_i64().unwrap();
                    Ok(json!(number("minuend") - number("subtrahend")))
                }
                ("sum", Value::Array(of)) => {
                    Ok(json!(of.iter().filter_map(Value::as_i64).sum::<i64>()))
                }
                ("get_data", _) => Ok(json!(["hello", 5])),
                (method, _) => Err(ControlError::unknown_method(method)),
            };
            let said = calls.answer(call.id, outcome);
            assert!(answer.is_none() || said.is_none());
            answer = answer.or(said);
        }
        assert!(calls.open.is_empty() && calls.batches.is_empty());
        value(answer)
    }

    /// Section 7 of the specification.
    #[test]
    fn the_examples_of_the_specification() {
        let result = |result: i64, id: i64| json!({"jsonrpc": "2.0", "result": result, "id": id});
        assert_eq!(
            talk(r#"{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}"#),
            result(19, 1)
        );
        assert_eq!(
            talk(
                r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}"#
            ),
            result(19, 3)
        );
        assert_eq!(
            talk(r#"{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}"#),
            Value::Null
        );
        let code = |message: &str| talk(message)["error"]["code"].clone();
        assert_eq!(
            code(r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#),
            -32_601
        );
        assert_eq!(
            code(r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#),
            -32_700
        );
        assert_eq!(
            code(r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#),
            -32_600
        );
        assert_eq!(code("[]"), -32_600);
        let invalid = talk("[1,2,3]");
        assert_eq!(invalid.as_array().unwrap().len(), 3);
        assert_eq!(invalid[2]["error"]["code"], -32_600);
        assert_eq!(invalid[2]["id"], Value::Null);
        let mixed = talk(
            r#"[
            {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
            {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
            {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
            {"foo": "boo"},
            {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
            {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
        ]"#,
        );
        let mut ids: Vec<_> = mixed
            .as_array()
            .unwrap()
            .iter()
            .map(|answer| answer["id"].to_string())
            .collect();
        ids.sort();
        assert_eq!(ids, [r#""1""#, r#""2""#, r#""5""#, r#""9""#, "null"]);
        assert_eq!(
            talk(
                r#"[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
                {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]"#
            ),
            Value::Null
        );
    }

    #[test]
    fn too_much_is_refused_and_the_rest_goes_on() {
        let mut calls = Calls::default();
        let call = r#"{"jsonrpc": "2.0", "method": "snapshot", "id": 1}"#;
        for _ in 0..MAX_OPEN {
            assert_eq!(calls.receive(call.as_bytes()).calls.len(), 1);
        }
        let refused = value(calls.receive(call.as_bytes()).answer);
        assert_eq!(refused["error"]["code"], ControlError::TOO_MANY);
        let long = vec![b' '; MAX_MESSAGE + 1];
        assert_eq!(value(calls.receive(&long).answer)["error"]["code"], -32_600);
        let many = format!("[{}]", [call; MAX_BATCH + 1].join(","));
        assert_eq!(
            value(calls.receive(many.as_bytes()).answer)["error"]["code"],
            -32_600
        );
    }

    #[test]
    fn an_answer_that_does_not_fit_into_a_message_is_an_error() {
        let mut calls = Calls::default();
        let call = r#"{"jsonrpc": "2.0", "method": "snapshot", "id": 1}"#;
        let batch = calls.receive(format!("[{call},{call}]").as_bytes()).calls;
        let answer = || Ok(json!("x".repeat(MAX_MESSAGE / 2)));
        assert_eq!(calls.answer(batch[0].id, answer()), None);
        let text = calls.answer(batch[1].id, answer()).unwrap();
        assert!(text.len() <= MAX_MESSAGE);
        let answers = value(Some(text));
        assert!(answers[0]["result"].is_string());
        assert_eq!(answers[1]["error"]["code"], -32_603);
    }

    proptest! {
        #[test]
        fn any_message_is_answered_or_carried_out(message: Vec<u8>) {
            let incoming = Calls::default().receive(&message);
            prop_assert!(incoming.answer.is_some() || !incoming.calls.is_empty());
        }
    }
}
