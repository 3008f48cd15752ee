//! Who watched which camera, how it got through, and how long each phase of the start took.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use heron_protocol::SessionId;
use heron_protocol::messages::{CandidatePair, DevicePhases, Path as PathSeen, ViewerPhases};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::audit::Change;
use super::identity::Reason;
use super::{Context, Problem, Sent};
use crate::access::{Admin, Arrival, SignedIn};
use crate::identity::check_reason;
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
    /// `true`: only those that last.
    pub live: Option<bool>,
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
    /// The same more closely: `host`, `reflexive` (through NAT) or `relay`.
    pub kind: Option<String>,
    /// The URL of the TURN server on the way.
    pub relay: Option<String>,
    /// How often another path was looked for.
    pub restarts: u32,
    /// How long the start took.
    pub phases: SessionPhases,
    /// Bytes of media the camera sent.
    pub bytes: u64,
    /// Bytes that a TURN server carried, where it says.
    pub relayed_bytes: Option<u64>,
    /// Those of the viewer's relay.
    pub relayed_viewer_bytes: Option<u64>,
    /// Those of the camera's relay.
    pub relayed_device_bytes: Option<u64>,
    /// Why it ended, as the protocol names it.
    pub end: Option<String>,
    /// Why it ended, in words.
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

/// One video session, with what both ends said of the paths between them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VideoSessionDetail {
    /// The session as the list has it.
    #[serde(flatten)]
    pub session: VideoSession,
    /// The path as the camera sees it.
    pub device_path: Option<SeenPath>,
    /// The path as the viewer sees it.
    pub viewer_path: Option<SeenPath>,
    /// The start at the camera, in milliseconds since the camera was asked.
    pub device_phases: PhaseTimes,
    /// The start at the viewer, in milliseconds since the click.
    pub viewer_phases: PhaseTimes,
    /// The candidate pairs that the camera tried, the chosen one first; at most 16.
    pub pairs: Vec<TriedPair>,
}

/// A path as one end sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeenPath {
    /// This end's candidate: `host`, `srflx`, `prflx` or `relay`.
    pub local: String,
    /// The other end's candidate.
    pub remote: String,
    /// `udp` or `tcp`.
    pub protocol: String,
    /// This end's address and port.
    pub local_address: Option<String>,
    /// The other end's address and port.
    pub remote_address: Option<String>,
    /// The URL of the TURN server that this end's address is at.
    pub relay: Option<String>,
}

/// When phases of a start ended at one end, in milliseconds; those that the end does not have are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PhaseTimes {
    /// The camera has checked the grant.
    pub granted_ms: Option<f64>,
    /// The viewer's session is open.
    pub opened_ms: Option<f64>,
    /// The answer was sent, or has come and was checked.
    pub answered_ms: Option<f64>,
    /// The last candidate was gathered.
    pub gathered_ms: Option<f64>,
    /// ICE has a working pair.
    pub ice_ms: Option<f64>,
    /// DTLS is up.
    pub dtls_ms: Option<f64>,
    /// The first packet of video left.
    pub first_packet_ms: Option<f64>,
    /// The first frame was shown.
    pub first_frame_ms: Option<f64>,
}

/// A candidate pair that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TriedPair {
    /// Its candidates, as the camera sees them.
    #[serde(flatten)]
    pub path: SeenPath,
    /// `waiting`, `in_progress`, `succeeded` or `failed`.
    pub state: String,
    /// Whether media takes it.
    pub chosen: bool,
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
        .recent(
            tenant,
            filter.camera.as_deref(),
            filter.live == Some(true),
            limit,
        )
        .await?;
    Ok(Json(VideoSessionList {
        sessions: rows.into_iter().map(VideoSession::from).collect(),
    }))
}

