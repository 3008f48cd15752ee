//! Signing in, being throttled, signing out, and other sites' pages.

use crate::support::{ADMIN, ControlPlane, VIEWER};
use serde_json::json;

#[tokio::test]
async fn the_right_password_signs_in_and_the_cookie_stays_out_of_reach() {
    let control = ControlPlane::start().await;
    let answer = control
        .client()
        .post(
            "/api/v1/sign-in",
            &json!({ "name": "aDa", "password": ADMIN.1 }),
        )
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["role"], "admin");
    let cookie = answer.header("set-cookie").unwrap();
    for attribute in [
        "__Host-heron=",
        "; HttpOnly",
        "; Secure",
        "; SameSite=Strict",
        "; Path=/",
    ] {
        assert!(cookie.contains(attribute), "{cookie}");
    }

    let mut client = control.client();
    client.cookie = answer.cookie();
    assert_eq!(client.get("/api/v1/me").await.json()["name"], "Ada");

    let out = client.send("POST", "/api/v1/sign-out", &[], "").await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(
        client.get("/api/v1/me").await.status,
        401,
        "the token is forgotten, not only the cookie"
    );
    control.server.stop().await;
}

#[tokio::test]
async fn a_wrong_password_and_a_wrong_name_look_the_same() {
    let control = ControlPlane::start().await;
    let client = control.client();
    let password = client
        .post(
            "/api/v1/sign-in",
            &json!({ "name": "Ada", "password": "wrong" }),
        )
        .await;
    let name = client
        .post(
            "/api/v1/sign-in",
            &json!({ "name": "Eve", "password": "wrong" }),
        )
        .await;
    assert_eq!((password.status, name.status), (401, 401));
    assert_eq!(password.detail(), name.detail());
    assert_eq!(password.header("set-cookie"), None);

    let shape = client
        .post("/api/v1/sign-in", &json!({ "name": "Ada" }))
        .await;
    assert_eq!(shape.status, 422);
    assert!(shape.detail().contains("password"), "{}", shape.body);
    let garbage = client
        .send(
            "POST",
            "/api/v1/sign-in",
            &[("content-type", "application/json")],
            "{",
        )
        .await;
    assert_eq!(garbage.status, 400);
    let large = client
        .post(
            "/api/v1/sign-in",
            &json!({ "name": "x".repeat(20_000), "password": "" }),
        )
        .await;
    assert_eq!(large.status, 413);
    control.server.stop().await;
}

#[tokio::test]
async fn guessing_is_throttled() {
    let control = ControlPlane::start().await;
    let client = control.client();
    let wrong = json!({ "name": "Ada", "password": "wrong" });
    for _ in 0..8 {
        assert_eq!(client.post("/api/v1/sign-in", &wrong).await.status, 401);
    }
    let throttled = client.post("/api/v1/sign-in", &wrong).await;
    assert_eq!(throttled.status, 429);
    let seconds: u64 = throttled.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=16).contains(&seconds), "{seconds}");
    assert_eq!(throttled.json()["retry_after_s"], seconds);
    control.server.stop().await;
}

#[tokio::test]
async fn another_sites_page_can_change_nothing() {
    let control = ControlPlane::start().await;
    let client = control.signed_in(ADMIN).await;
    let sign_out = |origin: String| {
        let client = client.clone();
        async move {
            client
                .send("POST", "/api/v1/sign-out", &[("origin", &origin)], "")
                .await
        }
    };
    let foreign = sign_out("https://evil.example".to_owned()).await;
    assert_eq!(foreign.status, 403);
    assert!(foreign.detail().contains("Origin"));
    assert_eq!(client.get("/api/v1/me").await.status, 200);
    assert_eq!(sign_out(control.server.url()).await.status, 204);
    control.server.stop().await;
}

#[tokio::test]
async fn a_viewer_may_look_but_not_add() {
    let control = ControlPlane::start().await;
    let viewer = control.signed_in(VIEWER).await;
    assert_eq!(viewer.get("/api/v1/cameras").await.status, 200);
    let add = viewer
        .post("/api/v1/cameras", &json!({ "name": "Hall" }))
        .await;
    assert_eq!(add.status, 403);
    assert_eq!(
        viewer.delete("/api/v1/cameras/hall-00000000").await.status,
        403
    );
    control.server.stop().await;
}
