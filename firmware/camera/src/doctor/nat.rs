//! What kind of NAT is in the way: how it maps and what it filters (RFC 5780 section 4, in RFC 4787's words). Pure.
//!
//! Both discoveries begin with a question to the server's primary address, which tells where its alternate one is.
//! Mapping is told by the address that questions to three of the server's addresses are seen to come from; filtering
//! by whether answers come in from an address that was never asked. So each needs a socket of its own: the first
//! opens the NAT for exactly the addresses that the second must not have used.

use std::fmt;
use std::net::SocketAddr;

/// Depending on what a NAT treats peers alike or apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// On nothing: all alike.
    EndpointIndependent,
    /// On the peer's address.
    AddressDependent,
    /// On the peer's address and port.
    AddressAndPortDependent,
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndpointIndependent => "endpoint-independent",
            Self::AddressDependent => "address-dependent",
            Self::AddressAndPortDependent => "address-and-port-dependent",
        })
    }
}

/// From where the server is to answer (CHANGE-REQUEST).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change {
    /// From where it was asked.
    #[default]
    Nothing,
    /// From another port.
    Port,
    /// From another address and port.
    AddressAndPort,
}

/// A binding request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// To whom.
    pub to: SocketAddr,
    /// From where the answer is wanted.
    pub change: Change,
}

/// The answer to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Where the question was seen to come from.
    pub mapped: SocketAddr,
    /// Where the answer came from.
    pub from: SocketAddr,
    /// The server's other address and port, if it has them.
    pub other: Option<SocketAddr>,
}

/// What was discovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No NAT: this machine is seen at its own address.
    Untranslated,
    /// A NAT or firewall that behaves like this.
    Behaves(Behaviour),
    /// The server has no second address to ask or to answer from.
    Unsupported,
    /// The server does not answer.
    Silent,
}

/// Which addresses a NAT gives (RFC 5780 section 4.3).
#[derive(Debug)]
pub struct Mapping {
    local: SocketAddr,
    primary: SocketAddr,
    first: Option<Seen>,
    second: Option<SocketAddr>,
    found: Option<Found>,
}

impl Mapping {
    /// From a socket at `local`, by the server at `primary`.
    pub fn new(local: SocketAddr, primary: SocketAddr) -> Self {
        Self {
            local,
            primary,
            first: None,
            second: None,
            found: None,
        }
    }

    /// The next question, until something was found.
    pub fn next(&self) -> Result<Question, Found> {
        let to = match (self.found, self.first, self.second) {
            (Some(found), ..) => return Err(found),
            (_, None, _) => self.primary,
            (_, Some(first), second) => {
                let other = first.other.ok_or(Found::Unsupported)?;
                match second {
                    None => SocketAddr::new(other.ip(), self.primary.port()),
                    Some(_) => other,
                }
            }
        };
        Ok(Question {
            to,
            change: Change::Nothing,
        })
    }

    /// What came of it.
    pub fn answer(&mut self, seen: Option<Seen>) {
        let Some(seen) = seen else {
            // An alternate address that does not answer is none.
            let found = self.first.map_or(Found::Silent, |_| Found::Unsupported);
            self.found = Some(found);
            return;
        };
        match (self.first, self.second) {
            (None, _) => {
                self.first = Some(seen);
                if seen.mapped == self.local {
                    self.found = Some(Found::Untranslated);
                }
            }
            (Some(first), None) if seen.mapped == first.mapped => {
                self.found = Some(Found::Behaves(Behaviour::EndpointIndependent));
            }
            (Some(_), None) => self.second = Some(seen.mapped),
            (Some(_), Some(second)) => {
                self.found = Some(Found::Behaves(if seen.mapped == second {
                    Behaviour::AddressDependent
                } else {
                    Behaviour::AddressAndPortDependent
                }));
            }
        }
    }
}

/// Whom a NAT or firewall lets in (RFC 5780 section 4.4).
#[derive(Debug)]
pub struct Filtering {
    primary: SocketAddr,
    change: Change,
    supported: bool,
    found: Option<Found>,
}

impl Filtering {
    /// By the server at `primary`, from a socket that has sent nothing yet.
    pub fn new(primary: SocketAddr) -> Self {
        Self {
            primary,
            change: Change::Nothing,
            supported: false,
            found: None,
        }
    }

    /// The next question, until something was found.
    pub fn next(&self) -> Result<Question, Found> {
        match self.found {
            Some(found) => Err(found),
            None => Ok(Question {
                to: self.primary,
                change: self.change,
            }),
        }
    }

