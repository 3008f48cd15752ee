//! Being signed in, in one browser.

use async_trait::async_trait;

use super::people::person;
use super::{Person, Sql, StoreError};

/// Who is signed in, by the hash of their cookie's token.
#[async_trait]
pub trait SignIns: Send + Sync {
    /// Somebody signed in. Those that have expired by then are forgotten.
    async fn add(
        &self,
        token_hash: &[u8; 32],
        person: &str,
        began_ms: i64,
        expires_ms: i64,
    ) -> Result<(), StoreError>;
    /// Who has that token, if it has not expired.
    async fn person(
        &self,
        token_hash: &[u8; 32],
        now_ms: i64,
    ) -> Result<Option<Person>, StoreError>;
    /// Signed out.
    async fn remove(&self, token_hash: &[u8; 32]) -> Result<(), StoreError>;
}

#[async_trait]
impl SignIns for Sql {
    async fn add(
        &self,
        token_hash: &[u8; 32],
        person: &str,
        began_ms: i64,
        expires_ms: i64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM sign_in WHERE expires_ms <= $1")
            .bind(began_ms)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO sign_in (token_hash, person, began_ms, expires_ms) VALUES ($1, $2, $3, $4)",
        )
        .bind(token_hash.as_slice())
        .bind(person)
        .bind(began_ms)
        .bind(expires_ms)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn person(
        &self,
        token_hash: &[u8; 32],
        now_ms: i64,
    ) -> Result<Option<Person>, StoreError> {
        let row = sqlx::query(
            "SELECT person.* FROM sign_in JOIN person ON person.id = sign_in.person
             WHERE token_hash = $1 AND expires_ms > $2",
        )
        .bind(token_hash.as_slice())
        .bind(now_ms)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(person).transpose()
    }

    async fn remove(&self, token_hash: &[u8; 32]) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM sign_in WHERE token_hash = $1");
        delete
            .bind(token_hash.as_slice())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
