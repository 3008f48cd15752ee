//! Binding: tells a client where it is (RFC 8489, section 7.3.1), and about its NAT (RFC 5780, section 6). Open to
//! everybody, so its answers are small and have a rate.

use std::net::SocketAddr;

use super::requests::{Answer, BAD_REQUEST, UNKNOWN_ATTRIBUTE};
use super::{Action, Client, Now, Ports, Relay};
use crate::stats::Refusal;
use crate::stun::{Message, Writer, attribute};

/// The most padding that is answered with padding: what tests whether a NAT passes fragments.
const MAX_PADDING: usize = 2048;
/// What is understood where answers can come from elsewhere.
const DISCOVERY: [u16; 3] = [
    attribute::CHANGE_REQUEST,
    attribute::RESPONSE_PORT,
    attribute::PADDING,
];

impl<P: Ports> Relay<P> {
    pub(super) fn binding<'a>(
        &mut self,
        client: &Client,
        message: &Message<'_>,
        now: Now,
    ) -> Action<'a, P::Socket> {
        if !self.floods.take(client.address.ip(), now.steady) {
            return self.refuse(Refusal::Flood);
        }
        self.stats.bindings += 1;
        let opposite = { self.corners.as_ref() }
            .filter(|_| !client.is_stream())
            .and_then(|corners| corners.opposite(client.server));
        let Some(opposite) = opposite else {
            let unknown = message.unknown(&[]);
            return Action::Reply(match unknown.is_empty() {
                true => finish(message, mapped(client, message)),
                false => self.unknown(message, &unknown),
            });
        };
        let mut unknown = message.unknown(&DISCOVERY);
        let change = match message.get(attribute::CHANGE_REQUEST) {
            None => 0,
            Some(&[_, _, _, flags]) => flags,
            Some(_) => return self.bad(message),
        };
        let corners = self.corners.as_ref();
        let origin = corners
            .and_then(|corners| corners.changed(client.server, change & 4 != 0, change & 2 != 0));
        if origin.is_none() {
            unknown.push(attribute::CHANGE_REQUEST);
        }
        let Some(origin) = origin.filter(|_| unknown.is_empty()) else {
            return Action::Reply(self.unknown(message, &unknown));
        };
        let mut to = client.address;
        match message.get(attribute::RESPONSE_PORT) {
            None => {}
            Some(&[high, low, ..]) => to.set_port(u16::from_be_bytes([high, low])),
            Some(_) => return self.bad(message),
        }
        let mut writer = mapped(client, message)
            .add_plain_address(attribute::RESPONSE_ORIGIN, origin)
            .add_plain_address(attribute::OTHER_ADDRESS, opposite);
        if let Some(padding) = message.get(attribute::PADDING) {
            // Never more than was sent.
            let length = padding.len().min(MAX_PADDING);
            writer = writer.add(attribute::PADDING, &[0; MAX_PADDING][..length]);
        }
        let answer = finish(message, writer);
        if (origin, to) == (client.server, client.address) {
            return Action::Reply(answer);
        }
        let from = origin;
        Action::Elsewhere { from, to, answer }
    }

    fn unknown(&mut self, message: &Message<'_>, unknown: &[u16]) -> Vec<u8> {
        self.stats.refused.count(Refusal::Unsupported);
        let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        let writer = message.error(UNKNOWN_ATTRIBUTE.code, UNKNOWN_ATTRIBUTE.phrase);
        finish(message, writer.add(attribute::UNKNOWN_ATTRIBUTES, &list))
    }

    fn bad<'a>(&mut self, message: &Message<'_>) -> Action<'a, P::Socket> {
        self.stats.refused.count(Refusal::Malformed);
        let Answer { code, phrase, .. } = BAD_REQUEST;
        Action::Reply(finish(message, message.error(code, phrase)))
    }
}

fn mapped(client: &Client, message: &Message<'_>) -> Writer {
    let address = client.address;
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    message
        .success()
        .add_address(attribute::XOR_MAPPED_ADDRESS, address)
}

/// An unsigned answer, with a fingerprint only if the question had one: whoever asks without showing a credential is
/// not sent much more than they sent.
pub(super) fn finish(message: &Message<'_>, writer: Writer) -> Vec<u8> {
    if message.has_fingerprint() {
        writer.finish(None)
    } else {
        writer.unsigned()
    }
}
