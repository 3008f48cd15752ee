//! A new camera with its first certificate, and what allowed it, in one transaction.

use async_trait::async_trait;
use heron_protocol::TenantId;
use sqlx::AnyConnection;
use thiserror::Error;

use super::{CameraRow, CertificateRow, Sql, StoreError, cameras, certificates};

/// What allows a camera to enrol.
#[derive(Debug, Clone, Copy)]
pub enum Ticket<'a> {
    /// A person's word.
    Person,
    /// One use of a claim.
    Claim(&'a str),
    /// The tenant's entry in the factory list, by serial number.
    Factory(&'a TenantId, &'a str),
}

/// Why a camera was not enrolled.
#[derive(Debug, Error)]
pub enum NotEnrolled {
    /// Somebody was faster, or it has just expired.
    #[error("it is used up")]
    Spent,
    /// The name or id is taken, or the database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for NotEnrolled {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Enrolments, stored.
#[async_trait]
pub trait Enrolments: Send + Sync {
    /// Spends the ticket, and adds the camera and its certificate. All of it or nothing.
    async fn enrol(
        &self,
        ticket: Ticket<'_>,
        camera: &CameraRow,
        certificate: &CertificateRow,
    ) -> Result<(), NotEnrolled>;
}

#[async_trait]
impl Enrolments for Sql {
    async fn enrol(
        &self,
        ticket: Ticket<'_>,
        camera: &CameraRow,
        certificate: &CertificateRow,
    ) -> Result<(), NotEnrolled> {
        let mut transaction = self.write().await?;
        spend(&mut transaction, ticket, camera, &certificate.key_sha256).await?;
        cameras::insert(&mut transaction, camera).await?;
        certificates::insert(&mut transaction, certificate).await?;
        transaction.commit().await?;
        Ok(())
    }
}

async fn spend(
    connection: &mut AnyConnection,
    ticket: Ticket<'_>,
    camera: &CameraRow,
    key_sha256: &str,
) -> Result<(), NotEnrolled> {
    let done = match ticket {
        Ticket::Person => return Ok(()),
        Ticket::Claim(id) => {
            // The same key again is the same camera, which asks again because the answer got lost.
            let noted = sqlx::query(
                "INSERT INTO claim_use (claim, key_sha256, camera, at_ms) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            )
            .bind(id)
            .bind(key_sha256)
            .bind(camera.id.as_str())
            .bind(camera.added_ms)
            .execute(&mut *connection)
            .await?;
            if noted.rows_affected() == 0 {
                return Err(NotEnrolled::Spent);
            }
            sqlx::query(
                "UPDATE claim SET uses = uses + 1 WHERE id = $1 AND uses < max_uses AND expires_ms > $2",
            )
            .bind(id)
            .bind(camera.added_ms)
        }
        Ticket::Factory(tenant, serial) => {
            sqlx::query(
                "UPDATE factory_entry SET camera = $1
                 WHERE tenant = $2 AND serial = $3 AND key_sha256 = $4 AND camera IS NULL",
            )
            .bind(camera.id.as_str())
            .bind(tenant.as_str())
            .bind(serial)
            .bind(key_sha256)
        }
    }
    .execute(connection)
    .await?;
    if done.rows_affected() == 0 {
        return Err(NotEnrolled::Spent);
    }
    Ok(())
}
