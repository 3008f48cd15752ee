//! Ways in for the fuzz targets of `tests/fuzz`, which see only what is public.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::auth::Authenticator;
use crate::framing::Frames;
use crate::peer_filter::PeerFilter;
use crate::relay::{Action, Client, Family, Link, Now, Ports, Relay};
use crate::stun::{Class, Message, Writer, attribute, method};
use crate::{End, Holder, Quotas, Secret, Secrets, mint};

/// Reads a datagram as STUN, and every attribute in it.
pub fn stun(bytes: &[u8]) {
    if let Some(message) = Message::parse(bytes) {
        for (kind, _) in message.attributes() {
            let _ = message.text(kind);
            message.addresses(kind).for_each(drop);
        }
        message.unknown(&[]);
        message.is_signed_with(&[0; 16]);
    }
}

/// Reads bytes as a stream, in pieces whose sizes are the bytes themselves.
pub fn frames(bytes: &[u8]) {
    let mut frames = Frames::new();
    let mut rest = bytes;
    while let [size, ..] = *rest {
        let room = frames.room();
        let piece = usize::from(size).clamp(1, rest.len()).min(room.len());
        room[..piece].copy_from_slice(&rest[..piece]);
        frames.filled(piece);
        rest = &rest[piece..];
        loop {
            match frames.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

struct Nowhere;

impl Ports for Nowhere {
    type Socket = ();

    fn has(&self, _: Family) -> bool {
        true
    }

    fn open(&mut self, _: &Client, family: Family, _: bool) -> io::Result<((), SocketAddr)> {
        let address = match family {
            Family::V4 => SocketAddr::from(([9, 9, 9, 9], 50_000)),
            Family::V6 => SocketAddr::from(([0x2620, 0xfe, 0, 0, 0, 0, 0, 9], 50_000)),
        };
        Ok(((), address))
    }
}

/// Requests of somebody with a good credential: a byte for the method, one for the number of bytes, and those as
/// attributes; then the next.
pub fn requests(bytes: &[u8]) {
    const UNIX: u64 = 1_800_000_000;
    let secret = Secret::new("secret");
    let secrets = Secrets {
        current: secret.clone(),
        previous: None,
    };
    let now = Now {
        steady: Instant::now(),
        unix: UNIX,
    };
    let client = Client {
        address: ([192, 0, 2, 1], 4000).into(),
        server: ([9, 9, 9, 9], 3478).into(),
        link: Link::Udp(0),
    };
    let auth = Authenticator::new("heron".into(), secrets, [1; 20]);
    let nonce = auth.nonce(client.address.ip(), UNIX);
    let filter = PeerFilter::new(Vec::new(), Vec::new(), 50_000..=50_001);
    let mut relay = Relay::new(auth, filter, Quotas::default(), Nowhere, now);
    let holder = Holder {
        tenant: "t".into(),
        device: "d".into(),
        session: "s".into(),
        end: End::Viewer,
    };
    let who = mint(&secret, holder, UNIX, Duration::from_secs(60));
    let mut rest = bytes;
    while let [what, length, more @ ..] = rest {
        let (attributes, after) = more.split_at(usize::from(*length).min(more.len()));
        rest = after;
        let mut writer = Writer::new(Class::Request, u16::from(what % 10), &[*what; 12])
            .add(attribute::USERNAME, who.username.as_bytes())
            .add(attribute::REALM, b"heron")
            .add(attribute::NONCE, nonce.as_bytes());
        for attribute in attributes.chunks(12) {
            if let [high, low, value @ ..] = attribute {
                writer = writer.add(u16::from_be_bytes([*high, *low]), value);
            }
        }
        if usize::from(*what) % 10 == usize::from(method::ALLOCATE) {
            writer = writer.add(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        }
        let request = writer.finish(Some(&who.key("heron")));
        if let Action::Reply(answer) = relay.client_message(&client, &request, now) {
            assert!(Message::parse(&answer).is_some());
        }
        let _ = relay.client_message(&client, attributes, now);
    }
}
