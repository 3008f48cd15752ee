//! What is kept across restarts: one trait per noun, and SQLite or PostgreSQL behind them.
//!
//! A failed query is the server's problem ([`StoreError::Database`]); a name that is taken is the caller's. Passwords
//! and tokens come in hashed. Both databases are asked in the same words: SQL that both understand, numbered parameters,
//! truth values as 0 and 1. Where they differ is in this file and in `migrations/`, a folder for each with the same
//! numbers.

mod audit;
mod cameras;
mod certificates;
mod claims;
mod connections;
mod enrolments;
mod factory_list;
mod pairings;
mod paths;
mod people;
mod relay_policies;
mod rows;
mod sign_ins;
mod url;
mod video_sessions;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::migrate::Migrator;
use sqlx::{Any, AnyPool, Row as _, Transaction};
use thiserror::Error;

use crate::signalling::SessionLog;

pub use audit::{AuditEntry, AuditLog, AuditRow, AuditScope, Verified};
pub use cameras::{CameraRow, Cameras};
pub use certificates::{CertificateRow, CertificateState, Certificates, KnownCamera, Standing};
pub use claims::{ClaimRow, Claims};
pub use connections::Connections;
pub use enrolments::{Enrolments, NotEnrolled, Ticket};
pub use factory_list::{FactoryList, FactoryRow};
pub use pairings::{PairingRow, PairingState, Pairings};
pub use paths::{FailureCount, PathFigures, PathScope, PathTotals, Paths, RelayUse};
pub use people::{Account, People, Person, Role};
pub use relay_policies::{AllPolicies, RelayPolicies};
pub use rows::{Refilling, Row, Snapshot, TABLES};
pub use sign_ins::SignIns;
pub use url::{BadUrl, StoreUrl};
pub use video_sessions::{VideoSessionRow, VideoSessions};

/// Why the store did not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Names are unique.
    #[error("there is already a {what} called {name:?}; choose another name")]
    NameTaken {
        /// The noun.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// It cannot be reached now; it may be again.
    #[error("the database cannot be reached")]
    Away(#[source] sqlx::Error),
    /// The database is of a newer version, or damaged.
    #[error("the database cannot be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// PostgreSQL keeps no NUL in a text (section 8.3).
    #[error("a text holds the character NUL, which is not allowed")]
    Nul,
    /// A row does not hold what we wrote.
    #[error("the database holds a {what} that is not one: {value:?}")]
    Corrupt {
        /// The noun.
        what: &'static str,
        /// What is there.
        value: String,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Tls, WorkerCrashed};
        // PostgreSQL, appendix A: 57P01 to 57P03 are said while it stops and starts, 53300 when it is full, 22021 of a
        // text that it cannot hold.
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        let code = code.as_deref().unwrap_or_default();
        let stopping = ["57P01", "57P02", "57P03", "53300"].contains(&code);
        let nul = code == "22021";
        match error {
            _ if nul => Self::Nul,
            Io(_) | PoolClosed | PoolTimedOut | Tls(_) | WorkerCrashed => Self::Away(error),
            _ if stopping => Self::Away(error),
            _ => Self::Database(error),
        }
    }
}

/// All nouns together. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// Accounts.
    pub people: Arc<dyn People>,
    /// Who is signed in where.
    pub sign_ins: Arc<dyn SignIns>,
    /// Cameras.
    pub cameras: Arc<dyn Cameras>,
    /// Their certificates, and who may take part.
    pub certificates: Arc<dyn Certificates>,
    /// New cameras with their first certificates.
    pub enrolments: Arc<dyn Enrolments>,
    /// Secrets by which cameras enrol.
    pub claims: Arc<dyn Claims>,
    /// Devices that show a code.
    pub pairings: Arc<dyn Pairings>,
    /// Devices known from the factory.
    pub factory_list: Arc<dyn FactoryList>,
    /// When cameras came and went.
    pub connections: Arc<dyn Connections>,
    /// Video sessions, past and present.
    pub video_sessions: Arc<dyn VideoSessions>,
    /// How they found their way.
    pub paths: Arc<dyn Paths>,
    /// What people changed.
    pub audit: Arc<dyn AuditLog>,
    /// What may be relayed, and how long it was.
    pub relay_policies: Arc<dyn RelayPolicies>,
    sql: Sql,
}

/// The database side of every noun.
#[derive(Clone)]
pub(crate) struct Sql {
    pool: AnyPool,
    kind: Kind,
}

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a request waits for its turn at the database.
const PATIENCE: Duration = Duration::from_secs(10);

