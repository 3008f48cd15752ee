//! Cameras: how they come in, their certificates, and what is written down about them.

use std::collections::BTreeSet;

use heron_control::signalling::ConnectionRecord;
use heron_control::store::{
    CameraRow, CertificateRow, CertificateState, ClaimRow, FactoryRow, NotEnrolled, PairingRow,
    PairingState, Standing, Store, StoreError, Ticket,
};
use heron_protocol::{DeviceId, TenantId};

use crate::Place;

const DAY_MS: i64 = 24 * 3600 * 1000;

pub fn home() -> TenantId {
    "home".parse().unwrap()
}

pub fn device(number: u32) -> DeviceId {
    format!("camera-{number:04}").parse().unwrap()
}

pub fn camera(number: u32) -> CameraRow {
    CameraRow::new(device(number), home(), format!("Camera {number}"), 1_000)
}

fn certificate(number: u32, serial: &str, issued_ms: i64) -> CertificateRow {
    CertificateRow {
        serial: serial.to_owned(),
        camera: device(number),
        pem: format!("PEM of {serial}"),
        fingerprint: format!("f{serial}"),
        key_sha256: format!("k{serial}"),
        issued_ms,
        not_after_ms: issued_ms + 90 * DAY_MS,
        state: CertificateState::Pending,
        first_used_ms: None,
        ended_ms: None,
        reason: None,
    }
}

fn claim(max_uses: u32) -> ClaimRow {
    ClaimRow {
        id: "c1".to_owned(),
        tenant: home(),
        name: None,
        site: Some("Barn".to_owned()),
        tags: vec!["north \"gate\"".to_owned()],
        max_uses,
        uses: 0,
        made_ms: 500,
        expires_ms: 5_000,
    }
}

pub async fn a_claim_is_spent_so_often_and_no_more(place: &Place) {
    let store = place.open().await;
    store.claims.add(&claim(3), &[7; 32]).await.unwrap();
    // Two processes and many cameras at once.
    let stores = [store.clone(), place.open().await];
    let tries = (0..12).map(|number| {
        let store = stores[number as usize % 2].clone();
        tokio::spawn(async move {
            let certificate = certificate(number, &format!("a{number}"), 1_000);
            store
                .enrolments
                .enrol(Ticket::Claim("c1"), &camera(number), &certificate)
                .await
        })
    });
    let mut enrolled = 0;
    for one in tries.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Ok(()) => enrolled += 1,
            Err(NotEnrolled::Spent) => (),
            Err(NotEnrolled::Store(error)) => panic!("{error:?}"),
        }
    }
    assert_eq!(enrolled, 3);
    assert_eq!(
        store.cameras.list(&home()).await.unwrap().len(),
        3,
        "no camera without its claim"
    );
    let spent = store.claims.by_secret(&[7; 32]).await.unwrap().unwrap();
    assert_eq!(
        spent,
        ClaimRow {
            uses: 3,
            ..claim(3)
        }
    );
    let first = &store.cameras.list(&home()).await.unwrap()[0];
    let key = format!(
        "ka{}",
        first
            .id
            .as_str()
            .trim_start_matches("camera-")
            .parse::<u32>()
            .unwrap()
    );
    assert_eq!(
        store.claims.camera_of("c1", &key).await.unwrap(),
        Some(first.id.clone())
    );
    assert!(store.claims.remove(&home(), "c1").await.unwrap());
    assert!(!store.claims.remove(&home(), "c1").await.unwrap());
}

