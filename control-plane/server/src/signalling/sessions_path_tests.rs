//! Paths of a session: looked for anew, and written down.

use heron_protocol::messages::{CandidatePair, PairState};

use super::*;
use crate::signalling::restarts::SPACING;

impl Table {
    fn restart(&mut self, seq: u32, ufrag: &str) -> Result<Vec<Effect>, Refusal> {
        let (browser, call): (BrowserId, CallId) = (id("browser-01"), id(CALL));
        let (record, rights) = self
            .sessions
            .admit_restart(&browser, &call, seq, self.now)?;
        assert_eq!(rights, [Right::View]);
        Ok(self.sessions.restart(&record.session, terms(ufrag)))
    }
}

fn named(ufrag: &str) -> Vec<Candidate> {
    let mut candidates = candidates();
    candidates[0].username_fragment = Some(ufrag.into());
    candidates
}

fn answer_of(seq: u32, ufrag: &str) -> RtcUp {
    RtcUp::Answer {
        seq,
        sdp: format!("v=0\r\na=ice-ufrag:{ufrag}\r\n"),
        proof: "proof".into(),
    }
}

#[test]
fn another_path_is_looked_for_by_either_end_while_the_session_goes_on() {
    let mut table = table();
    assert_eq!(
        table.restart(1, "two"),
        Err(Refusal::OutOfOrder),
        "before the first answer"
    );
    table.device(answer_of(0, "first")).expect("accepted");
    let wish = RtcUp::RestartWanted {
        seq: 1,
        reason: RestartReason::NetworkChanged,
    };
    assert!(matches!(
        &table.device(wish).expect("passed on")[..],
        [Effect::ToViewer(
            _,
            _,
            _,
            ViewDown::RestartWanted {
                reason: RestartReason::NetworkChanged,
                ..
            }
        )]
    ));
    let effects = table.restart(2, "two").expect("admitted");
    assert!(matches!(
        &effects[..],
        [
            Effect::ToDevice(_, _, RtcDown::Restart { seq: 1, offer, .. }),
            Effect::ToViewer(_, _, _, ViewDown::Restarted { .. })
        ] if offer.contains("two")
    ));

    // What is still under way of the old path does not get into the new one.
    let late = ViewUp::Candidates {
        seq: 3,
        candidates: named("one"),
    };
    assert_eq!(table.viewer(late), Ok(vec![]));
    let late = RtcUp::Candidates {
        seq: 2,
        candidates: named("first"),
    };
    assert_eq!(table.device(late), Ok(vec![]));

    let effects = table.device(answer_of(3, "second")).expect("awaited");
    assert!(matches!(
        &effects[..],
        [Effect::ToViewer(_, _, _, ViewDown::Answer { .. }), Effect::Log(LogLine::Updated(record))]
        if record.restarts == 1
    ));
    assert_eq!(
        table.device(answer_of(4, "third")),
        Err(Refusal::OutOfOrder)
    );
    let current = RtcUp::Candidates {
        seq: 5,
        candidates: named("second"),
    };
    assert_eq!(table.device(current).map(|effects| effects.len()), Ok(1));
}

#[test]
fn paths_are_not_looked_for_in_a_rush() {
    let mut table = table();
    table.device(answer(0)).expect("accepted");
    table.restart(1, "two").expect("admitted");
    assert_eq!(table.restart(1, "two"), Err(Refusal::Duplicate));
    assert_eq!(table.restart(2, "three"), Err(Refusal::TooOften));
    table.after(SPACING);
    table.restart(3, "three").expect("admitted");
    let wish = |seq| RtcUp::RestartWanted {
        seq,
        reason: RestartReason::PathLost,
    };
    table.device(wish(1)).expect("passed on");
    assert_eq!(table.device(wish(2)), Err(Refusal::TooOften));
}

#[test]
fn a_camera_that_comes_back_keeps_its_sessions_and_is_asked_again_for_the_answer_it_owes() {
    let mut table = table();
    let camera: DeviceId = id("front-door-01");
    assert_eq!(table.sessions.camera_back(&camera), [], "not answered yet");
    table.device(answer(0)).expect("accepted");
    assert_eq!(table.sessions.camera_back(&camera), [], "nothing owed");
    table.restart(1, "two").expect("admitted");
    assert_eq!(table.after(Duration::from_secs(20)), [], "nothing ends");
    assert!(matches!(
        &table.sessions.camera_back(&camera)[..],
        [Effect::ToViewer(_, _, _, ViewDown::RestartWanted { .. })]
    ));
    assert_eq!(table.sessions.camera_back(&id("back-door-01")), []);
}

#[test]
fn the_record_keeps_what_both_ends_say_of_their_paths() {
    let mut table = table();
    table.device(answer(0)).expect("accepted");
    let path = |local, remote, relay: Option<&str>| Path {
        local,
        remote,
        protocol: "udp".into(),
        local_address: Some("192.0.2.1:5000".into()),
        remote_address: Some("198.51.100.1:6000".into()),
        relay: relay.map(str::to_owned),
    };
    let pairs = vec![CandidatePair {
        path: path(CandidateKind::Srflx, CandidateKind::Prflx, None),
        state: PairState::Succeeded,
        chosen: true,
    }];
    let device = SessionStats {
        path: Some(pairs[0].path.clone()),
        pairs: pairs.clone(),
        ..SessionStats::default()
    };
    let effects = table
        .device(RtcUp::Stats {
            seq: 1,
            stats: device,
        })
        .expect("accepted");
    let Some(LogLine::Updated(record)) = logged(&effects) else {
        panic!("{effects:?}")
    };
    assert_eq!(record.path, Some(PathKind::Reflexive));
    assert_eq!(record.ends.pairs, pairs);

    // Its own address was what the camera saw: there is no NAT, only a browser that keeps its addresses to itself.
    let mut ends = record.ends.clone();
    ends.device = Some(path(CandidateKind::Host, CandidateKind::Prflx, None));
    assert_eq!(ends.kind(), Some(PathKind::Reflexive), "as far as is known");
    ends.viewer = Some(path(CandidateKind::Host, CandidateKind::Host, None));
    assert_eq!(ends.kind(), Some(PathKind::Host));

    // After a restart the viewer goes through TURN, and the camera sees only the relay's address.
    let relay = "turn:turn.example:3478?transport=udp";
    let viewer = ViewerStats {
        path: Some(path(
            CandidateKind::Relay,
            CandidateKind::Srflx,
            Some(relay),
        )),
        ..ViewerStats::default()
    };
    let effects = table
        .viewer(ViewUp::Stats {
            seq: 1,
            stats: viewer,
        })
        .expect("accepted");
    let Some(LogLine::Updated(record)) = logged(&effects) else {
        panic!("{effects:?}")
    };
    assert_eq!(record.path, Some(PathKind::Relay));
    assert_eq!(record.ends.relay(), Some(relay));

    let close = ViewUp::Close {
        seq: 2,
        reason: EndReason::NoPath,
        detail: String::new(),
    };
    let effects = table.viewer(close).expect("accepted");
    assert!(
        matches!(logged(&effects), Some(LogLine::Ended(record)) if record.end == Some(EndReason::NoPath))
    );
}
