use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::agent::{Agent, Change};
use super::stun::{self, Class, Message};
use super::*;
use crate::path::{Path, Protocol, Transmit};

const OURS: &str = "192.0.2.1:5000";
const THEIRS: &str = "192.0.2.9:6000";

fn credentials(name: &str) -> Credentials {
    Credentials {
        ufrag: name.to_owned(),
        password: format!("{name}-password"),
    }
}

fn agent(now: Instant) -> Agent {
    let mut agent = Agent::new(credentials("ours"), credentials("theirs"), (1, 2), now);
    agent.add_local(LocalCandidate::host(OURS.parse().unwrap()), now);
    agent
}

fn path(remote: &str) -> Path {
    Path::udp(OURS.parse().unwrap(), remote.parse().unwrap())
}

/// A check of the viewer's.
fn ask(agent: &mut Agent, remote: &str, nominate: bool, now: Instant) -> bool {
    let check = stun::controlling_request(&[9; 12], "ours:theirs", nominate, "ours-password");
    agent.handle(path(remote), &check, now)
}

/// Answers every check of ours; returns the answers of ours to checks of the viewer's.
fn answer(agent: &mut Agent, now: Instant) -> Vec<Transmit> {
    let mut answers = Vec::new();
    while let Some(transmit) = agent.poll_transmit() {
        let message = Message::read(&transmit.bytes).unwrap();
        if message.class == Class::Request {
            assert!(message.is_authentic("theirs-password"));
            assert!(message.username.unwrap().starts_with("theirs:"));
            let bytes = stun::success(&message.transaction, transmit.path.local, "theirs-password");
            agent.handle(transmit.path, &bytes, now);
        } else {
            answers.push(transmit);
        }
    }
    answers
}

/// Answers the checks that reach the viewer at `remote`, as after a NAT has forgotten all else.
fn answer_at(agent: &mut Agent, remote: &str, now: Instant) {
    while let Some(transmit) = agent.poll_transmit() {
        let message = Message::read(&transmit.bytes).unwrap();
        if message.class == Class::Request && transmit.path == path(remote) {
            let bytes = stun::success(&message.transaction, transmit.path.local, "theirs-password");
            agent.handle(transmit.path, &bytes, now);
        }
    }
}

fn states(agent: &mut Agent) -> Vec<IceState> {
    std::iter::from_fn(|| agent.poll_change())
        .filter_map(|change| match change {
            Change::State(state) => Some(state),
            Change::Selected(_) => None,
        })
        .collect()
}

#[test]
fn a_nomination_in_the_very_first_check_connects_in_one_round_trip() {
    let now = Instant::now();
    let mut agent = agent(now);
    assert!(ask(&mut agent, THEIRS, true, now));
    assert_eq!(agent.selected(), None);
    assert_eq!(answer(&mut agent, now).len(), 1);
    let selected = agent.selected().unwrap();
    assert_eq!(selected.path, path(THEIRS));
    assert_eq!(selected.remote, CandidateKind::Prflx);
    assert_eq!(
        states(&mut agent),
        [IceState::Checking, IceState::Connected]
    );
}

#[test]
fn a_path_that_is_not_nominated_is_not_used() {
    let now = Instant::now();
    let mut agent = agent(now);
    ask(&mut agent, THEIRS, false, now);
    answer(&mut agent, now);
    assert_eq!(agent.selected(), None);
    ask(&mut agent, THEIRS, true, now);
    assert!(agent.selected().is_some());
}

#[test]
fn the_viewer_may_move_to_another_path() {
    let now = Instant::now();
    let mut agent = agent(now);
    ask(&mut agent, THEIRS, true, now);
    answer(&mut agent, now);
    // The old path falls silent; the viewer nominates another, of no higher priority.
    let later = now + Duration::from_secs(5);
    ask(&mut agent, "192.0.2.9:7000", true, later);
    answer(&mut agent, later);
    while agent.poll_transmit().is_some() {}
    let selected = agent.selected().unwrap();
    assert_eq!(selected.path, path("192.0.2.9:7000"));
}

