//! A camera enrols over HTTPS: by claim, by pairing, by the factory list; cut off after every step; and told no in
//! every way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod est_server;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use est_server::{EstServer, Reply};
use heron_agent::{
    Advance, Bundle, Clock, Enrolment, EnrolmentConfig, Introduction, Standing, Step,
};
use support::{Authority, DEVICE, PATIENCE};
use tempfile::TempDir;
use tokio::time::timeout;

/// A board without a bundle, and a control plane.
struct Board {
    place: TempDir,
    server: EstServer,
    authority: Arc<Authority>,
}

impl Board {
    async fn new() -> Self {
        let authority = Arc::new(Authority::new());
        Self {
            place: tempfile::tempdir().unwrap(),
            server: EstServer::start(&authority, 8883).await,
            authority,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn config(&self) -> EnrolmentConfig {
        EnrolmentConfig::new(self.path("bundle.toml"), self.path("heron-claim.toml"))
    }

    fn claim_text(&self, claim: Option<&str>) -> String {
        let claim = claim.map_or_else(String::new, |claim| format!("claim = {claim:?}\n"));
        let (server, ca) = (self.server.url(), self.authority.pem());
        format!("server = {server:?}\n{claim}ca = \"\"\"\n{ca}\"\"\"\n")
    }

    fn put_claim(&self, claim: Option<&str>) {
        fs::write(self.path("heron-claim.toml"), self.claim_text(claim)).unwrap();
    }

    fn enrolment(&self) -> Enrolment {
        Enrolment::new(self.config(), Clock::new())
    }

    fn files(&self) -> Vec<String> {
        let mut files: Vec<_> = fs::read_dir(self.place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    }

    async fn enrols(&self) -> Bundle {
        timeout(PATIENCE, self.enrolment().run())
            .await
            .expect("it never enrolled")
    }

    /// What a person is told after steps until something is in the way.
    async fn complaint(&self, config: EnrolmentConfig) -> (String, Duration) {
        let mut enrolment = Enrolment::new(config, Clock::new());
        let standing = enrolment.standing();
        loop {
            match enrolment.advance().await {
                Advance::Stepped(_) => {}
                Advance::Wait(pause) => {
                    let Standing::Waiting { reason } = standing.borrow().clone() else {
                        panic!("{:?}", standing.borrow());
                    };
                    assert_eq!(reason.lines().count(), 1, "{reason}");
                    return (reason, pause);
                }
                Advance::Enrolled(_) => panic!("it enrolled"),
            }
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_claim_becomes_a_bundle_and_is_gone() {
    let board = Board::new().await;
    board.put_claim(Some("q2D4"));
    let bundle = board.enrols().await;
    assert_eq!(bundle.device.as_str(), DEVICE);
    assert_eq!(bundle.broker.to_string(), "127.0.0.1:8883");
    assert_eq!(bundle.server.unwrap().to_string(), board.server.url());
    assert_eq!(board.files(), ["bundle.toml"], "nothing else is left");
    assert_eq!(mode(&board.path("bundle.toml")), 0o600);
    let seen = board.server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "/.well-known/est/simpleenroll");
    assert_eq!(seen[0].basic, "claim:q2D4");

    // With a bundle, there is nothing to do, and a new claim file is left alone.
    board.put_claim(Some("another"));
    board.enrols().await;
    assert_eq!(board.files(), ["bundle.toml", "heron-claim.toml"]);
    assert_eq!(board.server.seen().len(), 1);
}

#[tokio::test]
async fn a_power_cut_after_any_step_only_delays_it() {
    for cut_after in 0..6 {
        let board = Board::new().await;
        board.put_claim(Some("q2D4"));
        let mut enrolment = board.enrolment();
        let mut steps = Vec::new();
        for _ in 0..cut_after {
            match enrolment.advance().await {
                Advance::Stepped(step) => steps.push(step),
                Advance::Enrolled(_) => break,
                Advance::Wait(_) => panic!("after {steps:?}"),
            }
        }
        drop(enrolment);
        // Before the bundle is there, the claim is not gone.
        let claim = board.path("heron-claim.toml").exists();
        assert!(claim || steps.contains(&Step::TidyUp), "{steps:?}");
        assert!(claim || board.path("bundle.toml").exists(), "{steps:?}");

        board.enrols().await;
        assert_eq!(board.files(), ["bundle.toml"], "cut after {steps:?}");
        assert_eq!(
            board.server.seen().len(),
            1,
            "one certificate, cut after {steps:?}"
        );
    }
}

#[tokio::test]
async fn a_power_cut_while_tidying_up_leaves_nothing_behind() {
    // In the order in which they are removed.
    let removed = ["heron-claim.toml", "bundle.toml.issued", "bundle.toml.key"];
    for cut_after in 0..=removed.len() {
        let board = Board::new().await;
        board.put_claim(Some("q2D4"));
        let mut enrolment = board.enrolment();
        while !board.path("bundle.toml").exists() {
            assert!(matches!(enrolment.advance().await, Advance::Stepped(_)));
        }
        drop(enrolment);
        for name in &removed[..cut_after] {
            fs::remove_file(board.path(name)).unwrap();
        }
        fs::write(board.path("bundle.toml.half"), "half of a bundle").unwrap();
        board.enrols().await;
        fs::remove_file(board.path("bundle.toml.half")).unwrap();
        assert_eq!(board.files(), ["bundle.toml"], "cut after {cut_after}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_key() {
    let board = Board::new().await;
    board.put_claim(Some("q2D4"));
    board
        .server
        .next([Reply::Lost, Reply::Status(503, "starting"), Reply::OtherKey]);
    for _ in 0..3 {
        let (reason, _) = board.complaint(board.config()).await;
        assert!(reason.contains("control plane"), "{reason}");
    }
    board.enrols().await;
    let seen = board.server.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|request| request.key == seen[0].key));
    assert_eq!(board.files(), ["bundle.toml"]);
}

#[tokio::test]
async fn pairing_shows_one_code_until_somebody_confirms_it() {
    let board = Board::new().await;
    board.put_claim(None);
    board.server.next([
        Reply::Later,
        Reply::Later,
        Reply::Status(503, "restarting"),
        Reply::Later,
    ]);
    let mut enrolment = board.enrolment();
    let standing = enrolment.standing();
    while !matches!(*standing.borrow(), Standing::Pairing { .. }) {
        enrolment.advance().await;
    }
    let Standing::Pairing { code, page, key } = standing.borrow().clone() else {
        unreachable!();
    };
    assert_eq!(
        page,
        format!("{}/pair/{}", board.server.url(), code.compact())
    );
    let Advance::Wait(pause) = enrolment.advance().await else {
        panic!("it went on");
    };
    assert_eq!(pause, Duration::from_secs(1), "as the server said");

    // A restart of the board and of the server change nothing.
    drop(enrolment);
    board.enrols().await;
    let seen = board.server.seen();
    assert!(seen.iter().all(|request| request.key == seen[0].key));
    let hex: String = seen[0]
        .key
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(key.len() == 16 && hex.starts_with(&key), "{key}");
    let expected = format!("pair:{}", code.compact());
    assert!(
        seen.iter().all(|request| request.basic == expected),
        "{seen:?}"
    );
    assert_eq!(board.files(), ["bundle.toml"]);
}

#[tokio::test]
async fn a_code_that_is_refused_or_out_of_time_is_followed_by_another() {
    let board = Board::new().await;
    board.put_claim(None);
    for (status, expected) in [
        (403, "pairing was refused: no"),
        (410, "the pairing code is over: no"),
        (409, "the pairing code is over: no"),
    ] {
        board.server.next([Reply::Status(status, "no")]);
        let (reason, _) = board.complaint(board.config()).await;
        assert!(reason.contains(expected), "{reason}");
    }
    board.enrols().await;
    let mut codes: Vec<_> = board
        .server
        .seen()
        .into_iter()
        .map(|request| request.basic)
        .collect();
    codes.dedup();
    assert_eq!(codes.len(), 4);
}

#[tokio::test]
async fn the_factory_list_knows_the_serial_number_and_the_key() {
    let board = Board::new().await;
    let mut config = board.config();
    config.server = Some(board.server.url().parse().unwrap());
    config.ca = Some(board.authority.pem());
    config.by = Introduction::Factory;
    let (reason, _) = board.complaint(config.clone()).await;
    assert!(reason.contains("set `serial`"), "{reason}");

    config.serial = Some("10000000abcdef01".to_owned());
    let key = Enrolment::new(config.clone(), Clock::new()).key().unwrap();
    board.server.next([Reply::Status(403, "not listed")]);
    let (reason, _) = board.complaint(config.clone()).await;
    assert!(
        reason.contains("factory list does not have serial number 10000000abcdef01"),
        "{reason}"
    );
    let enrolment = Enrolment::new(config, Clock::new()).run();
    timeout(PATIENCE, enrolment).await.unwrap();
    let seen = board.server.seen();
    assert_eq!(seen[1].basic, "factory:10000000abcdef01");
    let hex: String = seen[1]
        .key
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, key.fingerprint(), "what was printed for the list");
}

#[tokio::test]
async fn whatever_is_in_the_way_is_one_line_and_tried_again() {
    let board = Board::new().await;
    let nothing = board.complaint(board.config()).await.0;
    assert!(
        nothing.contains("belongs to no control plane yet"),
        "{nothing}"
    );

    board.put_claim(Some("q2D4"));
    for (reply, expected, at_least_s) in [
        (
            Reply::Status(410, "the claim has expired"),
            "the claim was refused: the claim has expired",
            300,
        ),
        (
            Reply::Status(401, "no such claim"),
            "the claim was refused: no such claim",
            300,
        ),
        (
            Reply::Status(400, "only P-256 keys"),
            "refused (400): only P-256 keys",
            15,
        ),
        (
            Reply::Status(500, ""),
            "it answers 500: internal server error",
            1,
        ),
        (Reply::Body("hello"), "it is not base64", 15),
        (
            Reply::OtherKey,
            "none of its certificates is for this device's key",
            15,
        ),
    ] {
        board.server.next([reply]);
        let (reason, pause) = board.complaint(board.config()).await;
        assert!(reason.contains(expected), "{reason}");
        assert!(
            pause >= Duration::from_secs(at_least_s),
            "{reason}: {pause:?}"
        );
    }

    // Another control plane's authority, nobody at all, and half a file.
    let claim = board.path("heron-claim.toml");
    let text = board.claim_text(Some("q2D4"));
    fs::write(
        &claim,
        text.replace(&board.authority.pem(), &Authority::new().pem()),
    )
    .unwrap();
    let reason = board.complaint(board.config()).await.0;
    assert!(
        reason.contains("not trusted") && reason.contains("`ca`"),
        "{reason}"
    );
    fs::write(
        &claim,
        text.replace(&board.server.url(), "https://127.0.0.1:1"),
    )
    .unwrap();
    let reason = board.complaint(board.config()).await.0;
    assert!(
        reason.contains("cannot be reached: https://127.0.0.1:1"),
        "{reason}"
    );
    fs::write(&claim, &text[..text.len() / 2]).unwrap();
    let reason = board.complaint(board.config()).await.0;
    assert!(reason.contains("is the whole file there?"), "{reason}");

    // A disk that does not take it.
    let mut config = board.config();
    config.bundle = board.path("nowhere/bundle.toml");
    let reason = board.complaint(config).await.0;
    assert!(reason.contains("cannot be kept"), "{reason}");
    assert!(!board.path("bundle.toml").exists());
}

#[tokio::test]
async fn a_claim_file_that_is_made_whole_is_seen_without_a_restart() {
    let board = Board::new().await;
    let text = board.claim_text(Some("q2D4"));
    fs::write(board.path("heron-claim.toml"), &text[..20]).unwrap();
    let enrolment = board.enrolment();
    let mut standing = enrolment.standing();
    let running = tokio::spawn(enrolment.run());
    let waits = standing.wait_for(|standing| matches!(standing, Standing::Waiting { .. }));
    timeout(PATIENCE, waits).await.unwrap().unwrap();
    // As Windows would write it.
    let text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    fs::write(board.path("heron-claim.toml"), text).unwrap();
    timeout(PATIENCE, running).await.unwrap().unwrap();
    assert_eq!(board.files(), ["bundle.toml"]);
}

#[tokio::test]
async fn an_identity_that_is_refused_for_good_is_replaced_and_not_before() {
    let board = Board::new().await;
    let old = board.authority.client(DEVICE);
    let old = board.authority.bundle_text(DEVICE, 1, &old);
    fs::write(board.path("bundle.toml"), &old).unwrap();
    board.put_claim(Some("q2D4"));
    let mut config = board.config();
    config.replace = true;
    let mut enrolment = Enrolment::new(config.clone(), Clock::new());
    for expected in [Step::MakeKey, Step::Ask] {
        assert!(matches!(enrolment.advance().await, Advance::Stepped(step) if step == expected));
        assert_eq!(fs::read_to_string(board.path("bundle.toml")).unwrap(), old);
    }
    // A power cut here leaves the old identity in use, and the new one for whoever goes on.
    drop(enrolment);
    board.enrols().await;
    assert_eq!(fs::read_to_string(board.path("bundle.toml")).unwrap(), old);

    let enrolment = Enrolment::new(config, Clock::new()).run();
    let bundle = timeout(PATIENCE, enrolment).await.unwrap();
    assert_eq!(bundle.broker.to_string(), "127.0.0.1:8883");
    assert_eq!(board.files(), ["bundle.toml"]);
    assert_eq!(board.server.seen().len(), 1);
}