/// "One writer at a time" in PostgreSQL: an advisory lock that ends with its transaction. The number is ours.
const WRITER: i64 = 0x4845_524f_4e01;

impl Store {
    /// Opens the database file, makes it if there is none, and brings its tables up to date. More than one process may
    /// have it open: the command line adds people and cameras while the server runs.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the file cannot be opened or its tables are of a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_string_lossy();
        let url = format!(
            "sqlite://{}?mode=rwc",
            utf8_percent_encode(&path, NON_ALPHANUMERIC)
        );
        let options = AnyPoolOptions::new()
            .max_connections(4)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // With WAL a power cut may lose the last moments, never the file (sqlite.org/wal.html).
                    for setting in [
                        "PRAGMA busy_timeout = 10000",
                        "PRAGMA journal_mode = WAL",
                        "PRAGMA synchronous = NORMAL",
                        "PRAGMA foreign_keys = ON",
                    ] {
                        sqlx::query(setting).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            });
        Self::with(options, &url, Kind::Sqlite).await
    }

    /// Opens a PostgreSQL database, and brings its tables up to date. Several processes may have it open.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when nobody answers there, the database lets us not in, or its tables are of a newer version.
    pub async fn connect(url: &StoreUrl) -> Result<Self, StoreError> {
        let options = AnyPoolOptions::new().max_connections(16);
        Self::with(options, url.as_str(), Kind::Postgres).await
    }

    async fn with(options: AnyPoolOptions, url: &str, kind: Kind) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let pool = options.acquire_timeout(PATIENCE).connect(url).await?;
        match kind {
            Kind::Sqlite => SQLITE.run(&pool).await?,
            Kind::Postgres => POSTGRES.run(&pool).await?,
        }
        let sql = Sql { pool, kind };
        let noun = Arc::new(sql.clone());
        Ok(Self {
            people: noun.clone(),
            sign_ins: noun.clone(),
            cameras: noun.clone(),
            certificates: noun.clone(),
            enrolments: noun.clone(),
            claims: noun.clone(),
            pairings: noun.clone(),
            factory_list: noun.clone(),
            connections: noun.clone(),
            video_sessions: noun.clone(),
            paths: noun.clone(),
            audit: noun.clone(),
            relay_policies: noun,
            sql,
        })
    }

    /// The version of the tables: the number of the last migration, which is the same for both databases.
    pub fn schema() -> i64 {
        SQLITE.iter().map(|one| one.version).max().unwrap_or(0)
    }

    /// The video sessions, for signalling to write.
    pub fn session_log(&self) -> Arc<dyn SessionLog> {
        Arc::new(self.sql.clone())
    }

    /// Whether the database answers.
    pub async fn answers(&self) -> bool {
        sqlx::query("SELECT 1")
            .execute(&self.sql.pool)
            .await
            .is_ok()
    }

    /// Writes everything out and closes the database.
    pub async fn close(&self) {
        self.sql.pool.close().await;
    }
}

impl Sql {
    /// Begins a transaction that looks before it writes: there is one of them at a time, so what it saw still holds when
    /// it commits. In PostgreSQL that also makes numbers appear in their order: who follows events by number misses none.
    async fn write(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.kind {
            Kind::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
            Kind::Postgres => {
                let mut transaction = self.pool.begin().await?;
                sqlx::query("SELECT pg_advisory_xact_lock($1) IS NULL")
                    .bind(WRITER)
                    .execute(&mut *transaction)
                    .await?;
                Ok(transaction)
            }
        }
    }
}

/// A failed insert, told apart: the name is taken, or the database failed.
fn taken(what: &'static str, name: &str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| match error.as_database_error() {
        Some(database) if database.is_unique_violation() => StoreError::NameTaken {
            what,
            name: name.to_owned(),
        },
        _ => error.into(),
    }
}

/// Reads an id or another checked text back from its column.
fn checked<T: std::str::FromStr>(what: &'static str, value: String) -> Result<T, StoreError> {
    value
        .parse()
        .map_err(|_| StoreError::Corrupt { what, value })
}

/// Reads a small number back from its column.
fn small<T: TryFrom<i64>>(row: &AnyRow, column: &'static str) -> Result<T, StoreError> {
    let value: i64 = row.try_get(column)?;
    value.try_into().map_err(|_| StoreError::Corrupt {
        what: column,
        value: value.to_string(),
    })
}
