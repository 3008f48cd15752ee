//! An address at a relay, to try it out (RFC 8656): one question after the other, and data there and back.

use std::net::SocketAddr;
use std::time::Duration;

use rtc_stun::attributes::{
    ATTR_DATA, ATTR_LIFETIME, ATTR_NONCE, ATTR_REALM, ATTR_REQUESTED_TRANSPORT, ATTR_USERNAME,
    ATTR_XOR_PEER_ADDRESS, ATTR_XOR_RELAYED_ADDRESS, AttrType,
};
use rtc_stun::message::{
    CLASS_INDICATION, CLASS_REQUEST, METHOD_ALLOCATE, METHOD_CREATE_PERMISSION, METHOD_DATA,
    METHOD_REFRESH, METHOD_SEND, Message, MessageType, Method,
};
use rtc_stun::textattrs::TextAttribute;
use rtc_stun::xoraddr::XorMappedAddress;
use tokio::time::{Instant, timeout};

use super::stun::{self, Key};
use super::wire::{Trouble, Wire};

/// Sent so often, as UDP may lose it.
const TRIES: usize = 3;
/// How long data may take to the relay and back.
const BACK: Duration = Duration::from_millis(700);
/// UDP (RFC 8656 section 18.8).
const UDP: u8 = 17;

/// Data that came out of a relay.
pub struct Data {
    /// Who sent it to the relayed address.
    pub from: SocketAddr,
    /// What.
    pub bytes: Vec<u8>,
}

/// A relayed address of ours. Over UDP the relay keeps it for minutes unless [`end`](Self::end) gives it back.
pub struct Allocation {
    wire: Wire,
    /// The address that peers send to.
    pub relayed: SocketAddr,
    login: Login,
}

/// What every request is signed with.
struct Login {
    username: String,
    realm: String,
    nonce: String,
    key: Key,
}

impl Allocation {
    /// Asks a relay for an address.
    pub async fn begin(mut wire: Wire, username: &str, password: &str) -> Result<Self, Trouble> {
        let answer = wire.ask(&allocate()).await?;
        let realm = text(&answer, ATTR_REALM);
        match stun::refusal(&answer) {
            Some((401, _)) if realm.is_some() => {}
            Some((code, reason)) => return Err(Trouble::Refused { code, reason }),
            None => {
                return Err(Trouble::Nonsense(
                    "it gives addresses to anybody".to_owned(),
                ));
            }
        }
        let realm = realm.unwrap_or_default();
        let mut login = Login {
            username: username.to_owned(),
            key: Key::new(username, &realm, password).map_err(Trouble::Nonsense)?,
            nonce: text(&answer, ATTR_NONCE).unwrap_or_default(),
            realm,
        };
        let answer = login.ask(&mut wire, allocate).await?;
        let relayed = stun::xor_address(&answer, ATTR_XOR_RELAYED_ADDRESS);
        let relayed = relayed.ok_or_else(|| Trouble::Nonsense("no relayed address".to_owned()))?;
        Ok(Self {
            wire,
            relayed,
            login,
        })
    }

    /// Lets a peer send to the relayed address.
    pub async fn permit(&mut self, peer: SocketAddr) -> Result<(), Trouble> {
        let request = || {
            let mut request = request(METHOD_CREATE_PERMISSION);
            add_peer(&mut request, peer);
            request
        };
        self.login.ask(&mut self.wire, request).await.map(drop)
    }

    /// Sends data to a peer that may.
    pub async fn send(&mut self, peer: SocketAddr, data: &[u8]) -> Result<(), Trouble> {
        let mut indication = stun::message(MessageType::new(METHOD_SEND, CLASS_INDICATION));
        add_peer(&mut indication, peer);
        indication.add(ATTR_DATA, data);
        Ok(self.wire.send(&indication.raw).await?)
    }

    /// The next data of a peer. May be dropped and called again.
    pub async fn receive(&mut self) -> Result<Data, Trouble> {
        loop {
            let bytes = self.wire.receive().await?;
            if let Some(data) = data(bytes) {
                return Ok(data);
            }
        }
    }

    /// Sends something to the relayed address itself, and waits until it has come back. How long that took.
    pub async fn round_trip(&mut self) -> Result<Duration, Trouble> {
        let relayed = self.relayed;
        self.permit(relayed).await?;
        for number in 0..TRIES {
            let payload = format!("heron doctor {number}");
            let sent = Instant::now();
            self.send(relayed, payload.as_bytes()).await?;
            let back = async {
                loop {
                    let data = self.receive().await?;
                    if data.from == relayed && data.bytes == payload.as_bytes() {
                        return Ok(sent.elapsed());
                    }
                }
            };
            if let Ok(back) = timeout(BACK, back).await {
                return back;
            }
        }
        Err(Trouble::Silent)
    }

    /// Gives the address back.
    pub async fn end(mut self) -> Result<(), Trouble> {
        let request = || {
            let mut request = request(METHOD_REFRESH);
            request.add(ATTR_LIFETIME, &[0; 4]);
            request
        };
        self.login.ask(&mut self.wire, request).await.map(drop)
    }
}

impl Login {
    /// Asks with a signature; once more when the nonce was stale.
    async fn ask(
        &mut self,
        wire: &mut Wire,
        request: impl Fn() -> Message,
    ) -> Result<Message, Trouble> {
        for first in [true, false] {
            let mut request = request();
            request.add(ATTR_USERNAME, self.username.as_bytes());
            request.add(ATTR_REALM, self.realm.as_bytes());
            request.add(ATTR_NONCE, self.nonce.as_bytes());
            self.key.sign(&mut request).map_err(Trouble::Nonsense)?;
            let answer = wire.ask(&request).await?;
            match (stun::refusal(&answer), text(&answer, ATTR_NONCE)) {
                (Some((438, _)), Some(nonce)) if first => self.nonce = nonce,
                (Some((code, reason)), _) => return Err(Trouble::Refused { code, reason }),
                (None, _) if self.key.has_signed(&answer) => return Ok(answer),
                (None, _) => return Err(Trouble::Nonsense("it is not signed".to_owned())),
            }
        }
        Err(Trouble::Nonsense("every nonce is stale".to_owned()))
    }
}

fn request(method: Method) -> Message {
    stun::message(MessageType::new(method, CLASS_REQUEST))
}

fn allocate() -> Message {
    let mut request = request(METHOD_ALLOCATE);
    request.add(ATTR_REQUESTED_TRANSPORT, &[UDP, 0, 0, 0]);
    request
}

fn add_peer(message: &mut Message, peer: SocketAddr) {
    let (ip, port) = (peer.ip(), peer.port());
    // It refuses lengths that addresses do not have.
    let _ = XorMappedAddress { ip, port }.add_to_as(message, ATTR_XOR_PEER_ADDRESS);
}

fn text(message: &Message, kind: AttrType) -> Option<String> {
    let attribute = TextAttribute::get_from_as(message, kind).ok()?;
    Some(attribute.text)
}

/// What a data indication holds, if it is one.
fn data(bytes: Vec<u8>) -> Option<Data> {
    let mut message = Message::new();
    message.raw = bytes;
    message.decode().ok()?;
    if message.typ != MessageType::new(METHOD_DATA, CLASS_INDICATION) {
        return None;
    }
    Some(Data {
        from: stun::xor_address(&message, ATTR_XOR_PEER_ADDRESS)?,
        bytes: message.get(ATTR_DATA).ok()?,
    })
}