    /// What came of it.
    pub fn answer(&mut self, seen: Option<Seen>) {
        // A server that answers from where it was asked has not done what it was asked for.
        let changed = seen.is_some_and(|seen| seen.from != self.primary);
        let behaviour = match (self.change, seen) {
            (Change::Nothing, None) => {
                self.found = Some(Found::Silent);
                return;
            }
            (Change::Nothing, Some(seen)) => {
                self.supported = seen.other.is_some();
                if self.supported {
                    self.change = Change::AddressAndPort;
                } else {
                    self.found = Some(Found::Unsupported);
                }
                return;
            }
            (_, Some(_)) if !changed => {
                self.found = Some(Found::Unsupported);
                return;
            }
            (Change::AddressAndPort, Some(_)) => Behaviour::EndpointIndependent,
            (Change::AddressAndPort, None) => {
                self.change = Change::Port;
                return;
            }
            (Change::Port, Some(_)) => Behaviour::AddressDependent,
            (Change::Port, None) => Behaviour::AddressAndPortDependent,
        };
        self.found = Some(Found::Behaves(behaviour));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "192.168.1.5:40000";
    const PRIMARY: &str = "192.0.2.1:3478";
    const OTHER: &str = "192.0.2.2:3479";

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    /// A server's answer to a question that comes through a NAT of these kinds, if it comes back.
    fn ask(
        question: Question,
        mapping: Option<Behaviour>,
        filtering: Behaviour,
        asked: &mut Vec<SocketAddr>,
    ) -> Option<Seen> {
        let [primary, other] = [at(PRIMARY), at(OTHER)];
        asked.push(question.to);
        let port = match mapping {
            None => 0,
            Some(Behaviour::EndpointIndependent) => 1,
            Some(Behaviour::AddressDependent) => u16::from(question.to.ip() == other.ip()) + 1,
            Some(Behaviour::AddressAndPortDependent) => {
                u16::from(question.to.ip() == other.ip()) + question.to.port()
            }
        };
        let from = match question.change {
            Change::Nothing => question.to,
            Change::Port => SocketAddr::new(primary.ip(), other.port()),
            Change::AddressAndPort => other,
        };
        let let_in = match filtering {
            Behaviour::EndpointIndependent => true,
            Behaviour::AddressDependent => asked.iter().any(|one| one.ip() == from.ip()),
            Behaviour::AddressAndPortDependent => asked.contains(&from),
        };
        let mapped = match port {
            0 => at(LOCAL),
            port => SocketAddr::new("198.51.100.7".parse().unwrap(), 50_000 + port),
        };
        let_in.then_some(Seen {
            mapped,
            from,
            other: Some(other),
        })
    }

    const ALL: [Behaviour; 3] = [
        Behaviour::EndpointIndependent,
        Behaviour::AddressDependent,
        Behaviour::AddressAndPortDependent,
    ];

    #[test]
    fn every_kind_of_nat_is_recognised() {
        for filters in ALL {
            for maps in ALL.map(Some).into_iter().chain([None]) {
                let mut mapping = Mapping::new(at(LOCAL), at(PRIMARY));
                let mut asked = Vec::new();
                let found = loop {
                    match mapping.next() {
                        Ok(question) => {
                            mapping.answer(ask(question, maps, filters, &mut asked));
                        }
                        Err(found) => break found,
                    }
                };
                assert_eq!(found, maps.map_or(Found::Untranslated, Found::Behaves));

                let mut filtering = Filtering::new(at(PRIMARY));
                let mut asked = Vec::new();
                let found = loop {
                    match filtering.next() {
                        Ok(question) => {
                            filtering.answer(ask(question, maps, filters, &mut asked));
                        }
                        Err(found) => break found,
                    }
                };
                assert_eq!(found, Found::Behaves(filters));
                assert_eq!(asked.iter().filter(|to| **to != at(PRIMARY)).count(), 0);
            }
        }
    }

    #[test]
    fn a_server_with_one_address_tells_nothing_and_a_silent_one_less() {
        let seen = |from: &str, other| {
            Some(Seen {
                mapped: at("198.51.100.7:50001"),
                from: at(from),
                other,
            })
        };
        let mut mapping = Mapping::new(at(LOCAL), at(PRIMARY));
        mapping.answer(seen(PRIMARY, None));
        assert_eq!(mapping.next(), Err(Found::Unsupported));
        // It claims another address, which does not answer.
        let mut mapping = Mapping::new(at(LOCAL), at(PRIMARY));
        mapping.answer(seen(PRIMARY, Some(at(OTHER))));
        mapping.answer(None);
        assert_eq!(mapping.next(), Err(Found::Unsupported));
        // It takes no notice of CHANGE-REQUEST.
        let mut filtering = Filtering::new(at(PRIMARY));
        filtering.answer(seen(PRIMARY, Some(at(OTHER))));
        filtering.answer(seen(PRIMARY, Some(at(OTHER))));
        assert_eq!(filtering.next(), Err(Found::Unsupported));

        let mut mapping = Mapping::new(at(LOCAL), at(PRIMARY));
        mapping.answer(None);
        assert_eq!(mapping.next(), Err(Found::Silent));
        let mut filtering = Filtering::new(at(PRIMARY));
        filtering.answer(None);
        assert_eq!(filtering.next(), Err(Found::Silent));
    }
}
