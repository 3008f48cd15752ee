//! The way to a STUN or TURN server: datagrams, or a stream framed as in RFC 8656 section 12.5, plain or in TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use heron_session::turn_framing;
use rtc_stun::message::Message;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::stun;

/// TCP, and TLS after it.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take over a stream, which repeats by itself.
const ANSWER: Duration = Duration::from_secs(4);
/// After how long a datagram is repeated, and at last given up (RFC 8489 section 6.2.1, with fewer repetitions).
const REPEATS: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(1500),
];
/// The largest message that makes sense here.
const LARGEST: usize = 4096;

/// Why there was no good answer.
#[derive(Debug, Error)]
pub enum Trouble {
    /// Not even a connection.
    #[error("no connection: {0}")]
    Connect(io::Error),
    /// TLS failed.
    #[error("no TLS: {0}")]
    Tls(io::Error),
    /// The connection or the socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nothing came back.
    #[error("no answer")]
    Silent,
    /// Something came back, which is not an answer.
    #[error("what answers there does not speak STUN")]
    NotStun,
    /// The server said no.
    #[error("it refused: {code} {reason}")]
    Refused {
        /// The error code.
        code: u16,
        /// The server's words.
        reason: String,
    },
    /// An answer that cannot be right.
    #[error("its answer makes no sense: {0}")]
    Nonsense(String),
}

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A way to one server.
pub enum Wire {
    /// A socket that hears only the server.
    Datagrams(UdpSocket),
    /// A connection, and what was read of it but not taken.
    Stream(Box<dyn Stream>, BytesMut),
}

/// A socket on any port.
pub async fn socket(towards: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match towards {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0)).await
}

/// The address that this machine has towards another. Nothing is sent.
pub async fn source(towards: SocketAddr) -> io::Result<IpAddr> {
    let socket = socket(towards).await?;
    socket.connect(towards).await?;
    Ok(socket.local_addr()?.ip())
}

impl Wire {
    /// Over UDP.
    pub async fn udp(server: SocketAddr) -> Result<Self, Trouble> {
        let socket = socket(server).await.map_err(Trouble::Connect)?;
        socket.connect(server).await.map_err(Trouble::Connect)?;
        Ok(Self::Datagrams(socket))
    }

    /// Over TCP; with `tls`, inside TLS by the name the server must have.
    pub async fn tcp(
        server: SocketAddr,
        tls: Option<(&Arc<ClientConfig>, &str)>,
    ) -> Result<Self, Trouble> {
        let late = |_| Err(io::Error::from(io::ErrorKind::TimedOut));
        let connected = timeout(CONNECT, TcpStream::connect(server)).await;
        let stream = connected.unwrap_or_else(late).map_err(Trouble::Connect)?;
        stream.set_nodelay(true)?;
        let Some((tls, name)) = tls else {
            return Ok(Self::Stream(Box::new(stream), BytesMut::new()));
        };
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let handshake = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
        let stream = match timeout(CONNECT, handshake).await {
            Ok(stream) => stream.map_err(Trouble::Tls)?,
            Err(_) => return Err(Trouble::Tls(io::ErrorKind::TimedOut.into())),
        };
        Ok(Self::Stream(Box::new(stream), BytesMut::new()))
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Datagrams(socket) => socket.send(message).await.map(drop),
            Self::Stream(stream, _) => {
                stream.write_all(message).await?;
                stream.flush().await
            }
        }
    }

    /// The next message. May be dropped and called again.
    pub async fn receive(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Datagrams(socket) => {
                let mut message = vec![0; LARGEST];
                let size = socket.recv(&mut message).await?;
                message.truncate(size);
                Ok(message)
            }
            Self::Stream(stream, read) => loop {
                let not_turn = |error| io::Error::new(io::ErrorKind::InvalidData, error);
                if let Some(message) = turn_framing::next(read).map_err(not_turn)? {
                    return Ok(message.to_vec());
                }
                if stream.read_buf(read).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            },
        }
    }

    /// Asks, and waits for the answer; a refusal is an answer. Over UDP the question is repeated.
    pub async fn ask(&mut self, request: &Message) -> Result<Message, Trouble> {
        let patience: &[Duration] = match self {
            Self::Datagrams(_) => &REPEATS,
            Self::Stream(..) => &[ANSWER],
        };
        let mut odd = false;
        for patience in patience {
            self.send(&request.raw).await?;
            let deadline = Instant::now() + *patience;
            while let Ok(received) = timeout_at(deadline, self.receive()).await {
                match received {
                    Ok(bytes) => match stun::answer(&bytes, request) {
                        Some(answer) => return Ok(answer),
                        None => odd = true,
                    },
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        return Err(Trouble::NotStun);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Err(if odd {
            Trouble::NotStun
        } else {
            Trouble::Silent
        })
    }
}
