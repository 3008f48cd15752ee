//! The audit log: what people changed.

use std::time::SystemTime;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{Context, Problem};
use crate::access::{Admin, Arrival, Person};
use crate::clock::unix_ms;
use crate::store::{AuditEntry, AuditRow, AuditScope};

const LIMIT_MAX: u32 = 500;
const LIMIT_DEFAULT: u32 = 50;

/// Which entries to list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    /// At most so many, newest first; 50 unless told, at most 500.
    pub limit: Option<u32>,
    /// Those before this number: the `next` of the page before.
    pub before: Option<i64>,
    /// Only of this person: an id.
    pub actor: Option<String>,
    /// Only of this action, such as `camera.revoke`.
    pub action: Option<String>,
    /// Only of this subject, such as a device id.
    pub subject: Option<String>,
}

/// What somebody changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Audited {
    /// Its number in the log.
    pub id: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The person's id; of whoever worked on the control plane's own machine the system's user.
    pub actor: String,
    /// What they were called then.
    pub actor_name: String,
    /// Where it came from.
    pub address: String,
    /// What was done, such as `camera.revoke`.
    pub action: String,
    /// To what.
    pub subject: Option<String>,
    /// How it was before.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// How it is since.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
    /// Over the hash of the entry before and this one: SHA-256, hexadecimal.
    pub hash: String,
}

/// A page of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<Audited>,
    /// Where the next page begins; absent on the last one.
    pub next: Option<i64>,
}

impl From<AuditRow> for Audited {
    fn from(AuditRow { id, entry, hash }: AuditRow) -> Self {
        let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        Self {
            id,
            at_ms: entry.at_ms,
            actor: entry.actor,
            actor_name: entry.actor_name,
            address: entry.address,
            action: entry.action,
            subject: entry.subject,
            before: json(entry.before),
            after: json(entry.after),
            hash,
        }
    }
}

/// What was changed, by whom and from where, newest first.
#[utoipa::path(
    get, path = "/audit", tag = "people", params(AuditFilter),
    responses((status = 200, body = AuditPage), (status = 401, body = Problem), (status = 403, body = Problem))
)]
pub(super) async fn list(
    State(context): State<Context>,
    Admin(person): Admin,
    filter: Result<Query<AuditFilter>, QueryRejection>,
) -> Result<Json<AuditPage>, Problem> {
    let Query(filter) = filter?;
    let limit = filter.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let scope = AuditScope {
        before: filter.before,
        actor: filter.actor.as_deref(),
        action: filter.action.as_deref(),
        subject: filter.subject.as_deref(),
    };
    let rows = context
        .store
        .audit
        .list(&person.tenant, scope, limit)
        .await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full).map(|last| last.id);
    Ok(Json(AuditPage {
        entries: rows.into_iter().map(Audited::from).collect(),
        next,
    }))
}

/// What a request changed.
#[derive(Debug, Default)]
pub(super) struct Change<'a> {
    /// Such as `camera.revoke`.
    pub action: &'static str,
    /// To what.
    pub subject: Option<&'a str>,
    /// How it was; without secrets.
    pub before: Option<Value>,
    /// How it is; without secrets.
    pub after: Option<Value>,
}

impl Context {
    /// Writes down what `person` changed. Nobody is told that a change is made before it is in the log.
    pub(super) async fn audit(
        &self,
        person: &Person,
        arrival: Arrival,
        change: Change<'_>,
    ) -> Result<(), Problem> {
        let entry = AuditEntry {
            at_ms: unix_ms(SystemTime::now()),
            tenant: person.tenant.clone(),
            actor: person.id.clone(),
            actor_name: person.name.clone(),
            address: arrival.peer.to_string(),
            action: change.action.to_owned(),
            subject: change.subject.map(str::to_owned),
            before: change.before.map(|value| value.to_string()),
            after: change.after.map(|value| value.to_string()),
        };
        Ok(self.store.audit.append(&entry).await?)
    }
}
