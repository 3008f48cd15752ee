//! Where the database is, with the password that must not be told.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;

/// The URL of a PostgreSQL database. Its password is in no log and no message.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct StoreUrl(String);

/// Why a text is not one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "not the URL of a PostgreSQL database; what is allowed is postgres://USER:PASSWORD@HOST:PORT/DATABASE"
)]
pub struct BadUrl;

impl StoreUrl {
    /// With the password.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StoreUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"));
        let (place, database) = rest.and_then(|rest| rest.split_once('/')).ok_or(BadUrl)?;
        // A socket's folder is given in the query.
        let named = !database.is_empty() && (!place.is_empty() || database.contains("host="));
        named.then(|| Self(text.to_owned())).ok_or(BadUrl)
    }
}

impl TryFrom<String> for StoreUrl {
    type Error = BadUrl;

    fn try_from(text: String) -> Result<Self, BadUrl> {
        text.parse()
    }
}

impl fmt::Display for StoreUrl {
    /// Without user, password and parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        write!(f, "postgres://{place}")
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_told() {
        let url: StoreUrl = "postgres://heron:s3cr@t@db.example:5432/heron?sslmode=require"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "postgres://db.example:5432/heron");
        assert_eq!(format!("{url:?}"), "postgres://db.example:5432/heron");
    }

    #[test]
    fn another_url_is_refused_without_repeating_it() {
        for text in [
            "mysql://root:pw@x/db",
            "postgres://",
            "postgres://host",
            "postgres:///",
            "heron.db",
            "",
        ] {
            assert_eq!(text.parse::<StoreUrl>(), Err(BadUrl), "{text}");
        }
        assert!(
            "postgres:///heron?host=/run/postgresql&user=heron"
                .parse::<StoreUrl>()
                .is_ok()
        );
    }
}
