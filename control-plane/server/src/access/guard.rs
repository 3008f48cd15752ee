//! Extractors that let a handler run only for those who may.

use std::time::SystemTime;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::{Arrival, Person, Role, cookie};
use crate::api::{Context, Problem};

/// A signed-in person.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who.
    pub person: Person,
    /// By which sign-in.
    pub(super) token_hash: [u8; 32],
}

/// A signed-in administrator.
#[derive(Debug, Clone)]
pub struct Admin(pub Person);

impl FromRequestParts<Context> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        let nobody = || {
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "sign in first: POST /api/v1/sign-in",
            )
        };
        let arrival = *parts.extensions.get::<Arrival>().ok_or_else(nobody)?;
        let token = cookie::read(&parts.headers, arrival).ok_or_else(nobody)?;
        context
            .door
            .recognise(token, SystemTime::now())
            .await?
            .ok_or_else(nobody)
    }
}

impl FromRequestParts<Context> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        let SignedIn { person, .. } = SignedIn::from_request_parts(parts, context).await?;
        match person.role {
            Role::Admin => Ok(Self(person)),
            Role::Viewer => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "only an admin may do this",
            )),
        }
    }
}
