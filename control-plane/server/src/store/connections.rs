//! When cameras came and went.

use async_trait::async_trait;
use heron_protocol::DeviceId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Sql, StoreError, checked};
use crate::signalling::ConnectionRecord;

/// What is kept of one camera.
const KEPT: i64 = 500;

/// The history of connections, stored.
#[async_trait]
pub trait Connections: Send + Sync {
    /// Adds these. What a camera's last entry says already is left out: presence is retained, and comes again after a
    /// restart.
    async fn add(&self, connections: &[ConnectionRecord]) -> Result<(), StoreError>;
    /// Of one camera, the newest first.
    async fn recent(
        &self,
        camera: &DeviceId,
        limit: u32,
    ) -> Result<Vec<ConnectionRecord>, StoreError>;
}

fn connection(row: &AnyRow) -> Result<ConnectionRecord, StoreError> {
    Ok(ConnectionRecord {
        camera: checked("device id", row.try_get("camera")?)?,
        at_ms: row.try_get("at_ms")?,
        online: row.try_get::<i64, _>("online")? != 0,
        reason: row.try_get("reason")?,
        boot_id: row.try_get("boot_id")?,
        firmware: row.try_get("firmware")?,
        seq: row.try_get::<i64, _>("seq")?.cast_unsigned(),
    })
}

#[async_trait]
impl Connections for Sql {
    async fn add(&self, connections: &[ConnectionRecord]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for one in connections {
            let camera = one.camera.as_str();
            // The will of a camera that we put out says that it was lost; we know better.
            let done = sqlx::query(
                "WITH said (reason) AS (SELECT CASE WHEN $3 = 1 OR $4 IS DISTINCT FROM 'connection_lost' THEN $4 ELSE
                     coalesce((SELECT standing FROM camera WHERE id = $1 AND standing <> 'trusted'), $4) END)
                 INSERT INTO connection (camera, at_ms, online, reason, boot_id, firmware, seq)
                 SELECT $1, $2, $3, said.reason, $5, $6, $7 FROM said WHERE NOT EXISTS (
                     SELECT 1 FROM (SELECT * FROM connection WHERE camera = $1 ORDER BY id DESC LIMIT 1) AS last
                     WHERE online = $3 AND last.reason IS NOT DISTINCT FROM said.reason AND boot_id = $5 AND seq = $7)",
            )
            .bind(camera)
            .bind(one.at_ms)
            .bind(i64::from(one.online))
            .bind(&one.reason)
            .bind(&one.boot_id)
            .bind(&one.firmware)
            .bind(one.seq.cast_signed())
            .execute(&mut *transaction)
            .await?;
            if done.rows_affected() == 0 {
                continue;
            }
            sqlx::query(
                "DELETE FROM connection WHERE camera = $1 AND id <= (
                     SELECT id FROM connection WHERE camera = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
            )
            .bind(camera)
            .bind(KEPT)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn recent(
        &self,
        camera: &DeviceId,
        limit: u32,
    ) -> Result<Vec<ConnectionRecord>, StoreError> {
        sqlx::query("SELECT * FROM connection WHERE camera = $1 ORDER BY id DESC LIMIT $2")
            .bind(camera.as_str())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?
            .iter()
            .map(connection)
            .collect()
    }
}
