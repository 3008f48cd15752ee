//! Another path for a session: who gets one, and with what.

use super::*;

fn restart(seq: u32) -> ViewUp {
    ViewUp::Restart {
        seq,
        offer: OFFER.into(),
    }
}

#[tokio::test]
async fn another_path_takes_a_fresh_grant_and_fresh_credentials() {
    let (mut bench, browser) = Bench::with("ada").await;
    let opened = bench.open(&browser, 1).await;
    let (session, RtcDown::Open { grant: first, .. }) = to_device(&opened).expect("open") else {
        panic!("{opened:?}")
    };
    bench.device(CAMERA, &session, &answer()).await;
    let minutes = Duration::from_secs(300);
    (bench.now.steady, bench.now.calendar) =
        (bench.now.steady + minutes, bench.now.calendar + minutes);
    let outbox = bench.view(&browser, 1, &restart(1)).await;
    let Some((
        same,
        RtcDown::Restart {
            grant,
            offer,
            ice_servers,
            ..
        },
    )) = to_device(&outbox)
    else {
        panic!("{outbox:?}")
    };
    assert_eq!(same, session);
    assert_ne!(grant, first, "the first has expired");
    let mut verifier = GrantVerifier::new(id(CAMERA), bench.grant_key.clone());
    let granted = verifier
        .accept(&grant, &session, &offer, bench.now.unix_s())
        .expect("the grant fits");
    assert_eq!(granted.rights, [Right::View], "no more than before");
    let Some(ViewDown::Restarted {
        ice_servers: viewer_servers,
        ice_policy,
        ..
    }) = to_viewer(&outbox)
    else {
        panic!("{outbox:?}")
    };
    assert_eq!(ice_policy, IcePolicy::Relay);
    let (device, viewer) = (&ice_servers[1].username, &viewer_servers[1].username);
    assert!(device.ends_with(".d") && viewer.ends_with(".v"));
    let fresh = (bench.now.unix_s() + 600).to_string();
    assert!(device.starts_with(&fresh), "{device}, not {fresh}");
    let again = bench
        .device(
            CAMERA,
            &session,
            &RtcUp::Answer {
                seq: 1,
                sdp: "v=0".into(),
                proof: "another".into(),
            },
        )
        .await;
    assert!(
        matches!(to_viewer(&again), Some(ViewDown::Answer { proof, .. }) if proof == "another")
    );
    assert_eq!(bench.shared.counters.snapshot().restarts, 1);
}

#[tokio::test]
async fn who_may_no_longer_watch_gets_no_other_path() {
    let (mut bench, browser) = Bench::with("ada").await;
    let opened = bench.open(&browser, 1).await;
    let (session, _) = to_device(&opened).expect("open");
    bench.device(CAMERA, &session, &answer()).await;
    bench.directory.0.lock().clear();
    let outbox = bench.view(&browser, 1, &restart(1)).await;
    assert!(matches!(
        to_device(&outbox),
        Some((
            _,
            RtcDown::Close {
                reason: EndReason::NotAllowed,
                ..
            }
        ))
    ));
    assert_eq!(
        closed(&outbox).map(|(reason, _)| reason),
        Some(EndReason::NotAllowed)
    );
    // Of a session that is over, or of another run of ours, the viewer is told so that it begins anew.
    let outbox = bench.view(&browser, 1, &restart(2)).await;
    assert_eq!(
        closed(&outbox).map(|(reason, _)| reason),
        Some(EndReason::ViewerVanished)
    );
}

#[tokio::test]
async fn a_camera_that_was_away_is_offered_the_path_again() {
    let (mut bench, browser) = Bench::with("ada").await;
    let opened = bench.open(&browser, 1).await;
    let (session, _) = to_device(&opened).expect("open");
    bench.device(CAMERA, &session, &answer()).await;
    bench.camera_is(false).await;
    let outbox = bench.view(&browser, 1, &restart(1)).await;
    assert!(matches!(
        to_device(&outbox),
        Some((_, RtcDown::Restart { .. }))
    ));
    let back = bench.camera_is(true).await;
    let wanted = back.messages.iter().any(|(topic, payload)| {
        matches!(topic, Topic::ViewDown(..))
            && matches!(decode(payload), Ok(ViewDown::RestartWanted { .. }))
    });
    assert!(wanted, "{back:?}");
}
