//! MQTT 5 by hand, for what no client library would send. It answers every message at once and keeps all of them.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::PATIENCE;
use super::pki::{Identity, Pki};

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A TLS connection with that certificate.
pub async fn tls(
    address: std::net::SocketAddr,
    pki: &Pki,
    identity: &Identity,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&pki.server_ca()).unwrap())
        .unwrap();
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
}

/// A text or binary of MQTT: its length in two bytes, then itself.
pub fn string(bytes: &[u8]) -> Vec<u8> {
    let mut string = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    string.extend(bytes);
    string
}

/// A packet with that first byte.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let byte = u8::try_from(left % 128).unwrap();
        left /= 128;
        packet.push(if left > 0 { byte | 0x80 } else { byte });
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// What a client says of itself. Keep-alive 30 s, clean start.
#[derive(Clone, Default)]
pub struct Hello {
    pub client_id: Vec<u8>,
    pub user: Option<(String, String)>,
    /// Topic, payload, retained.
    pub will: Option<(Vec<u8>, Vec<u8>, bool)>,
    /// How long the session outlives the connection, and how long the will waits: both in seconds.
    pub patience_s: u32,
}

impl Hello {
    pub fn new(client_id: &str) -> Self {
        Self {
            client_id: client_id.into(),
            ..Self::default()
        }
    }

    pub fn packet(&self) -> Vec<u8> {
        let mut flags = 0x02;
        let mut payload = string(&self.client_id);
        if let Some((topic, message, retain)) = &self.will {
            flags |= 0x04 | 0x08 | if *retain { 0x20 } else { 0 };
            // Will delay interval (MQTT 5, 3.1.3.2.2).
            payload.extend([5, 0x18]);
            payload.extend(self.patience_s.to_be_bytes());
            payload.extend(string(topic));
            payload.extend(string(message));
        }
        if let Some((name, password)) = &self.user {
            flags |= 0x80 | 0x40;
            payload.extend(string(name.as_bytes()));
            payload.extend(string(password.as_bytes()));
        }
        let mut body = b"\x00\x04MQTT\x05".to_vec();
        // Session expiry interval (3.1.2.11.2).
        body.extend([flags, 0, 30, 5, 0x11]);
        body.extend(self.patience_s.to_be_bytes());
        body.extend(payload);
        packet(0x10, &body)
    }
}

/// How the broker answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// With this reason code.
    Code(u8),
    /// By closing the connection.
    Closed,
}

impl Answer {
    pub fn is_yes(self) -> bool {
        matches!(self, Self::Code(code) if code < 0x80)
    }
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
}

/// A connected client.
pub struct Raw {
    stream: Box<dyn Stream>,
    bytes: Vec<u8>,
    next_id: u16,
    pub came: Vec<Came>,
}

impl Raw {
    pub async fn connect(stream: impl Stream + 'static, hello: &Hello) -> Result<Self, Answer> {
        let mut raw = Self {
            stream: Box::new(stream),
            bytes: Vec::new(),
            next_id: 0,
            came: Vec::new(),
        };
        raw.send(&hello.packet()).await;
        match raw.answer(0x20, 1).await {
            Answer::Code(0) => Ok(raw),
            refused => Err(refused),
        }
    }

    /// Whether the connection still works is found out by reading.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    fn id(&mut self) -> [u8; 2] {
        self.next_id += 1;
        self.next_id.to_be_bytes()
    }

    /// Publishes with QoS 1.
    pub async fn publish(&mut self, topic: &[u8], payload: &[u8], retain: bool) -> Answer {
        let mut body = string(topic);
        body.extend(self.id());
        body.push(0);
        body.extend(payload);
        self.send(&packet(0x32 | u8::from(retain), &body)).await;
        // The reason code may be left out when all is well (MQTT 5, 3.4.2.1).
        self.answer(0x40, 2).await
    }

    /// Subscribes with QoS 1.
    pub async fn subscribe(&mut self, filter: &[u8]) -> Answer {
        let mut body = self.id().to_vec();
        body.push(0);
        body.extend(string(filter));
        body.push(1);
        self.send(&packet(0x82, &body)).await;
        self.answer(0x90, 3).await
    }

    /// Waits for the packet that answers, and takes the reason code at that place of its body.
    async fn answer(&mut self, first: u8, place: usize) -> Answer {
        loop {
            match self.packet().await {
                None => return Answer::Closed,
                Some((kind, body)) if kind == first => {
                    return Answer::Code(body.get(place).copied().unwrap_or(0));
                }
                // A DISCONNECT: its reason differs from broker to broker.
                Some((0xe0, _)) => return Answer::Closed,
                Some(_) => {}
            }
        }
    }

    /// Collects messages until one with that payload has come.
    pub async fn until(&mut self, payload: &[u8]) {
        while !self.came.iter().any(|came| came.payload == payload) {
            assert!(
                self.packet().await.is_some(),
                "the connection stays up until {:?} comes; so far {:?}",
                String::from_utf8_lossy(payload),
                self.came
            );
        }
    }

    /// Breaks the connection without a word, so that the will is due.
    pub fn cut(self) {}

    /// Reads one packet; messages are acknowledged and kept. `None`: the connection is closed.
    async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let (first, body) = loop {
            if let Some(packet) = self.split() {
                break packet;
            }
            let mut chunk = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut chunk)).await;
            match read.expect("the broker says something in time") {
                Ok(length @ 1..) => self.bytes.extend(&chunk[..length]),
                _ => return None,
            }
        };
        if first >> 4 == 3 {
            let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
            let mut at = topic_end;
            if first & 0x06 != 0 {
                let id = [body[at], body[at + 1]];
                at += 2;
                self.send(&packet(0x40, &id)).await;
            }
            // Properties of our own messages are short: their length is one byte.
            at += 1 + usize::from(body[at]);
            self.came.push(Came {
                topic: String::from_utf8_lossy(&body[2..topic_end]).into_owned(),
                payload: body[at..].to_vec(),
                retained: first & 1 == 1,
            });
        }
        Some((first, body))
    }

    fn split(&mut self) -> Option<(u8, Vec<u8>)> {
        let (mut length, mut at) = (0, 1);
        loop {
            let byte = usize::from(*self.bytes.get(at)?);
            length |= (byte & 0x7f) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if self.bytes.len() < at + length {
            return None;
        }
        let first = self.bytes[0];
        let body = self.bytes[at..at + length].to_vec();
        self.bytes.drain(..at + length);
        Some((first, body))
    }
}
