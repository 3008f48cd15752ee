//! Certificates of cameras, and whether a camera may take part. Each change is an event in the same transaction, so
//! that a server learns what the command line did.

use std::collections::BTreeMap;

use async_trait::async_trait;
use heron_protocol::DeviceId;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use utoipa::ToSchema;

use super::{Sql, StoreError, checked};

/// What has become of a certificate. Its end by time is not among it: that is a matter of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateState {
    /// Issued; no connection was made with it yet.
    Pending,
    /// The one in use.
    Active,
    /// A newer one is in use.
    Superseded,
    /// Ended by us.
    Revoked,
}

/// Whether a camera may take part, whichever certificate it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Yes.
    #[default]
    Trusted,
    /// Not until somebody has looked at it.
    Quarantined,
    /// Never again with the certificates it has.
    Revoked,
}

macro_rules! stored_as {
    ($name:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        impl $name {
            /// As stored.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(()),
                }
            }
        }
    };
}
pub(super) use stored_as;

stored_as!(CertificateState {
    Pending => "pending",
    Active => "active",
    Superseded => "superseded",
    Revoked => "revoked",
});
stored_as!(Standing {
    Trusted => "trusted",
    Quarantined => "quarantined",
    Revoked => "revoked",
});

/// A certificate that was issued to a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// Lower-case hexadecimal without leading zeros.
    pub serial: String,
    /// Its common name.
    pub camera: DeviceId,
    /// The certificate.
    pub pem: String,
    /// SHA-256 of its DER, hexadecimal.
    pub fingerprint: String,
    /// SHA-256 of its SubjectPublicKeyInfo, hexadecimal.
    pub key_sha256: String,
    /// When it was issued.
    pub issued_ms: i64,
    /// Its end.
    pub not_after_ms: i64,
    /// What has become of it.
    pub state: CertificateState,
    /// When it was first used.
    pub first_used_ms: Option<i64>,
    /// When it was superseded or revoked.
    pub ended_ms: Option<i64>,
    /// Why it was revoked.
    pub reason: Option<String>,
}

/// What decides about a camera at its door.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownCamera {
    /// Whether it may take part.
    pub standing: Standing,
    /// Why not.
    pub reason: Option<String>,
    /// Since when not.
    pub since_ms: Option<i64>,
    /// Its certificates, the oldest first.
    pub certificates: Vec<CertificateRow>,
    /// It was removed; only its certificates are left.
    pub removed: bool,
}

/// Certificates and standing, stored.
#[async_trait]
pub trait Certificates: Send + Sync {
    /// One more certificate for a camera. Those that it never used give way to it, but for one of the same key: that
    /// one is returned instead, as its camera asks again because the answer got lost.
    async fn issue(&self, certificate: CertificateRow) -> Result<CertificateRow, StoreError>;
    /// Connections were made with these serials at these times: who was pending is active, and supersedes the others.
    async fn used(&self, uses: &[(String, i64)]) -> Result<(), StoreError>;
    /// Sets a camera's standing; false if there is no such camera. `Revoked` revokes its certificates too.
    async fn set_standing(
        &self,
        camera: &DeviceId,
        standing: Standing,
        reason: Option<&str>,
        now_ms: i64,
    ) -> Result<bool, StoreError>;
    /// All of one camera, the newest first.
    async fn of_camera(&self, camera: &DeviceId) -> Result<Vec<CertificateRow>, StoreError>;
    /// What decides about these cameras, or without a list about all: their certificates that can still open a door at
    /// `now_ms`, if only for a renewal within `renewable_ms` of their end. Without the PEM, which decides nothing.
    async fn known(
        &self,
        only: Option<&[DeviceId]>,
        now_ms: i64,
        renewable_ms: i64,
    ) -> Result<BTreeMap<DeviceId, KnownCamera>, StoreError>;
    /// The number of the last event.
    async fn last_event(&self) -> Result<i64, StoreError>;
    /// The cameras to which something happened after event `after`, and the last event's number.
    async fn events(&self, after: i64) -> Result<(Vec<DeviceId>, i64), StoreError>;
    /// The certificates that an older version stored otherwise: camera, PEM, when added.
    async fn unread(&self) -> Result<Vec<(DeviceId, String, i64)>, StoreError>;
    /// Files one of those.
    async fn adopt(&self, certificate: &CertificateRow) -> Result<(), StoreError>;
}

