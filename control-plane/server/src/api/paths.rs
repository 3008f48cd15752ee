//! How the sessions of a fleet found their way: shares of each kind of path, what failed, and how long starts took.

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Context, Problem};
use crate::access::SignedIn;
use crate::store::{FailureCount, PathFigures, PathScope, RelayUse};

/// Which sessions to look at.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PathFilter {
    /// Opened then or later, in milliseconds since the Unix epoch; all unless told.
    pub since_ms: Option<i64>,
    /// Only of this camera.
    pub camera: Option<String>,
}

/// How sessions found their way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PathOverview {
    /// All sessions.
    pub sessions: u64,
    /// Those of which a picture was seen.
    pub shown: u64,
    /// Times that another path was looked for.
    pub restarts: u64,
    /// Bytes that TURN servers carried, as far as they say.
    pub relayed_bytes: u64,
    /// Of the sessions whose path is known, the part that went over a TURN server, 0 to 1; absent without any.
    pub relayed_share: Option<f64>,
    /// By kind of path, the shortest first.
    pub kinds: Vec<PathKindFigures>,
    /// By TURN server, the busiest first; at most 16.
    pub relays: Vec<RelayShare>,
    /// Why sessions ended that nobody closed, the commonest first.
    pub failures: Vec<Failure>,
}

/// The sessions of one kind of path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PathKindFigures {
    /// `host`, `reflexive` (through NAT) or `relay`.
    pub kind: String,
    /// How many.
    pub sessions: u64,
    /// Click to first frame; absent where no picture was seen.
    pub first_frame_ms: Option<Percentiles>,
}

/// Percentiles by nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// 95 in 100 are not above.
    pub p95: f64,
    /// 99 in 100 are not above.
    pub p99: f64,
}

/// A TURN server on the way of sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RelayShare {
    /// Its URL.
    pub url: String,
    /// How many sessions.
    pub sessions: u64,
}

/// A reason why sessions ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// As the protocol names it, such as `no_path`.
    pub reason: String,
    /// How many sessions.
    pub sessions: u64,
    /// How many of them before there was a picture.
    pub before_picture: u64,
}

/// How the sessions of the tenant found their way.
#[utoipa::path(
    get, path = "/paths", tag = "sessions", params(PathFilter),
    responses((status = 200, body = PathOverview), (status = 401, body = Problem))
)]
pub(super) async fn overview(
    State(context): State<Context>,
    signed_in: SignedIn,
    filter: Result<Query<PathFilter>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<PathOverview>, Problem> {
    let Query(filter) = filter?;
    let scope = PathScope {
        tenant: &signed_in.person.tenant,
        camera: filter.camera.as_deref(),
        since_ms: filter.since_ms.unwrap_or(0),
    };
    let paths = &context.store.paths;
    let totals = paths.totals(scope).await?;
    let kinds = paths.by_kind(scope).await?;
    Ok(Json(PathOverview {
        sessions: totals.sessions,
        shown: totals.shown,
        restarts: totals.restarts,
        relayed_bytes: totals.relayed_bytes,
        relayed_share: relayed_share(&kinds),
        kinds: kinds.into_iter().map(PathKindFigures::from).collect(),
        relays: (paths.by_relay(scope).await?.into_iter())
            .map(RelayShare::from)
            .collect(),
        failures: (paths.failures(scope).await?.into_iter())
            .map(Failure::from)
            .collect(),
    }))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a share of fewer sessions than 2^52"
)]
fn relayed_share(kinds: &[PathFigures]) -> Option<f64> {
    let all: u64 = kinds.iter().map(|figures| figures.sessions).sum();
    let relayed = |figures: &&PathFigures| figures.kind.directness() == "relayed";
    let relayed: u64 = kinds.iter().filter(relayed).map(|f| f.sessions).sum();
    (all > 0).then(|| relayed as f64 / all as f64)
}

impl From<PathFigures> for PathKindFigures {
    fn from(figures: PathFigures) -> Self {
        Self {
            kind: figures.kind.as_str().to_owned(),
            sessions: figures.sessions,
            first_frame_ms: figures.first_frame_ms.map(|[p50, p95, p99]| Percentiles {
                p50,
                p95,
                p99,
            }),
        }
    }
}

impl From<RelayUse> for RelayShare {
    fn from(RelayUse { url, sessions }: RelayUse) -> Self {
        Self { url, sessions }
    }
}

impl From<FailureCount> for Failure {
    fn from(failure: FailureCount) -> Self {
        Self {
            reason: failure.reason,
            sessions: failure.sessions,
            before_picture: failure.before_picture,
        }
    }
}
