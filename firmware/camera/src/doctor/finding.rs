//! What a test of the network found: sentences, and what to do.

use std::fmt;

use serde::Serialize;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, with a disadvantage.
    Warning,
    /// It does not work.
    Failed,
    /// It could not be tried, or there is nothing to try.
    Skipped,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        })
    }
}

/// What was tried. The names are part of the twin and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The names of the servers.
    Dns,
    /// This board's clock.
    Clock,
    /// The control plane over HTTPS.
    ControlPlane,
    /// The broker over MQTT.
    Broker,
    /// STUN over UDP.
    Stun,
    /// How the NAT gives out addresses (RFC 4787 section 4.1).
    NatMapping,
    /// Whom the NAT lets in (RFC 4787 section 5).
    NatFiltering,
    /// A relay over UDP.
    TurnUdp,
    /// A relay over TCP.
    TurnTcp,
    /// A relay over TLS.
    TurnTls,
    /// What the way out carries.
    Uplink,
    /// IPv6.
    Ipv6,
    /// How large a packet may be.
    Mtu,
}

impl Subject {
    /// As in the twin.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Clock => "clock",
            Self::ControlPlane => "control_plane",
            Self::Broker => "broker",
            Self::Stun => "stun",
            Self::NatMapping => "nat_mapping",
            Self::NatFiltering => "nat_filtering",
            Self::TurnUdp => "turn_udp",
            Self::TurnTcp => "turn_tcp",
            Self::TurnTls => "turn_tls",
            Self::Uplink => "uplink",
            Self::Ipv6 => "ipv6",
            Self::Mtu => "mtu",
        }
    }
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: Subject,
    /// How it stands.
    pub state: State,
    /// For a person.
    pub sentence: String,
    /// What that person can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
}

/// A sentence in the twin is no longer; servers can say a lot.
const SENTENCE: usize = 400;

impl Check {
    /// As it should be.
    pub fn ok(name: Subject, sentence: impl Into<String>) -> Self {
        Self::new(name, State::Ok, sentence, None)
    }

    /// It works, with a disadvantage.
    pub fn warning(name: Subject, sentence: impl Into<String>, advice: &'static str) -> Self {
        Self::new(name, State::Warning, sentence, Some(advice))
    }

    /// It does not work.
    pub fn failed(name: Subject, sentence: impl Into<String>, advice: &'static str) -> Self {
        Self::new(name, State::Failed, sentence, Some(advice))
    }

    /// It could not be tried.
    pub fn skipped(name: Subject, sentence: impl Into<String>) -> Self {
        Self::new(name, State::Skipped, sentence, None)
    }

    fn new(
        name: Subject,
        state: State,
        sentence: impl Into<String>,
        advice: Option<&'static str>,
    ) -> Self {
        let sentence: String = sentence.into();
        let clean = sentence.chars().filter(|c| !c.is_control());
        Self {
            name,
            state,
            sentence: clean.take(SENTENCE).collect(),
            advice,
        }
    }
}

/// Everything that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// In the order of [`Subject`].
    pub checks: Vec<Check>,
}

impl Report {
    /// How a subject stands, if it was looked at.
    pub fn state(&self, name: Subject) -> Option<State> {
        let check = self.checks.iter().find(|check| check.name == name);
        check.map(|check| check.state)
    }

    /// Whether this camera can be reached and seen: the control plane and the broker take it, and viewers in other
    /// networks find a way to it, by its own address or a relay.
    pub fn works(&self) -> bool {
        use Subject::{Broker, ControlPlane, Stun, TurnTcp, TurnTls, TurnUdp};
        let failed = |name: &Subject| self.state(*name) == Some(State::Failed);
        let ways = [Stun, TurnUdp, TurnTcp, TurnTls];
        let control = ![ControlPlane, Broker].iter().any(failed);
        let media = !ways.iter().any(failed)
            || ways
                .iter()
                .any(|name| matches!(self.state(*name), Some(State::Ok | State::Warning)));
        control && media
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            writeln!(
                f,
                "{:<14} {:<8} {}",
                check.name.name(),
                check.state,
                check.sentence
            )?;
            if let Some(advice) = check.advice {
                writeln!(f, "{:<14} {:<8} -> {advice}", "", "")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(checks: &[(Subject, State)]) -> Report {
        let check = |(name, state): &(Subject, State)| Check::new(*name, *state, "so", None);
        Report {
            at_ms: 0,
            checks: checks.iter().map(check).collect(),
        }
    }

    #[test]
    fn a_camera_works_when_it_is_reached_and_one_way_for_media_is_open() {
        use State::{Failed, Ok, Skipped};
        use Subject::{Broker, ControlPlane, Mtu, Stun, TurnTls, TurnUdp};
        for (checks, works) in [
            (&[(Broker, Ok), (Stun, Ok)][..], true),
            (&[(Broker, Failed), (Stun, Ok)], false),
            (&[(ControlPlane, Failed)], false),
            // Only 443 is open, which is enough.
            (&[(Stun, Failed), (TurnUdp, Failed), (TurnTls, Ok)], true),
            (&[(Stun, Failed), (TurnUdp, Failed)], false),
            // No servers: viewers in the same network see it all the same.
            (&[(Stun, Skipped), (Mtu, Failed)], true),
        ] {
            assert_eq!(report(checks).works(), works, "{checks:?}");
        }
    }

    #[test]
    fn names_are_the_twins_and_what_servers_say_is_cut() {
        let check = Check::failed(
            Subject::ControlPlane,
            format!("said\u{7}\n{}", "x".repeat(1000)),
            "call",
        );
        assert_eq!(check.sentence.len(), SENTENCE);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["name"], Subject::ControlPlane.name());
        assert_eq!(json["state"], "failed");
        let printed = report(&[(Subject::Stun, State::Ok)]).to_string();
        assert_eq!(printed, "stun           ok       so\n");
    }
}
