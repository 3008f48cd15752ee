//! Databases as older versions left them.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part; a failure here is a failed test"
)]

use std::path::Path;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

/// A database after the first migration, with one camera.
pub async fn of_the_first_version(file: &Path, camera: &str, certificate: &str) {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let all = Migrator::new(folder).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    all.run_to(1, &mut *connection).await.unwrap();
    sqlx::query("INSERT INTO camera VALUES (?, 'home', 'Front door', ?, 1000)")
        .bind(camera)
        .bind(certificate)
        .execute(&mut *connection)
        .await
        .unwrap();
    drop(connection);
    pool.close().await;
}
