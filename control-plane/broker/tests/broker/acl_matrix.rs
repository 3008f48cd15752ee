//! THE ACL MATRIX: every role, on every topic of the protocol's table and what is made of it, for publish, subscribe,
//! will and retained replay; at the embedded broker and at Debian's Mosquitto with the configuration that we print.
//!
//! What counts is what others see. Mosquitto says yes to every subscription and to every will, and knows patterns
//! instead of the table (see [`heron_broker::Mosquitto`]): where it lets something through, it must be something in the
//! sender's own tree that only the control plane gets to see, and that is no topic of the table.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::doors::{Doors, Maker};
use crate::support::raw::{Answer, Came, Hello, Raw};
use crate::support::{BROWSER, CAMERA, OTHER_BROWSER, OTHER_CAMERA, TENANT, topics};
use heron_protocol::topics::{Role, Row};
use heron_protocol::{DeviceId, Topic};

const ROLES: [Role; 3] = [Role::Device, Role::Control, Role::Browser];
const CONTROL: &str = "control.one";
const WATCHER: &str = "control.two";

/// Where a topic is, seen from the first camera and the first browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Own,
    Foreign,
    /// No topic of the table.
    Nowhere,
}

#[derive(Clone)]
struct Case {
    topic: Vec<u8>,
    place: Place,
    row: Option<&'static Row>,
}

impl Case {
    fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.topic).into_owned();
        text.truncate(80);
        text
    }

    fn owned_by(&self, role: Role) -> bool {
        self.place == Place::Own || (role == Role::Control && self.place == Place::Foreign)
    }

    /// What the table says about this role's writing here.
    fn writable(&self, role: Role) -> bool {
        self.owned_by(role) && self.row.is_some_and(|row| row.writer == role)
    }

    fn readable(&self, role: Role) -> bool {
        let Some(row) = self.row else { return false };
        let own_kind = match role {
            Role::Control => return self.place != Place::Nowhere,
            Role::Device => row.pattern.starts_with("cam/"),
            Role::Browser => row.pattern.starts_with("view/"),
        };
        own_kind && self.place == Place::Own && row.writer == Role::Control
    }

    fn retained(&self) -> bool {
        self.row.is_some_and(|row| row.retained)
    }
}

/// The table, in the first camera's and browser's trees and in those of the others.
fn regular() -> Vec<Case> {
    let make = |device, browser, place| {
        topics(device, TENANT, browser)
            .into_iter()
            .map(move |(row, topic)| Case {
                topic: topic.into_bytes(),
                place,
                row: Some(row),
            })
    };
    make(CAMERA, BROWSER, Place::Own)
        .chain(make(OTHER_CAMERA, OTHER_BROWSER, Place::Foreign))
        .collect()
}

/// The first browser's tree in another tenant, where it does not belong.
fn other_tenant() -> impl Iterator<Item = Case> {
    let of_browsers = |(row, _): &(&'static Row, String)| row.pattern.starts_with("view/");
    topics(CAMERA, "work", BROWSER)
        .into_iter()
        .filter(of_browsers)
        .map(|(row, topic)| Case {
            topic: topic.into_bytes(),
            place: Place::Foreign,
            row: Some(row),
        })
}

fn every_case() -> Vec<Case> {
    let mut cases = regular();
    cases.extend(other_tenant());
    cases.extend(irregular());
    cases
}

/// What is close to a topic of the table and is none, or is in somebody else's tree in another way.
fn irregular() -> Vec<Case> {
    let shard = CAMERA.parse::<DeviceId>().unwrap().shard().to_string();
    let mut found = BTreeSet::new();
    for (_, topic) in topics(CAMERA, TENANT, BROWSER) {
        let (head, last) = topic.rsplit_once('/').unwrap();
        let (first, rest) = topic.split_once('/').unwrap();
        let many = [
            // Another shard; every shard; everybody's tree; another version.
            topic.replacen(&format!("/{shard}/"), "/00/", 1),
            topic.replacen(&format!("/{shard}/"), "/+/", 1),
            topic.replacen(CAMERA, "+", 1),
            topic.replacen(BROWSER, "+", 1),
            topic.replacen("/1/", "/2/", 1),
            // Wildcards at the end, in front, inside a level.
            format!("{head}/+"),
            format!("{head}/#"),
            format!("{topic}/#"),
            format!("+/{rest}"),
            format!("{head}/{last}+"),
            // Empty levels: in front, at the end, inside.
            format!("/{topic}"),
            format!("{topic}/"),
            format!("{head}//{last}"),
            format!("{first}//{rest}"),
            // Deeper than anything; a character that is none; 64 KB.
            format!("{topic}/more"),
            format!("{topic}\0"),
            format!("{head}/{}", "x".repeat(65_000)),
            format!("$share/all/{topic}"),
        ];
        found.extend(many.into_iter().filter(|made| *made != topic));
    }
    for text in ["", "#", "+", "/", "+/#", "cam/#", "cam/1/#", "view/1/#"] {
        found.insert(text.to_owned());
    }
    for text in ["$SYS/#", "$SYS/broker/uptime", "$SYS/broker/load/#", "$"] {
        found.insert(text.to_owned());
    }
    let nowhere = |topic: String| Case {
        topic: topic.into_bytes(),
        place: Place::Nowhere,
        row: None,
    };
    found.into_iter().map(nowhere).collect()
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Device => CAMERA,
        Role::Control => CONTROL,
        Role::Browser => BROWSER,
    }
}

