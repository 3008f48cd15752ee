//! Mosquitto with the configuration that we print: who gets in, as whom, and how a camera is put out.

use crate::support::doors::Doors;
use crate::support::raw::{Answer, Hello};
use crate::support::{BROWSER, CAMERA, OTHER_CAMERA, Pki, topic};
use heron_protocol::topics::Role;

#[tokio::test]
async fn a_revoked_certificate_an_expired_one_and_a_stranger_s_do_not_get_in() {
    let pki = Pki::new();
    let (revoked, good) = (pki.device(CAMERA), pki.device(CAMERA));
    let doors = Doors::mosquitto(pki, &[&revoked]).await;
    let hello = Hello::new(CAMERA);
    let pki = &doors.pki;
    for bad in [
        &revoked,
        &pki.expired_device(CAMERA),
        &pki.stranger(CAMERA),
        &pki.control("heron-control"),
        &pki.nameless_device(),
    ] {
        assert!(doors.device(bad, &hello).await.is_err());
    }
    assert!(doors.device(&good, &hello).await.is_ok());
}

#[tokio::test]
async fn whoever_says_another_s_client_id_is_still_itself() {
    let doors = Doors::mosquitto(Pki::new(), &[]).await;
    let hello = Hello::new(OTHER_CAMERA);
    let mut other = doors
        .device(&doors.pki.device(OTHER_CAMERA), &hello)
        .await
        .unwrap();
    let mut camera = doors
        .device(&doors.pki.device(CAMERA), &hello)
        .await
        .unwrap();
    let theirs = topic(OTHER_CAMERA, "up/presence");
    assert_eq!(
        camera.publish(theirs.as_bytes(), b"online", true).await,
        Answer::Code(0x87)
    );
    let own = topic(CAMERA, "up/presence");
    assert!(camera.publish(own.as_bytes(), b"x", true).await.is_yes());
    assert!(other.publish(theirs.as_bytes(), b"x", true).await.is_yes());
}

/// How the control plane puts a camera out here: the certificate goes onto the list, its client id is taken over, and
/// its last word is spoken for it.
#[tokio::test]
async fn a_takeover_ends_the_session_and_speaks_the_last_word() {
    let doors = Doors::mosquitto(Pki::new(), &[]).await;
    let control = async |id| {
        let hello = Hello::new(id);
        doors.role(Role::Control, "control", &hello).await.unwrap()
    };
    let mut watcher = control("control.two").await;
    watcher.subscribe(b"cam/1/#").await;
    let presence = topic(CAMERA, "up/presence");
    let hello = Hello {
        will: Some((presence.clone().into(), b"lost".to_vec(), true)),
        patience_s: 3600,
        ..Hello::new(CAMERA)
    };
    let mut camera = doors
        .device(&doors.pki.device(CAMERA), &hello)
        .await
        .unwrap();
    assert_eq!(
        watcher.publish(presence.as_bytes(), b"out", true).await,
        Answer::Code(0x87)
    );
    let mut taken = control(CAMERA).await;
    let others = topic(OTHER_CAMERA, "up/presence");
    assert_eq!(
        taken.publish(others.as_bytes(), b"out", true).await,
        Answer::Code(0x87)
    );
    let last = taken.publish(presence.as_bytes(), b"out", true).await;
    assert!(last.is_yes());
    watcher.until(b"out").await;
    let state = topic(CAMERA, "up/state/video");
    assert_eq!(
        camera.publish(state.as_bytes(), b"{}", true).await,
        Answer::Closed
    );
}

#[tokio::test]
async fn a_browser_stays_in_its_tenant_and_is_whom_the_gateway_says() {
    let doors = Doors::mosquitto(Pki::new(), &[]).await;
    let mut browser = doors
        .role(Role::Browser, BROWSER, &Hello::new(BROWSER))
        .await
        .unwrap();
    let call = "0123456789abcdef0123456789abcdef";
    let publish = async |browser: &mut crate::support::raw::Raw, tenant: &str| {
        let topic = format!("view/1/{tenant}/{BROWSER}/up/rtc/{call}");
        browser.publish(topic.as_bytes(), b"{}", false).await
    };
    assert_eq!(publish(&mut browser, "work").await, Answer::Code(0x87));
    assert!(publish(&mut browser, "home").await.is_yes());
}