#[test]
fn silence_is_disconnected_then_failed_and_a_restart_begins_anew() {
    let now = Instant::now();
    let mut agent = agent(now);
    ask(&mut agent, THEIRS, true, now);
    answer(&mut agent, now);
    let mut at = now;
    while agent.state() != IceState::Failed {
        at = agent
            .poll_timeout()
            .unwrap()
            .max(at + Duration::from_millis(1));
        agent.handle_timeout(at);
        while agent.poll_transmit().is_some() {}
    }
    assert_eq!(
        states(&mut agent),
        [
            IceState::Checking,
            IceState::Connected,
            IceState::Disconnected,
            IceState::Failed
        ]
    );
    let silent = at.duration_since(now);
    assert!(silent >= Duration::from_secs(30) && silent < Duration::from_secs(31));
    assert!(!ask(&mut agent, THEIRS, true, at));

    agent.restart(credentials("new"), credentials("theirs"), at);
    let check = stun::controlling_request(&[9; 12], "new:theirs", true, "new-password");
    assert!(agent.handle(path(THEIRS), &check, at));
    answer(&mut agent, at);
    assert_eq!(
        states(&mut agent),
        [IceState::Checking, IceState::Connected]
    );
}

#[test]
fn consent_is_renewed_by_answers() {
    let now = Instant::now();
    let mut agent = agent(now);
    ask(&mut agent, THEIRS, true, now);
    answer(&mut agent, now);
    let mut at = now;
    while at < now + Duration::from_secs(60) {
        at = agent.poll_timeout().unwrap();
        agent.handle_timeout(at);
        answer(&mut agent, at + Duration::from_millis(30));
    }
    assert_eq!(agent.state(), IceState::Connected);
    assert_eq!(agent.rtt(), Some(Duration::from_millis(30)));
}

/// Goes on until `until`, the viewer answering or not; returns the checks of ours.
fn pass(agent: &mut Agent, from: Instant, until: Instant, answering: bool) -> usize {
    let (mut at, mut checks) = (from, 0);
    while at < until {
        at = agent
            .poll_timeout()
            .unwrap()
            .max(at + Duration::from_millis(1))
            .min(until);
        agent.handle_timeout(at);
        if answering {
            answer(agent, at);
        }
        checks += usize::from(agent.poll_transmit().is_some());
        while agent.poll_transmit().is_some() {}
    }
    checks
}

#[test]
fn a_viewers_own_checks_are_no_consent() {
    let now = Instant::now();
    let mut agent = agent(now);
    ask(&mut agent, THEIRS, true, now);
    answer(&mut agent, now);
    // It asks, and never answers (RFC 7675 section 5.1).
    for second in 1..=31 {
        let at = now + Duration::from_secs(second);
        ask(&mut agent, THEIRS, true, at);
        while agent.poll_transmit().is_some() {}
        agent.handle_timeout(at);
    }
    assert_eq!(agent.state(), IceState::Failed);
}

#[test]
fn a_silent_path_is_noticed_within_two_seconds_and_comes_back_by_itself() {
    let now = Instant::now();
    let at = |ms| now + Duration::from_millis(ms);
    let mut agent = agent(now);
    ask(&mut agent, THEIRS, true, now);
    answer(&mut agent, now);
    // Reports of the viewer's come: that is enough.
    for ms in (0..5000).step_by(100) {
        agent.notice(path(THEIRS), at(ms));
        agent.handle_timeout(at(ms));
        while agent.poll_transmit().is_some() {}
    }
    assert_eq!(agent.state(), IceState::Connected);
    // From elsewhere they do not count.
    agent.notice(path("192.0.2.9:7000"), at(6000));
    let checks = pass(&mut agent, at(5000), at(6500), false);
    assert_eq!(agent.state(), IceState::Disconnected);
    assert!((4..20).contains(&checks), "{checks}");
    pass(&mut agent, at(6500), at(20_000), false);
    assert_eq!(agent.state(), IceState::Disconnected);
    pass(&mut agent, at(20_000), at(20_400), true);
    assert_eq!(agent.state(), IceState::Connected);
    pass(&mut agent, at(20_400), at(60_000), true);
    assert_eq!(
        states(&mut agent),
        [
            IceState::Checking,
            IceState::Connected,
            IceState::Disconnected,
            IceState::Connected
        ]
    );
}

#[test]
fn a_nat_that_maps_the_viewer_anew_is_followed() {
    let now = Instant::now();
    let mut agent = agent(now);
    let candidate = RemoteCandidate::parse("candidate:1 1 udp 2122260223 192.0.2.9 6000 typ srflx");
    agent.add_remote(candidate.unwrap(), now);
    ask(&mut agent, THEIRS, true, now);
    answer(&mut agent, now);
    // Its checks come from other ports now, which it does not know and so cannot nominate. While the old one speaks it
    // is kept.
    let soon = now + Duration::from_millis(300);
    pass(&mut agent, now, soon, false);
    ask(&mut agent, "192.0.2.9:6500", false, soon);
    answer_at(&mut agent, "192.0.2.9:6500", soon);
    assert_eq!(agent.selected().unwrap().path, path(THEIRS));
    let rebound = now + Duration::from_millis(700);
    pass(&mut agent, soon, rebound, false);
    ask(&mut agent, "192.0.2.9:7000", false, rebound);
    assert_eq!(agent.selected().unwrap().path, path(THEIRS));
    answer_at(&mut agent, "192.0.2.9:7000", rebound);
    let selected = agent.selected().unwrap();
    assert_eq!(selected.path, path("192.0.2.9:7000"));
    assert_eq!(selected.remote, CandidateKind::Prflx);
    assert_eq!(agent.state(), IceState::Connected);
}

