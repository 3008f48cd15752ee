//! What may be relayed for a camera or for the whole organisation, and how long its sessions were.

use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use heron_protocol::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::audit::Change;
use super::{Context, Problem, Sent};
use crate::access::{Admin, Arrival};
use crate::clock::unix_ms;
use crate::turn::{self, Account, BadPolicy, RelayMode};

/// What may be relayed. What is absent is left to the organisation's policy, and then to the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RelayPolicy {
    /// `direct_only`: no relay is given. `relay_only`: every session goes through one, and neither end learns the
    /// other's address. `prefer_direct`: where there is no direct path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// What each end of a session may have relayed, in bits a second; at least 64000. The embedded server and
    /// stand-alone relays keep to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bps: Option<u64>,
    /// How many minutes a day (UTC) sessions may be relayed, all together. When they are used up relayed sessions end,
    /// and new ones are given no relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes_per_day: Option<u32>,
    /// The same for a month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes_per_month: Option<u32>,
}

/// A policy, and what of its caps is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelayPolicyInForce {
    /// What is set.
    pub policy: RelayPolicy,
    /// Seconds that sessions were relayed this day (UTC).
    pub relayed_today_s: u64,
    /// The same for this month.
    pub relayed_this_month_s: u64,
}

/// A camera's relay policy.
#[utoipa::path(
    get, path = "/cameras/{id}/relay-policy", tag = "relays", params(("id" = String, Path, description = "the device id")),
    responses(
        (status = 200, body = RelayPolicyInForce),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    )
)]
pub(super) async fn of_camera(
    State(context): State<Context>,
    Admin(person): Admin,
    Path(id): Path<String>,
) -> Result<Json<RelayPolicyInForce>, Problem> {
    let account = camera(&context, &person.tenant, &id).await?;
    show(&context, &account).await
}

/// Sets a camera's relay policy, whole. It holds for sessions that begin from now on; its caps for all.
#[utoipa::path(
    put, path = "/cameras/{id}/relay-policy", tag = "relays", request_body = RelayPolicy,
    params(("id" = String, Path, description = "the device id")),
    responses(
        (status = 200, body = RelayPolicyInForce),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem, description = "a value is not allowed"),
    )
)]
pub(super) async fn set_of_camera(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Path(id): Path<String>,
    Sent(policy): Sent<RelayPolicy>,
) -> Result<Json<RelayPolicyInForce>, Problem> {
    let account = camera(&context, &person.tenant, &id).await?;
    let before = set(&context, &account, &policy).await?;
    let change = Change {
        action: "camera.relay_policy",
        subject: Some(&id),
        before: Some(json!(before)),
        after: Some(json!(policy)),
    };
    context.audit(&person, arrival, change).await?;
    tracing::info!(camera = id, person = %person.name, "relay policy set");
    show(&context, &account).await
}

/// The relay policy of the organisation.
#[utoipa::path(
    get, path = "/relay-policy", tag = "relays",
    responses(
        (status = 200, body = RelayPolicyInForce), (status = 401, body = Problem), (status = 403, body = Problem),
    )
)]
pub(super) async fn of_tenant(
    State(context): State<Context>,
    Admin(person): Admin,
) -> Result<Json<RelayPolicyInForce>, Problem> {
    show(&context, &Account::Tenant(person.tenant)).await
}

/// Sets the relay policy of the organisation, whole.
#[utoipa::path(
    put, path = "/relay-policy", tag = "relays", request_body = RelayPolicy,
    responses(
        (status = 200, body = RelayPolicyInForce),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 422, body = Problem, description = "a value is not allowed"),
    )
)]
pub(super) async fn set_of_tenant(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Sent(policy): Sent<RelayPolicy>,
) -> Result<Json<RelayPolicyInForce>, Problem> {
    let account = Account::Tenant(person.tenant.clone());
    let before = set(&context, &account, &policy).await?;
    let change = Change {
        action: "relay_policy",
        subject: None,
        before: Some(json!(before)),
        after: Some(json!(policy)),
    };
    context.audit(&person, arrival, change).await?;
    tracing::info!(person = %person.name, "relay policy of the organisation set");
    show(&context, &account).await
}

async fn camera(context: &Context, tenant: &TenantId, id: &str) -> Result<Account, Problem> {
    let camera = context.store.cameras.get(tenant, id).await?;
    let camera = camera.ok_or_else(|| Problem::not_found("camera"))?;
    Ok(Account::Camera(camera.id))
}

async fn show(context: &Context, account: &Account) -> Result<Json<RelayPolicyInForce>, Problem> {
    let policy = context.store.relay_policies.get(account).await?;
    let used = context.relays.used(account, SystemTime::now());
    Ok(Json(RelayPolicyInForce {
        policy: policy.into(),
        relayed_today_s: used.day.as_secs(),
        relayed_this_month_s: used.month.as_secs(),
    }))
}

/// Sets it; returns what was set before.
async fn set(
    context: &Context,
    account: &Account,
    policy: &RelayPolicy,
) -> Result<RelayPolicy, Problem> {
    let relay = policy.relay.as_deref().map(str::parse::<RelayMode>);
    let policy = turn::RelayPolicy {
        relay: relay.transpose()?,
        max_bps: policy.max_bps,
        minutes_per_day: policy.minutes_per_day,
        minutes_per_month: policy.minutes_per_month,
    };
    policy.check()?;
    let now_ms = unix_ms(SystemTime::now());
    let policies = &context.store.relay_policies;
    let before = policies.get(account).await?;
    policies.set(account, &policy, now_ms).await?;
    turn::read_policies(&context.relays, &context.store).await?;
    Ok(before.into())
}

impl From<turn::RelayPolicy> for RelayPolicy {
    fn from(policy: turn::RelayPolicy) -> Self {
        Self {
            relay: policy.relay.map(|mode| mode.as_str().to_owned()),
            max_bps: policy.max_bps,
            minutes_per_day: policy.minutes_per_day,
            minutes_per_month: policy.minutes_per_month,
        }
    }
}

impl From<BadPolicy> for Problem {
    fn from(error: BadPolicy) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    }
}
