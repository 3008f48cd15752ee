//! Allocate (RFC 8656, section 7.2): a relayed address, or one of each family.

use std::net::SocketAddr;
use std::time::Duration;

use super::allocation::{Allocation, Family, Life, Owner, Relayed, Relays};
use super::requests::{
    Answer, BAD_REQUEST, DEFAULT_LIFETIME, DRAINING, MISMATCH, NO_CAPACITY, NO_FAMILY,
    NO_TRANSPORT, QUOTA_REACHED, requested_family, requested_lifetime,
};
use super::{Client, Now, Ports, Relay};
use crate::auth::Sender;
use crate::stun::{Message, Writer, attribute};

const TRANSPORT_UDP: u8 = 17;

/// What a client asks to be given.
struct Wanted {
    family: Family,
    /// If that cannot be had, the first alone will do.
    second: Option<Family>,
    even: bool,
    lifetime: Duration,
}

impl<P: Ports> Relay<P> {
    pub(super) fn allocate(
        &mut self,
        client: &Client,
        message: &Message<'_>,
        sender: &Sender,
        now: Now,
    ) -> Result<Writer, Answer> {
        if let Some(allocation) = self.live(client, now) {
            let retransmitted = allocation.transaction == message.transaction;
            return if retransmitted {
                Ok(allocated(client, message, allocation, now))
            } else {
                Err(MISMATCH)
            };
        }
        let wanted = wanted(message, self.ports.has(Family::V4))?;
        if !self.ports.has(wanted.family) {
            return Err(NO_FAMILY);
        }
        if self.draining {
            return Err(DRAINING);
        }
        if self.users.allocations(&sender.username) >= self.quotas.per_username {
            return Err(QUOTA_REACHED);
        }
        if self.allocations.len() >= self.quotas.allocations {
            return Err(NO_CAPACITY);
        }
        let first = self.open(client, wanted.family, wanted.even)?;
        let second = { wanted.second }.map(|family| (family, self.open_second(client, family)));
        let (second, missing) = match second {
            None => (None, None),
            Some((_, Ok(relayed))) => (Some(relayed), None),
            Some((family, Err(answer))) => (None, Some((family, answer))),
        };
        // One that has expired and was not yet found by a tick.
        self.remove(client, now);
        let allocation = self.insert(
            client,
            message,
            sender,
            Relays::new(first, second),
            &wanted,
            now,
        );
        let writer = allocated(client, message, allocation, now);
        Ok(match missing {
            None => writer,
            Some((family, answer)) => {
                let error = [
                    family.code(),
                    0,
                    (answer.code / 100) as u8,
                    (answer.code % 100) as u8,
                ];
                let value = [&error[..], answer.phrase.as_bytes()].concat();
                writer.add(attribute::ADDRESS_ERROR_CODE, &value)
            }
        })
    }

    fn insert(
        &mut self,
        client: &Client,
        message: &Message<'_>,
        sender: &Sender,
        relays: Relays<P::Socket>,
        wanted: &Wanted,
        now: Now,
    ) -> &Allocation<P::Socket> {
        let life = {
            let credential = Duration::from_secs(sender.expires.saturating_sub(now.unix));
            let ends = now.steady + credential + self.quotas.hold;
            Life {
                since: now.steady,
                expires: ends.min(now.steady + wanted.lifetime.max(DEFAULT_LIFETIME)),
                ends,
            }
        };
        let rate = match client.is_stream() {
            true => self.quotas.stream_rate,
            false => self.quotas.udp_rate,
        };
        let owner = Owner {
            username: sender.username.clone(),
            session: sender.holder.session.clone(),
            end: sender.holder.end,
        };
        let username_rate =
            { self.sessions.rate(&owner.session) }.unwrap_or(self.quotas.username_rate);
        let user = self.users.enter(&owner.username, username_rate, now.steady);
        tracing::debug!(client = %client.address, session = owner.session, expires = sender.expires, "allocated");
        self.stats.allocated += 1;
        let allocation = Allocation::new(owner, user, relays, message.transaction, life, rate);
        self.allocations
            .entry(*client)
            .insert_entry(allocation)
            .into_mut()
    }

    fn open(
        &mut self,
        client: &Client,
        family: Family,
        even: bool,
    ) -> Result<Relayed<P::Socket>, Answer> {
        match self.ports.open(client, family, even) {
            Ok((socket, address)) => Ok(Relayed { socket, address }),
            Err(reason) => {
                tracing::warn!(%reason, "no port left for an allocation");
                Err(NO_CAPACITY)
            }
        }
    }

    fn open_second(
        &mut self,
        client: &Client,
        family: Family,
    ) -> Result<Relayed<P::Socket>, Answer> {
        if self.ports.has(family) {
            self.open(client, family, false)
        } else {
            Err(NO_FAMILY)
        }
    }
}

/// Reads an Allocate request. Without a family in it, it is for IPv4, or for IPv6 where there is no IPv4.
fn wanted(message: &Message<'_>, ipv4: bool) -> Result<Wanted, Answer> {
    match message.get(attribute::REQUESTED_TRANSPORT) {
        Some([TRANSPORT_UDP, ..]) => {}
        Some([_, ..]) => return Err(NO_TRANSPORT),
        _ => return Err(BAD_REQUEST),
    }
    let family = requested_family(message)?;
    let second = match message.get(attribute::ADDITIONAL_ADDRESS_FAMILY) {
        None => None,
        // Only IPv6 can be additional, and only to what was not asked for by name.
        Some([2, ..]) if family.is_none() && ipv4 => Some(Family::V6),
        Some([2, ..]) if family.is_none() => None,
        Some(_) => return Err(BAD_REQUEST),
    };
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
    Ok(Wanted {
        family: family.unwrap_or(if ipv4 { Family::V4 } else { Family::V6 }),
        second,
        even,
        lifetime: requested_lifetime(message)?,
    })
}

/// The answer to the request that made an allocation, also when it comes a second time.
fn allocated<S>(
    client: &Client,
    message: &Message<'_>,
    allocation: &Allocation<S>,
    now: Now,
) -> Writer {
    let lifetime = allocation.expires.saturating_duration_since(now.steady);
    let mut writer = message.success();
    for relayed in allocation.relays.iter() {
        writer = writer.add_address(attribute::XOR_RELAYED_ADDRESS, relayed.address);
    }
    let address = SocketAddr::new(client.address.ip().to_canonical(), client.address.port());
    writer
        .add(
            attribute::LIFETIME,
            &(lifetime.as_secs() as u32).to_be_bytes(),
        )
        .add_address(attribute::XOR_MAPPED_ADDRESS, address)
}
