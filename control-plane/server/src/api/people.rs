//! Signing in and out, and who one is.

use std::time::SystemTime;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::audit::Change;
use super::{Context, Problem, Sent};
use crate::access::{Arrival, Person, Role, SignInError, SignedIn};

/// Name and password.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The account's name; upper and lower case are the same.
    pub name: String,
    /// The account's password.
    pub password: String,
}

/// The person who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The person's id: the viewer named in grants and session records.
    pub id: String,
    /// The account's name.
    pub name: String,
    /// What the account may do.
    pub role: Role,
    /// The organisation the account belongs to.
    pub tenant: String,
}

impl From<Person> for Me {
    fn from(person: Person) -> Self {
        Self {
            id: person.id,
            name: person.name,
            role: person.role,
            tenant: person.tenant.to_string(),
        }
    }
}

/// Signs in and sets the cookie that all other routes want.
#[utoipa::path(
    post, path = "/sign-in", tag = "people", request_body = SignIn,
    responses(
        (status = 200, body = Me, description = "signed in; the cookie is set"),
        (status = 401, body = Problem, description = "no account with this name and password"),
        (status = 429, body = Problem, description = "too many wrong passwords; retry_after_s says when to try again"),
    )
)]
pub(super) async fn sign_in(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Sent(SignIn { name, password }): Sent<SignIn>,
) -> Result<impl IntoResponse, Problem> {
    let (person, cookie) = context
        .door
        .sign_in(&name, password, arrival, SystemTime::now())
        .await?;
    let change = Change {
        action: "sign_in",
        ..Change::default()
    };
    context.audit(&person, arrival, change).await?;
    Ok(([(header::SET_COOKIE, cookie)], Json(Me::from(person))))
}

/// Signs out here; the person's browsers lose their broker tokens at once.
#[utoipa::path(post, path = "/sign-out", tag = "people", responses((status = 204, description = "signed out")))]
pub(super) async fn sign_out(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    signed_in: SignedIn,
) -> Result<impl IntoResponse, Problem> {
    let cookie = context.door.sign_out(&signed_in, arrival).await?;
    context.browsers.revoke_person(&signed_in.person.id);
    let change = Change {
        action: "sign_out",
        ..Change::default()
    };
    context.audit(&signed_in.person, arrival, change).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]))
}

/// Who is signed in.
#[utoipa::path(
    get, path = "/me", tag = "people",
    responses((status = 200, body = Me), (status = 401, body = Problem, description = "nobody is signed in"))
)]
pub(super) async fn me(signed_in: SignedIn) -> Json<Me> {
    Json(signed_in.person.into())
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::new(StatusCode::UNAUTHORIZED, error.to_string()),
            SignInError::Throttled { retry_after_s } => {
                Self::too_many(&error.to_string(), retry_after_s)
            }
            SignInError::Store(error) => error.into(),
            SignInError::Hashing(_) => Self::internal(error),
        }
    }
}