pub async fn certificates_follow_each_other(place: &Place) {
    let store = place.open().await;
    let (id, now) = (device(1), 10 * DAY_MS);
    store
        .enrolments
        .enrol(Ticket::Person, &camera(1), &certificate(1, "a1", DAY_MS))
        .await
        .unwrap();
    let taken = store
        .enrolments
        .enrol(Ticket::Person, &camera(1), &certificate(1, "a9", DAY_MS))
        .await;
    assert!(
        matches!(taken, Err(NotEnrolled::Store(StoreError::NameTaken { .. }))),
        "{taken:?}"
    );
    assert_eq!(
        store.certificates.of_camera(&id).await.unwrap().len(),
        1,
        "all of it or nothing"
    );

    store
        .certificates
        .used(&[("a1".to_owned(), 2 * DAY_MS)])
        .await
        .unwrap();
    store
        .certificates
        .issue(certificate(1, "a2", 3 * DAY_MS))
        .await
        .unwrap();
    let again = CertificateRow {
        key_sha256: "ka2".to_owned(),
        ..certificate(1, "a3", 3 * DAY_MS)
    };
    assert_eq!(
        store.certificates.issue(again).await.unwrap().serial,
        "a2",
        "the same key asks again"
    );
    store
        .certificates
        .used(&[("a2".to_owned(), 4 * DAY_MS)])
        .await
        .unwrap();
    let states = |rows: Vec<CertificateRow>| -> Vec<_> {
        rows.into_iter()
            .map(|one| (one.serial, one.state))
            .collect()
    };
    let all = states(store.certificates.of_camera(&id).await.unwrap());
    let (old, new) = (
        ("a1".to_owned(), CertificateState::Superseded),
        ("a2".to_owned(), CertificateState::Active),
    );
    assert_eq!(all, [new.clone(), old], "the newest first");

    let known = store
        .certificates
        .known(Some(&[id.clone(), device(2)]), now, 0)
        .await
        .unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(
        states(known[&id].certificates.clone()).last(),
        Some(&new),
        "the oldest first"
    );
    let everyone = store.certificates.known(None, now, 0).await.unwrap();
    assert_eq!(everyone, known);
    assert!(
        store
            .certificates
            .known(None, 93 * DAY_MS, 0)
            .await
            .unwrap()
            .is_empty(),
        "their time is over"
    );
    assert_eq!(
        store
            .certificates
            .known(None, 93 * DAY_MS, 365 * DAY_MS)
            .await
            .unwrap()
            .len(),
        1,
        "but for renewal"
    );

    assert!(
        store
            .certificates
            .set_standing(&id, Standing::Revoked, Some("stolen"), now)
            .await
            .unwrap()
    );
    assert!(
        !store
            .certificates
            .set_standing(&device(2), Standing::Revoked, None, now)
            .await
            .unwrap()
    );
    let row = store.cameras.find(id.as_str()).await.unwrap().unwrap();
    assert_eq!(
        (row.standing, row.standing_reason.as_deref()),
        (Standing::Revoked, Some("stolen"))
    );
    assert!(
        store
            .cameras
            .remove(&home(), id.as_str(), now)
            .await
            .unwrap()
    );
    assert!(
        store.certificates.known(None, now, 0).await.unwrap()[&id].removed,
        "what it had stays shut out"
    );
}

pub async fn a_pairing_is_confirmed_once(place: &Place) {
    let store = place.open().await;
    let pairing = |code: &str| PairingRow {
        code: code.to_owned(),
        tenant: home(),
        key_sha256: "k".to_owned(),
        serial: None,
        model: Some("Pi Zero 2 W".to_owned()),
        address: "192.0.2.7".to_owned(),
        asked_ms: 1_000,
        expires_ms: 5_000,
        state: PairingState::Waiting,
        camera: None,
    };
    for number in 0..16 {
        let asked = pairing(&format!("AAAA000{number:X}"));
        assert_eq!(store.pairings.ask(&asked).await.unwrap(), Some(asked));
    }
    assert_eq!(
        store.pairings.ask(&pairing("BBBBBBBB")).await.unwrap(),
        None,
        "enough from one address"
    );
    let elsewhere = PairingRow {
        address: "192.0.2.8".to_owned(),
        ..pairing("BBBBBBBB")
    };
    assert!(store.pairings.ask(&elsewhere).await.unwrap().is_some());

    let confirm = |number| {
        let store = store.clone();
        async move {
            store
                .pairings
                .confirm("AAAA0001", &camera(number), 9_000)
                .await
                .unwrap()
        }
    };
    let (one, two) = tokio::join!(confirm(1), confirm(2));
    assert!(one ^ two, "one person was quicker");
    assert_eq!(store.cameras.list(&home()).await.unwrap().len(), 1);
    let row = store
        .pairings
        .get(&home(), "AAAA0001", 6_000)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (row.state, row.camera.is_some()),
        (PairingState::Confirmed, true)
    );
    assert!(
        store
            .pairings
            .refuse(&home(), "AAAA0002", 2_000)
            .await
            .unwrap()
    );
    assert!(
        !store
            .pairings
            .refuse(&home(), "AAAA0001", 2_000)
            .await
            .unwrap()
    );
    assert_eq!(
        store
            .pairings
            .get(&home(), "AAAA0003", 5_000)
            .await
            .unwrap(),
        None,
        "its time is over"
    );
}

