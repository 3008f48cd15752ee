//! A TURN client as small as can be, which also does what no honest client does.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use heron_turn::Credential;
use heron_turn::stun::{Class, Message, Writer, attribute, method};

/// Safety net: an answer that has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(10);
pub const REALM: &str = "heron";
pub const UDP: (u16, &[u8]) = (attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);

enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// One client with one 5-tuple.
pub struct Client {
    link: Link,
    who: Credential,
    nonce: Vec<u8>,
    counter: u32,
}

impl Client {
    pub fn udp(server: SocketAddr, who: Credential) -> Self {
        let own = if server.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let socket = UdpSocket::bind(own).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::over(Link::Udp(socket), who)
    }

    pub fn tcp(server: SocketAddr, who: Credential) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::over(Link::Tcp(stream), who)
    }

    fn over(link: Link, who: Credential) -> Self {
        Self {
            link,
            who,
            nonce: Vec::new(),
            counter: 0,
        }
    }

    /// The socket of a client over UDP, taken over by who sends at packet rate.
    #[allow(dead_code, reason = "only the load generator does")]
    pub fn into_socket(self) -> UdpSocket {
        match self.link {
            Link::Udp(socket) => socket,
            Link::Tcp(_) => unreachable!("a client over TCP"),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        match &mut self.link {
            Link::Udp(socket) => drop(socket.send(bytes).unwrap()),
            Link::Tcp(stream) => stream.write_all(bytes).unwrap(),
        }
    }

    /// The next message or ChannelData, or why none comes.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        match &mut self.link {
            Link::Udp(socket) => {
                let mut bytes = vec![0; 65_536];
                let length = socket.recv(&mut bytes)?;
                bytes.truncate(length);
                Ok(bytes)
            }
            Link::Tcp(stream) => {
                let mut bytes = vec![0; 4];
                stream.read_exact(&mut bytes)?;
                let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
                let (whole, padded) = match bytes[0] >> 6 {
                    0 => (20 + length, 20 + length),
                    _ => (4 + length, (4 + length).next_multiple_of(4)),
                };
                bytes.resize(padded, 0);
                stream.read_exact(&mut bytes[4..])?;
                bytes.truncate(whole);
                Ok(bytes)
            }
        }
    }

    /// Asks, with a nonce once one is known; the answer, or its error code.
    pub fn ask(
        &mut self,
        method: u16,
        attributes: &[(u16, &[u8])],
        peers: &[SocketAddr],
    ) -> Result<Vec<u8>, u16> {
        loop {
            self.counter += 1;
            let mut transaction = [0; 12];
            transaction[..4].copy_from_slice(&self.counter.to_be_bytes());
            let mut writer = Writer::new(Class::Request, method, &transaction);
            for (kind, value) in attributes {
                writer = writer.add(*kind, value);
            }
            for peer in peers {
                writer = writer.add_address(attribute::XOR_PEER_ADDRESS, *peer);
            }
            let signed = !self.nonce.is_empty();
            let bytes = if signed {
                writer
                    .add(attribute::USERNAME, self.who.username.as_bytes())
                    .add(attribute::REALM, REALM.as_bytes())
                    .add(attribute::NONCE, &self.nonce)
                    .finish(Some(&self.who.key(REALM)))
            } else {
                writer.finish(None)
            };
            self.send(&bytes);
            let answer = loop {
                let bytes = self.receive().expect("no answer");
                let ours = Message::parse(&bytes)
                    .is_some_and(|message| message.transaction == transaction);
                if ours {
                    break bytes;
                }
            };
            let message = Message::parse(&answer).unwrap();
            match (message.error_code(), message.get(attribute::NONCE)) {
                (None, _) => return Ok(answer),
                (Some(401), Some(nonce)) if !signed => self.nonce = nonce.to_vec(),
                (Some(438), Some(nonce)) => self.nonce = nonce.to_vec(),
                (Some(code), _) => return Err(code),
            }
        }
    }

    /// Allocates; the relayed addresses.
    pub fn allocate(&mut self, attributes: &[(u16, &[u8])]) -> Result<Vec<SocketAddr>, u16> {
        let attributes = [&[UDP], attributes].concat();
        let answer = self.ask(method::ALLOCATE, &attributes, &[])?;
        let message = Message::parse(&answer).unwrap();
        let relayed = message.addresses(attribute::XOR_RELAYED_ADDRESS);
        Ok(relayed.map(Option::unwrap).collect())
    }

    pub fn permit(&mut self, peer: SocketAddr) -> Result<(), u16> {
        let answer = self.ask(method::CREATE_PERMISSION, &[], &[peer]);
        answer.map(drop)
    }

    pub fn bind(&mut self, number: u16, peer: SocketAddr) -> Result<(), u16> {
        let [high, low] = number.to_be_bytes();
        let number = [(attribute::CHANNEL_NUMBER, &[high, low, 0, 0][..])];
        let answer = self.ask(method::CHANNEL_BIND, &number, &[peer]);
        answer.map(drop)
    }

    /// A Send indication; nobody answers it.
    pub fn indicate(&mut self, peer: SocketAddr, data: &[u8]) {
        let bytes = Writer::new(Class::Indication, method::SEND, &[0xee; 12])
            .add_address(attribute::XOR_PEER_ADDRESS, peer)
            .add(attribute::DATA, data)
            .unsigned();
        self.send(&bytes);
    }

    /// ChannelData, padded as streams want it.
    pub fn channel(&mut self, number: u16, data: &[u8]) {
        let mut bytes = channel_data(number, data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.send(&bytes);
    }
}

/// A ChannelData message.
pub fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    [
        &number.to_be_bytes()[..],
        &(data.len() as u16).to_be_bytes(),
        data,
    ]
    .concat()
}
