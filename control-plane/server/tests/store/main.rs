//! What the store promises, on both databases: each promise is one function, called with SQLite and with PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod cameras;
mod outage;
mod people;
mod postgres;
mod sessions;

use heron_control::store::Store;
use postgres::Postgres;

/// Where a test keeps its database.
pub enum Place {
    /// A file.
    Sqlite(tempfile::TempDir),
    /// A server.
    Postgres(Postgres),
}

impl Place {
    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    fn postgres() -> Self {
        Self::Postgres(Postgres::start())
    }

    /// Opens it; each time as another process would.
    pub async fn open(&self) -> Store {
        match self {
            Self::Sqlite(dir) => Store::open(&dir.path().join("it's 100% a name.db"))
                .await
                .unwrap(),
            Self::Postgres(postgres) => postgres.open().await,
        }
    }
}

macro_rules! on_both {
    ($($group:ident: $($promise:ident),+;)+) => {
        mod sqlite {
            $($(#[tokio::test] async fn $promise() { super::$group::$promise(&super::Place::sqlite()).await; })+)+
        }
        mod on_postgres {
            $($(#[tokio::test] async fn $promise() { super::$group::$promise(&super::Place::postgres()).await; })+)+
        }
    };
}

on_both! {
    people: names_are_the_same_in_any_case, a_sign_in_ends_by_time_and_by_word;
    cameras: a_claim_is_spent_so_often_and_no_more, certificates_follow_each_other,
        a_pairing_is_confirmed_once, comings_and_goings_are_written_once, a_factory_list_is_listed_anew,
        events_of_many_writers_are_followed_without_a_gap;
    sessions: a_session_is_written_and_read_back, paths_are_counted_by_rank, a_policy_goes_with_its_camera;
}
