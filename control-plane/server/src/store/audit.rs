//! The audit log: what people changed, in order and for good.
//!
//! Rows are only added. Each has a hash over the hash before it and all that it says, so that a row that was changed, left
//! out or put in is found by whoever computes them again. What was cut off at the end is not: note the last hash elsewhere.

use async_trait::async_trait;
use heron_protocol::TenantId;
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Sql, StoreError, checked};

/// How many rows are read at a time to be verified.
const PAGE: i64 = 1000;

/// What somebody changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Whose organisation.
    pub tenant: TenantId,
    /// The person's id.
    pub actor: String,
    /// What they were called then.
    pub actor_name: String,
    /// Where it came from.
    pub address: String,
    /// What was done, such as `camera.revoke`.
    pub action: String,
    /// To what.
    pub subject: Option<String>,
    /// How it was before: JSON.
    pub before: Option<String>,
    /// How it is since: JSON.
    pub after: Option<String>,
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number, from 1 without a gap.
    pub id: i64,
    /// What happened.
    pub entry: AuditEntry,
    /// Over the hash before and this row, hexadecimal.
    pub hash: String,
}

/// Which entries are looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditScope<'a> {
    /// Older than this number.
    pub before: Option<i64>,
    /// By this person: an id.
    pub actor: Option<&'a str>,
    /// Of this action.
    pub action: Option<&'a str>,
    /// Of this subject.
    pub subject: Option<&'a str>,
}

/// What came of computing the hashes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// So many rows, and the last hash.
    Whole(i64, String),
    /// The row of this number is not the one that was written, or is not there.
    Broken(i64),
}

/// The audit log, stored.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Adds an entry at the end.
    async fn append(&self, entry: &AuditEntry) -> Result<(), StoreError>;
    /// Entries of a tenant, the newest first.
    async fn list(
        &self,
        tenant: &TenantId,
        scope: AuditScope<'_>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError>;
    /// Computes every hash again.
    async fn verify(&self) -> Result<Verified, StoreError>;
}

/// The hash of a row after the row with `last`.
fn hash(last: &str, id: i64, entry: &AuditEntry) -> String {
    // JSON has one form for each row: an array of what it says, in this order.
    let row = serde_json::json!([
        last,
        id,
        entry.at_ms,
        entry.tenant.as_str(),
        entry.actor,
        entry.actor_name,
        entry.address,
        entry.action,
        entry.subject,
        entry.before,
        entry.after,
    ]);
    let digest = Sha256::digest(row.to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn audit(row: &AnyRow) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row.try_get("id")?,
        entry: AuditEntry {
            at_ms: row.try_get("at_ms")?,
            tenant: checked("tenant", row.try_get("tenant")?)?,
            actor: row.try_get("actor")?,
            actor_name: row.try_get("actor_name")?,
            address: row.try_get("address")?,
            action: row.try_get("action")?,
            subject: row.try_get("subject")?,
            before: row.try_get("before")?,
            after: row.try_get("after")?,
        },
        hash: row.try_get("hash")?,
    })
}

#[async_trait]
impl AuditLog for Sql {
    async fn append(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let last = sqlx::query("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")
            .fetch_optional(&mut *transaction)
            .await?;
        let (id, last): (i64, String) = match last {
            Some(row) => (row.try_get("id")?, row.try_get("hash")?),
            None => (0, String::new()),
        };
        let id = id + 1;
        sqlx::query(
            "INSERT INTO audit (id, at_ms, tenant, actor, actor_name, address, action, subject, before, after, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(id)
        .bind(entry.at_ms)
        .bind(entry.tenant.as_str())
        .bind(&entry.actor)
        .bind(&entry.actor_name)
        .bind(&entry.address)
        .bind(&entry.action)
        .bind(&entry.subject)
        .bind(&entry.before)
        .bind(&entry.after)
        .bind(hash(&last, id, entry))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn list(
        &self,
        tenant: &TenantId,
        scope: AuditScope<'_>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM audit WHERE tenant = $1 AND ($2 IS NULL OR id < $2) AND ($3 IS NULL OR actor = $3)
                 AND ($4 IS NULL OR action = $4) AND ($5 IS NULL OR subject = $5)
             ORDER BY id DESC LIMIT $6",
        )
        .bind(tenant.as_str())
        .bind(scope.before)
        .bind(scope.actor)
        .bind(scope.action)
        .bind(scope.subject)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(audit).collect()
    }

    async fn verify(&self) -> Result<Verified, StoreError> {
        let (mut at, mut last) = (0, String::new());
        loop {
            let rows = sqlx::query("SELECT * FROM audit WHERE id > $1 ORDER BY id LIMIT $2")
                .bind(at)
                .bind(PAGE)
                .fetch_all(&self.pool)
                .await?;
            if rows.is_empty() {
                return Ok(Verified::Whole(at, last));
            }
            for row in &rows {
                let row = audit(row)?;
                at += 1;
                if row.id != at || row.hash != hash(&last, at, &row.entry) {
                    return Ok(Verified::Broken(at));
                }
                last = row.hash;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn entry(number: u32) -> AuditEntry {
        AuditEntry {
            at_ms: i64::from(number),
            tenant: "home".parse().unwrap(),
            actor: "p1".to_owned(),
            actor_name: "Ada".to_owned(),
            address: "192.0.2.7".to_owned(),
            action: "camera.revoke".to_owned(),
            subject: Some(format!("camera-{number:04}")),
            before: None,
            after: Some(r#"{"reason":"stolen"}"#.to_owned()),
        }
    }

    /// Does this to a log of five rows, behind its back.
    async fn tampered(sql: &'static str) -> Verified {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).await.unwrap();
        for number in 1..=5 {
            store.audit.append(&entry(number)).await.unwrap();
        }
        let pool = &store.sql.pool;
        for trigger in ["audit_is_not_changed", "audit_is_not_deleted"] {
            let drop = sqlx::AssertSqlSafe(format!("DROP TRIGGER {trigger}"));
            sqlx::query(drop).execute(pool).await.unwrap();
        }
        sqlx::query(sql).execute(pool).await.unwrap();
        store.audit.verify().await.unwrap()
    }

    #[tokio::test]
    async fn what_was_changed_left_out_or_put_in_is_found() {
        let cases = [
            ("UPDATE audit SET actor_name = 'Eve' WHERE id = 3", 3),
            ("UPDATE audit SET before = '' WHERE id = 1", 1),
            ("UPDATE audit SET hash = 'ab' WHERE id = 2", 2),
            ("DELETE FROM audit WHERE id = 2", 2),
            ("DELETE FROM audit WHERE id = 1", 1),
            (
                "INSERT INTO audit SELECT 6, at_ms, tenant, actor, actor_name, address, action, subject, before, after, hash
                 FROM audit WHERE id = 5",
                6,
            ),
        ];
        for (sql, broken) in cases {
            assert_eq!(tampered(sql).await, Verified::Broken(broken), "{sql}");
        }
        assert!(matches!(tampered("SELECT 1").await, Verified::Whole(5, _)));
    }

    #[tokio::test]
    async fn nothing_is_changed_or_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).await.unwrap();
        store.audit.append(&entry(1)).await.unwrap();
        for sql in ["UPDATE audit SET at_ms = 0", "DELETE FROM audit"] {
            let error = sqlx::query(sql).execute(&store.sql.pool).await.unwrap_err();
            assert!(error.to_string().contains("audit log"), "{error}");
        }
    }
}
