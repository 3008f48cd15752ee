//! Sessions on virtual time.

use heron_protocol::messages::{
    Candidate, CandidateKind, DevicePhases, IcePolicy, Path, SessionStats, ViewerPhases,
    ViewerStats,
};

use super::*;
use crate::signalling::seams::{Ends, PathKind, Phases};
use crate::signalling::session::LOG_INTERVAL;

const CALL: &str = "0123456789abcdef0123456789abcdef";

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect(text)
}

fn record(session: u128) -> SessionRecord {
    SessionRecord {
        session: SessionId::from_bits(session),
        tenant: id("home"),
        camera: id("front-door-01"),
        person: "ada".into(),
        browser: id("browser-01"),
        opened_ms: 0,
        ended_ms: None,
        path: None,
        ends: Ends::default(),
        restarts: 0,
        phases: Phases::default(),
        bytes: 0,
        end: None,
        end_reason: None,
    }
}

fn opening(session: u128, call: &str) -> Opening {
    Opening {
        record: record(session),
        call: id(call),
        seq: 0,
        rights: vec![Right::View],
        terms: terms("one"),
    }
}

/// Those of an offer whose ICE user name fragment is `ufrag`.
fn terms(ufrag: &str) -> Terms {
    Terms {
        grant: "grant".into(),
        offer: format!("v=0\r\na=ice-ufrag:{ufrag}\r\n"),
        device_servers: Vec::new(),
        viewer_servers: Vec::new(),
        ice_policy: IcePolicy::All,
    }
}

struct Table {
    sessions: Sessions,
    now: Moment,
}

fn table() -> Table {
    let mut sessions = Sessions::new(Limits::default());
    let now = Moment::now();
    sessions.open(opening(1, CALL), now);
    Table { sessions, now }
}

impl Table {
    fn after(&mut self, time: Duration) -> Vec<Effect> {
        self.now.steady += time;
        self.now.calendar += time;
        self.sessions.tick(self.now)
    }

    fn viewer(&mut self, message: ViewUp) -> Result<Vec<Effect>, Refusal> {
        self.sessions
            .viewer_says(&id("browser-01"), &id(CALL), message, self.now)
    }

    fn device(&mut self, message: RtcUp) -> Result<Vec<Effect>, Refusal> {
        self.sessions.device_says(
            &id("front-door-01"),
            &SessionId::from_bits(1),
            message,
            self.now,
        )
    }
}

fn answer(seq: u32) -> RtcUp {
    RtcUp::Answer {
        seq,
        sdp: "v=0".into(),
        proof: "proof".into(),
    }
}

fn candidates() -> Vec<Candidate> {
    vec![Candidate {
        candidate: "candidate:1".into(),
        sdp_mid: None,
        sdp_m_line_index: None,
        username_fragment: None,
    }]
}

/// The last line of the log among effects.
fn logged(effects: &[Effect]) -> Option<&LogLine> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Log(line) => Some(line),
        _ => None,
    })
}

#[test]
fn opening_tells_both_ends_at_once() {
    let mut sessions = Sessions::new(Limits::default());
    let effects = sessions.open(opening(1, CALL), Moment::now());
    assert!(
        matches!(&effects[0], Effect::ToDevice(_, _, RtcDown::Open { seq: 0, grant, .. }) if grant == "grant")
    );
    assert!(
        matches!(&effects[1], Effect::ToViewer(_, _, _, ViewDown::Opened { seq: 0, session, .. })
        if *session == SessionId::from_bits(1))
    );
    assert!(matches!(&effects[2], Effect::Log(LogLine::Opened(_))));
}

#[test]
fn messages_go_on_to_the_other_end_with_numbers_of_their_own() {
    let mut table = table();
    let effects = table
        .viewer(ViewUp::Candidates {
            seq: 7,
            candidates: candidates(),
        })
        .expect("accepted");
    assert!(matches!(
        &effects[..],
        [Effect::ToDevice(_, _, RtcDown::Candidates { seq: 1, .. })]
    ));
    let effects = table
        .device(RtcUp::Candidates {
            seq: 3,
            candidates: candidates(),
        })
        .expect("before the answer");
    assert!(matches!(
        &effects[..],
        [Effect::ToViewer(
            _,
            _,
            _,
            ViewDown::Candidates { seq: 1, .. }
        )]
    ));
    let effects = table.device(answer(0)).expect("accepted");
    assert!(matches!(
        &effects[..],
        [Effect::ToViewer(_, _, _, ViewDown::Answer { seq: 2, .. })]
    ));
}