fn other(role: Role) -> &'static str {
    match role {
        Role::Device => OTHER_CAMERA,
        Role::Control => WATCHER,
        Role::Browser => OTHER_BROWSER,
    }
}

async fn enter(doors: &Doors, role: Role, name: &str) -> Raw {
    admitted(doors, role, name, &Hello::new(name))
        .await
        .unwrap()
}

/// Comes in as every client does: RMQTT is busy (136) with who comes while it still clears up after the same id's
/// former connection, and takes it a moment later.
async fn admitted(doors: &Doors, role: Role, name: &str, hello: &Hello) -> Result<Raw, Answer> {
    const SERVER_UNAVAILABLE: Answer = Answer::Code(0x88);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match doors.role(role, name, hello).await {
            Err(SERVER_UNAVAILABLE) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other,
        }
    }
}

/// Whether what came is a topic of the table: all that any of our programs looks at.
fn is_topic(came: &Came) -> bool {
    came.topic.parse::<Topic>().is_ok()
}

/// One of each role that is not the one who tries, subscribed to whatever the broker grants.
struct Watchers(Vec<(Role, Raw)>);

impl Watchers {
    async fn enter(doors: &Doors) -> Self {
        let mut watchers = Vec::new();
        for role in ROLES {
            let mut watcher = enter(doors, role, other(role)).await;
            for filter in ["#", "+/#", "cam/1/#", "view/1/#"] {
                watcher.subscribe(filter.as_bytes()).await;
            }
            for (row, topic) in topics(OTHER_CAMERA, TENANT, OTHER_BROWSER) {
                if row.writer == Role::Control && role != Role::Control {
                    watcher.subscribe(topic.as_bytes()).await;
                }
            }
            watchers.push((role, watcher));
        }
        Self(watchers)
    }

    /// Waits until everything that was sent before has reached everybody whom it reaches: by a last message to each.
    async fn settle(&mut self, doors: &Doors) {
        let mut control = enter(doors, Role::Control, "control.last").await;
        for topic in last_words() {
            assert!(
                control
                    .publish(topic.as_bytes(), b"last", false)
                    .await
                    .is_yes()
            );
        }
        for (_, watcher) in &mut self.0 {
            watcher.until(b"last").await;
        }
    }
}

/// Topics on which the control plane reaches each of the others, and itself.
fn last_words() -> Vec<String> {
    let written = topics(OTHER_CAMERA, TENANT, OTHER_BROWSER).into_iter();
    written
        .filter(|(row, _)| row.writer == Role::Control && !row.retained)
        .map(|(_, topic)| topic)
        .collect()
}

fn payload(number: usize) -> Vec<u8> {
    format!("case {number}").into_bytes()
}

