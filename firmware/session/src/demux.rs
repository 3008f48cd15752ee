//! Which viewer a datagram belongs to, when all of them use one port.
//!
//! - A STUN request names our ICE user name fragment, and so the viewer, in its USERNAME (RFC 8445 section 7.2.2).
//! - A STUN response belongs to whoever sent the request with its transaction id (RFC 8489 section 6.3.3).
//! - Everything else (DTLS, SRTP, SRTCP; RFC 7983) belongs to the viewer whose check from that address we answered:
//!   that check was authenticated by the viewer's ICE password. An address stays with its first owner until that
//!   one goes, so a viewer that sends from another's address takes nothing away from it. A viewer that moves about
//!   loses the address that it got first.
//!
//! Over TCP a connection is its viewer's (see `connections`), and only its first checks are judged here.
//!
//! All that is learned from what is sent: an answered check is a success response on its way out. Memory is bounded
//! by [`MAX_ADDRESSES`] and [`MAX_CHECKS`].

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// Addresses that one viewer may occupy: its pairs' far ends.
const MAX_ADDRESSES: usize = 32;

/// Own checks that may wait for an answer, of all viewers together.
const MAX_CHECKS: usize = 4096;

const MAGIC_COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const REFRESH_ERROR: u16 = 0x0114;
const USERNAME: u16 = 0x0006;
const ERROR_CODE: u16 = 0x0009;
const STALE_NONCE: u16 = 438;

type TransactionId = [u8; 12];

/// The map from datagrams to viewers, which `K` names.
#[derive(Debug)]
pub struct Demux<K> {
    fragments: HashMap<String, K>,
    /// With the order in which they came.
    addresses: HashMap<SocketAddr, (K, u64)>,
    next_address: u64,
    checks: HashMap<TransactionId, K>,
    /// In the order they were sent.
    recent: VecDeque<TransactionId>,
}

impl<K> Default for Demux<K> {
    fn default() -> Self {
        Self {
            fragments: HashMap::new(),
            addresses: HashMap::new(),
            next_address: 0,
            checks: HashMap::new(),
            recent: VecDeque::new(),
        }
    }
}

impl<K: Copy + Eq> Demux<K> {
    /// Checks for our user name fragment `ufrag` are `viewer`'s from now on, and those for another one no more.
    pub fn expect(&mut self, ufrag: &str, viewer: K) {
        self.fragments.retain(|_, owner| *owner != viewer);
        self.fragments.insert(ufrag.to_owned(), viewer);
    }

    /// Forgets a viewer.
    pub fn forget(&mut self, viewer: K) {
        self.fragments.retain(|_, owner| *owner != viewer);
        self.addresses.retain(|_, (owner, _)| *owner != viewer);
        self.checks.retain(|_, owner| *owner != viewer);
    }

    /// Learns from a datagram that `viewer` sends to `to`.
    pub fn sent(&mut self, viewer: K, to: SocketAddr, datagram: &[u8]) {
        match stun_type(datagram) {
            Some(BINDING_REQUEST) => self.check_sent(viewer, transaction(datagram)),
            Some(BINDING_SUCCESS) => self.check_answered(viewer, to),
            _ => {}
        }
    }