#[test]
fn a_nat_may_map_the_viewer_anew_for_days() {
    let now = Instant::now();
    let mut agent = agent(now);
    for port in 1..100_u16 {
        let remote = format!("192.0.2.9:{port}");
        let at = now + Duration::from_secs(20) * u32::from(port);
        ask(&mut agent, &remote, true, at);
        answer_at(&mut agent, &remote, at);
        assert_eq!(agent.selected().unwrap().path, path(&remote));
    }
}

#[test]
fn an_address_of_ours_takes_its_pairs_with_it() {
    let now = Instant::now();
    let mut agent = agent(now);
    let other: std::net::SocketAddr = "198.51.100.1:5000".parse().unwrap();
    agent.add_local(LocalCandidate::host(other), now);
    agent.add_local(
        LocalCandidate::srflx("203.0.113.1:5000".parse().unwrap(), other),
        now,
    );
    ask(&mut agent, THEIRS, true, now);
    let check = stun::controlling_request(&[9; 12], "ours:theirs", true, "ours-password");
    agent.handle(Path::udp(other, THEIRS.parse().unwrap()), &check, now);
    answer(&mut agent, now);
    assert_eq!(agent.selected().unwrap().path.local, other);
    assert_eq!(agent.pairs().len(), 2);
    // The path in use goes on.
    assert!(!agent.local_lost(OURS.parse().unwrap(), now));
    assert_eq!(agent.selected().unwrap().path.local, other);
    let [report] = agent.pairs()[..] else {
        panic!("one pair is left")
    };
    assert!(report.chosen && report.state == PairState::Succeeded);
    assert!(agent.local_lost(other, now));
    assert_eq!((agent.selected(), agent.locals().len()), (None, 0));
    assert_eq!(agent.state(), IceState::Disconnected);
    // It comes back, and the viewer is still there.
    agent.add_local(LocalCandidate::host(other), now);
    agent.handle(Path::udp(other, THEIRS.parse().unwrap()), &check, now);
    answer(&mut agent, now);
    assert_eq!(agent.state(), IceState::Connected);
}

#[test]
fn a_restart_keeps_interfaces_and_forgets_what_servers_gave() {
    let now = Instant::now();
    let mut agent = agent(now);
    let relay = LocalCandidate::relay("203.0.113.9:4000".parse().unwrap());
    assert!(agent.add_local(relay, now));
    assert!(!agent.add_local(relay, now));
    agent.restart(credentials("new"), credentials("other"), now);
    assert_eq!(agent.locals().len(), 1);
    assert_eq!(agent.ufrags(), ("new", "other"));
    assert!(agent.add_local(relay, now));
}

#[test]
fn after_a_restart_of_a_broken_path_media_takes_what_answers_until_the_viewer_nominates() {
    const NEXT: &str = "192.0.2.9:7000";
    let now = Instant::now();
    for (silence_ms, used_at_once) in [(1000, true), (100, false)] {
        let mut agent = agent(now);
        ask(&mut agent, THEIRS, true, now);
        answer(&mut agent, now);
        let later = now + Duration::from_millis(silence_ms);
        agent.restart(credentials("ours"), credentials("theirs"), later);
        agent.add_remote(
            RemoteCandidate::parse(&format!(
                "candidate:1 1 udp 1 {}",
                "192.0.2.9 7000 typ relay"
            ))
            .unwrap(),
            later,
        );
        agent.handle_timeout(later);
        answer(&mut agent, later);
        let path_of = |agent: &Agent| agent.selected().map(|selected| selected.path);
        assert_eq!(
            path_of(&agent),
            used_at_once.then(|| path(NEXT)),
            "after {silence_ms} ms"
        );
        // What the viewer nominates is what is used, whatever its priority.
        ask(&mut agent, "192.0.2.9:8000", true, later);
        answer(&mut agent, later);
        assert_eq!(path_of(&agent), Some(path("192.0.2.9:8000")));
    }
}

