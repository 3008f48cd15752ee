//! What clients ask for, and the answers, each checked in the order that RFC 8656 gives.

use std::net::SocketAddr;
use std::time::Duration;

use super::allocation::{Allocation, BindError, CHANNELS, Family};
use super::binding::finish;
use super::{Client, Now, Ports, Relay};
use crate::AllowedPorts;
use crate::auth::{Denied, Expiry, Sender};
use crate::stats::Refusal;
use crate::stun::{Message, Writer, attribute, method};

pub(super) const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
const MAX_LIFETIME: Duration = Duration::from_secs(3600);

/// An error answer: its code and reason phrase (RFC 8489, section 14.8; RFC 8656, section 19), and what it counts as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) phrase: &'static str,
    pub(super) reason: Refusal,
}

const fn answer(code: u16, phrase: &'static str, reason: Refusal) -> Answer {
    Answer {
        code,
        phrase,
        reason,
    }
}

pub(super) const BAD_REQUEST: Answer = answer(400, "Bad Request", Refusal::Malformed);
const UNAUTHORIZED: (u16, &str) = (401, "Unauthorized");
const FORBIDDEN: Answer = answer(403, "Forbidden", Refusal::Peer);
pub(super) const UNKNOWN_ATTRIBUTE: Answer = answer(420, "Unknown Attribute", Refusal::Unsupported);
pub(super) const MISMATCH: Answer = answer(437, "Allocation Mismatch", Refusal::Mismatch);
const STALE_NONCE: (u16, &str) = (438, "Stale Nonce");
pub(super) const NO_FAMILY: Answer =
    answer(440, "Address Family not Supported", Refusal::Unsupported);
const WRONG_CREDENTIALS: Answer = answer(441, "Wrong Credentials", Refusal::Owner);
pub(super) const NO_TRANSPORT: Answer =
    answer(442, "Unsupported Transport Protocol", Refusal::Unsupported);
const FAMILY_MISMATCH: Answer = answer(443, "Peer Address Family Mismatch", Refusal::Unsupported);
pub(super) const QUOTA_REACHED: Answer =
    answer(486, "Allocation Quota Reached", Refusal::UserQuota);
pub(super) const NO_CAPACITY: Answer = answer(508, "Insufficient Capacity", Refusal::Capacity);
pub(super) const DRAINING: Answer = answer(508, "Insufficient Capacity", Refusal::Draining);

impl<P: Ports> Relay<P> {
    /// Answers a request, or does not, if its address has had too many answers.
    pub(super) fn request(
        &mut self,
        client: &Client,
        message: &Message<'_>,
        now: Now,
    ) -> Option<Vec<u8>> {
        if !self.ports.has(Family::V4) && !self.ports.has(Family::V6) {
            // STUN only.
            return self.open_answer(client, message, now, BAD_REQUEST.into(), |writer| writer);
        }
        // Only what makes an allocation needs a credential in date. What keeps one alive does not: an allocation has
        // a hard end of its own, and the control plane ends a session when it is over.
        let expiry = if message.method == method::ALLOCATE {
            Expiry::Enforced
        } else {
            Expiry::Waived
        };
        let address = client.address.ip().to_canonical();
        let sender = match self.auth.check(message, address, expiry, now.unix) {
            Ok(sender) => sender,
            Err(denied) => return self.denied(denied, client, message, now),
        };
        if self.sessions.is_ended(&sender.holder.session) {
            self.count_refusal(Refusal::Ended);
            return self.challenge(UNAUTHORIZED, client, message, now);
        }
        let unknown = message.unknown(&[]);
        if !unknown.is_empty() {
            self.count_refusal(Refusal::Unsupported);
            let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
            let writer = message.error(UNKNOWN_ATTRIBUTE.code, UNKNOWN_ATTRIBUTE.phrase);
            let writer = writer.add(attribute::UNKNOWN_ATTRIBUTES, &list);
            return Some(writer.finish(Some(&sender.key)));
        }
        let answer = match message.method {
            method::ALLOCATE => self.allocate(client, message, &sender, now),
            method::REFRESH => self.refresh(client, message, &sender, now),
            method::CREATE_PERMISSION => self.create_permission(client, message, &sender, now),
            method::CHANNEL_BIND => self.channel_bind(client, message, &sender, now),
            _ => Err(Answer {
                reason: Refusal::Unsupported,
                ..BAD_REQUEST
            }),
        };
        let writer = answer.unwrap_or_else(|answer| {
            self.count_refusal(answer.reason);
            message.error(answer.code, answer.phrase)
        });
        Some(writer.finish(Some(&sender.key)))
    }