#[test]
fn duplicates_second_answers_and_strangers_have_no_effect() {
    let mut table = table();
    table.device(answer(0)).expect("accepted");
    assert_eq!(table.device(answer(0)), Err(Refusal::Duplicate));
    assert_eq!(table.device(answer(1)), Err(Refusal::OutOfOrder));
    let now = table.now;
    let other: DeviceId = id("back-door-01");
    let stranger = table
        .sessions
        .device_says(&other, &SessionId::from_bits(1), answer(2), now);
    assert_eq!(stranger, Err(Refusal::Unknown));
    let close = ViewUp::Close {
        seq: 1,
        reason: EndReason::ViewerClosed,
        detail: String::new(),
    };
    let stranger = table
        .sessions
        .viewer_says(&id("browser-02"), &id(CALL), close, now);
    assert_eq!(stranger, Err(Refusal::Unknown));
    assert_eq!(
        table.viewer(ViewUp::Candidates {
            seq: 0,
            candidates: candidates()
        }),
        Err(Refusal::Duplicate)
    );
}

#[test]
fn a_camera_that_does_not_answer_is_given_up() {
    let mut table = table();
    assert_eq!(table.after(Duration::from_millis(9_999)), []);
    let effects = table.after(Duration::from_millis(1));
    assert!(matches!(
        &effects[0],
        Effect::ToDevice(
            _,
            _,
            RtcDown::Close {
                reason: EndReason::NoAnswer,
                ..
            }
        )
    ));
    assert!(
        matches!(&effects[1], Effect::ToViewer(_, _, _, ViewDown::Closed { reason: EndReason::NoAnswer, detail, .. })
        if detail == "the camera did not answer within 10 s")
    );
    assert_eq!(table.device(answer(0)), Err(Refusal::Unknown));
}

#[test]
fn an_answered_session_lasts_while_one_end_is_heard() {
    let mut table = table();
    table.device(answer(0)).expect("accepted");
    for seq in 1..10 {
        assert_eq!(table.after(Duration::from_secs(50)), []);
        table
            .viewer(ViewUp::Stats {
                seq,
                stats: ViewerStats::default(),
            })
            .expect("accepted");
    }
    table.after(Duration::from_secs(59));
    table.sessions.pardon_silence(table.now);
    assert_eq!(
        table.after(Duration::from_secs(59)),
        [],
        "the broker was away"
    );
    let effects = table.after(Duration::from_secs(1));
    let Some(LogLine::Ended(record)) = logged(&effects) else {
        panic!("{effects:?}")
    };
    assert_eq!(
        record.end_reason.as_deref(),
        Some("neither end was heard for 60 s")
    );
}

#[test]
fn only_the_end_that_did_not_close_is_told() {
    let mut closed_by_viewer = table();
    let close = ViewUp::Close {
        seq: 1,
        reason: EndReason::ViewerClosed,
        detail: String::new(),
    };
    let effects = closed_by_viewer.viewer(close).expect("accepted");
    assert!(
        matches!(&effects[..], [Effect::ToDevice(_, _, RtcDown::Close { .. }), Effect::Log(LogLine::Ended(record))]
        if record.end_reason.as_deref() == Some("the viewer closed it") && record.ended_ms.is_some())
    );

    let mut closed_by_device = table();
    let stats = SessionStats {
        bytes_sent: 9,
        ..SessionStats::default()
    };
    let closed = RtcUp::Closed {
        seq: 0,
        reason: EndReason::GrantRefused,
        detail: "expired".into(),
        stats: Some(stats),
    };
    let effects = closed_by_device.device(closed).expect("accepted");
    assert!(
        matches!(&effects[..], [Effect::ToViewer(_, _, _, ViewDown::Closed { .. }), Effect::Log(LogLine::Ended(record))]
        if record.end_reason.as_deref() == Some("expired") && record.bytes == 9)
    );
}

#[test]
fn the_camera_s_last_figures_complete_the_record_of_a_session_that_the_viewer_closed() {
    let closed = || RtcUp::Closed {
        seq: 0,
        reason: EndReason::ViewerClosed,
        detail: "closed by the control plane".into(),
        stats: Some(SessionStats {
            bytes_sent: 4000,
            ..SessionStats::default()
        }),
    };
    let close = || ViewUp::Close {
        seq: 1,
        reason: EndReason::ViewerClosed,
        detail: String::new(),
    };
    let mut table_in_time = table();
    table_in_time.viewer(close()).expect("accepted");
    let effects = table_in_time.device(closed()).expect("awaited");
    assert!(
        matches!(&effects[..], [Effect::Log(LogLine::Updated(record))]
        if record.bytes == 4000 && record.end_reason.as_deref() == Some("the viewer closed it"))
    );
    assert_eq!(table_in_time.device(closed()), Err(Refusal::Unknown));

    let mut too_late = table();
    too_late.viewer(close()).expect("accepted");
    too_late.after(LAST_FIGURES);
    assert_eq!(too_late.device(closed()), Err(Refusal::Unknown));
}