#[test]
fn strangers_change_nothing() {
    let now = Instant::now();
    let mut agent = agent(now);
    let wrong_password = stun::controlling_request(&[9; 12], "ours:theirs", true, "guess");
    let wrong_name = stun::controlling_request(&[9; 12], "ours:other", true, "ours-password");
    assert!(!agent.handle(path(THEIRS), &wrong_password, now));
    assert!(!agent.handle(path(THEIRS), &wrong_name, now));
    let unasked = stun::success(&[1; 12], OURS.parse().unwrap(), "theirs-password");
    assert!(!agent.handle(path(THEIRS), &unasked, now));
    assert_eq!(agent.poll_transmit(), None);
    for port in 1..200 {
        ask(&mut agent, &format!("192.0.2.9:{port}"), false, now);
    }
    answer(&mut agent, now);
    assert_eq!(agent.selected(), None);
}

#[test]
fn two_controlled_ends_are_told_apart() {
    let now = Instant::now();
    let mut agent = agent(now);
    let check = stun::request(&[9; 12], "ours:theirs", 1, 1, "ours-password");
    assert!(agent.handle(path(THEIRS), &check, now));
    let reply = agent.poll_transmit().unwrap();
    assert_eq!(Message::read(&reply.bytes).unwrap().class, Class::Error);
}

fn over_tcp(remote: &str) -> Path {
    Path {
        protocol: Protocol::Tcp,
        ..path(remote)
    }
}

/// The agent with a TCP candidate too, and a viewer that has connected and nominates.
fn agent_over_tcp(now: Instant) -> Agent {
    let mut agent = agent(now);
    agent.add_local(LocalCandidate::tcp(OURS.parse().unwrap()), now);
    let check = stun::controlling_request(&[9; 12], "ours:theirs", true, "ours-password");
    assert!(agent.handle(over_tcp(THEIRS), &check, now));
    for answer in answer(&mut agent, now) {
        assert_eq!(answer.path, over_tcp(THEIRS));
    }
    agent
}

#[test]
fn a_viewer_that_connects_over_tcp_is_answered_there_and_moves_to_udp_when_that_works() {
    let now = Instant::now();
    let mut agent = agent_over_tcp(now);
    assert_eq!(agent.selected().unwrap().path, over_tcp(THEIRS));
    // The very same address and port, but of the other protocol, is another end.
    ask(&mut agent, THEIRS, true, now);
    answer(&mut agent, now);
    assert_eq!(agent.selected().unwrap().path, path(THEIRS));
}

#[test]
fn the_end_of_a_connection_is_the_end_of_its_path_only() {
    let now = Instant::now();
    let mut agent = agent_over_tcp(now);
    ask(&mut agent, "192.0.2.9:7000", false, now);
    answer(&mut agent, now);
    assert!(!agent.path_lost(over_tcp("192.0.2.9:7000"), now));
    assert!(!agent.path_lost(path("192.0.2.9:7000"), now));
    assert_eq!(agent.selected().unwrap().path, over_tcp(THEIRS));
    assert!(agent.path_lost(over_tcp(THEIRS), now));
    assert_eq!(
        (agent.state(), agent.selected()),
        (IceState::Disconnected, None)
    );
    // It connects again, from another port.
    let again = over_tcp("192.0.2.9:7001");
    let check = stun::controlling_request(&[9; 12], "ours:theirs", true, "ours-password");
    assert!(agent.handle(again, &check, now));
    answer(&mut agent, now);
    assert_eq!(agent.selected().unwrap().path, again);
    assert_eq!(agent.state(), IceState::Connected);
}

#[test]
fn what_tcp_carries_is_not_repeated_in_haste() {
    let now = Instant::now();
    let mut agent = agent(now);
    agent.add_local(LocalCandidate::tcp(OURS.parse().unwrap()), now);
    let check = stun::controlling_request(&[9; 12], "ours:theirs", true, "ours-password");
    agent.handle(over_tcp(THEIRS), &check, now);
    let mut checks = 0;
    let mut at = now;
    while at < now + Duration::from_secs(4) {
        agent.handle_timeout(at);
        checks += std::iter::from_fn(|| agent.poll_transmit())
            .filter(|sent| sent.path.protocol == Protocol::Tcp)
            .filter(|sent| Message::read(&sent.bytes).unwrap().class == Class::Request)
            .count();
        at += Duration::from_millis(5);
    }
    assert_eq!(checks, 5);
}

proptest! {
    #[test]
    fn any_datagram_is_taken(datagram: Vec<u8>, tail: Vec<u8>) {
        let now = Instant::now();
        let mut agent = agent(now);
        agent.handle(path(THEIRS), &datagram, now);
        let mut check = stun::controlling_request(&[9; 12], "ours:theirs", true, "ours-password");
        check.extend(tail);
        agent.handle(path(THEIRS), &check, now);
    }
}
