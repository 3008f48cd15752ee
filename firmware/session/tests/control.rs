//! Calls on the data channel, talking, and viewers that the camera lets in itself.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use heron_protocol::grant::Right;
use heron_session::{ControlError, Event, Refusal, Rights, Rung, TalkEvent};
use serde_json::{Value, json};
use support::{Camera, Viewer, access_unit};

async fn connected(camera: &mut Camera, session: u128, rights: &[Right]) -> Viewer {
    let mut viewer = Viewer::new(session).await;
    let mut grant = camera.grant(&viewer.session, &viewer.offer);
    grant.rights = rights.to_vec();
    camera.open(&viewer.session, &grant, &viewer.offer);
    viewer.take_answer(camera).await;
    viewer.wait_connected(camera).await;
    viewer.reach().await;
    viewer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_asks_for_its_figures_and_reports_its_own() {
    let mut camera = Camera::start(|_| {});
    let mut viewer = connected(&mut camera, 1, &[Right::View]).await;
    camera.hub.video(access_unit(0));
    viewer.frame().await;
    let stats = viewer.call("stats", Value::Null).await;
    assert_eq!(stats["id"], 7);
    assert_eq!(stats["result"]["rung"], "main");
    assert_eq!(stats["result"]["frames_sent"], 1);
    let report = json!({"freezes": 2, "freeze_ms": 700});
    assert_eq!(viewer.call("report", report).await["result"], true);
    let wrong = viewer.call("report", json!({"freezes": "many"})).await;
    assert_eq!(wrong["error"]["code"], -32_602);
    viewer.control.send_text("{nonsense").await.unwrap();
    assert_eq!(viewer.hear().await["error"]["code"], -32_700);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_hub_does_not_know_is_the_owners() {
    let mut camera = Camera::start(|_| {});
    let viewer = connected(&mut camera, 1, &[Right::View, Right::Control]).await;
    let watcher = connected(&mut camera, 2, &[Right::View]).await;
    let calling = tokio::spawn(async move {
        let first = viewer.call("image.set", json!({"hue": 3})).await;
        let second = viewer.call("image.controls", Value::Null).await;
        let third = watcher.call("image.set", json!({"hue": 3})).await;
        (first, second, third)
    });
    let Event::Control { request, reply } = camera.control().await else {
        panic!("a call")
    };
    assert_eq!(request.method, "image.set");
    assert_eq!(request.params, json!({"hue": 3}));
    assert!(request.rights.control && !request.rights.talk);
    reply.result(json!(["hue"]));
    // An answer that is forgotten is an error, not silence.
    drop(camera.control().await);
    // Who may call what is the owner's to say, and it is told who asks.
    let Event::Control { request, reply } = camera.control().await else {
        panic!("a call")
    };
    assert!(request.rights.view && !request.rights.control);
    reply.error(ControlError::not_allowed(&request.method));
    let (first, second, third) = calling.await.unwrap();
    assert_eq!(first["result"], json!(["hue"]));
    assert_eq!(second["error"]["code"], -32_603);
    assert_eq!(third["error"]["code"], ControlError::NOT_ALLOWED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_talks_at_a_time() {
    let mut camera = Camera::start(|_| {});
    let rights = [Right::View, Right::Talk];
    let ada = connected(&mut camera, 1, &rights).await;
    let bob = connected(&mut camera, 2, &rights).await;
    let eve = connected(&mut camera, 3, &[Right::View]).await;
    let refused = eve.call("talk.begin", Value::Null).await;
    assert_eq!(refused["error"]["code"], ControlError::NOT_ALLOWED);

    assert_eq!(ada.call("talk.begin", Value::Null).await["result"], true);
    let busy = bob.call("talk.begin", Value::Null).await;
    assert_eq!(busy["error"]["code"], ControlError::BUSY);
    assert_eq!(bob.call("talk.end", Value::Null).await["result"], false);
    assert_eq!(ada.call("talk.end", Value::Null).await["result"], true);
    assert_eq!(bob.call("talk.begin", Value::Null).await["result"], true);
    bob.peer.close().await.unwrap();
    let mut said = Vec::new();
    while said.len() < 4 {
        let event = camera
            .event("Talk", |event| match event {
                Event::Talk(event) => Some(event.clone()),
                _ => None,
            })
            .await;
        said.push(event);
    }
    assert_eq!(
        said,
        [
            TalkEvent::Begin(ada.session.clone()),
            TalkEvent::End,
            TalkEvent::Begin(bob.session.clone()),
            TalkEvent::End,
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_viewer_needs_no_grant_and_no_signalling() {
    let mut camera = Camera::start(|config| config.max_viewers = 1);
    let mut viewer = Viewer::new(1).await;
    let answer = camera
        .hub
        .watch_locally(&viewer.offer, Rights::WATCH)
        .await
        .unwrap();
    assert!(answer.sdp.contains("a=candidate:"), "{}", answer.sdp);
    viewer.apply(&answer.sdp).await;
    camera.key_frame_of(Rung::Main).await;
    camera.hub.video(access_unit(0));
    let (frame, _) = viewer.frame().await;
    assert!(frame == access_unit(0).data);

    let full = camera.hub.watch_locally(&viewer.offer, Rights::WATCH).await;
    assert_eq!(full, Err(Refusal::Full(1)));
    let [seen] = &camera.hub.stats().viewers[..] else {
        panic!("one viewer")
    };
    assert!(seen.local && seen.connected);
    assert!(camera.hub.close(&answer.session));
    camera.demand(0).await;
    assert!(!camera.hub.close(&answer.session));
    let nonsense = camera.hub.watch_locally("v=0", Rights::WATCH).await;
    assert!(matches!(nonsense, Err(Refusal::Offer(_))), "{nonsense:?}");
    let signalled = |event: &Event| matches!(event, Event::Send { .. });
    assert!(!camera.events_so_far().iter().any(signalled));
}
