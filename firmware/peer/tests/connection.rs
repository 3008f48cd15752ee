//! A viewer of another stack connects, talks over the data channel, restarts and leaves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::time::Duration;

use heron_peer::{
    CandidateKind, CloseReason, IceState, LocalCandidate, MessageError, OfferError, Path, Peer,
    PeerEvent, SrtpProfile,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::sansio::Protocol;
use support::{CAMERA, Link, VIEWER, Viewer, config};

#[test]
fn a_viewer_connects_in_few_round_trips_and_is_encrypted_with_gcm() {
    let mut link = Link::new();
    link.run_until("connected", |link| link.peer.is_connected());
    // One round trip of ICE, two of DTLS, and the viewer's own pace.
    assert!(link.now - link.start < Duration::from_millis(500));
    assert!(
        link.events
            .contains(&PeerEvent::Connected(SrtpProfile::AeadAes128Gcm))
    );
    let selected = link.peer.selected().unwrap();
    let path = Path::udp(CAMERA.parse().unwrap(), VIEWER.parse().unwrap());
    assert_eq!(selected.path, path);
    assert_eq!(selected.local, CandidateKind::Host);
    link.run_until("connected for the viewer", |link| {
        link.viewer
            .states
            .contains(&RTCPeerConnectionState::Connected)
    });
}

#[test]
fn a_viewer_that_begins_the_handshake_is_served() {
    let mut link = Link::with_offer(|offer| offer.replace("a=setup:actpass", "a=setup:active"));
    link.run_until("connected", |link| {
        link.peer.is_connected() && link.viewer.channel_open
    });
}

#[test]
fn lost_handshake_datagrams_are_repeated() {
    let mut link = Link::new();
    let mut count = 0;
    link.lose = Box::new(move |datagram| {
        let dtls = matches!(datagram[0], 20..=63);
        count += u32::from(dtls);
        dtls && count % 3 == 1
    });
    link.run_until("connected", |link| link.peer.is_connected());
}

#[test]
fn a_certificate_other_than_the_offers_is_refused() {
    let mut link = Link::with_offer(|offer| {
        let at = offer.find("a=fingerprint:sha-256 ").unwrap() + 22;
        let announced = &offer[at..at + 95];
        let other = announced.chars().rev().collect::<String>();
        offer.replace(announced, &other)
    });
    link.run_until("refused", |link| link.peer.is_closed());
    assert!(!link.peer.is_connected());
    assert_eq!(
        link.events.last(),
        Some(&PeerEvent::Closed(CloseReason::DtlsFailed))
    );
}

#[test]
fn messages_go_both_ways_and_are_limited() {
    let mut link = Link::connected();
    let now = link.now;
    let channel = link.viewer.channel;
    let mut channel = link.viewer.pc.data_channel(channel).unwrap();
    channel.send_text(now, "{\"method\":\"stats\"}").unwrap();
    link.run_until("the request", |link| {
        link.events.contains(&PeerEvent::Message {
            label: "control".to_owned(),
            data: "{\"method\":\"stats\"}".into(),
            text: true,
        })
    });
    let large = vec![7; 20_000];
    let now = link.now;
    link.peer.send_message("control", b"{}", true, now).unwrap();
    link.peer
        .send_message("control", &large, false, now)
        .unwrap();
    link.run_until("the replies", |link| link.viewer.messages.len() == 2);
    assert_eq!(link.viewer.messages[0], (b"{}".to_vec(), true));
    assert_eq!(link.viewer.messages[1], (large, false));

    let mut send =
        |label: &str, size: usize| link.peer.send_message(label, &vec![0; size], false, now);
    assert_eq!(send("other", 1), Err(MessageError::NoChannel));
    assert_eq!(send("control", 100_000), Err(MessageError::TooLarge));
    let refused = (0..100).find_map(|_| send("control", 60_000).err());
    assert_eq!(refused, Some(MessageError::Full));
}

#[test]
fn the_viewer_says_goodbye() {
    let mut link = Link::connected();
    link.viewer.pc.close().unwrap();
    link.run_until("closed", |link| link.peer.is_closed());
    assert_eq!(
        link.events.last(),
        Some(&PeerEvent::Closed(CloseReason::Remote))
    );
}

#[test]
fn the_camera_says_goodbye() {
    let mut link = Link::connected();
    let now = link.now;
    link.peer.close(now);
    assert!(link.peer.is_closed() && !link.peer.is_connected());
    link.run_until("closed for the viewer", |link| !link.viewer.channel_open);
    assert!(link.now - now < Duration::from_millis(100));
    assert_eq!(
        link.events.last(),
        Some(&PeerEvent::Closed(CloseReason::Local))
    );
}

#[test]
fn a_restart_finds_a_new_path_and_keeps_the_session() {
    let mut link = Link::connected();
    link.viewer.pc.restart_ice();
    let now = link.now;
    let offer = link.viewer.offer(now);
    let answer = link.peer.restart(&offer, now, &mut link.rng).unwrap();
    link.viewer.take_answer(&answer.sdp, now);
    link.viewer.add_candidate();
    assert!(link.peer.is_connected(), "media goes on over the old path");
    link.events.clear();
    link.run_until("connected again", |link| {
        link.events.contains(&PeerEvent::Ice(IceState::Connected))
    });
    let now = link.now;
    link.peer.send_message("control", b"on", true, now).unwrap();
    link.run_until("a message", |link| !link.viewer.messages.is_empty());

    let other = offer.replace("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 00:");
    assert_eq!(
        link.peer.restart(&other, now, &mut link.rng),
        Err(OfferError::OtherSession)
    );
}

#[test]
fn a_viewer_that_is_gone_is_given_up() {
    let mut link = Link::connected();
    let gone = link.now;
    link.cut = true;
    link.run_until("closed", |link| link.peer.is_closed());
    let states: Vec<_> = link
        .events
        .iter()
        .filter_map(|event| match event {
            PeerEvent::Ice(state) => Some(*state),
            _ => None,
        })
        .collect();
    let connected = [IceState::Checking, IceState::Connected];
    let ended = [IceState::Disconnected, IceState::Failed];
    assert_eq!(states, [connected, ended].concat());
    assert!(link.now - gone < Duration::from_secs(50));
    assert_eq!(
        link.events.last(),
        Some(&PeerEvent::Closed(CloseReason::IceFailed))
    );
}

#[test]
fn candidates_may_come_one_by_one() {
    let mut link = Link::connected();
    let now = link.now;
    assert!(
        !link
            .peer
            .add_remote_candidate("candidate:1 1 udp 1 x.local 9 typ host", now)
    );
    assert!(
        link.peer
            .add_remote_candidate("candidate:1 1 udp 1 192.0.2.9 6001 typ srflx", now)
    );
    let relay = LocalCandidate::relay("198.51.100.1:4000".parse().unwrap());
    link.peer.add_local_candidate(relay, now);
    link.run_for(Duration::from_secs(3));
    assert!(link.peer.is_connected());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a stranger sends, from an unknown or the viewer's own address.
    #[test]
    fn any_datagram_is_taken(datagrams in prop::collection::vec(any::<Vec<u8>>(), 0..20), first in 0_u8..200) {
        let now = std::time::Instant::now();
        let offer = Viewer::new(now).offer(now);
        let (mut peer, _) =
            Peer::answer(config(now), &offer, now, &mut StdRng::seed_from_u64(1)).unwrap();
        let path = Path::udp(CAMERA.parse().unwrap(), VIEWER.parse().unwrap());
        for mut datagram in datagrams {
            peer.handle_datagram(path, &datagram, now);
            datagram.insert(0, first);
            peer.handle_datagram(path, &datagram, now);
        }
        peer.handle_timeout(now + Duration::from_secs(1));
        prop_assert!(!peer.is_closed());
    }
}

#[test]
fn a_peer_may_move_to_another_thread() {
    const fn is_send<T: Send>() {}
    is_send::<Peer>();
}

#[test]
fn garbage_on_the_viewers_path_does_not_end_the_session() {
    let mut link = Link::connected();
    let path = link.peer.selected().unwrap().path;
    let mut seed = 1_u64;
    for length in 0..2000_usize {
        let garbage: Vec<u8> = (0..length % 300)
            .map(|_| {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (seed >> 56) as u8
            })
            .collect();
        let now = link.now;
        link.peer.handle_datagram(path, &garbage, now);
    }
    link.run_for(Duration::from_secs(1));
    assert!(link.peer.is_connected());
    let stats = link.peer.stats();
    assert!(stats.refused > 100 && stats.malformed > 100, "{stats:?}");
}
