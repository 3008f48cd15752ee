//! What is kept across restarts: one trait per noun, and SQLite behind them.
//!
//! A failed query is the server's problem ([`StoreError::Database`]); a name that is taken is the caller's. Passwords
//! and tokens come in hashed. Another database is another folder in `migrations/` and another set of these impls.

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
mod sign_ins;
mod video_sessions;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use thiserror::Error;

use crate::signalling::SessionLog;

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
pub use sign_ins::SignIns;
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
    Database(#[from] sqlx::Error),
    /// The database is of a newer version, or damaged.
    #[error("the database cannot be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row does not hold what we wrote.
    #[error("the database holds a {what} that is not one: {value:?}")]
    Corrupt {
        /// The noun.
        what: &'static str,
        /// What is there.
        value: String,
    },
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
    /// What may be relayed, and how long it was.
    pub relay_policies: Arc<dyn RelayPolicies>,
    sqlite: Sqlite,
}

/// The SQLite side of every noun.
#[derive(Clone)]
pub(crate) struct Sqlite {
    pool: SqlitePool,
}

impl Store {
    /// Opens the database file, makes it if there is none, and brings its tables up to date. More than one process may
    /// have it open: the command line adds people and cameras while the server runs.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the file cannot be opened or its tables are of a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With WAL a power cut may lose the last moments, never the file (sqlite.org/wal.html).
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;
        sqlx::migrate!("migrations/sqlite").run(&pool).await?;
        let sqlite = Sqlite { pool };
        let noun = Arc::new(sqlite.clone());
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
            relay_policies: noun,
            sqlite,
        })
    }

    /// The video sessions, for signalling to write.
    pub fn session_log(&self) -> Arc<dyn SessionLog> {
        Arc::new(self.sqlite.clone())
    }

    /// Whether the database answers.
    pub async fn answers(&self) -> bool {
        sqlx::query("SELECT 1")
            .execute(&self.sqlite.pool)
            .await
            .is_ok()
    }

    /// Writes everything out and closes the file.
    pub async fn close(&self) {
        self.sqlite.pool.close().await;
    }
}

/// A failed insert, told apart: the name is taken, or the database failed.
fn taken(what: &'static str, name: &str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| match error.as_database_error() {
        Some(database) if database.is_unique_violation() => StoreError::NameTaken {
            what,
            name: name.to_owned(),
        },
        _ => StoreError::Database(error),
    }
}

/// Reads an id or another checked text back from its column.
fn checked<T: std::str::FromStr>(what: &'static str, value: String) -> Result<T, StoreError> {
    value
        .parse()
        .map_err(|_| StoreError::Corrupt { what, value })
}