    fn denied(
        &mut self,
        denied: Denied,
        client: &Client,
        message: &Message<'_>,
        now: Now,
    ) -> Option<Vec<u8>> {
        let (refusal, reason) = match denied {
            // How every client begins: nothing is wrong with it.
            Denied::Unsigned => return self.challenge(UNAUTHORIZED, client, message, now),
            Denied::Incomplete => {
                self.count_refusal(BAD_REQUEST.reason);
                return self.open_answer(client, message, now, BAD_REQUEST.into(), |writer| writer);
            }
            Denied::StaleNonce => (STALE_NONCE, Refusal::Nonce),
            Denied::WrongCredential => (UNAUTHORIZED, Refusal::Credential),
            Denied::Expired => (UNAUTHORIZED, Refusal::Expired),
        };
        self.count_refusal(reason);
        self.challenge(refusal, client, message, now)
    }

    /// An error that asks for a credential, with the nonce to show it with.
    fn challenge(
        &mut self,
        refusal: (u16, &'static str),
        client: &Client,
        message: &Message<'_>,
        now: Now,
    ) -> Option<Vec<u8>> {
        let address = client.address.ip().to_canonical();
        let nonce = self.auth.nonce(address, now.unix);
        let realm = self.auth.realm().to_owned();
        self.open_answer(client, message, now, refusal, |writer| {
            writer
                .add(attribute::REALM, realm.as_bytes())
                .add(attribute::NONCE, nonce.as_bytes())
        })
    }

    /// An error for somebody who has shown no credential and may not even be where they say: unsigned, and with a rate.
    fn open_answer(
        &mut self,
        client: &Client,
        message: &Message<'_>,
        now: Now,
        (code, phrase): (u16, &'static str),
        fill: impl FnOnce(Writer) -> Writer,
    ) -> Option<Vec<u8>> {
        if self.floods.take(client.address.ip(), now.steady) {
            return Some(finish(message, fill(message.error(code, phrase))));
        }
        self.count_refusal(Refusal::Flood);
        None
    }

    /// Refresh (RFC 8656, section 8.2).
    fn refresh(
        &mut self,
        client: &Client,
        message: &Message<'_>,
        sender: &Sender,
        now: Now,
    ) -> Result<Writer, Answer> {
        let wanted = requested_lifetime(message)?;
        let family = requested_family(message)?;
        let allocation = self.owned(client, sender, now)?;
        if family.is_some_and(|family| allocation.relays.of(family).is_none()) {
            return Err(FAMILY_MISMATCH);
        }
        let lifetime = match wanted {
            Duration::ZERO => Duration::ZERO,
            wanted => wanted
                .max(DEFAULT_LIFETIME)
                .min(allocation.ends.saturating_duration_since(now.steady)),
        };
        if !lifetime.is_zero() {
            allocation.expires = now.steady + lifetime;
        } else if family.is_none_or(|family| allocation.relays.close(family)) {
            allocation.expires = now.steady;
            self.remove(client, now);
        }
        let seconds = (lifetime.as_secs() as u32).to_be_bytes();
        Ok(message.success().add(attribute::LIFETIME, &seconds))
    }

    /// CreatePermission (RFC 8656, section 10.2): all of its peers or none.
    fn create_permission(
        &mut self,
        client: &Client,
        message: &Message<'_>,
        sender: &Sender,
        now: Now,
    ) -> Result<Writer, Answer> {
        self.owned(client, sender, now)?;
        let peers: Option<Vec<SocketAddr>> =
            message.addresses(attribute::XOR_PEER_ADDRESS).collect();
        let peers = peers.filter(|peers| !peers.is_empty()).ok_or(BAD_REQUEST)?;
        let mut permitted = Vec::with_capacity(peers.len());
        for peer in peers {
            permitted.push((peer.ip(), self.allowed_ports(client, peer)?));
        }
        let most = self.quotas.peers;
        let allocation = self.owned(client, sender, now)?;
        for (peer, ports) in permitted {
            if !allocation.permit(peer, ports, most, now.steady) {
                return Err(NO_CAPACITY);
            }
        }
        Ok(message.success())
    }

    /// ChannelBind (RFC 8656, section 12.2).
    fn channel_bind(
        &mut self,
        client: &Client,
        message: &Message<'_>,
        sender: &Sender,
        now: Now,
    ) -> Result<Writer, Answer> {
        self.owned(client, sender, now)?;
        let peer = message
            .addresses(attribute::XOR_PEER_ADDRESS)
            .next()
            .flatten()
            .ok_or(BAD_REQUEST)?;
        let number = match message.get(attribute::CHANNEL_NUMBER) {
            Some(&[high, low, ..]) => u16::from_be_bytes([high, low]),
            _ => return Err(BAD_REQUEST),
        };
        if !CHANNELS.contains(&number) {
            return Err(BAD_REQUEST);
        }
        let ports = self.allowed_ports(client, peer)?;
        if !ports.contains(peer.port()) {
            return Err(FORBIDDEN);
        }
        let most = self.quotas.peers;
        match self
            .owned(client, sender, now)?
            .bind(number, peer, ports, most, now.steady)
        {
            Ok(()) => Ok(message.success()),
            Err(BindError::Taken) => Err(BAD_REQUEST),
            Err(BindError::Full) => Err(NO_CAPACITY),
        }
    }

    /// The allocation of that client, if the sender is who made it (RFC 8656, section 5).
    fn owned(
        &mut self,
        client: &Client,
        sender: &Sender,
        now: Now,
    ) -> Result<&mut Allocation<P::Socket>, Answer> {
        let allocation = self.allocations.get_mut(client);
        let allocation = allocation.filter(|allocation| allocation.expires > now.steady);
        let allocation = allocation.ok_or(MISMATCH)?;
        if allocation.owner.username == sender.username {
            Ok(allocation)
        } else {
            Err(WRONG_CREDENTIALS)
        }
    }

    /// The ports on which the peer may be relayed to.
    fn allowed_ports(&self, client: &Client, peer: SocketAddr) -> Result<AllowedPorts, Answer> {
        // The filter speaks first: a mapped IPv4 address is forbidden rather than of the wrong family.
        let ports = self.filter.check(peer.ip()).map_err(|refused| {
            tracing::debug!(%refused, "peer refused");
            FORBIDDEN
        })?;
        let relays = self.allocations.get(client).map(|it| &it.relays);
        match relays.and_then(|relays| relays.of(Family::of(peer.ip()))) {
            Some(_) => Ok(ports),
            None => Err(FAMILY_MISMATCH),
        }
    }
}

impl From<Answer> for (u16, &'static str) {
    fn from(answer: Answer) -> Self {
        (answer.code, answer.phrase)
    }
}

/// The lifetime a client asks for, at most what anybody gets.
pub(super) fn requested_lifetime(message: &Message<'_>) -> Result<Duration, Answer> {
    match message.get(attribute::LIFETIME) {
        None => Ok(DEFAULT_LIFETIME),
        Some(value) => {
            let seconds: [u8; 4] = value.try_into().map_err(|_| BAD_REQUEST)?;
            Ok(Duration::from_secs(u32::from_be_bytes(seconds).into()).min(MAX_LIFETIME))
        }
    }
}

/// The family of REQUESTED-ADDRESS-FAMILY.
pub(super) fn requested_family(message: &Message<'_>) -> Result<Option<Family>, Answer> {
    match message.get(attribute::REQUESTED_ADDRESS_FAMILY) {
        None => Ok(None),
        Some([code, ..]) => Family::from_code(*code).map(Some).ok_or(NO_FAMILY),
        Some([]) => Err(BAD_REQUEST),
    }
}
