//! User names that hold allocations now: how many each, and the bandwidth they share.

use std::collections::HashMap;
use std::time::Instant;

use slab::Slab;

use crate::rate::Bandwidth;

/// One user name.
#[derive(Debug)]
pub(crate) struct User {
    name: String,
    allocations: usize,
    pub(crate) bandwidth: Bandwidth,
}

/// All of them. The data path finds a user by its place, without hashing its name.
#[derive(Debug, Default)]
pub(crate) struct Users {
    places: HashMap<String, usize>,
    users: Slab<User>,
}

impl Users {
    /// How many allocations a user name holds.
    pub(crate) fn allocations(&self, name: &str) -> usize {
        self.places
            .get(name)
            .and_then(|place| self.users.get(*place))
            .map_or(0, |user| user.allocations)
    }

    /// Counts one more allocation, and says where the user is.
    pub(crate) fn enter(&mut self, name: &str, rate: u64, now: Instant) -> usize {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => {
                let place = self.users.insert(User {
                    name: name.to_owned(),
                    allocations: 0,
                    bandwidth: Bandwidth::new(rate, now),
                });
                self.places.insert(name.to_owned(), place);
                place
            }
        };
        if let Some(user) = self.users.get_mut(place) {
            user.allocations += 1;
        }
        place
    }

    /// Counts one allocation less.
    pub(crate) fn leave(&mut self, place: usize) {
        let Some(user) = self.users.get_mut(place) else {
            return;
        };
        user.allocations -= 1;
        if user.allocations == 0 {
            let user = self.users.remove(place);
            self.places.remove(&user.name);
        }
    }

    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut User> {
        self.users.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_there_as_long_as_an_allocation() {
        let now = Instant::now();
        let mut users = Users::default();
        let place = users.enter("one", 1, now);
        assert_eq!(users.enter("one", 1, now), place);
        assert_ne!(users.enter("two", 1, now), place);
        assert_eq!((users.allocations("one"), users.allocations("two")), (2, 1));
        users.leave(place);
        users.leave(place);
        assert_eq!(users.allocations("one"), 0);
        assert!(users.get_mut(place).is_none());
    }
}
