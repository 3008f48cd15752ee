//! The control plane and the broker: names, clock, TLS, certificates.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use heron_agent::{ControlPlane, Hindrance, HttpsError, Reached, reach_broker};
use heron_protocol::messages::IceServer;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::finding::{Check, Subject};
use super::relays::Relays;
use super::{Broker, Patient};

/// How long a name may take.
const NAME: Duration = Duration::from_secs(5);
/// An answer to a question is not older than this, and HTTP's clock has seconds.
const CLOCK: Duration = Duration::from_secs(30);

/// What the control plane told.
pub struct Told {
    /// How it stands.
    pub check: Check,
    /// What its clock says of ours.
    pub clock: Check,
    /// The servers for media, or why they are not known.
    pub servers: Result<Vec<IceServer>, String>,
}

/// Asks the control plane.
pub async fn control_plane(patient: &Patient) -> Told {
    let name = Subject::ControlPlane;
    let Some(server) = patient.bundle.server.clone().or(patient.server.clone()) else {
        let why = "nobody says where the control plane is: neither the bundle nor `server` in [enrolment]";
        let advice =
            "set `server` in [enrolment]: without it this camera's certificate is not renewed";
        return Told {
            check: Check::warning(name, format!("Not asked: {why}."), advice),
            clock: clock(patient, None),
            servers: Err(why.to_owned()),
        };
    };
    let told = ControlPlane::new(server.clone(), &patient.bundle)
        .ice_servers()
        .await;
    match told {
        Ok(told) => Told {
            check: match &told.servers {
                Ok(_) => Check::ok(
                    name,
                    format!("{server} answers over HTTPS and knows this camera."),
                ),
                Err(why) => Check::warning(
                    name,
                    format!(
                        "{server} answers over HTTPS, but does not tell which relays to test: {why}."
                    ),
                    "bring control plane and camera to the same version; if it says that this camera is kept out, look at the camera's page",
                ),
            },
            clock: clock(patient, told.date),
            servers: told.servers,
        },
        Err(error) => {
            let advice = match &error {
                HttpsError::Unreachable(_) => {
                    "check the address, and that the network lets TCP connections out to it"
                }
                HttpsError::Untrusted(_) => {
                    "if the network inspects TLS, exempt this server; else its certificate was replaced: enrol anew, or set `ca` in [enrolment]"
                }
                HttpsError::Unaccepted(_) => {
                    "the camera was revoked, or its certificate has expired: enrol it anew"
                }
                HttpsError::Broken(_) => {
                    "something else answers there: a proxy, a login page of the network, or another service"
                }
            };
            Told {
                check: Check::failed(name, format!("No answer that counts: {error}."), advice),
                clock: clock(patient, None),
                servers: Err("the control plane was not reached".to_owned()),
            }
        }
    }
}

fn clock(patient: &Patient, date: Option<SystemTime>) -> Check {
    let name = Subject::Clock;
    let advice =
        "let the board keep time by NTP (systemd-timesyncd, chrony), and let UDP port 123 out";
    let Some(date) = date else {
        return if patient.clock.is_bound() {
            let sentence = "This board's clock is before the day this program was built.";
            Check::warning(name, sentence, advice)
        } else {
            Check::skipped(name, "Nobody was reached who could tell the time.")
        };
    };
    let now = SystemTime::now();
    let (far, direction) = match now.duration_since(date) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    if far <= CLOCK {
        return Check::ok(name, "This board's clock agrees with the control plane's.");
    }
    let far = match far.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7_200 => format!("{} minutes", seconds / 60),
        seconds @ ..172_800 => format!("{} hours", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    };
    let sentence = format!("This board's clock is {far} {direction} the control plane's.");
    Check::warning(name, sentence, advice)
}

/// Tries the broker, as far as that disturbs nobody.
pub async fn broker(patient: &Patient) -> Check {
    let name = Subject::Broker;
    let broker = &patient.bundle.broker;
    if patient.broker == Broker::Online {
        return Check::ok(
            name,
            format!("This camera is connected to the broker {broker}."),
        );
    }
    match reach_broker(&patient.bundle, patient.broker == Broker::Connect).await {
        Ok(Reached::Mqtt) => Check::ok(name, format!("The broker {broker} accepts this camera.")),
        Ok(Reached::Tls) => Check::ok(
            name,
            format!(
                "The broker {broker} answers over TLS and does not refuse this camera's certificate; \
                the running service has the connection itself."
            ),
        ),
        Err(why) => {
            let advice = match why {
                Hindrance::Tcp(_) => {
                    "check that the network lets TCP connections out to this port (8883 is closed in many)"
                }
                Hindrance::Tls(_) => {
                    "something between here and there cuts TLS, or it is not the broker that listens"
                }
                Hindrance::Untrusted(_) => {
                    "if the network inspects TLS, exempt the broker; else the bundle is another control plane's: enrol anew"
                }
                Hindrance::Unaccepted(_) => {
                    "the camera was revoked, or its certificate has expired: look at its page, enrol it anew"
                }
                Hindrance::Mqtt(_) => {
                    "look at the broker's log: it knows the device's name, and why it was turned away"
                }
            };
            Check::failed(name, format!("The broker {broker}: {why}."), advice)
        }
    }
}

/// Looks up every name that this camera needs.
pub async fn dns(patient: &Patient, relays: &Relays) -> Check {
    let name = Subject::Dns;
    let bundle = &patient.bundle;
    let control_plane = bundle.server.as_ref().or(patient.server.as_ref());
    let mut names: Vec<&str> = Vec::new();
    let all = control_plane
        .map(|server| server.host.as_str())
        .into_iter()
        .chain([bundle.broker.host.as_str()])
        .chain(relays.hosts());
    for host in all {
        if host.parse::<IpAddr>().is_err() && !names.contains(&host) {
            names.push(host);
        }
    }
    if names.is_empty() {
        return Check::skipped(name, "No names are in use, only addresses.");
    }
    let mut missing = Vec::new();
    for host in &names {
        let found = match timeout(NAME, lookup_host((*host, 0))).await {
            Ok(Ok(mut found)) => found.next().is_some(),
            _ => false,
        };
        if !found {
            missing.push(*host);
        }
    }
    if missing.is_empty() {
        return Check::ok(name, format!("Known: {}.", names.join(", ")));
    }
    Check::failed(
        name,
        format!("Nobody knows {}.", missing.join(", ")),
        "check the DNS server that this board uses (/etc/resolv.conf), and the names",
    )
}
