//! How a fleet's sessions found their way: counts and percentiles over the table of video sessions.

use async_trait::async_trait;
use heron_protocol::TenantId;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Sql, StoreError};
use crate::signalling::PathKind;

/// Which sessions are looked at.
#[derive(Debug, Clone, Copy)]
pub struct PathScope<'a> {
    /// Of this tenant.
    pub tenant: &'a TenantId,
    /// Only of this camera.
    pub camera: Option<&'a str>,
    /// Opened then or later, in milliseconds since the Unix epoch.
    pub since_ms: i64,
}

/// The figures of all sessions of a scope.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PathTotals {
    /// All of them.
    pub sessions: u64,
    /// Of which a picture was seen.
    pub shown: u64,
    /// Times that another path was looked for.
    pub restarts: u64,
    /// Bytes that TURN servers carried, as far as they say.
    pub relayed_bytes: u64,
}

/// The sessions of one kind of path.
#[derive(Debug, Clone, PartialEq)]
pub struct PathFigures {
    /// Which kind.
    pub kind: PathKind,
    /// How many.
    pub sessions: u64,
    /// Click to first frame in milliseconds: of half of them, of 95 and of 99 in a hundred at most. By nearest rank;
    /// none where no picture was seen.
    pub first_frame_ms: Option<[f64; 3]>,
}

/// A TURN server on the way of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayUse {
    /// Its URL.
    pub url: String,
    /// How many sessions.
    pub sessions: u64,
}

/// Why sessions ended that nobody closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureCount {
    /// The reason, as the protocol names it.
    pub reason: String,
    /// How many.
    pub sessions: u64,
    /// How many of them before there was a picture.
    pub before_picture: u64,
}

/// How sessions found their way.
#[async_trait]
pub trait Paths: Send + Sync {
    /// All together.
    async fn totals(&self, scope: PathScope<'_>) -> Result<PathTotals, StoreError>;
    /// By the kind of path, the shortest first; kinds without sessions are left out.
    async fn by_kind(&self, scope: PathScope<'_>) -> Result<Vec<PathFigures>, StoreError>;
    /// By TURN server, the busiest first; at most 16.
    async fn by_relay(&self, scope: PathScope<'_>) -> Result<Vec<RelayUse>, StoreError>;
    /// By reason, the commonest first.
    async fn failures(&self, scope: PathScope<'_>) -> Result<Vec<FailureCount>, StoreError>;
}

/// Of the sessions in scope.
macro_rules! in_scope {
    ($select:literal, $rest:literal) => {
        concat!(
            $select,
            " tenant = $1 AND opened_ms >= $2 AND ($3 IS NULL OR camera = $3) ",
            $rest
        )
    };
}

impl Sql {
    async fn rows(
        &self,
        sql: &'static str,
        scope: PathScope<'_>,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let query = sqlx::query(sql)
            .bind(scope.tenant.as_str())
            .bind(scope.since_ms)
            .bind(scope.camera);
        Ok(query.fetch_all(&self.pool).await?)
    }
}

fn count(row: &AnyRow, column: &str) -> Result<u64, StoreError> {
    let value: Option<i64> = row.try_get(column)?;
    Ok(value.map_or(0, |value| u64::try_from(value).unwrap_or(0)))
}

#[async_trait]
impl Paths for Sql {
    async fn totals(&self, scope: PathScope<'_>) -> Result<PathTotals, StoreError> {
        let sql = in_scope!(
            "SELECT COUNT(*) AS sessions, COUNT(first_frame_ms) AS shown,
                 CAST(SUM(restarts) AS BIGINT) AS restarts,
                 CAST(SUM(relayed_bytes) AS BIGINT) AS relayed_bytes
             FROM video_session WHERE",
            ""
        );
        let rows = self.rows(sql, scope).await?;
        let Some(row) = rows.first() else {
            return Ok(PathTotals::default());
        };
        Ok(PathTotals {
            sessions: count(row, "sessions")?,
            shown: count(row, "shown")?,
            restarts: count(row, "restarts")?,
            relayed_bytes: count(row, "relayed_bytes")?,
        })
    }

    async fn by_kind(&self, scope: PathScope<'_>) -> Result<Vec<PathFigures>, StoreError> {
        // Nulls come last in their kind, so ranks count pictures.
        let sql = in_scope!(
            "WITH ranked AS (
                 SELECT kind, first_frame_ms,
                     ROW_NUMBER() OVER (PARTITION BY kind ORDER BY first_frame_ms IS NULL, first_frame_ms) AS rank,
                     COUNT(first_frame_ms) OVER (PARTITION BY kind) AS shown
                 FROM video_session WHERE kind IS NOT NULL AND",
            ")
             SELECT kind, COUNT(*) AS sessions,
                 MIN(CASE WHEN rank * 100 >= shown * 50 THEN first_frame_ms END) AS p50,
                 MIN(CASE WHEN rank * 100 >= shown * 95 THEN first_frame_ms END) AS p95,
                 MIN(CASE WHEN rank * 100 >= shown * 99 THEN first_frame_ms END) AS p99
             FROM ranked GROUP BY kind"
        );
        let mut figures = Vec::new();
        for row in self.rows(sql, scope).await? {
            let kind: String = row.try_get("kind")?;
            let Some(kind) = PathKind::named(&kind) else {
                continue;
            };
            let [p50, p95, p99] = ["p50", "p95", "p99"].map(|column| row.try_get(column));
            let percentiles: [Option<f64>; 3] = [p50?, p95?, p99?];
            figures.push(PathFigures {
                kind,
                sessions: count(&row, "sessions")?,
                first_frame_ms: match percentiles {
                    [Some(p50), Some(p95), Some(p99)] => Some([p50, p95, p99]),
                    _ => None,
                },
            });
        }
        figures.sort_by_key(|figures| figures.kind);
        Ok(figures)
    }

    async fn by_relay(&self, scope: PathScope<'_>) -> Result<Vec<RelayUse>, StoreError> {
        let sql = in_scope!(
            "SELECT relay, COUNT(*) AS sessions FROM video_session
             WHERE kind = 'relay' AND relay IS NOT NULL AND",
            "GROUP BY relay ORDER BY sessions DESC, relay LIMIT 16"
        );
        let rows = self.rows(sql, scope).await?;
        let used = |row: &AnyRow| {
            Ok(RelayUse {
                url: row.try_get("relay")?,
                sessions: count(row, "sessions")?,
            })
        };
        rows.iter().map(used).collect()
    }

    async fn failures(&self, scope: PathScope<'_>) -> Result<Vec<FailureCount>, StoreError> {
        let sql = in_scope!(
            "SELECT end_code, COUNT(*) AS sessions, COUNT(*) - COUNT(first_frame_ms) AS before_picture
             FROM failed_video_session WHERE",
            "GROUP BY end_code ORDER BY sessions DESC, end_code"
        );
        let rows = self.rows(sql, scope).await?;
        let failure = |row: &AnyRow| {
            Ok(FailureCount {
                reason: row.try_get("end_code")?,
                sessions: count(row, "sessions")?,
                before_picture: count(row, "before_picture")?,
            })
        };
        rows.iter().map(failure).collect()
    }
}