fn got(came: &[Came], number: usize) -> Option<&Came> {
    came.iter().find(|came| came.payload == payload(number))
}

/// Compares what each watcher got with what the table lets it get.
fn check_seen(
    doors: &Doors,
    role: Role,
    cases: &[Case],
    watchers: &Watchers,
    what: &str,
    allowed: impl Fn(&Case) -> bool,
) {
    for (watching, watcher) in &watchers.0 {
        for (number, case) in cases.iter().enumerate() {
            // The watching camera and browser are the foreign ones.
            let theirs = match watching {
                Role::Control => true,
                Role::Device => {
                    case.text().contains(OTHER_CAMERA) && !case.text().starts_with("view")
                }
                Role::Browser => case.text().contains(OTHER_BROWSER),
            };
            let expected = allowed(case) && theirs;
            let seen = got(&watcher.came, number);
            let line = format!(
                "{:?}: {role:?} {what} {}, and {watching:?} sees {seen:?}",
                doors.maker,
                case.text()
            );
            match seen {
                None => assert!(!expected, "{line}"),
                Some(_) if expected => {}
                Some(came) => assert!(
                    doors.maker == Maker::Mosquitto
                        && *watching == Role::Control
                        && !is_topic(came),
                    "{line}"
                ),
            }
        }
    }
}

async fn publishes(maker: Maker) {
    for role in ROLES {
        let doors = Doors::open(maker).await;
        let mut watchers = Watchers::enter(&doors).await;
        let mut client = enter(&doors, role, name(role)).await;
        let cases = every_case();
        let mut yes = BTreeSet::new();
        for (number, case) in cases.iter().enumerate() {
            let answer = client
                .publish(&case.topic, &payload(number), case.retained())
                .await;
            if answer.is_yes() {
                yes.insert(number);
            } else if answer == crate::support::raw::Answer::Closed {
                client = enter(&doors, role, name(role)).await;
            }
            let allowed = case.writable(role);
            assert!(
                answer.is_yes() || !allowed,
                "{maker:?}: {role:?} publishes {}: {answer:?}",
                case.text()
            );
            assert!(
                !answer.is_yes() || allowed || maker == Maker::Mosquitto,
                "{maker:?}: {role:?} publishes {}: {answer:?}",
                case.text()
            );
        }
        watchers.settle(&doors).await;
        check_seen(&doors, role, &cases, &watchers, "publishes", |case| {
            case.writable(role)
        });
        // Who says yes has delivered it: nobody is told that it was well when it was not.
        let (_, control) = &watchers.0[1];
        for number in yes {
            assert!(
                got(&control.came, number).is_some() || cases[number].text().starts_with('$'),
                "{maker:?}: {role:?} is told that {} was published",
                cases[number].text()
            );
        }
    }
}

/// All topics of the table, each published by the one who may, while `client` listens; then the same as it comes back
/// and finds what was retained.
async fn reads(maker: Maker) {
    for role in ROLES {
        let doors = Doors::open(maker).await;
        let mut client = enter(&doors, role, name(role)).await;
        subscribe_to_all(&doors, role, &mut client).await;
        let cases = regular();
        let mut others = Vec::new();
        for speaking in ROLES {
            if speaking != role {
                others.push((speaking, enter(&doors, speaking, name(speaking)).await));
            }
            if speaking != Role::Control {
                others.push((speaking, enter(&doors, speaking, other(speaking)).await));
            }
        }
        for (number, case) in cases.iter().enumerate() {
            let row = case.row.unwrap();
            let speaker = if row.writer == role && case.owned_by(role) {
                &mut client
            } else {
                // Of two, the second is the foreign one.
                let mut able = others
                    .iter_mut()
                    .filter(|(speaking, _)| *speaking == row.writer);
                let speaker = match (case.place, row.writer == role) {
                    (Place::Foreign, false) if row.writer != Role::Control => able.nth(1),
                    _ => able.next(),
                };
                &mut speaker.unwrap().1
            };
            let answer = speaker
                .publish(&case.topic, &payload(number), row.retained)
                .await;
            assert!(answer.is_yes(), "{maker:?}: {} {answer:?}", case.text());
        }
        settle(&doors, &mut client).await;
        for (number, case) in cases.iter().enumerate() {
            assert_eq!(
                got(&client.came, number).is_some(),
                case.readable(role),
                "{maker:?}: {role:?} hears {}",
                case.text()
            );
        }

        let mut again = enter(&doors, role, name(role)).await;
        subscribe_to_all(&doors, role, &mut again).await;
        settle(&doors, &mut again).await;
        for (number, case) in cases.iter().enumerate() {
            let found = got(&again.came, number);
            assert_eq!(
                found.is_some_and(|came| came.retained),
                case.readable(role) && case.retained(),
                "{maker:?}: {role:?} finds {} retained: {found:?}",
                case.text()
            );
        }
    }
}

