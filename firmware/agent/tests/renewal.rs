//! Years of renewals on a virtual calendar: a control plane that is away, brokers that refuse, power cuts, and a
//! camera that was off. The camera under test is the policy; the control plane here keeps the rules of the real one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use heron_agent::{Action, Asked, Renewal, Tried, Validity};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const LIFE: Duration = Duration::from_secs(90 * 86_400);

fn start() -> SystemTime {
    UNIX_EPOCH + 20_000 * DAY
}

/// A certificate as the control plane knows it.
#[derive(Debug, Clone, Copy)]
struct Issued {
    validity: Validity,
    used: bool,
    superseded: Option<SystemTime>,
}

/// Issues for 90 days; the first use of a certificate supersedes the one before, which ends 24 h later; takes an
/// expired one for renewal for a year, but no superseded one.
#[derive(Debug, Default)]
struct ControlPlane {
    issued: Vec<Issued>,
    away: Vec<(SystemTime, SystemTime)>,
}

impl ControlPlane {
    fn is_away(&self, now: SystemTime) -> bool {
        self.away
            .iter()
            .any(|(from, until)| (*from..*until).contains(&now))
    }

    fn issue(&mut self, now: SystemTime) -> usize {
        self.issued.push(Issued {
            validity: Validity {
                from: now,
                until: now + LIFE,
            },
            used: false,
            superseded: None,
        });
        self.issued.len() - 1
    }

    fn renew(&mut self, by: usize, now: SystemTime) -> Option<usize> {
        let Issued {
            validity,
            superseded,
            ..
        } = self.issued[by];
        let gone = superseded.is_some_and(|at| now >= at + DAY);
        (!gone && now < validity.until + 365 * DAY).then(|| self.issue(now))
    }

    fn connects(&mut self, with: usize, now: SystemTime) -> bool {
        let Issued {
            validity,
            superseded,
            used,
        } = self.issued[with];
        let good = (validity.from..validity.until).contains(&now)
            && superseded.is_none_or(|at| now < at + DAY);
        if good && !used {
            self.issued[with].used = true;
            for other in 0..with {
                let other = &mut self.issued[other];
                if other.used && other.superseded.is_none() {
                    other.superseded = Some(now);
                }
            }
        }
        good
    }

    fn is_good(&self, certificate: usize, now: SystemTime) -> bool {
        let Issued {
            validity,
            superseded,
            ..
        } = self.issued[certificate];
        (validity.from..validity.until).contains(&now) && superseded.is_none_or(|at| now < at + DAY)
    }
}

/// How often things go wrong, each from 0 to 1.
#[derive(Debug, Clone, Copy)]
struct Luck {
    answer_lost: f64,
    broker_refuses: f64,
    power_cut: f64,
}

/// A camera: its disk, and the process that a power cut ends.
struct Camera {
    current: usize,
    next: Option<usize>,
    renewal: Renewal,
    dice: StdRng,
    luck: Luck,
}

impl Camera {
    fn enrolled(control: &mut ControlPlane, now: SystemTime, luck: Luck, seed: u64) -> Self {
        let current = control.issue(now);
        assert!(control.connects(current, now));
        let mut dice = StdRng::seed_from_u64(seed);
        Self {
            current,
            next: None,
            renewal: Renewal::new(control.issued[current].validity, None, dice.random()),
            dice,
            luck,
        }
    }

    fn restart(&mut self, control: &ControlPlane) {
        let validity = |certificate: usize| control.issued[certificate].validity;
        self.renewal = Renewal::new(
            validity(self.current),
            self.next.map(validity),
            self.dice.random(),
        );
    }

    /// Does what is due, and returns when it looks again.
    fn act(&mut self, control: &mut ControlPlane, now: SystemTime) -> SystemTime {
        match self.renewal.next(now) {
            Action::Wait(until) => return until.min(now + HOUR),
            Action::Ask => {
                let asked = self.ask(control, now);
                self.renewal.asked(now, asked, self.dice.random());
            }
            Action::Try => {
                let tried = self.connect(control, now);
                if self.dice.random_bool(self.luck.power_cut) {
                    self.restart(control);
                } else {
                    if tried == Tried::Accepted {
                        self.current = self.next.take().unwrap();
                    }
                    self.renewal.tried(now, tried, self.dice.random());
                    if !self.renewal.has_candidate() {
                        self.next = None;
                    }
                }
            }
        }
        if self.dice.random_bool(self.luck.power_cut) {
            self.restart(control);
        }
        now + Duration::from_secs(10)
    }

    fn ask(&mut self, control: &mut ControlPlane, now: SystemTime) -> Asked {
        if control.is_away(now) {
            return Asked::Failed;
        }
        let issued = control
            .renew(self.current, now)
            .or_else(|| self.next.and_then(|next| control.renew(next, now)));
        match issued {
            None => Asked::Refused,
            Some(_) if self.dice.random_bool(self.luck.answer_lost) => Asked::Failed,
            Some(next) => {
                self.next = Some(next);
                Asked::Issued(control.issued[next].validity)
            }
        }
    }

