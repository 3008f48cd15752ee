//! A database that goes away and comes back.

use std::time::Duration;

use heron_control::store::StoreError;

use crate::postgres::Postgres;

#[tokio::test]
async fn a_server_that_was_away_is_used_again_without_a_restart() {
    let mut postgres = Postgres::start();
    let store = postgres.open().await;
    assert!(store.answers().await);
    postgres.stop();
    let error = store.people.list().await.unwrap_err();
    assert!(matches!(error, StoreError::Away(_)), "{error:?}");
    assert!(!store.answers().await);
    postgres.go_on();
    let back = async {
        while store.people.list().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), back)
        .await
        .unwrap();
    assert!(store.answers().await);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_without_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!(
        "postgres://heron:s3cret@localhost/heron?host={}",
        dir.path().display()
    );
    let error = heron_control::store::Store::connect(&url.parse().unwrap())
        .await
        .err()
        .unwrap();
    let said = format!("{:#}", anyhow::Error::from(error));
    assert!(
        said.starts_with("the database cannot be reached: "),
        "{said}"
    );
    assert!(!said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn a_text_that_it_cannot_hold_is_the_askers_problem() {
    let postgres = Postgres::start();
    let store = postgres.open().await;
    let error = store.people.by_name("A\0da").await.unwrap_err();
    assert!(matches!(error, StoreError::Nul), "{error:?}");
    assert!(store.answers().await);
}
