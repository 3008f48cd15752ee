//! Video sessions: who watched which camera, past and present.

use async_trait::async_trait;
use heron_protocol::TenantId;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Sqlite, StoreError, checked};
use crate::signalling::{Phases, SessionLog, SessionRecord};

/// A session with the names that belong to its ids, as far as they are still known.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoSessionRow {
    /// The session.
    pub record: SessionRecord,
    /// What the camera is called.
    pub camera_name: Option<String>,
    /// What the person is called.
    pub person_name: Option<String>,
}

/// Video sessions, stored. Signalling writes them through [`SessionLog`].
#[async_trait]
pub trait VideoSessions: SessionLog {
    /// The newest of a tenant, or of one of its cameras.
    async fn recent(
        &self,
        tenant: &TenantId,
        camera: Option<&str>,
        limit: u32,
    ) -> Result<Vec<VideoSessionRow>, StoreError>;
    /// Ends those that a former run of the server left open; returns how many.
    async fn end_open(&self, now_ms: i64, reason: &str) -> Result<u64, StoreError>;
}

impl Sqlite {
    async fn put(&self, record: &SessionRecord) -> anyhow::Result<()> {
        let phases = &record.phases;
        sqlx::query(
            "INSERT INTO video_session (id, tenant, camera, person, browser, opened_ms, ended_ms, path,
                 signal_ms, ice_ms, dtls_ms, first_packet_ms, first_frame_ms, bytes, end_reason)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET
                 ended_ms = excluded.ended_ms, path = excluded.path, signal_ms = excluded.signal_ms,
                 ice_ms = excluded.ice_ms, dtls_ms = excluded.dtls_ms, first_packet_ms = excluded.first_packet_ms,
                 first_frame_ms = excluded.first_frame_ms, bytes = excluded.bytes, end_reason = excluded.end_reason",
        )
        .bind(record.session.as_str())
        .bind(record.tenant.as_str())
        .bind(record.camera.as_str())
        .bind(&record.person)
        .bind(record.browser.as_str())
        .bind(record.opened_ms)
        .bind(record.ended_ms)
        .bind(&record.path)
        .bind(phases.signal_ms)
        .bind(phases.ice_ms)
        .bind(phases.dtls_ms)
        .bind(phases.first_packet_ms)
        .bind(phases.first_frame_ms)
        .bind(i64::try_from(record.bytes).unwrap_or(i64::MAX))
        .bind(&record.end_reason)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

fn video_session(row: &SqliteRow) -> Result<VideoSessionRow, StoreError> {
    let record = SessionRecord {
        session: checked("session id", row.try_get("id")?)?,
        tenant: checked("tenant", row.try_get("tenant")?)?,
        camera: checked("device id", row.try_get("camera")?)?,
        person: row.try_get("person")?,
        browser: checked("browser id", row.try_get("browser")?)?,
        opened_ms: row.try_get("opened_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        path: row.try_get("path")?,
        phases: Phases {
            signal_ms: row.try_get("signal_ms")?,
            ice_ms: row.try_get("ice_ms")?,
            dtls_ms: row.try_get("dtls_ms")?,
            first_packet_ms: row.try_get("first_packet_ms")?,
            first_frame_ms: row.try_get("first_frame_ms")?,
        },
        bytes: u64::try_from(row.try_get::<i64, _>("bytes")?).unwrap_or(0),
        end_reason: row.try_get("end_reason")?,
    };
    Ok(VideoSessionRow {
        record,
        camera_name: row.try_get("camera_name")?,
        person_name: row.try_get("person_name")?,
    })
}

#[async_trait]
impl SessionLog for Sqlite {
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
impl VideoSessions for Sqlite {
    async fn recent(
        &self,
        tenant: &TenantId,
        camera: Option<&str>,
        limit: u32,
    ) -> Result<Vec<VideoSessionRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT video_session.*, camera.name AS camera_name, person.name AS person_name FROM video_session
             LEFT JOIN camera ON camera.id = video_session.camera
             LEFT JOIN person ON person.id = video_session.person
             WHERE video_session.tenant = ?1 AND (?2 IS NULL OR video_session.camera = ?2)
             ORDER BY opened_ms DESC LIMIT ?3",
        )
        .bind(tenant.as_str())
        .bind(camera)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(video_session).collect()
    }

    async fn end_open(&self, now_ms: i64, reason: &str) -> Result<u64, StoreError> {
        let query = sqlx::query(
            "UPDATE video_session SET ended_ms = ?, end_reason = ? WHERE ended_ms IS NULL",
        );
        Ok(query
            .bind(now_ms)
            .bind(reason)
            .execute(&self.pool)
            .await?
            .rows_affected())
    }
}