    fn connect(&mut self, control: &mut ControlPlane, now: SystemTime) -> Tried {
        if control.is_away(now) {
            return Tried::NoAnswer;
        }
        let refuses = self.dice.random_bool(self.luck.broker_refuses);
        if !refuses && control.connects(self.next.unwrap(), now) {
            return Tried::Accepted;
        }
        Tried::TurnedAway {
            old_works: control.connects(self.current, now),
        }
    }

    fn has_a_good_certificate(&self, control: &ControlPlane, now: SystemTime) -> bool {
        control.is_good(self.current, now)
            || self.next.is_some_and(|next| control.is_good(next, now))
    }
}

/// Runs until `end`, and holds the camera to its certificates at every step.
fn run(camera: &mut Camera, control: &mut ControlPlane, from: SystemTime, end: SystemTime) {
    let mut now = from;
    while now < end {
        let next = camera.act(control, now);
        assert!(next > now, "it turns on the spot");
        let days = now.duration_since(start()).unwrap().as_secs() / 86_400;
        assert!(
            camera.has_a_good_certificate(control, now),
            "no valid certificate on day {days}"
        );
        now = next;
    }
}

const FAIR: Luck = Luck {
    answer_lost: 0.0,
    broker_refuses: 0.0,
    power_cut: 0.0,
};

#[test]
fn three_quiet_years_renew_at_two_thirds() {
    let mut control = ControlPlane::default();
    let mut camera = Camera::enrolled(&mut control, start(), FAIR, 1);
    run(&mut camera, &mut control, start(), start() + 3 * 365 * DAY);
    for pair in control.issued.windows(2) {
        let age = pair[1]
            .validity
            .from
            .duration_since(pair[0].validity.from)
            .unwrap();
        assert!(
            (60 * DAY..62 * DAY).contains(&age),
            "renewed after {} days",
            age.as_secs() / 86_400
        );
    }
    assert!((18..=19).contains(&control.issued.len()));
}

#[test]
fn a_control_plane_away_for_20_days_at_every_worst_time_leaves_nobody_without() {
    for seed in 0..20 {
        let mut control = ControlPlane::default();
        // From the moment the first certificate is due, and likewise ever after.
        let mut from = start() + 60 * DAY;
        while from < start() + 3 * 365 * DAY {
            control.away.push((from, from + 20 * DAY));
            from += 20 * DAY + 60 * DAY;
        }
        let mut camera = Camera::enrolled(&mut control, start(), FAIR, seed);
        run(&mut camera, &mut control, start(), start() + 3 * 365 * DAY);
    }
}

#[test]
fn an_absence_between_the_certificate_and_its_first_use_is_as_harmless() {
    let mut control = ControlPlane::default();
    let mut camera = Camera::enrolled(&mut control, start(), FAIR, 3);
    let mut now = start();
    while camera.next.is_none() {
        now = camera.act(&mut control, now);
    }
    control.away.push((now, now + 20 * DAY));
    run(&mut camera, &mut control, now, now + 40 * DAY);
    assert_eq!(
        camera.current, 1,
        "the certificate that was issued is the one in use"
    );
    assert_eq!(control.issued.len(), 2);
}

#[test]
fn a_camera_that_was_off_for_200_days_comes_back() {
    let mut control = ControlPlane::default();
    let mut camera = Camera::enrolled(&mut control, start(), FAIR, 4);
    run(&mut camera, &mut control, start(), start() + 50 * DAY);

    let on = start() + 250 * DAY;
    assert!(
        !camera.has_a_good_certificate(&control, on),
        "it has expired meanwhile"
    );
    camera.restart(&control);
    let mut now = on;
    while !camera.has_a_good_certificate(&control, now) {
        assert!(now < on + HOUR, "it did not come back");
        now = camera.act(&mut control, now);
    }
    run(&mut camera, &mut control, now, now + 365 * DAY);
}

#[test]
fn a_camera_that_was_off_for_two_years_is_told_no_and_asks_a_few_times_a_day() {
    let mut control = ControlPlane::default();
    let mut camera = Camera::enrolled(&mut control, start(), FAIR, 5);
    let on = start() + 730 * DAY;
    let mut asked = 0;
    let mut now = on;
    while now < on + 10 * DAY {
        asked += u32::from(camera.renewal.next(now) == Action::Ask);
        now = camera.act(&mut control, now);
    }
    assert_eq!(control.issued.len(), 1);
    assert!((40..=90).contains(&asked), "{asked} times in ten days");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bad_luck_of_every_kind_leaves_nobody_without(
        seed in any::<u64>(),
        answer_lost in 0.0..0.5,
        broker_refuses in 0.0..0.5,
        power_cut in 0.0..0.3,
        away in prop::collection::vec((0u32..1095, 1u32..20), 0..6),
    ) {
        let mut control = ControlPlane::default();
        let mut until = start();
        // Outages that leave a week between them.
        let mut away = away;
        away.sort_unstable();
        for (day, days) in away {
            let from = (start() + day * DAY).max(until);
            control.away.push((from, from + days * DAY));
            until = from + days * DAY + 7 * DAY;
        }
        let luck = Luck { answer_lost, broker_refuses, power_cut };
        let mut camera = Camera::enrolled(&mut control, start(), luck, seed);
        run(&mut camera, &mut control, start(), start() + 3 * 365 * DAY);
    }
}