pub async fn comings_and_goings_are_written_once(place: &Place) {
    let store = place.open().await;
    store.cameras.add(&camera(1)).await.unwrap();
    let record = |at_ms, online, reason: Option<&str>, seq| ConnectionRecord {
        camera: device(1),
        at_ms,
        online,
        reason: reason.map(str::to_owned),
        boot_id: "b1".to_owned(),
        firmware: "0.1.0".to_owned(),
        seq,
    };
    let came = record(1_000, true, None, 1);
    store
        .connections
        .add(&[came.clone(), record(2_000, true, None, 1)])
        .await
        .unwrap();
    store
        .certificates
        .set_standing(&device(1), Standing::Quarantined, Some("clone"), 2_500)
        .await
        .unwrap();
    store
        .connections
        .add(&[record(3_000, false, Some("connection_lost"), 2)])
        .await
        .unwrap();
    store
        .connections
        .add(&[record(3_001, false, Some("connection_lost"), 2)])
        .await
        .unwrap();
    let all = store.connections.recent(&device(1), 10).await.unwrap();
    assert_eq!(
        all,
        [record(3_000, false, Some("quarantined"), 2), came],
        "what is retained comes again"
    );
    let many: Vec<_> = (0..600)
        .map(|seq| record(4_000 + seq, seq % 2 == 0, None, seq.cast_unsigned() + 10))
        .collect();
    store.connections.add(&many).await.unwrap();
    let kept = store.connections.recent(&device(1), 10_000).await.unwrap();
    assert_eq!(kept.len(), 500, "the newest of them");
    assert_eq!(kept[0], many[599]);
}

pub async fn a_factory_list_is_listed_anew(place: &Place) {
    let store = place.open().await;
    let entry = |key: &str| FactoryRow {
        tenant: home(),
        serial: "SN1".to_owned(),
        key_sha256: key.to_owned(),
        name: None,
        listed_ms: 1_000,
        camera: None,
    };
    store.factory_list.list(&[entry("ka1")]).await.unwrap();
    let ticket = Ticket::Factory(&home(), "SN1");
    store
        .enrolments
        .enrol(ticket, &camera(1), &certificate(1, "a1", 1_000))
        .await
        .unwrap();
    let twice = store
        .enrolments
        .enrol(ticket, &camera(2), &certificate(1, "a2", 1_000))
        .await;
    assert!(matches!(twice, Err(NotEnrolled::Spent)), "{twice:?}");
    let now = |store: Store| async move {
        store
            .factory_list
            .find(&home(), "SN1")
            .await
            .unwrap()
            .unwrap()
            .camera
    };
    store.factory_list.list(&[entry("ka1")]).await.unwrap();
    assert_eq!(
        now(store.clone()).await,
        Some(device(1)),
        "it stays enrolled"
    );
    store
        .factory_list
        .list(&[entry("another key")])
        .await
        .unwrap();
    assert_eq!(
        now(store.clone()).await,
        None,
        "another key is another device"
    );
    assert_eq!(
        store.factory_list.all(&home()).await.unwrap(),
        [entry("another key")]
    );
}

pub async fn events_of_many_writers_are_followed_without_a_gap(place: &Place) {
    let stores = [place.open().await, place.open().await];
    let reader = place.open().await;
    let writers: Vec<_> = (0..40)
        .map(|number| {
            let store = stores[number as usize % 2].clone();
            tokio::spawn(async move {
                let certificate = certificate(number, &format!("a{number}"), 1_000);
                store
                    .enrolments
                    .enrol(Ticket::Person, &camera(number), &certificate)
                    .await
                    .unwrap();
            })
        })
        .collect();
    let (mut seen, mut last) = (BTreeSet::new(), 0);
    let mut follow = async |seen: &mut BTreeSet<DeviceId>| {
        let (cameras, at) = reader.certificates.events(last).await.unwrap();
        last = at;
        seen.extend(cameras);
    };
    // Followed while they write: a number that appears late would be passed by.
    for writer in writers {
        follow(&mut seen).await;
        writer.await.unwrap();
    }
    follow(&mut seen).await;
    assert_eq!(seen.len(), 40);
    assert_eq!(reader.certificates.last_event().await.unwrap(), last);
}