#[test]
fn a_call_that_is_over_cannot_be_opened_again_by_a_late_duplicate() {
    let mut table = table();
    let (browser, camera): (BrowserId, DeviceId) = (id("browser-01"), id("front-door-01"));
    assert_eq!(
        table.sessions.admit(&browser, &id(CALL), &camera),
        Err(Refusal::Duplicate)
    );
    table
        .viewer(ViewUp::Close {
            seq: 1,
            reason: EndReason::ViewerClosed,
            detail: String::new(),
        })
        .expect("accepted");
    assert_eq!(
        table.sessions.admit(&browser, &id(CALL), &camera),
        Err(Refusal::Duplicate)
    );
    table.after(CALL_MEMORY);
    assert_eq!(table.sessions.admit(&browser, &id(CALL), &camera), Ok(()));
}

#[test]
fn limits_hold_for_a_browser_a_camera_and_all() {
    let camera: DeviceId = id("front-door-01");
    let admit = |limits: Limits, browser: &str, camera: &DeviceId| {
        let mut sessions = Sessions::new(limits);
        sessions.open(opening(1, CALL), Moment::now());
        sessions.admit(&id(browser), &id(&"f".repeat(32)), camera)
    };
    let limits = Limits::default();
    assert_eq!(admit(limits, "browser-01", &camera), Ok(()));
    assert_eq!(
        admit(
            Limits {
                per_browser: 1,
                ..limits
            },
            "browser-01",
            &camera
        ),
        Err(Refusal::Limit("in this browser"))
    );
    assert_eq!(
        admit(
            Limits {
                per_browser: 1,
                ..limits
            },
            "browser-02",
            &camera
        ),
        Ok(())
    );
    assert_eq!(
        admit(
            Limits {
                per_camera: 1,
                ..limits
            },
            "browser-02",
            &camera
        ),
        Err(Refusal::Limit("with this camera"))
    );
    assert_eq!(
        admit(
            Limits {
                per_camera: 1,
                ..limits
            },
            "browser-02",
            &id("back-door-01")
        ),
        Ok(())
    );
    assert_eq!(
        admit(
            Limits {
                sessions: 1,
                ..limits
            },
            "browser-02",
            &id("back-door-01")
        ),
        Err(Refusal::Limit("in all"))
    );
}

#[test]
fn figures_of_both_ends_make_one_record() {
    let mut table = table();
    table.device(answer(0)).expect("accepted");
    let phases = ViewerPhases {
        answered_ms: Some(40.0),
        first_frame_ms: Some(180.0),
        ..ViewerPhases::default()
    };
    let viewer = ViewerStats {
        phases,
        ..ViewerStats::default()
    };
    let effects = table
        .viewer(ViewUp::Stats {
            seq: 1,
            stats: viewer,
        })
        .expect("accepted");
    assert!(
        matches!(&effects[..], [Effect::Log(LogLine::Updated(_))]),
        "phases are written at once"
    );

    let path = Path::new(CandidateKind::Relay, CandidateKind::Host, "udp");
    let phases = DevicePhases {
        first_packet_ms: Some(90.0),
        ..DevicePhases::default()
    };
    let mut device = SessionStats {
        phases,
        path: Some(path),
        bytes_sent: 1000,
        ..SessionStats::default()
    };
    let effects = table
        .device(RtcUp::Stats {
            seq: 1,
            stats: device.clone(),
        })
        .expect("accepted");
    let Some(LogLine::Updated(record)) = logged(&effects) else {
        panic!("{effects:?}")
    };
    assert_eq!(record.path, Some(PathKind::Relay));
    assert_eq!(
        record.phases.signal_ms.zip(record.phases.first_frame_ms),
        Some((40.0, 180.0))
    );
    assert_eq!(
        (record.phases.first_packet_ms, record.bytes),
        (Some(90.0), 1000)
    );

    device.bytes_sent = 2000;
    assert_eq!(
        table.device(RtcUp::Stats {
            seq: 2,
            stats: device.clone()
        }),
        Ok(vec![]),
        "bytes alone can wait"
    );
    table.after(LOG_INTERVAL);
    device.bytes_sent = 3000;
    let effects = table
        .device(RtcUp::Stats {
            seq: 3,
            stats: device,
        })
        .expect("accepted");
    assert!(matches!(logged(&effects), Some(LogLine::Updated(record)) if record.bytes == 3000));
}

#[path = "sessions_path_tests.rs"]
mod paths;
