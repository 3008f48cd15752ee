//! The local view of a real camera, to players that are not ours: WHEP as in draft-ietf-wish-whep-03, still pictures, and
//! what a local viewer may call.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "running/player.rs"]
mod player;
mod running;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use heron_media::clock;
use player::Player;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use running::{Answer, Camera, TOKEN};
use serde_json::{Value, json};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Milliseconds since the picture of a JPEG file was drawn, by the clock in it; it must be 320 by 180.
fn age_ms(jpeg: &[u8]) -> i64 {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    let luma = decoder.decode().expect("a JPEG file");
    let info = decoder.info().unwrap();
    assert_eq!((info.width, info.height), (320, 180));
    let drawn = clock::read(&luma, 320, 320, 180).expect("a clock in the picture");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    clock::age_ms(drawn, now.as_millis().try_into().unwrap())
}

/// One sentence that a person can use.
fn sentence(answer: &Answer) -> String {
    let text = answer.text();
    assert!(
        text.ends_with('\n') && text.lines().count() == 1,
        "{text:?}"
    );
    assert!(text.split(' ').count() > 2, "{text:?}");
    text.trim().to_owned()
}

async fn watching(camera: &Camera) -> (Player, String) {
    let mut player = Player::new().await;
    let answer = camera.offer(&player.offer);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/sdp");
    player.answered(answer.text()).await;
    player.connects().await;
    (player, answer.header("location").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_player_watches_until_its_session_is_deleted() {
    let camera = Camera::start("");
    let (mut player, session) = watching(&camera).await;
    player.receives(RtpCodecKind::Video, 30).await;
    player.receives(RtpCodecKind::Audio, 30).await;
    camera.until_figure("heron_viewers", 1.0);
    camera.until_figure("heron_encoders_running", 1.0);

    assert!(session.starts_with("/whep/"), "{session}");
    assert_eq!(camera.ask("DELETE", &session, &[], "").status, 200);
    player.is_left().await;
    camera.until_figure("heron_viewers", 0.0);
    camera.until_figure("heron_encoders_running", 0.0);
    let again = camera.ask("DELETE", &session, &[], "");
    assert_eq!(
        (again.status, sentence(&again)),
        (404, "this session is over".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_has_all_candidates_and_takes_neither_more_nor_a_restart() {
    let camera = Camera::start("");
    let player = Player::new().await;
    let answer = camera.offer(&player.offer);
    assert!(answer.text().contains("a=candidate:"), "{}", answer.text());
    assert!(
        answer.text().contains("a=end-of-candidates"),
        "{}",
        answer.text()
    );
    // Who supports neither trickle ICE nor restarts says so to every PATCH.
    let session = answer.header("location");
    let kind = [("Content-Type", "application/trickle-ice-sdpfrag")];
    for body in [
        "a=ice-ufrag:EsAw\r\n",
        "a=ice-ufrag:new\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n",
    ] {
        let patched = camera.ask("PATCH", session, &kind, body);
        assert_eq!((patched.status, patched.header("allow")), (405, "DELETE"));
    }
    // Kept for later versions of WHEP.
    for method in ["GET", "HEAD", "PUT"] {
        assert_eq!(camera.ask(method, "/whep", &[], "").status, 405, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_answered_is_told_in_a_sentence() {
    let camera = Camera::start("max_viewers = 1");
    for offer in [
        "",
        "v=0",
        "hello",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
    ] {
        let answer = camera.offer(offer);
        assert_eq!(answer.status, 400, "{offer:?}: {}", answer.text());
        sentence(&answer);
    }
    let player = Player::new().await;
    let plain = camera.ask(
        "POST",
        "/whep",
        &[("Content-Type", "text/plain")],
        &player.offer,
    );
    assert_eq!(
        (plain.status, plain.header("accept")),
        (415, "application/sdp")
    );
    sentence(&plain);
    let long = camera.offer(&"a".repeat(100_000));
    assert_eq!(long.status, 413);

    let (_player, _) = watching(&camera).await;
    let full = camera.offer(&player.offer);
    assert_eq!((full.status, full.header("retry-after")), (503, "10"));
    assert!(
        sentence(&full).contains("1 viewers already"),
        "{}",
        full.text()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_without_the_token() {
    let camera = Camera::start("");
    let offer = Player::new().await.offer;
    let sdp = ("Content-Type", "application/sdp");
    let wrong = ("Authorization", "Bearer 0123456789abcdeX");
    for (method, path, body) in [
        ("POST", "/whep", offer.as_str()),
        ("DELETE", "/whep/000102030405060708090a0b0c0d0e0f", ""),
        ("PATCH", "/whep/000102030405060708090a0b0c0d0e0f", ""),
        ("GET", "/snapshot.jpg", ""),
    ] {
        for headers in [vec![sdp], vec![sdp, wrong]] {
            let answer = camera.ask_anonymously(method, path, &headers, body);
            assert_eq!(answer.status, 401, "{method} {path}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
            // A page of another origin is told as well.
            assert_eq!(answer.header("access-control-allow-origin"), "*");
        }
    }
    assert!((camera.figure("heron_sessions_opened_total")).abs() < 0.5);
    // For players that can send no header.
    let path = format!("/snapshot.jpg?token={TOKEN}");
    assert_eq!(camera.ask_anonymously("GET", &path, &[], "").status, 200);
}

#[test]
fn pages_of_other_origins_may_ask() {
    let camera = Camera::start("");
    for path in [
        "/whep",
        "/whep/000102030405060708090a0b0c0d0e0f",
        "/snapshot.jpg",
    ] {
        let asked = [
            ("Origin", "https://home.example"),
            ("Access-Control-Request-Method", "POST"),
            (
                "Access-Control-Request-Headers",
                "authorization,content-type",
            ),
        ];
        // A browser asks without the token.
        let answer = camera.ask_anonymously("OPTIONS", path, &asked, "");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let methods = answer.header("access-control-allow-methods");
        assert!(
            methods.contains("POST") && methods.contains("DELETE"),
            "{methods}"
        );
        let headers = answer.header("access-control-allow-headers");
        assert!(headers.contains("authorization") && headers.contains("content-type"));
        assert_eq!(answer.header("accept-post"), "application/sdp");
        assert!(answer.header("access-control-allow-credentials").is_empty());
    }
    // What a page must read to end its session.
    let answer = camera.offer("");
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("location")
    );
}

#[test]
fn a_still_picture_is_of_this_moment_and_the_page_needs_nothing_else() {
    let camera = Camera::start("");
    for _ in 0..2 {
        let still = camera.ask("GET", "/snapshot.jpg", &[], "");
        assert_eq!(
            (still.status, still.header("content-type")),
            (200, "image/jpeg")
        );
        assert_eq!(still.header("cache-control"), "no-store");
        let age = age_ms(&still.body);
        assert!((0..5000).contains(&age), "{age} ms old");
    }
    assert!(
        camera.figure("heron_encoders_running") < 0.5,
        "nothing is encoded for it"
    );
    let page = camera.ask_anonymously("GET", "/", &[], "");
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(!page.text().contains("http://") || !page.text().contains("src=\"http"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_viewer_may_take_a_picture_and_change_nothing() {
    let camera = Camera::start("");
    let (mut player, _) = watching(&camera).await;
    player.reaches().await;

    let taken = player.call("snapshot", Value::Null).await["result"].clone();
    assert_eq!(taken["type"], "image/jpeg");
    assert_eq!(
        (&taken["width"], &taken["height"]),
        (&json!(320), &json!(180))
    );
    let mut jpeg = Vec::new();
    for part in 0..taken["parts"].as_u64().unwrap() {
        let params = json!({"picture": taken["picture"], "part": part});
        let data = player.call("snapshot.part", params).await["result"]["data"].clone();
        jpeg.extend(STANDARD.decode(data.as_str().unwrap()).unwrap());
    }
    assert_eq!(jpeg.len() as u64, taken["bytes"].as_u64().unwrap());
    let age = age_ms(&jpeg);
    assert!((0..10_000).contains(&age), "{age} ms old");
    let said =
        UNIX_EPOCH.elapsed().unwrap().as_millis() as i64 - taken["captured_ms"].as_i64().unwrap();
    assert!(
        (said - age).abs() < 2000,
        "{said} ms old by its time, {age} ms by its clock"
    );

    // A drawn picture has nothing to set, and a local viewer could not set it.
    let controls = player.call("image.controls", Value::Null).await;
    assert_eq!(
        controls["result"],
        json!({"controls": [], "settable": false})
    );
    for (method, params, code) in [
        ("image.set", json!({"brightness": 1}), -32_000),
        ("talk.begin", Value::Null, -32_000),
        (
            "snapshot.part",
            json!({"picture": taken["picture"], "part": 999}),
            -32_003,
        ),
        ("snapshot.part", json!({"picture": 0, "part": 0}), -32_003),
        ("snapshot.part", Value::Null, -32_602),
        ("pan", Value::Null, -32_601),
    ] {
        let refused = player.call(method, params).await;
        assert_eq!(refused["error"]["code"], code, "{method}: {refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains(' '));
    }
}
