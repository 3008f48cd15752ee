//! Every table as rows of JSON: what a backup is made of, and what either database can be filled from.
//!
//! A row has its columns by name; those without a value are left out, and bytes are `{"base64": "…"}`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use futures::TryStreamExt as _;
use serde_json::{Map, Value, json};
use sqlx::any::{AnyRow, AnyTypeInfoKind};
use sqlx::{Any, AssertSqlSafe, Column as _, Row as _, Transaction, ValueRef as _};

use super::{Kind, Sql, Store, StoreError};

/// The tables, those that others refer to before them.
pub const TABLES: [&str; 15] = [
    "person",
    "sign_in",
    "camera",
    "video_session",
    "certificate",
    "unread_certificate",
    "identity_event",
    "claim",
    "claim_use",
    "pairing",
    "factory_entry",
    "connection",
    "relay_policy",
    "relayed_day",
    "audit",
];

/// The column by which a table keeps the order of its rows, where it has none for people.
const ORDER: &str = "rowid";

/// One row.
pub type Row = Map<String, Value>;

/// All tables as they are at one moment, while others write.
pub struct Snapshot {
    transaction: Transaction<'static, Any>,
}

/// An empty database that is being filled: all of it or nothing.
pub struct Refilling {
    transaction: Transaction<'static, Any>,
    kind: Kind,
}

impl Store {
    /// Holds on to this moment.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database fails.
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let Sql { pool, kind } = &self.sql;
        let transaction = match kind {
            // The first look fixes what is seen (sqlite.org/isolation.html).
            Kind::Sqlite => pool.begin().await?,
            Kind::Postgres => {
                pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await?
            }
        };
        Ok(Snapshot { transaction })
    }

    /// Begins to fill the database; `None` if there is something in it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database fails.
    pub async fn refill(&self) -> Result<Option<Refilling>, StoreError> {
        let mut transaction = self.sql.write().await?;
        for table in TABLES {
            let any = sqlx::query(AssertSqlSafe(format!("SELECT 1 FROM {table} LIMIT 1")));
            if any.fetch_optional(&mut *transaction).await?.is_some() {
                return Ok(None);
            }
        }
        Ok(Some(Refilling {
            transaction,
            kind: self.sql.kind,
        }))
    }
}

impl Snapshot {
    /// Hands out a table's rows one by one; returns how many there were.
    ///
    /// # Errors
    ///
    /// That of the database, or of `each`.
    pub async fn rows<E: From<StoreError>>(
        &mut self,
        table: &str,
        mut each: impl FnMut(&Row) -> Result<(), E>,
    ) -> Result<u64, E> {
        let order = match table {
            "certificate" => " ORDER BY rowid",
            "identity_event" | "connection" | "audit" => " ORDER BY id",
            _ => "",
        };
        let query = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table}{order}")));
        let mut rows = query.fetch(&mut *self.transaction);
        let mut count = 0;
        while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
            each(&json_of(&row).map_err(StoreError::from)?)?;
            count += 1;
        }
        Ok(count)
    }
}

impl Refilling {
    /// Puts a row into its table.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the row is not of this table, or the database fails.
    pub async fn put(&mut self, table: &str, row: &Row) -> Result<(), StoreError> {
        let named = |name: &str| {
            name.bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if let Some(name) = row.keys().find(|name| !named(name)) {
            return Err(corrupt("column", name));
        }
        let columns: Vec<&str> = row.keys().map(String::as_str).collect();
        let places: Vec<String> = (1..=row.len()).map(|number| format!("${number}")).collect();
        let (columns, places) = (columns.join(", "), places.join(", "));
        let sql = format!("INSERT INTO {table} ({columns}) VALUES ({places})");
        // The columns that are there differ from row to row.
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for value in row.values() {
            query = match value {
                Value::String(text) => query.bind(text.clone()),
                Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                    (Some(whole), _) => query.bind(whole),
                    (None, Some(real)) => query.bind(real),
                    (None, None) => return Err(corrupt("number", &number.to_string())),
                },
                Value::Object(bytes) => {
                    let text = bytes
                        .get("base64")
                        .and_then(Value::as_str)
                        .unwrap_or_default();
                    query.bind(BASE64.decode(text).map_err(|_| corrupt("bytes", text))?)
                }
                other => return Err(corrupt("value", &other.to_string())),
            };
        }
        query.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Done: what was put in is there from now on.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database fails; then nothing is there.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        if self.kind == Kind::Postgres {
            // Its counters did not see the numbers that came with the rows.
            for table in ["identity_event", "connection"] {
                let sql = format!(
                    "SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 0) + 1, false) FROM {table}"
                );
                sqlx::query(AssertSqlSafe(sql))
                    .execute(&mut *self.transaction)
                    .await?;
            }
        }
        self.transaction.commit().await?;
        Ok(())
    }
}

fn corrupt(what: &'static str, value: &str) -> StoreError {
    StoreError::Corrupt {
        what,
        value: value.to_owned(),
    }
}

fn json_of(row: &AnyRow) -> Result<Row, sqlx::Error> {
    let mut columns = Row::new();
    for column in row.columns().iter().filter(|column| column.name() != ORDER) {
        let at = column.ordinal();
        let raw = row.try_get_raw(at)?;
        let kind = raw.type_info().kind();
        if raw.is_null() {
            continue;
        }
        let value = match kind {
            AnyTypeInfoKind::Text => row.try_get::<String, _>(at)?.into(),
            AnyTypeInfoKind::Blob => {
                json!({ "base64": BASE64.encode(row.try_get::<Vec<u8>, _>(at)?) })
            }
            AnyTypeInfoKind::Real | AnyTypeInfoKind::Double => row.try_get::<f64, _>(at)?.into(),
            _ => row.try_get::<i64, _>(at)?.into(),
        };
        columns.insert(column.name().to_owned(), value);
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_table_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).await.unwrap();
        let rows = sqlx::query(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx_%'",
        )
        .fetch_all(&store.sql.pool)
        .await
        .unwrap();
        let mut there: Vec<String> = rows.iter().map(|row| row.get("name")).collect();
        there.sort();
        let mut known = TABLES.map(str::to_owned);
        known.sort();
        assert_eq!(there, known);
    }
}