    /// Whose a datagram is; `None` for garbage and strangers.
    pub fn viewer(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<K> {
        match stun_type(datagram) {
            Some(BINDING_REQUEST) => self.asked(datagram),
            Some(BINDING_SUCCESS | BINDING_ERROR) => self.checks.remove(&transaction(datagram)?),
            _ => self.addresses.get(&from).map(|(owner, _)| *owner),
        }
    }

    /// Whose check it is, by its name; `None` for everything else.
    pub fn asked(&self, datagram: &[u8]) -> Option<K> {
        if stun_type(datagram) != Some(BINDING_REQUEST) {
            return None;
        }
        let username = std::str::from_utf8(attribute(datagram, USERNAME)?).ok()?;
        let (ufrag, _) = username.split_once(':')?;
        self.fragments.get(ufrag).copied()
    }

    fn check_sent(&mut self, viewer: K, transaction: Option<TransactionId>) {
        let Some(transaction) = transaction else {
            return;
        };
        // A retransmission keeps its id.
        if self.checks.insert(transaction, viewer).is_none() {
            self.recent.push_back(transaction);
        }
        if self.recent.len() > MAX_CHECKS
            && let Some(oldest) = self.recent.pop_front()
        {
            self.checks.remove(&oldest);
        }
    }

    fn check_answered(&mut self, viewer: K, to: SocketAddr) {
        if self.addresses.contains_key(&to) {
            return;
        }
        let owned = || {
            let all = self.addresses.iter();
            all.filter(|(_, (owner, _))| *owner == viewer)
        };
        if owned().count() >= MAX_ADDRESSES
            && let Some(oldest) = owned().min_by_key(|(_, (_, order))| *order)
        {
            let oldest = *oldest.0;
            self.addresses.remove(&oldest);
        }
        self.addresses.insert(to, (viewer, self.next_address));
        self.next_address += 1;
    }
}

/// The type of a STUN message (RFC 8489 section 5), `None` for anything else.
pub fn stun_type(datagram: &[u8]) -> Option<u16> {
    let header = datagram.first_chunk::<20>()?;
    let is_stun = header[0] < 4 && header[4..8] == MAGIC_COOKIE;
    is_stun.then(|| u16::from_be_bytes([header[0], header[1]]))
}

/// Whether it is our answer to a viewer's check, which was authentic then.
pub fn is_answer(datagram: &[u8]) -> bool {
    stun_type(datagram) == Some(BINDING_SUCCESS)
}

fn transaction(message: &[u8]) -> Option<TransactionId> {
    message.get(8..20)?.try_into().ok()
}

/// The code of an error response to a Refresh request (RFC 8656 section 7.3) that ends the allocation. A stale nonce
/// does not: the request is repeated with the new one.
pub fn refused_refresh(message: &[u8]) -> Option<u16> {
    if stun_type(message) != Some(REFRESH_ERROR) {
        return None;
    }
    // RFC 8489 section 14.8: the hundreds in three bits, the rest in a byte.
    let [_, _, class, number, ..] = attribute(message, ERROR_CODE)? else {
        return None;
    };
    let code = u16::from(class & 7) * 100 + u16::from(*number);
    (code != STALE_NONCE).then_some(code)
}

/// The first attribute of a kind.
fn attribute(message: &[u8], kind: u16) -> Option<&[u8]> {
    let mut attributes = message.get(20..)?;
    while let [t1, t2, l1, l2, rest @ ..] = attributes {
        let length = usize::from(u16::from_be_bytes([*l1, *l2]));
        if u16::from_be_bytes([*t1, *t2]) == kind {
            return rest.get(..length);
        }
        // Values are padded to four bytes (RFC 8489 section 14).
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stun(kind: u16, id: u8, attributes: &[u8]) -> Vec<u8> {
        let length = (attributes.len() as u16).to_be_bytes();
        [
            &kind.to_be_bytes()[..],
            &length,
            &MAGIC_COOKIE,
            &[id; 12],
            attributes,
        ]
        .concat()
    }

    /// `abcd:ef`, padded, behind an attribute of five bytes.
    const NAMED: [u8; 24] = *b"\x80\x22\0\x05heron\0\0\0\0\x06\0\x07abcd:ef\0";

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn requests_are_found_by_name_and_responses_by_transaction() {
        let mut demux = Demux::default();
        demux.expect("abcd", 7);
        assert_eq!(
            demux.viewer(address(1), &stun(BINDING_REQUEST, 1, &NAMED)),
            Some(7)
        );
        demux.sent(8, address(2), &stun(BINDING_REQUEST, 2, &[]));
        let answer = stun(BINDING_SUCCESS, 2, &[]);
        assert_eq!(demux.viewer(address(9), &answer), Some(8));
        assert_eq!(demux.viewer(address(9), &answer), None);
        assert_eq!(demux.viewer(address(9), &stun(BINDING_ERROR, 3, &[])), None);
    }

    #[test]
    fn an_address_is_owned_once_its_check_was_answered_and_stays_with_its_owner() {
        let media = [0x80, 109, 0, 1];
        let mut demux = Demux::default();
        assert_eq!(demux.viewer(address(1), &media), None);
        demux.sent(7, address(1), &stun(BINDING_SUCCESS, 1, &[]));
        demux.sent(8, address(1), &stun(BINDING_SUCCESS, 2, &[]));
        assert_eq!(demux.viewer(address(1), &media), Some(7));
        demux.forget(7);
        assert_eq!(demux.viewer(address(1), &media), None);
        demux.sent(8, address(1), &stun(BINDING_SUCCESS, 3, &[]));
        assert_eq!(demux.viewer(address(1), &media), Some(8));
    }

    #[test]
    fn a_refused_refresh_is_told_from_a_stale_nonce() {
        let refused = |kind, attributes: &[u8]| refused_refresh(&stun(kind, 1, attributes));
        assert_eq!(refused(0x0114, b"\0\x09\0\x04\0\0\x04\x25"), Some(437));
        assert_eq!(refused(0x0114, b"\0\x09\0\x04\0\0\x04\x26"), None);
        assert_eq!(refused(0x0113, b"\0\x09\0\x04\0\0\x04\x25"), None);
        assert_eq!(refused(0x0114, b"\0\x09\0\x02\0\0"), None);
        assert_eq!(refused(0x0114, &[]), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut demux = Demux::default();
        for port in 1..10_000_u16 {
            demux.sent(7, address(port), &stun(BINDING_SUCCESS, 1, &[]));
            let mut request = stun(BINDING_REQUEST, 0, &[]);
            request[8..10].copy_from_slice(&port.to_be_bytes());
            demux.sent(7, address(port), &request);
        }
        assert_eq!(demux.addresses.len(), MAX_ADDRESSES);
        // The newest are the ones in use.
        assert_eq!(demux.viewer(address(9_999), &[0x80]), Some(7));
        assert_eq!(demux.viewer(address(1), &[0x80]), None);
        assert_eq!(
            (demux.checks.len(), demux.recent.len()),
            (MAX_CHECKS, MAX_CHECKS)
        );
    }

    proptest! {
        #[test]
        fn any_datagram_is_judged(datagram: Vec<u8>, tail: Vec<u8>) {
            let mut demux = Demux::default();
            demux.expect("abcd", 7);
            for datagram in [
                datagram,
                stun(BINDING_REQUEST, 1, &tail),
                stun(REFRESH_ERROR, 1, &tail),
            ] {
                let _ = refused_refresh(&datagram);
                demux.sent(8, address(1), &datagram);
                let _ = demux.viewer(address(1), &datagram);
            }
        }
    }
}
