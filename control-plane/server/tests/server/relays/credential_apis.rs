//! Cloudflare's and Twilio's credential APIs, each played by a double of its documented interface
//! (developers.cloudflare.com/realtime/turn/generate-credentials, twilio.com/docs/stun-turn/api).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use super::{again, control_in, session, turn, until};

/// How often it was asked, and whether it works.
#[derive(Default)]
struct Api {
    asked: AtomicU32,
    broken: std::sync::atomic::AtomicBool,
}

impl Api {
    fn answer(&self, is_allowed: bool, body: Value) -> Response {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        if !is_allowed {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        (StatusCode::CREATED, axum::Json(body)).into_response()
    }
}

async fn cloudflare(State(api): State<Arc<Api>>, headers: HeaderMap, body: String) -> Response {
    let asked: Value = serde_json::from_str(&body).unwrap();
    let is_allowed = headers["authorization"] == "Bearer cf-token"
        && headers["content-type"] == "application/json"
        && asked["ttl"].as_u64().is_some_and(|ttl| ttl > 0);
    let body = json!({ "iceServers": [
        { "urls": ["stun:stun.cloudflare.com:3478", "stun:stun.cloudflare.com:53"] },
        {
            "urls": [
                "turn:turn.cloudflare.com:3478?transport=udp",
                "turn:turn.cloudflare.com:53?transport=udp",
                "turn:turn.cloudflare.com:3478?transport=tcp",
                "turn:turn.cloudflare.com:80?transport=tcp",
                "turns:turn.cloudflare.com:5349?transport=tcp",
                "turns:turn.cloudflare.com:443?transport=tcp",
            ],
            "username": "bc91b63e2b5d759f8eb9f3b58062439e",
            "credential": "ebd71f1d3edbc2b0edae3cd5a6d82284",
        },
    ]});
    api.answer(is_allowed, body)
}

async fn twilio(State(api): State<Arc<Api>>, headers: HeaderMap, body: String) -> Response {
    // printf 'AC0123:tw-token' | base64
    let is_allowed = headers["authorization"] == "Basic QUMwMTIzOnR3LXRva2Vu"
        && headers["content-type"] == "application/x-www-form-urlencoded"
        && body
            .strip_prefix("Ttl=")
            .is_some_and(|ttl| ttl.parse::<u32>().is_ok());
    let (name, password) = ("dc2d2894d5a9023620c467b0e71cfa6a", "tE2DajzSJwnsSbc123");
    let turn = |place: &str| json!({ "url": place, "urls": place, "username": name, "credential": password });
    let stun = "stun:global.stun.twilio.com:3478";
    let body = json!({
        "username": name, "password": password, "ttl": "7200", "account_sid": "AC0123",
        "ice_servers": [
            { "url": stun, "urls": stun },
            turn("turn:global.turn.twilio.com:3478?transport=udp"),
            turn("turn:global.turn.twilio.com:3478?transport=tcp"),
            turn("turn:global.turn.twilio.com:443?transport=tcp"),
        ],
        "date_created": "Fri, 01 May 2020 01:42:57 +0000",
        "date_updated": "Fri, 01 May 2020 01:42:57 +0000",
    });
    api.answer(is_allowed, body)
}

async fn doubles(api: &Arc<Api>) -> SocketAddr {
    let site = Router::new()
        .route(
            "/v1/turn/keys/k1/credentials/generate-ice-servers",
            post(cloudflare),
        )
        .route("/2010-04-01/Accounts/AC0123/Tokens.json", post(twilio))
        .with_state(Arc::clone(api));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, site).await });
    address
}

#[tokio::test]
async fn both_services_give_their_servers_to_sessions() {
    let api = Arc::new(Api::default());
    let address = doubles(&api).await;
    let dir = tempfile::tempdir().unwrap();
    for (file, token) in [("cf", "cf-token\n"), ("tw", "tw-token\n")] {
        std::fs::write(dir.path().join(file), token).unwrap();
    }
    let turn_keys = format!(
        "embedded = false\n\
         [[turn.pool]]\nkind = \"cloudflare\"\nkey_id = \"k1\"\ntoken_file = {:?}\napi = \"http://{address}\"\n\
         [[turn.pool]]\nkind = \"twilio\"\naccount_sid = \"AC0123\"\ntoken_file = {:?}\napi = \"http://{address}\"\n",
        dir.path().join("cf"),
        dir.path().join("tw"),
    );
    let control = control_in(dir, &turn_keys).await;
    until("both were asked", || api.asked.load(Ordering::SeqCst) == 2).await;
    let mut open = session(&control).await;
    let of = |host: &str| {
        let mut servers = open.viewer_servers.iter();
        let server =
            servers.find(|server| !server.username.is_empty() && server.urls[0].contains(host));
        server.unwrap_or_else(|| panic!("{host}: {:?}", open.viewer_servers))
    };
    // Udp, tcp, TLS, and 443 where nothing else is open; not port 53, which browsers refuse.
    let cloudflare = of("cloudflare");
    assert_eq!(
        cloudflare.urls,
        [
            "turn:turn.cloudflare.com:3478?transport=udp",
            "turn:turn.cloudflare.com:3478?transport=tcp",
            "turns:turn.cloudflare.com:5349?transport=tcp",
            "turns:turn.cloudflare.com:443?transport=tcp",
        ]
    );
    assert_eq!(cloudflare.credential, "ebd71f1d3edbc2b0edae3cd5a6d82284");
    let twilio = of("twilio");
    assert_eq!(
        twilio.urls,
        [
            "turn:global.turn.twilio.com:3478?transport=udp",
            "turn:global.turn.twilio.com:3478?transport=tcp",
            "turn:global.turn.twilio.com:443?transport=tcp",
        ]
    );
    assert_eq!(twilio.credential, "tE2DajzSJwnsSbc123");
    let stun = open.viewer_servers.iter();
    assert_eq!(stun.filter(|server| server.username.is_empty()).count(), 1);
    // Nobody is asked again for the next session, even if the service is gone by then.
    api.broken.store(true, Ordering::SeqCst);
    let (_, device_servers, _) = again(&mut open).await;
    assert_eq!(device_servers.len(), 3);
    assert_eq!(api.asked.load(Ordering::SeqCst), 2);
    control.server.stop().await;
}

#[tokio::test]
async fn without_the_service_sessions_get_what_else_there_is() {
    let api = Arc::new(Api::default());
    api.broken.store(true, Ordering::SeqCst);
    let address = doubles(&api).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("cf");
    std::fs::write(&token, "cf-token").unwrap();
    let turn_keys = format!(
        "[[turn.pool]]\nkind = \"cloudflare\"\nkey_id = \"k1\"\ntoken_file = {token:?}\napi = \"http://{address}\"\n"
    );
    let control = control_in(dir, &turn_keys).await;
    until("it was asked", || api.asked.load(Ordering::SeqCst) > 0).await;
    let open = session(&control).await;
    assert_eq!(open.viewer_servers.len(), 2, "STUN and our own TURN");
    assert!(turn(&open.viewer_servers).urls[0].starts_with("turn:127.0.0.1:"));
    control.server.stop().await;
}
