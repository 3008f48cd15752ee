//! The player's side of WHEP (draft-ietf-wish-whep): an offer is posted, the answer comes back with
//! all candidates, and the resource it created is deleted at the end.

use anyhow::{Context, Result, bail};

use crate::http;

/// A WHEP endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `http://host:port/path`.
    pub url: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
}

/// What the endpoint said to an offer.
#[derive(Debug)]
pub struct Joined {
    /// The answer's SDP.
    pub answer: String,
    /// What to delete when leaving.
    pub resource: Option<String>,
}

impl Endpoint {
    /// Posts an offer; anything but 201 is an error with what the server said.
    pub fn join(&self, offer: &str) -> Result<Joined> {
        let authorization = self.authorization();
        let mut headers = vec![("Content-Type", "application/sdp")];
        headers.extend(
            authorization
                .as_deref()
                .map(|value| ("Authorization", value)),
        );
        let answer = http::ask("POST", &self.url, &headers, offer)?;
        if answer.status != 201 {
            bail!(
                "{} answered {}: {}",
                self.url,
                answer.status,
                answer.body.trim()
            );
        }
        let resource = answer
            .location
            .map(|place| self.absolute(&place))
            .transpose()?;
        Ok(Joined {
            answer: answer.body,
            resource,
        })
    }

    /// Deletes what [`Endpoint::join`] created.
    pub fn leave(&self, resource: &str) -> Result<()> {
        let authorization = self.authorization();
        let headers: Vec<_> = authorization
            .as_deref()
            .map(|value| ("Authorization", value))
            .into_iter()
            .collect();
        let answer = http::ask("DELETE", resource, &headers, "")?;
        if !(200..300).contains(&answer.status) {
            bail!("{resource} answered {} to DELETE", answer.status);
        }
        Ok(())
    }

    fn authorization(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("Bearer {token}"))
    }

    /// A `Location` may be relative to the endpoint.
    fn absolute(&self, location: &str) -> Result<String> {
        if location.starts_with("http://") {
            return Ok(location.to_owned());
        }
        let host = self
            .url
            .strip_prefix("http://")
            .context("not an http URL")?;
        let host = host.split('/').next().unwrap_or_default();
        Ok(format!(
            "http://{host}/{}",
            location.trim_start_matches('/')
        ))
    }
}
