//! What may be relayed for cameras and tenants, and how long their sessions were.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use heron_protocol::{DeviceId, SessionId, TenantId};
use jiff::civil::Date;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Sql, StoreError, checked};
use crate::turn::{Account, AccountDay, RelayPolicy, Relayed};

/// Every policy that is set.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AllPolicies {
    /// Of tenants.
    pub tenants: HashMap<TenantId, RelayPolicy>,
    /// Of cameras.
    pub cameras: HashMap<DeviceId, RelayPolicy>,
}

/// Relay policies and relayed time, stored.
#[async_trait]
pub trait RelayPolicies: Send + Sync {
    /// All of them.
    async fn all(&self) -> Result<AllPolicies, StoreError>;
    /// The policy of an account; an empty one if none is set.
    async fn get(&self, account: &Account) -> Result<RelayPolicy, StoreError>;
    /// Sets it.
    async fn set(
        &self,
        account: &Account,
        policy: &RelayPolicy,
        now_ms: i64,
    ) -> Result<(), StoreError>;
    /// The days of this day's month.
    async fn relayed_days(&self, today: Date) -> Result<Vec<AccountDay>, StoreError>;
    /// Writes days down, each whole.
    async fn write_days(&self, days: &[AccountDay]) -> Result<(), StoreError>;
    /// What relays took for each end of a session so far. Nothing for a session that is not there.
    async fn relayed(&self, session: &SessionId, relayed: Relayed) -> Result<(), StoreError>;
    /// Open sessions whose own word is that their path goes through a relay.
    async fn open_relayed(&self) -> Result<Vec<SessionId>, StoreError>;
}

/// An account as its two columns have it.
const fn kind(account: &Account) -> &'static str {
    match account {
        Account::Tenant(_) => "tenant",
        Account::Camera(_) => "camera",
    }
}

fn id(account: &Account) -> &str {
    match account {
        Account::Tenant(tenant) => tenant.as_str(),
        Account::Camera(camera) => camera.as_str(),
    }
}

fn account(row: &AnyRow) -> Result<Account, StoreError> {
    let id = row.try_get("id")?;
    let account: String = row.try_get("account")?;
    Ok(match account.as_str() {
        "tenant" => Account::Tenant(checked("tenant", id)?),
        _ => Account::Camera(checked("device id", id)?),
    })
}

fn policy(row: &AnyRow) -> Result<RelayPolicy, StoreError> {
    let number = |column| row.try_get::<Option<i64>, _>(column);
    let relay: Option<String> = row.try_get("relay")?;
    Ok(RelayPolicy {
        relay: relay
            .map(|text| checked("relay policy", text))
            .transpose()?,
        max_bps: number("max_bps")?.map(i64::cast_unsigned),
        minutes_per_day: number("minutes_per_day")?.and_then(|minutes| minutes.try_into().ok()),
        minutes_per_month: number("minutes_per_month")?.and_then(|minutes| minutes.try_into().ok()),
    })
}

#[async_trait]
impl RelayPolicies for Sql {
    async fn all(&self) -> Result<AllPolicies, StoreError> {
        let rows = sqlx::query("SELECT * FROM relay_policy")
            .fetch_all(&self.pool)
            .await?;
        let mut all = AllPolicies::default();
        for row in &rows {
            let policy = policy(row)?;
            match account(row)? {
                Account::Tenant(tenant) => drop(all.tenants.insert(tenant, policy)),
                Account::Camera(camera) => drop(all.cameras.insert(camera, policy)),
            }
        }
        Ok(all)
    }

    async fn get(&self, account: &Account) -> Result<RelayPolicy, StoreError> {
        let row = sqlx::query("SELECT * FROM relay_policy WHERE account = $1 AND id = $2")
            .bind(kind(account))
            .bind(id(account))
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref()
            .map_or_else(|| Ok(RelayPolicy::default()), policy)
    }

    async fn set(
        &self,
        account: &Account,
        policy: &RelayPolicy,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let rate = policy
            .max_bps
            .map(|rate| i64::try_from(rate).unwrap_or(i64::MAX));
        sqlx::query(
            "INSERT INTO relay_policy (account, id, relay, max_bps, minutes_per_day, minutes_per_month, changed_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (account, id) DO UPDATE SET
                 relay = excluded.relay, max_bps = excluded.max_bps, minutes_per_day = excluded.minutes_per_day,
                 minutes_per_month = excluded.minutes_per_month, changed_ms = excluded.changed_ms",
        )
        .bind(kind(account))
        .bind(id(account))
        .bind(policy.relay.map(crate::turn::RelayMode::as_str))
        .bind(rate)
        .bind(policy.minutes_per_day.map(i64::from))
        .bind(policy.minutes_per_month.map(i64::from))
        .bind(now_ms)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn relayed_days(&self, today: Date) -> Result<Vec<AccountDay>, StoreError> {
        let rows = sqlx::query("SELECT * FROM relayed_day WHERE day BETWEEN $1 AND $2")
            .bind(today.first_of_month().to_string())
            .bind(today.last_of_month().to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(AccountDay {
                    account: account(row)?,
                    day: checked("date", row.try_get("day")?)?,
                    relayed: Duration::from_millis(
                        row.try_get::<i64, _>("relayed_ms")?.cast_unsigned(),
                    ),
                })
            })
            .collect()
    }

    async fn write_days(&self, days: &[AccountDay]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for one in days {
            sqlx::query(
                "INSERT INTO relayed_day (account, id, day, relayed_ms) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (account, id, day) DO UPDATE SET relayed_ms = excluded.relayed_ms",
            )
            .bind(kind(&one.account))
            .bind(id(&one.account))
            .bind(one.day.to_string())
            .bind(i64::try_from(one.relayed.as_millis()).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn relayed(&self, session: &SessionId, relayed: Relayed) -> Result<(), StoreError> {
        let bytes = |count| i64::try_from(count).unwrap_or(i64::MAX);
        sqlx::query(
            "UPDATE video_session SET relayed_bytes = $1, relayed_viewer_bytes = $2, relayed_device_bytes = $3
             WHERE id = $4",
        )
        .bind(bytes(relayed.total()))
        .bind(bytes(relayed.viewer))
        .bind(bytes(relayed.device))
        .bind(session.as_str())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn open_relayed(&self) -> Result<Vec<SessionId>, StoreError> {
        let rows =
            sqlx::query("SELECT id FROM video_session WHERE ended_ms IS NULL AND path = 'relayed'")
                .fetch_all(&self.pool)
                .await?;
        rows.iter()
            .map(|row| checked("session id", row.try_get("id")?))
            .collect()
    }
}
