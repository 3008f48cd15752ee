//! Nominations that come before the path was checked from our side.
//!
//! A browser nominates with its very first check (USE-CANDIDATE, RFC 8445 section 7.1.1), and it hides its
//! addresses, so that check is the first we see of it. The RFC has the controlled agent check back and, when that
//! succeeds, take the pair as nominated (section 7.3.1.5). The stack checks back but forgets the nomination, and
//! waits for the browser to repeat it: some 50 ms of every start. Here the nominating request is kept, and handed
//! to the stack once more right behind the answer to its own check, which is what the browser's repetition would
//! do, only sooner.

use std::collections::HashMap;
use std::net::SocketAddr;

/// A nomination is remembered for this many of the viewer's addresses; more are left to the browser's repetition.
const MAX_PEERS: usize = 16;

/// A check is some 150 bytes; what is much longer is none.
const MAX_CHECK: usize = 512;

const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const MAGIC_COOKIE: u32 = 0x2112_a442;
const USE_CANDIDATE: u16 = 0x0025;

/// The nominations of one socket; pure.
#[derive(Debug, Default)]
pub struct Nominations {
    /// By peer; `None` once it was handed out.
    peers: HashMap<SocketAddr, Option<Vec<u8>>>,
}

impl Nominations {
    /// Looks at a datagram on its way in. Returns what is to be read again after it.
    pub fn look(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        match stun_type(datagram)? {
            REQUEST if is_nominating(datagram) && datagram.len() <= MAX_CHECK => {
                if self.peers.len() < MAX_PEERS || self.peers.contains_key(&from) {
                    self.peers
                        .entry(from)
                        .or_insert_with(|| Some(datagram.to_vec()));
                }
                None
            }
            SUCCESS => self.peers.get_mut(&from)?.take(),
            _ => None,
        }
    }
}

/// The type of a STUN message (RFC 8489 section 5), `None` for anything else.
fn stun_type(datagram: &[u8]) -> Option<u16> {
    let header = datagram.first_chunk::<20>()?;
    let cookie = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    (cookie == MAGIC_COOKIE).then(|| u16::from_be_bytes([header[0], header[1]]))
}

fn is_nominating(message: &[u8]) -> bool {
    let mut attributes = message.get(20..).unwrap_or_default();
    while let [t1, t2, l1, l2, rest @ ..] = attributes {
        if u16::from_be_bytes([*t1, *t2]) == USE_CANDIDATE {
            return true;
        }
        // Values are padded to four bytes (RFC 8489 section 14).
        let length = usize::from(u16::from_be_bytes([*l1, *l2])).next_multiple_of(4);
        attributes = rest.get(length..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEER: &str = "192.0.2.1:5000";

    fn stun(kind: u16, attributes: &[u8]) -> Vec<u8> {
        let mut message = kind.to_be_bytes().to_vec();
        message.extend((attributes.len() as u16).to_be_bytes());
        message.extend(MAGIC_COOKIE.to_be_bytes());
        message.extend([7; 12]);
        message.extend(attributes);
        message
    }

    #[test]
    fn a_nomination_is_read_again_after_the_answer_to_our_check_and_only_once() {
        let peer = PEER.parse().unwrap();
        let other = "192.0.2.1:5001".parse().unwrap();
        // A user name of five bytes, padded, comes first.
        let check = stun(
            REQUEST,
            &[
                0, 6, 0, 5, b'a', b':', b'b', b'c', b'd', 0, 0, 0, 0, 0x25, 0, 0,
            ],
        );
        let answer = stun(SUCCESS, &[]);
        let mut nominations = Nominations::default();
        assert_eq!(nominations.look(peer, &answer), None);
        assert_eq!(nominations.look(peer, &check), None);
        assert_eq!(nominations.look(other, &answer), None);
        assert_eq!(nominations.look(peer, &answer), Some(check.clone()));
        assert_eq!(nominations.look(peer, &check), None);
        assert_eq!(nominations.look(peer, &answer), None);
    }

    #[test]
    fn plain_checks_and_media_are_left_alone() {
        let peer = PEER.parse().unwrap();
        let mut nominations = Nominations::default();
        nominations.look(peer, &stun(REQUEST, &[0, 6, 0, 4, b'a', b':', b'b', b'c']));
        nominations.look(peer, &[0x80, 109, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]);
        assert!(nominations.peers.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut nominations = Nominations::default();
        for port in 1..1000 {
            nominations.look(
                SocketAddr::from(([192, 0, 2, 1], port)),
                &stun(REQUEST, &[0, 0x25, 0, 0]),
            );
        }
        assert_eq!(nominations.peers.len(), MAX_PEERS);
    }

    proptest! {
        #[test]
        fn any_datagram_is_looked_at(datagram: Vec<u8>, tail: Vec<u8>) {
            let peer = PEER.parse().unwrap();
            let mut nominations = Nominations::default();
            nominations.look(peer, &datagram);
            nominations.look(peer, &stun(REQUEST, &tail));
        }
    }
}
