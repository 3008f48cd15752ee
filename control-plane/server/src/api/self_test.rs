//! A browser that tests its network: STUN and TURN servers as a session would have, without a session.

use axum::Json;
use axum::extract::State;
use heron_protocol::messages::IceServer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Context, Problem};
use crate::access::SignedIn;

/// What to test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SelfTest {
    /// The servers that a session of this person's would be given.
    pub ice_servers: Vec<SelfTestServer>,
    /// How long the credentials last, in seconds.
    pub expires_in_s: u64,
}

/// A STUN or TURN server.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SelfTestServer {
    /// `stun:`, `turn:` and `turns:` URLs.
    pub urls: Vec<String>,
    /// Empty for STUN.
    pub username: String,
    /// Empty for STUN.
    pub credential: String,
}

// The credential stays out of logs.
impl std::fmt::Debug for SelfTestServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SelfTestServer")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

impl From<IceServer> for SelfTestServer {
    fn from(server: IceServer) -> Self {
        Self {
            urls: server.urls,
            username: server.username,
            credential: server.credential,
        }
    }
}

/// Servers with credentials of a minute, to test a network with.
#[utoipa::path(
    post, path = "/self-test", tag = "sessions",
    responses((status = 200, body = SelfTest), (status = 401, body = Problem))
)]
pub(super) async fn begin(
    State(context): State<Context>,
    signed_in: SignedIn,
) -> Result<Json<SelfTest>, Problem> {
    let (servers, life) = context.live.self_test(&signed_in.person.tenant);
    Ok(Json(SelfTest {
        ice_servers: servers.into_iter().map(Into::into).collect(),
        expires_in_s: life.as_secs(),
    }))
}