pub(super) fn certificate(row: &AnyRow) -> Result<CertificateRow, StoreError> {
    Ok(CertificateRow {
        serial: row.try_get("serial")?,
        camera: checked("device id", row.try_get("camera")?)?,
        pem: row.try_get("pem")?,
        fingerprint: row.try_get("fingerprint")?,
        key_sha256: row.try_get("key_sha256")?,
        issued_ms: row.try_get("issued_ms")?,
        not_after_ms: row.try_get("not_after_ms")?,
        state: row
            .try_get::<String, _>("state")?
            .parse()
            .map_err(|()| corrupt("certificate state"))?,
        first_used_ms: row.try_get("first_used_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        reason: row.try_get("reason")?,
    })
}

fn corrupt(what: &'static str) -> StoreError {
    StoreError::Corrupt {
        what,
        value: "another word".to_owned(),
    }
}

/// Writes down what happened to a camera's identity.
pub(super) async fn event(
    connection: &mut AnyConnection,
    camera: &str,
    what: &str,
    serial: Option<&str>,
    reason: Option<&str>,
    at_ms: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO identity_event (at_ms, camera, what, serial, reason) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(at_ms)
    .bind(camera)
    .bind(what)
    .bind(serial)
    .bind(reason)
    .execute(connection)
    .await?;
    Ok(())
}

/// Files a certificate, with its event.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    certificate: &CertificateRow,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO certificate (serial, camera, pem, fingerprint, key_sha256, issued_ms, not_after_ms, state,
             first_used_ms, ended_ms, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&certificate.serial)
    .bind(certificate.camera.as_str())
    .bind(&certificate.pem)
    .bind(&certificate.fingerprint)
    .bind(&certificate.key_sha256)
    .bind(certificate.issued_ms)
    .bind(certificate.not_after_ms)
    .bind(certificate.state.as_str())
    .bind(certificate.first_used_ms)
    .bind(certificate.ended_ms)
    .bind(&certificate.reason)
    .execute(&mut *connection)
    .await?;
    let (camera, serial) = (certificate.camera.as_str(), Some(&*certificate.serial));
    event(
        connection,
        camera,
        "issued",
        serial,
        None,
        certificate.issued_ms,
    )
    .await
}

/// Revokes all that a camera has.
pub(super) async fn revoke_all(
    connection: &mut AnyConnection,
    camera: &str,
    reason: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE certificate SET state = 'revoked', ended_ms = $1, reason = $2 WHERE camera = $3 AND state <> 'revoked'",
    )
    .bind(now_ms)
    .bind(reason)
    .bind(camera)
    .execute(connection)
    .await?;
    Ok(())
}

/// The pending ones of a camera end, as there is a newer one; with `active`, the active one too.
async fn supersede(
    connection: &mut AnyConnection,
    camera: &str,
    by: &str,
    active: bool,
    now_ms: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE certificate SET state = 'superseded', ended_ms = $1
         WHERE camera = $2 AND serial <> $3 AND (state = 'pending' OR (state = 'active' AND $4 = 1))",
    )
    .bind(now_ms)
    .bind(camera)
    .bind(by)
    .bind(i64::from(active))
    .execute(connection)
    .await?;
    Ok(())
}

#[async_trait]
impl Certificates for Sql {
    async fn issue(&self, fresh: CertificateRow) -> Result<CertificateRow, StoreError> {
        let mut transaction = self.write().await?;
        let there = sqlx::query(
            "SELECT * FROM certificate
             WHERE camera = $1 AND key_sha256 = $2 AND state = 'pending' AND not_after_ms > $3",
        )
        .bind(fresh.camera.as_str())
        .bind(&fresh.key_sha256)
        .bind(fresh.issued_ms)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(row) = there {
            return certificate(&row);
        }
        let (camera, serial) = (fresh.camera.as_str(), &fresh.serial);
        supersede(&mut transaction, camera, serial, false, fresh.issued_ms).await?;
        insert(&mut transaction, &fresh).await?;
        transaction.commit().await?;
        Ok(fresh)
    }