/// Says a last word to the client, after all that was sent to it before.
async fn settle(doors: &Doors, client: &mut Raw) {
    let mut control = enter(doors, Role::Control, "control.last").await;
    for (row, topic) in topics(CAMERA, TENANT, BROWSER) {
        if row.writer == Role::Control && !row.retained {
            assert!(
                control
                    .publish(topic.as_bytes(), b"last", false)
                    .await
                    .is_yes()
            );
        }
    }
    client.until(b"last").await;
}

/// Tries every filter; what is granted stays.
async fn subscribe_to_all(doors: &Doors, role: Role, client: &mut Raw) {
    let mut granted = Vec::new();
    for case in irregular() {
        let answer = client.subscribe(&case.topic).await;
        if answer.is_yes() {
            granted.push(case.topic);
        } else if answer == crate::support::raw::Answer::Closed {
            *client = enter(doors, role, name(role)).await;
            for filter in &granted {
                client.subscribe(filter).await;
            }
        }
    }
    for case in regular().into_iter().chain(other_tenant()) {
        let answer = client.subscribe(&case.topic).await;
        if doors.maker == Maker::Heron {
            assert_eq!(
                answer.is_yes(),
                case.readable(role),
                "{role:?} subscribes {}: {answer:?}",
                case.text()
            );
        }
    }
}

async fn wills(maker: Maker) {
    for role in ROLES {
        let doors = Doors::open(maker).await;
        let mut watchers = Watchers::enter(&doors).await;
        let cases = every_case();
        let allowed = |case: &Case| match maker {
            Maker::Heron => case.writable(role) && case.row.is_some_and(|row| row.will),
            // A will is a message like others there.
            Maker::Mosquitto => case.writable(role),
        };
        for (number, case) in cases.iter().enumerate() {
            let mut hello = Hello::new(name(role));
            hello.will = Some((case.topic.clone(), payload(number), case.retained()));
            let entered = admitted(&doors, role, name(role), &hello).await;
            assert!(
                entered.is_ok() || !allowed(case),
                "{maker:?}: {role:?} leaves a will on {}",
                case.text()
            );
            assert!(
                entered.is_err() || allowed(case) || maker == Maker::Mosquitto,
                "{maker:?}: {role:?} leaves a will on {}",
                case.text()
            );
            if let Ok(client) = entered {
                client.cut();
            }
            // Whoever comes with the same id now comes after the will.
            drop(enter(&doors, role, name(role)).await);
            if allowed(case) {
                watchers.0[1].1.until(&payload(number)).await;
            }
        }
        watchers.settle(&doors).await;
        check_seen(&doors, role, &cases, &watchers, "leaves a will on", allowed);
    }
}

#[tokio::test]
async fn publish_at_the_embedded_broker() {
    publishes(Maker::Heron).await;
}

#[tokio::test]
async fn publish_at_mosquitto() {
    publishes(Maker::Mosquitto).await;
}

#[tokio::test]
async fn subscribe_and_retained_replay_at_the_embedded_broker() {
    reads(Maker::Heron).await;
}

#[tokio::test]
async fn subscribe_and_retained_replay_at_mosquitto() {
    reads(Maker::Mosquitto).await;
}

#[tokio::test]
async fn will_at_the_embedded_broker() {
    wills(Maker::Heron).await;
}

#[tokio::test]
async fn will_at_mosquitto() {
    wills(Maker::Mosquitto).await;
}
