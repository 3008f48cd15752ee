//! Work given to a device: jobs, which survive reboots, and calls (RPC), which do not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{message, text};
use crate::Label;

/// `dn/job/{id}`: a piece of work with a deadline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// What to do.
    #[serde(rename = "type")]
    pub kind: Label,
    /// Depends on the type.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// 1 for the first try.
    pub attempt: u32,
    /// Not to be started after this.
    pub deadline_ms: u64,
    /// JWS by the control plane over the job.
    pub signature: String,
}

impl Job {
    fn limits(&self) -> Result<(), String> {
        text("signature", &self.signature, 2048)
    }
}

message!(Job, "job", 16 * 1024, limits);

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum JobState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Rejected,
    TimedOut,
}

/// `up/job/{id}`: how a job goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobProgress {
    /// Where it stands.
    pub state: JobState,
    /// 0 to 100.
    #[serde(default)]
    pub progress: u8,
    /// One sentence, for failures above all.
    #[serde(default)]
    pub reason: String,
}

impl JobProgress {
    fn limits(&self) -> Result<(), String> {
        text("reason", &self.reason, 400)?;
        if self.progress > 100 {
            return Err(format!(
                "progress is {}, 0 to 100 is allowed",
                self.progress
            ));
        }
        Ok(())
    }
}

message!(JobProgress, "job progress", 1024, limits);

/// `dn/rpc/{id}`: a call that is answered at once or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RpcRequest {
    /// The method's name.
    pub method: Label,
    /// The method's parameters.
    #[serde(default)]
    pub params: Map<String, Value>,
}

message!(RpcRequest, "rpc request", 8 * 1024);

/// `up/rpc/{id}`: the answer to a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RpcReply {
    /// It was done.
    Result(Value),
    /// It was not; one sentence says why.
    Error(String),
}

impl RpcReply {
    fn limits(&self) -> Result<(), String> {
        match self {
            Self::Result(_) => Ok(()),
            Self::Error(reason) => text("error", reason, 400),
        }
    }
}

message!(RpcReply, "rpc reply", 64 * 1024, limits);
