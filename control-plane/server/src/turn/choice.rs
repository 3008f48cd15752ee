//! Which relays serve one end of a session: region, then load, then the same ones for both ends. Who does not answer is
//! out.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Relays that are given to one end: the chosen one, and one more in case that dies during the session.
pub const GIVEN: usize = 2;

/// One relay that could be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Where it is.
    pub region: &'a str,
    /// How many allocations it is good for.
    pub capacity: u64,
    /// How many it has, as far as is known.
    pub allocations: u64,
    /// Whether it answers and has credentials to give.
    pub usable: bool,
}

impl Candidate<'_> {
    /// In tenths of its capacity: differences below that are noise, and would part the two ends of a session.
    fn load(&self) -> u64 {
        (self.allocations.saturating_mul(10)) / self.capacity.max(1)
    }

    /// Rendezvous hashing: each session prefers relays in an order of its own, whichever there are.
    fn weight(&self, session: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (session, self.name).hash(&mut hasher);
        hasher.finish()
    }
}

/// The places of the relays for an end in `region`, the best first: those of the region, then those of the default
/// region, then all others; among equals the least loaded. One that does not answer is given only when none does.
pub fn choose(
    candidates: &[Candidate<'_>],
    region: &str,
    default: &str,
    session: &str,
) -> Vec<usize> {
    let any_usable = candidates.iter().any(|candidate| candidate.usable);
    let mut places: Vec<usize> = (0..candidates.len())
        .filter(|place| candidates[*place].usable || !any_usable)
        .collect();
    places.sort_by_key(|place| {
        let candidate = &candidates[*place];
        let distance = match candidate.region {
            there if there == region => 0,
            there if there == default => 1,
            _ => 2,
        };
        // A full relay of the region is worth less than one elsewhere with room.
        let is_full = candidate.allocations >= candidate.capacity;
        let weight = std::cmp::Reverse(candidate.weight(session));
        (is_full, distance, candidate.load(), weight)
    });
    places.truncate(GIVEN);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn relay<'a>(name: &'a str, region: &'a str, allocations: u64) -> Candidate<'a> {
        Candidate {
            name,
            region,
            capacity: 100,
            allocations,
            usable: true,
        }
    }

    fn names<'a>(candidates: &[Candidate<'a>], region: &str, session: &str) -> Vec<&'a str> {
        let chosen = choose(candidates, region, "default", session);
        chosen.iter().map(|place| candidates[*place].name).collect()
    }

    #[test]
    fn the_region_comes_first_then_the_default_one_then_the_rest() {
        let relays = [
            relay("far", "asia", 0),
            relay("home", "default", 0),
            relay("near", "eu", 90),
        ];
        assert_eq!(names(&relays, "eu", "s"), ["near", "home"]);
        assert_eq!(names(&relays, "asia", "s"), ["far", "home"]);
        assert_eq!(names(&relays, "mars", "s")[0], "home");
    }

    #[test]
    fn who_does_not_answer_is_out_unless_nobody_does() {
        let mut relays = [relay("near", "eu", 0), relay("far", "us", 0)];
        relays[0].usable = false;
        assert_eq!(names(&relays, "eu", "s"), ["far"]);
        relays[1].usable = false;
        assert_eq!(names(&relays, "eu", "s"), ["near", "far"]);
        assert!(names(&[], "eu", "s").is_empty());
    }

    #[test]
    fn the_least_loaded_is_chosen_and_a_full_one_comes_last() {
        let relays = [
            relay("busy", "eu", 80),
            relay("idle", "eu", 10),
            relay("elsewhere", "us", 0),
        ];
        assert_eq!(names(&relays, "eu", "s"), ["idle", "busy"]);
        let relays = [relay("full", "eu", 100), relay("elsewhere", "us", 0)];
        assert_eq!(names(&relays, "eu", "s"), ["elsewhere", "full"]);
    }

    #[test]
    fn equal_relays_share_the_sessions_and_both_ends_of_one_agree() {
        let (a, b, c) = (
            relay("a", "eu", 0),
            relay("b", "eu", 3),
            relay("c", "eu", 5),
        );
        let mut firsts = std::collections::HashMap::<&str, u32>::new();
        for session in 0..300 {
            let session = session.to_string();
            let chosen = names(&[a, b, c], "eu", &session);
            assert_eq!(chosen, names(&[c, b, a], "eu", &session));
            *firsts.entry(chosen[0]).or_default() += 1;
        }
        assert_eq!(firsts.len(), 3);
        assert!(firsts.values().all(|count| *count > 50), "{firsts:?}");
    }
}
