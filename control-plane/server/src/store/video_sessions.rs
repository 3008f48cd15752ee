//! Video sessions: who watched which camera, past and present, and over which path.

use async_trait::async_trait;
use heron_protocol::messages::EndReason;
use heron_protocol::{SessionId, TenantId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Sql, StoreError, checked, small};
use crate::signalling::{Ends, PathKind, Phases, SessionLog, SessionRecord};
use crate::turn::Relayed;

/// A session with the names that belong to its ids, as far as they are still known.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoSessionRow {
    /// The session.
    pub record: SessionRecord,
    /// What the camera is called.
    pub camera_name: Option<String>,
    /// What the person is called.
    pub person_name: Option<String>,
    /// The TURN server on the way: its URL.
    pub relay: Option<String>,
    /// What a TURN server carried of it, where the server says.
    pub relayed_bytes: Option<u64>,
    /// The same for each end.
    pub relayed_ends: Option<Relayed>,
    /// Of a session of before there were kinds of paths: `direct` or `relayed`.
    pub former_path: Option<String>,
}

/// Video sessions, stored. Signalling writes them through [`SessionLog`].
#[async_trait]
pub trait VideoSessions: SessionLog {
    /// The newest of a tenant, or of one of its cameras; with `live` those that last.
    async fn recent(
        &self,
        tenant: &TenantId,
        camera: Option<&str>,
        live: bool,
        limit: u32,
    ) -> Result<Vec<VideoSessionRow>, StoreError>;
    /// One of a tenant.
    async fn one(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<VideoSessionRow>, StoreError>;
    /// Ends those that a former run of the server left open; returns how many.
    async fn end_open(&self, now_ms: i64, reason: &str) -> Result<u64, StoreError>;
}

impl Sql {
    async fn put(&self, record: &SessionRecord) -> anyhow::Result<()> {
        let phases = &record.phases;
        sqlx::query(
            "INSERT INTO video_session (id, tenant, camera, person, browser, opened_ms, ended_ms, path,
                 signal_ms, ice_ms, dtls_ms, first_packet_ms, first_frame_ms, bytes, end_reason,
                 kind, relay, restarts, ends, end_code)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
             ON CONFLICT (id) DO UPDATE SET
                 ended_ms = excluded.ended_ms, path = excluded.path, signal_ms = excluded.signal_ms,
                 ice_ms = excluded.ice_ms, dtls_ms = excluded.dtls_ms, first_packet_ms = excluded.first_packet_ms,
                 first_frame_ms = excluded.first_frame_ms, bytes = excluded.bytes, end_reason = excluded.end_reason,
                 kind = excluded.kind, relay = excluded.relay, restarts = excluded.restarts, ends = excluded.ends,
                 end_code = excluded.end_code",
        )
        .bind(record.session.as_str())
        .bind(record.tenant.as_str())
        .bind(record.camera.as_str())
        .bind(&record.person)
        .bind(record.browser.as_str())
        .bind(record.opened_ms)
        .bind(record.ended_ms)
        .bind(record.path.map(PathKind::directness))
        .bind(phases.signal_ms)
        .bind(phases.ice_ms)
        .bind(phases.dtls_ms)
        .bind(phases.first_packet_ms)
        .bind(phases.first_frame_ms)
        .bind(i64::try_from(record.bytes).unwrap_or(i64::MAX))
        .bind(&record.end_reason)
        .bind(record.path.map(PathKind::as_str))
        .bind(record.ends.relay())
        .bind(i64::from(record.restarts))
        .bind(serde_json::to_string(&record.ends)?)
        .bind(record.end.and_then(end_code))
        // sqlx 0.9 tells PostgreSQL another type for a missing real number than for one that is there: a statement that
        // was prepared for the one does not take the other.
        .persistent(false)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// An end as its column has it: the protocol's name.
fn end_code(end: EndReason) -> Option<String> {
    let name = serde_json::to_value(end).ok()?;
    name.as_str().map(str::to_owned)
}

fn video_session(row: &AnyRow) -> Result<VideoSessionRow, StoreError> {
    let text = |column| row.try_get::<Option<String>, _>(column);
    let bytes = |count| u64::try_from(count).unwrap_or(0);
    let ends = text("ends")?
        .map(|json| {
            serde_json::from_str::<Ends>(&json).map_err(|_| StoreError::Corrupt {
                what: "record of a path",
                value: json,
            })
        })
        .transpose()?;
    let record = SessionRecord {
        session: checked("session id", row.try_get("id")?)?,
        tenant: checked("tenant", row.try_get("tenant")?)?,
        camera: checked("device id", row.try_get("camera")?)?,
        person: row.try_get("person")?,
        browser: checked("browser id", row.try_get("browser")?)?,
        opened_ms: row.try_get("opened_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        path: text("kind")?.as_deref().and_then(PathKind::named),
        ends: ends.unwrap_or_default(),
        restarts: small(row, "restarts")?,
        phases: Phases {
            signal_ms: row.try_get("signal_ms")?,
            ice_ms: row.try_get("ice_ms")?,
            dtls_ms: row.try_get("dtls_ms")?,
            first_packet_ms: row.try_get("first_packet_ms")?,
            first_frame_ms: row.try_get("first_frame_ms")?,
        },
        bytes: bytes(row.try_get::<i64, _>("bytes")?),
        end: text("end_code")?.and_then(|code| serde_json::from_value(code.into()).ok()),
        end_reason: text("end_reason")?,
    };
    Ok(VideoSessionRow {
        record,
        camera_name: text("camera_name")?,
        person_name: text("person_name")?,
        relay: text("relay")?,
        relayed_bytes: row.try_get::<Option<i64>, _>("relayed_bytes")?.map(bytes),
        relayed_ends: relayed_ends(row)?,
        former_path: text("path")?,
    })
}

fn relayed_ends(row: &AnyRow) -> Result<Option<Relayed>, StoreError> {
    let bytes = |column| row.try_get::<Option<i64>, _>(column);
    let ends = bytes("relayed_viewer_bytes")?.zip(bytes("relayed_device_bytes")?);
    Ok(ends.map(|(viewer, device)| Relayed {
        viewer: viewer.cast_unsigned(),
        device: device.cast_unsigned(),
    }))
}

#[async_trait]
impl SessionLog for Sql {
    async fn opened(&self, record: &SessionRecord) -> anyhow::Result<()> {
        self.put(record).await
    }

    async fn updated(&self, record: &SessionRecord) -> anyhow::Result<()> {
        self.put(record).await
    }

    async fn ended(&self, record: &SessionRecord) -> anyhow::Result<()> {
        self.put(record).await
    }
}

#[async_trait]
impl VideoSessions for Sql {
    async fn recent(
        &self,
        tenant: &TenantId,
        camera: Option<&str>,
        live: bool,
        limit: u32,
    ) -> Result<Vec<VideoSessionRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM named_video_session WHERE tenant = $1 AND ($2 IS NULL OR camera = $2)
                 AND ($4 = 0 OR ended_ms IS NULL)
             ORDER BY opened_ms DESC LIMIT $3",
        )
        .bind(tenant.as_str())
        .bind(camera)
        .bind(i64::from(limit))
        .bind(i64::from(live))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(video_session).collect()
    }

    async fn one(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<VideoSessionRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM named_video_session WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(session.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(video_session).transpose()
    }

    async fn end_open(&self, now_ms: i64, reason: &str) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "UPDATE video_session SET ended_ms = $1, end_reason = $2 WHERE ended_ms IS NULL",
        );
        Ok(query
            .bind(now_ms)
            .bind(reason)
            .execute(&self.pool)
            .await?
            .rows_affected())
    }
}