    async fn used(&self, uses: &[(String, i64)]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for (serial, at_ms) in uses {
            let row = sqlx::query(
                "UPDATE certificate SET state = 'active', first_used_ms = $1
                 WHERE serial = $2 AND state = 'pending' RETURNING camera",
            )
            .bind(at_ms)
            .bind(serial)
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(row) = row else { continue };
            let camera: String = row.try_get("camera")?;
            supersede(&mut transaction, &camera, serial, true, *at_ms).await?;
            event(
                &mut transaction,
                &camera,
                "used",
                Some(serial),
                None,
                *at_ms,
            )
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn set_standing(
        &self,
        camera: &DeviceId,
        standing: Standing,
        reason: Option<&str>,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let update = sqlx::query(
            "UPDATE camera SET standing = $1, standing_reason = $2, standing_since_ms = $3 WHERE id = $4",
        );
        let done = update
            .bind(standing.as_str())
            .bind(reason)
            .bind(now_ms)
            .bind(camera.as_str())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        if standing == Standing::Revoked {
            let reason = reason.unwrap_or_default();
            revoke_all(&mut transaction, camera.as_str(), reason, now_ms).await?;
        }
        event(
            &mut transaction,
            camera.as_str(),
            standing.as_str(),
            None,
            reason,
            now_ms,
        )
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn of_camera(&self, camera: &DeviceId) -> Result<Vec<CertificateRow>, StoreError> {
        sqlx::query(
            "SELECT * FROM certificate WHERE camera = $1 ORDER BY issued_ms DESC, rowid DESC",
        )
        .bind(camera.as_str())
        .fetch_all(&self.pool)
        .await?
        .iter()
        .map(certificate)
        .collect()
    }

    async fn known(
        &self,
        only: Option<&[DeviceId]>,
        now_ms: i64,
        renewable_ms: i64,
    ) -> Result<BTreeMap<DeviceId, KnownCamera>, StoreError> {
        let sql =
            "SELECT serial, certificate.camera, '' AS pem, fingerprint, key_sha256, issued_ms, not_after_ms, state,
                 first_used_ms, ended_ms, reason, camera.standing, camera.standing_reason, camera.standing_since_ms
             FROM certificate LEFT JOIN camera ON camera.id = certificate.camera
             WHERE not_after_ms > CASE WHEN state IN ('pending', 'active') THEN $1 - $3 ELSE $1 END
                 AND ($2 IS NULL OR certificate.camera = $2)
             ORDER BY issued_ms, certificate.rowid";
        let scopes = only.map_or_else(
            || vec![None],
            |only| only.iter().map(|id| Some(id.as_str())).collect(),
        );
        let mut rows = Vec::new();
        for scope in scopes {
            let query = sqlx::query(sql).bind(now_ms).bind(scope).bind(renewable_ms);
            rows.extend(query.fetch_all(&self.pool).await?);
        }
        let mut known: BTreeMap<DeviceId, KnownCamera> = BTreeMap::new();
        for row in &rows {
            let one = certificate(row)?;
            let camera = known.entry(one.camera.clone()).or_default();
            let standing: Option<String> = row.try_get("standing")?;
            camera.removed = standing.is_none();
            if let Some(standing) = standing {
                camera.standing = standing.parse().map_err(|()| corrupt("standing"))?;
                camera.reason = row.try_get("standing_reason")?;
                camera.since_ms = row.try_get("standing_since_ms")?;
            }
            camera.certificates.push(one);
        }
        Ok(known)
    }

    async fn last_event(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT coalesce(max(id), 0) AS last FROM identity_event")
            .fetch_one(&self.pool)
            .await?;
        Ok(row.try_get("last")?)
    }

    async fn events(&self, after: i64) -> Result<(Vec<DeviceId>, i64), StoreError> {
        let rows = sqlx::query("SELECT id, camera FROM identity_event WHERE id > $1 ORDER BY id")
            .bind(after)
            .fetch_all(&self.pool)
            .await?;
        let mut cameras = Vec::new();
        let mut last = after;
        for row in rows {
            last = row.try_get("id")?;
            cameras.push(checked("device id", row.try_get("camera")?)?);
        }
        cameras.sort_unstable();
        cameras.dedup();
        Ok((cameras, last))
    }

    async fn unread(&self) -> Result<Vec<(DeviceId, String, i64)>, StoreError> {
        let rows = sqlx::query("SELECT * FROM unread_certificate")
            .fetch_all(&self.pool)
            .await?;
        let read = |row: &AnyRow| {
            Ok((
                checked("device id", row.try_get("camera")?)?,
                row.try_get("pem")?,
                row.try_get("issued_ms")?,
            ))
        };
        rows.iter().map(read).collect()
    }

    async fn adopt(&self, certificate: &CertificateRow) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let delete = sqlx::query("DELETE FROM unread_certificate WHERE camera = $1");
        let done = delete
            .bind(certificate.camera.as_str())
            .execute(&mut *transaction)
            .await?;
        // Another process may have been faster.
        if done.rows_affected() > 0 {
            insert(&mut transaction, certificate).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
