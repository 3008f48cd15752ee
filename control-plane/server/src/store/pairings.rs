//! Pairings: devices that show a code and wait for a person to confirm it.

use async_trait::async_trait;
use heron_protocol::{DeviceId, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use utoipa::ToSchema;

use super::certificates::stored_as;
use super::{CameraRow, Sql, StoreError, cameras, checked};

/// How long a code that is out of time is still told so.
const KEPT_MS: i64 = 3600 * 1000;
/// Devices that wait at a time, in all and from one address. Everybody may ask, so there is an end to it.
const WAITING: i64 = 1000;
const WAITING_PER_ADDRESS: i64 = 16;

/// How far a pairing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairingState {
    /// For a person.
    Waiting,
    /// A person said yes.
    Confirmed,
    /// A person said no.
    Refused,
}

stored_as!(PairingState {
    Waiting => "waiting",
    Confirmed => "confirmed",
    Refused => "refused",
});

/// A device that shows a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingRow {
    /// The code, without the dash.
    pub code: String,
    /// The organisation it can be confirmed in.
    pub tenant: TenantId,
    /// SHA-256 of the device's SubjectPublicKeyInfo: the code belongs to that key.
    pub key_sha256: String,
    /// The device's serial number, as it says.
    pub serial: Option<String>,
    /// What it is, as it says.
    pub model: Option<String>,
    /// Where it asked from.
    pub address: String,
    /// When it asked first.
    pub asked_ms: i64,
    /// The code's end.
    pub expires_ms: i64,
    /// How far it has come.
    pub state: PairingState,
    /// The camera that was added for it.
    pub camera: Option<DeviceId>,
}

/// Pairings, stored.
#[async_trait]
pub trait Pairings: Send + Sync {
    /// A device asks: its row if the code is known, otherwise the new one. `None` if too many wait.
    async fn ask(&self, asked: &PairingRow) -> Result<Option<PairingRow>, StoreError>;
    /// The one with that code, if its time is not over.
    async fn get(
        &self,
        tenant: &TenantId,
        code: &str,
        now_ms: i64,
    ) -> Result<Option<PairingRow>, StoreError>;
    /// Adds the camera for a waiting one, whose time then ends at `expires_ms`; false if it does not wait any more.
    async fn confirm(
        &self,
        code: &str,
        camera: &CameraRow,
        expires_ms: i64,
    ) -> Result<bool, StoreError>;
    /// Refuses a waiting one; false if it does not wait any more.
    async fn refuse(&self, tenant: &TenantId, code: &str, now_ms: i64) -> Result<bool, StoreError>;
}

fn pairing(row: &AnyRow) -> Result<PairingRow, StoreError> {
    let camera: Option<String> = row.try_get("camera")?;
    Ok(PairingRow {
        code: row.try_get("code")?,
        tenant: checked("tenant", row.try_get("tenant")?)?,
        key_sha256: row.try_get("key_sha256")?,
        serial: row.try_get("serial")?,
        model: row.try_get("model")?,
        address: row.try_get("address")?,
        asked_ms: row.try_get("asked_ms")?,
        expires_ms: row.try_get("expires_ms")?,
        state: checked("pairing state", row.try_get("state")?)?,
        camera: camera
            .map(|camera| checked("device id", camera))
            .transpose()?,
    })
}

async fn find(
    connection: &mut AnyConnection,
    code: &str,
) -> Result<Option<PairingRow>, StoreError> {
    let row = sqlx::query("SELECT * FROM pairing WHERE code = $1")
        .bind(code)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(pairing).transpose()
}

#[async_trait]
impl Pairings for Sql {
    async fn ask(&self, asked: &PairingRow) -> Result<Option<PairingRow>, StoreError> {
        let mut transaction = self.write().await?;
        if let Some(known) = find(&mut transaction, &asked.code).await? {
            return Ok(Some(known));
        }
        sqlx::query("DELETE FROM pairing WHERE expires_ms < $1")
            .bind(asked.asked_ms - KEPT_MS)
            .execute(&mut *transaction)
            .await?;
        let counted = sqlx::query(
            "SELECT count(*) AS everywhere, count(CASE WHEN address = $1 THEN 1 END) AS here FROM pairing
             WHERE state = 'waiting' AND expires_ms > $2",
        )
        .bind(&asked.address)
        .bind(asked.asked_ms)
        .fetch_one(&mut *transaction)
        .await?;
        let (everywhere, here): (i64, i64) =
            (counted.try_get("everywhere")?, counted.try_get("here")?);
        if everywhere >= WAITING || here >= WAITING_PER_ADDRESS {
            return Ok(None);
        }
        sqlx::query(
            "INSERT INTO pairing (code, tenant, key_sha256, serial, model, address, asked_ms, expires_ms, state)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&asked.code)
        .bind(asked.tenant.as_str())
        .bind(&asked.key_sha256)
        .bind(&asked.serial)
        .bind(&asked.model)
        .bind(&asked.address)
        .bind(asked.asked_ms)
        .bind(asked.expires_ms)
        .bind(asked.state.as_str())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Some(asked.clone()))
    }

    async fn get(
        &self,
        tenant: &TenantId,
        code: &str,
        now_ms: i64,
    ) -> Result<Option<PairingRow>, StoreError> {
        let found = find(&mut *self.pool.acquire().await?, code).await?;
        Ok(found.filter(|found| found.tenant == *tenant && found.expires_ms > now_ms))
    }

    async fn confirm(
        &self,
        code: &str,
        camera: &CameraRow,
        expires_ms: i64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query(
            "UPDATE pairing SET state = 'confirmed', camera = $1, expires_ms = $2
             WHERE tenant = $3 AND code = $4 AND state = 'waiting' AND expires_ms > $5",
        )
        .bind(camera.id.as_str())
        .bind(expires_ms)
        .bind(camera.tenant.as_str())
        .bind(code)
        .bind(camera.added_ms)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        cameras::insert(&mut transaction, camera).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn refuse(&self, tenant: &TenantId, code: &str, now_ms: i64) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE pairing SET state = 'refused'
             WHERE tenant = $1 AND code = $2 AND state = 'waiting' AND expires_ms > $3",
        )
        .bind(tenant.as_str())
        .bind(code)
        .bind(now_ms)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}