/// One video session, with what both ends said of the paths between them.
#[utoipa::path(
    get, path = "/sessions/{id}", tag = "sessions",
    params(("id" = String, Path, description = "the session id, 32 hex digits")),
    responses((status = 200, body = VideoSessionDetail), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub(super) async fn detail(
    State(context): State<Context>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<VideoSessionDetail>, Problem> {
    let id: SessionId = id.parse().map_err(|_| Problem::not_found("session"))?;
    let tenant = &signed_in.person.tenant;
    let row = context.store.video_sessions.one(tenant, &id).await?;
    row.map(|row| Json(row.into()))
        .ok_or_else(|| Problem::not_found("session"))
}

/// Ends a session that lasts: the picture stops at once, and both ends are told why.
#[utoipa::path(
    post, path = "/sessions/{id}/end", tag = "sessions", request_body = Reason,
    params(("id" = String, Path, description = "the session id, 32 hex digits")),
    responses(
        (status = 202, description = "both ends are being told"),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "it has ended already"),
        (status = 422, body = Problem, description = "the reason is not allowed"),
    )
)]
pub(super) async fn end(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Path(id): Path<String>,
    Sent(Reason { reason }): Sent<Reason>,
) -> Result<StatusCode, Problem> {
    let reason = check_reason(&reason)?;
    let id: SessionId = id.parse().map_err(|_| Problem::not_found("session"))?;
    let found = context
        .store
        .video_sessions
        .one(&person.tenant, &id)
        .await?;
    let record = found.ok_or_else(|| Problem::not_found("session"))?.record;
    if record.ended_ms.is_some() {
        let detail = "this session has ended already";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let change = Change {
        action: "session.end",
        subject: Some(id.as_str()),
        before: Some(json!({ "camera": record.camera, "person": record.person })),
        after: Some(json!({ "reason": reason })),
    };
    context.audit(&person, arrival, change).await?;
    let detail = format!("{} ended it: {reason}", person.name);
    context.live.end_session(&id, &detail).await;
    tracing::info!(session = id.short(), person = %person.name, "session ended");
    Ok(StatusCode::ACCEPTED)
}

impl From<VideoSessionRow> for VideoSession {
    fn from(row: VideoSessionRow) -> Self {
        let record = row.record;
        Self {
            id: record.session.to_string(),
            camera: record.camera.to_string(),
            camera_name: row.camera_name,
            person: record.person,
            person_name: row.person_name,
            opened_ms: record.opened_ms,
            ended_ms: record.ended_ms,
            path: row.former_path,
            kind: record.path.map(|kind| kind.as_str().to_owned()),
            relay: row.relay,
            restarts: record.restarts,
            phases: SessionPhases {
                signal_ms: record.phases.signal_ms,
                ice_ms: record.phases.ice_ms,
                dtls_ms: record.phases.dtls_ms,
                first_packet_ms: record.phases.first_packet_ms,
                first_frame_ms: record.phases.first_frame_ms,
            },
            bytes: record.bytes,
            relayed_bytes: row.relayed_bytes,
            relayed_viewer_bytes: row.relayed_ends.map(|ends| ends.viewer),
            relayed_device_bytes: row.relayed_ends.map(|ends| ends.device),
            end: record.end.map(named),
            end_reason: record.end_reason,
        }
    }
}

impl From<VideoSessionRow> for VideoSessionDetail {
    fn from(row: VideoSessionRow) -> Self {
        let ends = row.record.ends.clone();
        Self {
            device_path: ends.device.map(SeenPath::from),
            viewer_path: ends.viewer.map(SeenPath::from),
            device_phases: ends.device_phases.into(),
            viewer_phases: ends.viewer_phases.into(),
            pairs: ends.pairs.into_iter().map(TriedPair::from).collect(),
            session: row.into(),
        }
    }
}

impl From<PathSeen> for SeenPath {
    fn from(path: PathSeen) -> Self {
        Self {
            local: named(path.local),
            remote: named(path.remote),
            protocol: path.protocol,
            local_address: path.local_address,
            remote_address: path.remote_address,
            relay: path.relay,
        }
    }
}

impl From<CandidatePair> for TriedPair {
    fn from(pair: CandidatePair) -> Self {
        Self {
            path: pair.path.into(),
            state: named(pair.state),
            chosen: pair.chosen,
        }
    }
}

impl From<DevicePhases> for PhaseTimes {
    fn from(phases: DevicePhases) -> Self {
        Self {
            granted_ms: phases.granted_ms,
            answered_ms: phases.answered_ms,
            gathered_ms: phases.gathered_ms,
            ice_ms: phases.ice_ms,
            dtls_ms: phases.dtls_ms,
            first_packet_ms: phases.first_packet_ms,
            ..Self::default()
        }
    }
}

impl From<ViewerPhases> for PhaseTimes {
    fn from(phases: ViewerPhases) -> Self {
        Self {
            opened_ms: phases.opened_ms,
            answered_ms: phases.answered_ms,
            ice_ms: phases.ice_ms,
            dtls_ms: phases.dtls_ms,
            first_frame_ms: phases.first_frame_ms,
            ..Self::default()
        }
    }
}

/// A word of the protocol.
fn named(word: impl Serialize) -> String {
    let value = serde_json::to_value(word).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
