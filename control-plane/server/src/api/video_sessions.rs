//! Who watched which camera, how it got through, and how long each phase of the start took.

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Context, Problem};
use crate::access::SignedIn;
use crate::store::VideoSessionRow;

/// The most rows in one answer.
const LIMIT_MAX: u32 = 500;
const LIMIT_DEFAULT: u32 = 50;

/// Which sessions to list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SessionFilter {
    /// Only of this camera.
    pub camera: Option<String>,
    /// At most so many, newest first; 50 unless told, at most 500.
    pub limit: Option<u32>,
}

/// One video session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VideoSession {
    /// The session id.
    pub id: String,
    /// The device id of the camera.
    pub camera: String,
    /// The camera's name, unless it was removed.
    pub camera_name: Option<String>,
    /// The id of the person who watched.
    pub person: String,
    /// That person's name, unless the account was removed.
    pub person_name: Option<String>,
    /// When the browser asked, in milliseconds since the Unix epoch.
    pub opened_ms: i64,
    /// When it ended; absent while it lasts.
    pub ended_ms: Option<i64>,
    /// `direct` or `relayed`, once known.
    pub path: Option<String>,
    /// How long the start took.
    pub phases: SessionPhases,
    /// Bytes of media the camera sent.
    pub bytes: u64,
    /// Why it ended.
    pub end_reason: Option<String>,
}

/// Milliseconds from the click until each phase was done, as the browser measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionPhases {
    /// The camera's answer arrived.
    pub signal_ms: Option<f64>,
    /// ICE has a working pair.
    pub ice_ms: Option<f64>,
    /// DTLS is up.
    pub dtls_ms: Option<f64>,
    /// The first media packet arrived.
    pub first_packet_ms: Option<f64>,
    /// The first frame was decoded.
    pub first_frame_ms: Option<f64>,
}

/// Recent sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VideoSessionList {
    /// Newest first.
    pub sessions: Vec<VideoSession>,
}

/// Recent video sessions of the tenant, newest first.
#[utoipa::path(
    get, path = "/sessions", tag = "sessions", params(SessionFilter),
    responses((status = 200, body = VideoSessionList), (status = 401, body = Problem))
)]
pub(super) async fn list(
    State(context): State<Context>,
    signed_in: SignedIn,
    filter: Result<Query<SessionFilter>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<VideoSessionList>, Problem> {
    let Query(filter) = filter?;
    let limit = filter.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let tenant = &signed_in.person.tenant;
    let rows = context
        .store
        .video_sessions
        .recent(tenant, filter.camera.as_deref(), limit)
        .await?;
    Ok(Json(VideoSessionList {
        sessions: rows.into_iter().map(VideoSession::from).collect(),
    }))
}

impl From<VideoSessionRow> for VideoSession {
    fn from(
        VideoSessionRow {
            record,
            camera_name,
            person_name,
        }: VideoSessionRow,
    ) -> Self {
        Self {
            id: record.session.to_string(),
            camera: record.camera.to_string(),
            camera_name,
            person: record.person,
            person_name,
            opened_ms: record.opened_ms,
            ended_ms: record.ended_ms,
            path: record.path,
            phases: SessionPhases {
                signal_ms: record.phases.signal_ms,
                ice_ms: record.phases.ice_ms,
                dtls_ms: record.phases.dtls_ms,
                first_packet_ms: record.phases.first_packet_ms,
                first_frame_ms: record.phases.first_frame_ms,
            },
            bytes: record.bytes,
            end_reason: record.end_reason,
        }
    }
}
