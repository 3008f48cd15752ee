//! Accounts.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use heron_protocol::TenantId;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use utoipa::ToSchema;

use super::{Sql, StoreError, checked, taken};
use crate::access::PasswordHash;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Watch and listen.
    Viewer,
    /// Also talk, change a camera's picture, and add and remove cameras.
    Admin,
}

impl Role {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Viewer, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Somebody with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Made by us; never changes.
    pub id: String,
    /// The organisation.
    pub tenant: TenantId,
    /// Chosen by people; unique, upper and lower case being the same.
    pub name: String,
    /// What the account may do.
    pub role: Role,
    /// When it was added.
    pub added_ms: i64,
}

/// A person with what it takes to sign in.
#[derive(Debug, Clone)]
pub struct Account {
    /// Who.
    pub person: Person,
    /// Their password, hashed.
    pub password_hash: PasswordHash,
}

/// Accounts, stored.
#[async_trait]
pub trait People: Send + Sync {
    /// Adds an account.
    async fn add(&self, account: &Account) -> Result<(), StoreError>;
    /// The account of that name.
    async fn by_name(&self, name: &str) -> Result<Option<Account>, StoreError>;
    /// The person with that id.
    async fn by_id(&self, id: &str) -> Result<Option<Person>, StoreError>;
    /// Everybody, by name.
    async fn list(&self) -> Result<Vec<Person>, StoreError>;
}

pub(super) fn person(row: &AnyRow) -> Result<Person, StoreError> {
    Ok(Person {
        id: row.try_get("id")?,
        tenant: checked("tenant", row.try_get("tenant")?)?,
        name: row.try_get("name")?,
        role: checked("role", row.try_get("role")?)?,
        added_ms: row.try_get("added_ms")?,
    })
}

#[async_trait]
impl People for Sql {
    async fn add(
        &self,
        Account {
            person,
            password_hash,
        }: &Account,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO person (id, tenant, name, role, password_hash, added_ms) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(&person.id)
            .bind(person.tenant.as_str())
            .bind(&person.name)
            .bind(person.role.as_str())
            .bind(password_hash.as_str())
            .bind(person.added_ms)
            .execute(&self.pool)
            .await
            .map_err(taken("person", &person.name))?;
        Ok(())
    }

    async fn by_name(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query("SELECT * FROM person WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        let account = |row: AnyRow| {
            let password_hash = PasswordHash::from_stored(row.try_get("password_hash")?);
            Ok(Account {
                person: person(&row)?,
                password_hash,
            })
        };
        row.map(account).transpose()
    }

    async fn by_id(&self, id: &str) -> Result<Option<Person>, StoreError> {
        let row = sqlx::query("SELECT * FROM person WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(person).transpose()
    }

    async fn list(&self) -> Result<Vec<Person>, StoreError> {
        let rows = sqlx::query("SELECT * FROM person ORDER BY name")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(person).collect()
    }
}
