//! What clients ask for, and the answers, each checked in the order that RFC 8656 gives.

use std::net::SocketAddr;
use std::time::Duration;

use super::allocation::{Allocation, BindError, CHANNELS};
use super::{Now, Ports, Relay};
use crate::auth::{Denied, Expiry, Sender};
use crate::stun::{Class, Message, Writer, attribute, method};

const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
const MAX_LIFETIME: Duration = Duration::from_secs(3600);
const TRANSPORT_UDP: u8 = 17;
const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;

/// An error answer: its code and reason phrase (RFC 8489, section 14.8; RFC 8656, section 19).
type Refusal = (u16, &'static str);

const BAD_REQUEST: Refusal = (400, "Bad Request");
const UNAUTHORIZED: Refusal = (401, "Unauthorized");
const FORBIDDEN: Refusal = (403, "Forbidden");
const UNKNOWN_ATTRIBUTE: Refusal = (420, "Unknown Attribute");
const ALLOCATION_MISMATCH: Refusal = (437, "Allocation Mismatch");
const STALE_NONCE: Refusal = (438, "Stale Nonce");
const FAMILY_NOT_SUPPORTED: Refusal = (440, "Address Family not Supported");
const WRONG_CREDENTIALS: Refusal = (441, "Wrong Credentials");
const UNSUPPORTED_TRANSPORT: Refusal = (442, "Unsupported Transport Protocol");
const FAMILY_MISMATCH: Refusal = (443, "Peer Address Family Mismatch");
const QUOTA_REACHED: Refusal = (486, "Allocation Quota Reached");
const NO_CAPACITY: Refusal = (508, "Insufficient Capacity");

/// Where a client is, in the family it would use itself.
fn canonical(client: SocketAddr) -> SocketAddr {
    SocketAddr::new(client.ip().to_canonical(), client.port())
}

impl<P: Ports> Relay<P> {
    /// Answers a request.
    pub(super) fn request(
        &mut self,
        client: SocketAddr,
        message: &Message<'_>,
        now: Now,
    ) -> Vec<u8> {
        if message.method == method::BINDING {
            return binding(client, message);
        }
        // Only what makes an allocation needs a credential in date. What keeps one alive does not: the control plane
        // ends a session when it is over, and an allocation has an age of its own.
        let expiry = if message.method == method::ALLOCATE {
            Expiry::Enforced
        } else {
            Expiry::Waived
        };
        let sender = match self
            .auth
            .check(message, client.ip().to_canonical(), expiry, now.unix)
        {
            Ok(sender) => sender,
            Err(denied) => return self.denied(denied, client, message, now),
        };
        let ended = self
            .sessions
            .get(&sender.holder.session)
            .is_some_and(|usage| usage.ended);
        if ended {
            return self.denied(Denied::WrongCredential, client, message, now);
        }
        let unknown = message.unknown();
        if !unknown.is_empty() {
            let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
            let answer =
                error(message, UNKNOWN_ATTRIBUTE).add(attribute::UNKNOWN_ATTRIBUTES, &list);
            return answer.finish(Some(&sender.key));
        }
        let key = sender.key;
        let answer = match message.method {
            method::ALLOCATE => self.allocate(client, message, sender, now),
            method::REFRESH => self.refresh(client, message, &sender, now),
            method::CREATE_PERMISSION => self.create_permission(client, message, &sender, now),
            method::CHANNEL_BIND => self.channel_bind(client, message, &sender, now),
            _ => Err(BAD_REQUEST),
        };
        answer
            .unwrap_or_else(|refusal| error(message, refusal))
            .finish(Some(&key))
    }

    fn denied(
        &mut self,
        denied: Denied,
        client: SocketAddr,
        message: &Message<'_>,
        now: Now,
    ) -> Vec<u8> {
        let refusal = match denied {
            Denied::Incomplete => return error(message, BAD_REQUEST).finish(None),
            Denied::StaleNonce => STALE_NONCE,
            Denied::Unsigned => UNAUTHORIZED,
            Denied::WrongCredential => {
                self.stats.refused_credentials += 1;
                UNAUTHORIZED
            }
        };
        let nonce = self.auth.nonce(client.ip().to_canonical(), now.unix);
        error(message, refusal)
            .add(attribute::REALM, self.auth.realm().as_bytes())
            .add(attribute::NONCE, nonce.as_bytes())
            .finish(None)
    }

    /// Allocate (RFC 8656, section 7.2).
    fn allocate(
        &mut self,
        client: SocketAddr,
        message: &Message<'_>,
        sender: Sender,
        now: Now,
    ) -> Result<Writer, Refusal> {
        if let Some(allocation) = self.live(client, now) {
            let retransmitted = allocation.transaction == message.transaction;
            return if retransmitted {
                Ok(allocated(client, message, allocation, now))
            } else {
                Err(ALLOCATION_MISMATCH)
            };
        }
        match message.get(attribute::REQUESTED_TRANSPORT) {
            Some([TRANSPORT_UDP, ..]) => {}
            Some([_, ..]) => return Err(UNSUPPORTED_TRANSPORT),
            _ => return Err(BAD_REQUEST),
        }
        let own_family = if self.ipv6 { FAMILY_IPV6 } else { FAMILY_IPV4 };
        match message.get(attribute::REQUESTED_ADDRESS_FAMILY) {
            Some([family, ..]) if *family != own_family => return Err(FAMILY_NOT_SUPPORTED),
            Some([]) => return Err(BAD_REQUEST),
            _ => {}
        }
        // An even port can be had. A second one kept beside it cannot: nothing in WebRTC asks for that since RTP and
        // RTCP share a port.
        let even = match message.get(attribute::EVEN_PORT) {
            None => false,
            Some([flags]) if flags & 0x80 == 0 => true,
            Some(_) => return Err(NO_CAPACITY),
        };
        if message.get(attribute::RESERVATION_TOKEN).is_some() {
            return Err(NO_CAPACITY);
        }
        let of_user = self
            .allocations
            .values()
            .filter(|allocation| allocation.username == sender.username)
            .count();
        if of_user >= self.quotas.per_username {
            self.stats.refused_quota += 1;
            return Err(QUOTA_REACHED);
        }
        if self.allocations.len() >= self.quotas.allocations {
            self.stats.refused_quota += 1;
            return Err(NO_CAPACITY);
        }
        let opened = self.ports.open(client, even).map_err(|reason| {
            tracing::warn!(%reason, "no port left for an allocation");
            NO_CAPACITY
        })?;
        self.remove(client, now);
        let ends = now.steady + self.quotas.age;
        let expires = ends.min(now.steady + requested_lifetime(message)?.max(DEFAULT_LIFETIME));
        let session = sender.holder.session;
        tracing::debug!(%client, relayed = %opened.1, session, expires = sender.expires, "allocated");
        let allocation = Allocation::new(
            sender.username,
            session,
            opened,
            message.transaction,
            expires,
            ends,
        );
        let answer = allocated(client, message, &allocation, now);
        self.allocations.insert(client, allocation);
        self.stats.allocated += 1;
        Ok(answer)
    }

    /// Refresh (RFC 8656, section 8.2).
    fn refresh(
        &mut self,
        client: SocketAddr,
        message: &Message<'_>,
        sender: &Sender,
        now: Now,
    ) -> Result<Writer, Refusal> {
        let wanted = requested_lifetime(message)?;
        let allocation = self.owned(client, sender, now)?;
        let lifetime = match wanted {
            Duration::ZERO => Duration::ZERO,
            wanted => wanted
                .max(DEFAULT_LIFETIME)
                .min(allocation.ends.saturating_duration_since(now.steady)),
        };
        allocation.expires = now.steady + lifetime;
        if lifetime.is_zero() {
            self.remove(client, now);
        }
        Ok(success(message).add(
            attribute::LIFETIME,
            &(lifetime.as_secs() as u32).to_be_bytes(),
        ))
    }

    /// CreatePermission (RFC 8656, section 10.2): all of its peers or none.
    fn create_permission(
        &mut self,
        client: SocketAddr,
        message: &Message<'_>,
        sender: &Sender,
        now: Now,
    ) -> Result<Writer, Refusal> {
        self.owned(client, sender, now)?;
        let peers: Option<Vec<SocketAddr>> =
            message.addresses(attribute::XOR_PEER_ADDRESS).collect();
        let peers = peers.filter(|peers| !peers.is_empty()).ok_or(BAD_REQUEST)?;
        let mut permitted = Vec::with_capacity(peers.len());
        for peer in peers {
            permitted.push((peer.ip(), self.allowed_ports(peer)?));
        }
        let most = self.quotas.peers;
        let allocation = self.owned(client, sender, now)?;
        for (peer, ports) in permitted {
            if !allocation.permit(peer, ports, most, now.steady) {
                self.stats.refused_quota += 1;
                return Err(NO_CAPACITY);
            }
        }
        Ok(success(message))
    }

    /// ChannelBind (RFC 8656, section 12.2).
    fn channel_bind(
        &mut self,
        client: SocketAddr,
        message: &Message<'_>,
        sender: &Sender,
        now: Now,
    ) -> Result<Writer, Refusal> {
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
        let ports = self.allowed_ports(peer)?;
        if !ports.contains(peer.port()) {
            self.stats.refused_peers += 1;
            return Err(FORBIDDEN);
        }
        let most = self.quotas.peers;
        match self
            .owned(client, sender, now)?
            .bind(number, peer, ports, most, now.steady)
        {
            Ok(()) => Ok(success(message)),
            Err(BindError::Taken) => Err(BAD_REQUEST),
            Err(BindError::Full) => {
                self.stats.refused_quota += 1;
                Err(NO_CAPACITY)
            }
        }
    }

    /// The allocation of that client, if the sender is who made it (RFC 8656, section 5).
    fn owned(
        &mut self,
        client: SocketAddr,
        sender: &Sender,
        now: Now,
    ) -> Result<&mut Allocation<P::Socket>, Refusal> {
        let allocation = self
            .allocations
            .get_mut(&client)
            .filter(|allocation| allocation.expires > now.steady);
        let allocation = allocation.ok_or(ALLOCATION_MISMATCH)?;
        if allocation.username == sender.username {
            Ok(allocation)
        } else {
            Err(WRONG_CREDENTIALS)
        }
    }

    /// The ports on which the peer may be relayed to.
    fn allowed_ports(&mut self, peer: SocketAddr) -> Result<crate::AllowedPorts, Refusal> {
        // The filter speaks first: a mapped IPv4 address is forbidden rather than of the wrong family.
        let ports = self.filter.check(peer.ip()).map_err(|refused| {
            tracing::debug!(%refused, "peer refused");
            self.stats.refused_peers += 1;
            FORBIDDEN
        })?;
        if peer.is_ipv6() == self.ipv6 {
            Ok(ports)
        } else {
            Err(FAMILY_MISMATCH)
        }
    }
}

/// Binding (RFC 8489, section 7.3.1), open to everybody.
fn binding(client: SocketAddr, message: &Message<'_>) -> Vec<u8> {
    let unknown = message.unknown();
    if unknown.is_empty() {
        return success(message)
            .add_address(attribute::XOR_MAPPED_ADDRESS, canonical(client))
            .finish(None);
    }
    let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
    error(message, UNKNOWN_ATTRIBUTE)
        .add(attribute::UNKNOWN_ATTRIBUTES, &list)
        .finish(None)
}

/// The answer to the request that made an allocation, also when it comes a second time.
fn allocated<S>(
    client: SocketAddr,
    message: &Message<'_>,
    allocation: &Allocation<S>,
    now: Now,
) -> Writer {
    let lifetime = allocation
        .expires
        .saturating_duration_since(now.steady)
        .as_secs() as u32;
    success(message)
        .add_address(attribute::XOR_RELAYED_ADDRESS, allocation.relayed)
        .add(attribute::LIFETIME, &lifetime.to_be_bytes())
        .add_address(attribute::XOR_MAPPED_ADDRESS, canonical(client))
}

/// The lifetime a client asks for, at most what anybody gets.
fn requested_lifetime(message: &Message<'_>) -> Result<Duration, Refusal> {
    match message.get(attribute::LIFETIME) {
        None => Ok(DEFAULT_LIFETIME),
        Some(value) => {
            let seconds: [u8; 4] = value.try_into().map_err(|_| BAD_REQUEST)?;
            Ok(Duration::from_secs(u32::from_be_bytes(seconds).into()).min(MAX_LIFETIME))
        }
    }
}

fn success(message: &Message<'_>) -> Writer {
    Writer::new(Class::Success, message.method, &message.transaction)
}

fn error(message: &Message<'_>, (code, reason): Refusal) -> Writer {
    Writer::new(Class::Error, message.method, &message.transaction).add_error(code, reason)
}
