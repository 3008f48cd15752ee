//! What may be relayed for a camera: its own policy, else its tenant's, else the configuration's.

use heron_protocol::messages::IcePolicy;
use thiserror::Error;

/// Whether sessions may go through relays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RelayMode {
    /// Never: no TURN servers are given.
    DirectOnly,
    /// Always: neither end learns the other's address.
    RelayOnly,
    /// Where there is no direct path.
    #[default]
    PreferDirect,
}

impl RelayMode {
    /// Every one with its word.
    const WORDS: [(Self, &'static str); 3] = [
        (Self::DirectOnly, "direct_only"),
        (Self::RelayOnly, "relay_only"),
        (Self::PreferDirect, "prefer_direct"),
    ];

    /// As it is stored and written in JSON.
    pub fn as_str(self) -> &'static str {
        let word = Self::WORDS.iter().find(|(which, _)| *which == self);
        word.map_or("prefer_direct", |(_, word)| word)
    }

    /// Which candidates both ends may use.
    pub const fn ice_policy(self) -> IcePolicy {
        match self {
            Self::RelayOnly => IcePolicy::Relay,
            Self::DirectOnly | Self::PreferDirect => IcePolicy::All,
        }
    }
}

impl std::str::FromStr for RelayMode {
    type Err = BadPolicy;

    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let word = Self::WORDS.iter().find(|(_, word)| *word == text);
        word.map(|(which, _)| *which).ok_or_else(|| BadPolicy {
            field: "relay",
            reason: format!("{text:?}; direct_only, relay_only or prefer_direct is allowed"),
        })
    }
}

/// What one camera or one tenant has set; `None` leaves it to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayPolicy {
    /// Whether sessions may go through relays.
    pub relay: Option<RelayMode>,
    /// What each end of a session may have relayed, in bits a second.
    pub max_bps: Option<u64>,
    /// How long a day (UTC) sessions may be relayed, all together, in minutes.
    pub minutes_per_day: Option<u32>,
    /// The same for a month.
    pub minutes_per_month: Option<u32>,
}

/// A value that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct BadPolicy {
    /// Which.
    pub field: &'static str,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

impl RelayPolicy {
    /// Less than that is no picture, in bits a second.
    pub const LEAST_BPS: u64 = 64_000;

    /// Whether it can be.
    ///
    /// # Errors
    ///
    /// [`BadPolicy`] names the field.
    pub fn check(&self) -> Result<(), BadPolicy> {
        match self.max_bps {
            Some(rate) if rate < Self::LEAST_BPS => Err(BadPolicy {
                field: "max_bps",
                reason: format!("{rate}; at least {} is allowed", Self::LEAST_BPS),
            }),
            _ => Ok(()),
        }
    }

    /// Of a camera with this policy and a tenant with that one.
    pub fn relay_mode(&self, tenant: &Self, otherwise: RelayMode) -> RelayMode {
        self.relay.or(tenant.relay).unwrap_or(otherwise)
    }

    /// The narrower bandwidth of both.
    pub fn bps(&self, tenant: &Self) -> Option<u64> {
        [self.max_bps, tenant.max_bps].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cameras_word_comes_before_the_tenants_and_bandwidth_only_narrows() {
        let camera = RelayPolicy {
            relay: Some(RelayMode::DirectOnly),
            max_bps: Some(2_000_000),
            ..RelayPolicy::default()
        };
        let tenant = RelayPolicy {
            relay: Some(RelayMode::RelayOnly),
            max_bps: Some(1_000_000),
            ..RelayPolicy::default()
        };
        let none = RelayPolicy::default();
        let otherwise = RelayMode::PreferDirect;
        assert_eq!(camera.relay_mode(&tenant, otherwise), RelayMode::DirectOnly);
        assert_eq!(none.relay_mode(&tenant, otherwise), RelayMode::RelayOnly);
        assert_eq!(none.relay_mode(&none, otherwise), otherwise);
        assert_eq!(camera.bps(&tenant), Some(1_000_000));
        assert_eq!(none.bps(&none), None);
    }

    #[test]
    fn a_policy_that_cannot_be_names_the_field() {
        let slow = RelayPolicy {
            max_bps: Some(1),
            ..RelayPolicy::default()
        };
        assert_eq!(
            slow.check().unwrap_err().to_string(),
            "max_bps: 1; at least 64000 is allowed"
        );
        let word = "always".parse::<RelayMode>().unwrap_err().to_string();
        assert!(word.starts_with("relay: \"always\"; direct_only"), "{word}");
        for (which, word) in RelayMode::WORDS {
            assert_eq!(word.parse(), Ok(which));
            assert_eq!(which.as_str(), word);
        }
    }
}
