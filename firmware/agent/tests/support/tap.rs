//! A cable between a link and its broker that can be pulled out and put back.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Forwards TCP while it lives; dropped, every connection breaks.
pub struct Tap {
    pub port: u16,
    _connections: JoinSet<()>,
}

impl Tap {
    pub async fn open(broker: u16) -> Self {
        Self::open_on(0, broker).await
    }

    pub async fn open_on(port: u16, broker: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut inner = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                inner.spawn(forward(near, (Ipv4Addr::LOCALHOST, broker).into()));
            }
        });
        Self {
            port,
            _connections: connections,
        }
    }
}

async fn forward(mut near: TcpStream, broker: SocketAddr) {
    if let Ok(mut far) = TcpStream::connect(broker).await {
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}
