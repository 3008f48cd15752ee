//! What a simulated camera does, and how many do it. Pure.

use std::fmt;
use std::str::FromStr;

/// How a camera behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Behaviour {
    /// As the firmware does.
    Good,
    /// Sends telemetry a thousand times too often, as a loop without a pause would.
    Flood,
    /// Connects and never speaks: every other one on bare TCP, every other one after its TLS handshake.
    Silence,
    /// Has its clock an hour ahead, and shows it in its presence, in its measurements and in how it takes grants.
    ClockSkew,
    /// Publishes and subscribes below its own id, but in a shard that is not its own.
    WrongShard,
    /// Two machines with one identity, each thrown out by the other.
    Duplicate,
}

impl Behaviour {
    /// All that is not [`Behaviour::Good`].
    pub const ODD: [Self; 5] = [
        Self::Flood,
        Self::Silence,
        Self::ClockSkew,
        Self::WrongShard,
        Self::Duplicate,
    ];

    /// Its name on the command line and in figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Flood => "flood",
            Self::Silence => "silence",
            Self::ClockSkew => "clock-skew",
            Self::WrongShard => "wrong-shard",
            Self::Duplicate => "duplicate",
        }
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many cameras behave oddly: `flood=5,silence=3`. The rest is good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mix(Vec<(Behaviour, usize)>);

/// Why a text is not a [`Mix`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixError(String);

impl fmt::Display for MixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Behaviour::ODD.map(Behaviour::name).join(", ");
        write!(
            f,
            "{:?} is not BEHAVIOUR=NUMBER, where BEHAVIOUR is one of {names}, each at most once",
            self.0
        )
    }
}

impl std::error::Error for MixError {}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut mix = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let bad = || MixError(part.chars().take(40).collect());
            let (name, number) = part.split_once('=').ok_or_else(bad)?;
            let behaviour = Behaviour::ODD
                .into_iter()
                .find(|behaviour| behaviour.name() == name)
                .ok_or_else(bad)?;
            if mix.iter().any(|(other, _)| *other == behaviour) {
                return Err(bad());
            }
            mix.push((behaviour, number.parse().map_err(|_| bad())?));
        }
        Ok(Self(mix))
    }
}

impl Mix {
    /// So many of one kind.
    #[must_use]
    pub fn of(behaviour: Behaviour, number: usize) -> Self {
        Self(vec![(behaviour, number)])
    }

    /// A behaviour for each of `cameras`: first the odd ones, then good ones.
    pub fn assign(&self, cameras: usize) -> impl Iterator<Item = Behaviour> {
        self.0
            .iter()
            .flat_map(|&(behaviour, number)| std::iter::repeat_n(behaviour, number))
            .chain(std::iter::repeat(Behaviour::Good))
            .take(cameras)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mix_is_read_and_the_rest_is_good() {
        let mix: Mix = "flood=2,wrong-shard=1".parse().unwrap();
        let assigned: Vec<_> = mix.assign(5).map(Behaviour::name).collect();
        assert_eq!(assigned, ["flood", "flood", "wrong-shard", "good", "good"]);
        assert!(
            "".parse::<Mix>()
                .unwrap()
                .assign(3)
                .all(|b| b == Behaviour::Good)
        );
    }

    #[test]
    fn what_is_not_a_mix_is_refused_with_what_is_allowed() {
        for text in ["flood", "flood=", "flood=-1", "sleep=1", "flood=1,flood=2"] {
            let said = text.parse::<Mix>().unwrap_err().to_string();
            assert!(
                said.contains("flood, silence, clock-skew, wrong-shard, duplicate"),
                "{said}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*", cameras in 0usize..100) {
            if let Ok(mix) = text.parse::<Mix>() {
                prop_assert_eq!(mix.assign(cameras).count(), cameras);
            }
        }
    }
}
