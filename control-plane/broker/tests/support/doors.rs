//! The same three doors at the embedded broker and at Mosquitto, for tests that do not care whose they are.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use heron_broker::{Limits, Mosquitto, TlsListener};
use heron_protocol::topics::Role;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::pki::Identity;
use super::raw::{self, Answer, Hello, Raw};
use super::{BROWSER, OTHER_BROWSER, PATIENCE, Pki, Site, TENANT, Tokens, bridge};

/// Whose doors they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    Heron,
    Mosquitto,
}

/// A running broker.
pub struct Doors {
    pub maker: Maker,
    pub pki: Pki,
    devices: SocketAddr,
    control: SocketAddr,
    /// Plain MQTT over TCP.
    browsers: SocketAddr,
    /// Goes when this does.
    _broker: Keeper,
}

enum Keeper {
    Heron { _broker: heron_broker::Broker },
    Mosquitto { _child: Child },
}

impl Doors {
    pub async fn open(maker: Maker) -> Self {
        match maker {
            Maker::Heron => Self::heron().await,
            Maker::Mosquitto => Self::mosquitto(Pki::new(), &[]).await,
        }
    }

    async fn heron() -> Self {
        // Room for a client that tries every filter there is.
        let limits = Limits {
            subscriptions: 1000,
            ..Limits::default()
        };
        let Site { pki, broker } = Site::start_with(Tokens::usual(), limits).await;
        let addresses = broker.addresses();
        let bridge = bridge::start(addresses.websocket).await;
        Self {
            maker: Maker::Heron,
            pki,
            devices: addresses.devices,
            control: addresses.control,
            browsers: ([127, 0, 0, 1], bridge).into(),
            _broker: Keeper::Heron { _broker: broker },
        }
    }

    /// Debian's Mosquitto with the configuration that we print, and these certificates revoked.
    pub async fn mosquitto(pki: Pki, revoked: &[&Identity]) -> Self {
        let [devices, control, browsers] = free_addresses();
        let listener = |listen, client_ca: &str| TlsListener {
            listen,
            certificate: pki.path("server.pem"),
            key: pki.path("server.key"),
            client_ca: pki.path(client_ca),
        };
        let mosquitto = Mosquitto {
            devices: listener(devices, "device-ca.pem"),
            control: listener(control, "control-ca.pem"),
            browsers,
            directory: pki.path("."),
            revoked: pki.path("revoked.pem"),
            limits: Limits::default(),
        };
        for (name, content) in Mosquitto::access_files() {
            std::fs::write(pki.path(name), content).unwrap();
        }
        std::fs::write(pki.path("revoked.pem"), pki.revocation_list(revoked)).unwrap();
        // Where the test runs as root, Mosquitto must be able to read our files.
        let config = format!("user root\n{}", mosquitto.config());
        std::fs::write(pki.path("mosquitto.conf"), config).unwrap();
        let child = Command::new("mosquitto")
            .arg("-c")
            .arg(pki.path("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("these tests need mosquitto: install the package mosquitto");
        let doors = Self {
            maker: Maker::Mosquitto,
            pki,
            devices,
            control,
            browsers,
            _broker: Keeper::Mosquitto { _child: child },
        };
        let listens = async {
            while TcpStream::connect(browsers).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listens)
            .await
            .expect("mosquitto starts with our configuration");
        doors
    }

    /// Comes in as a camera with that identity, or tries to.
    pub async fn device(&self, identity: &Identity, hello: &Hello) -> Result<Raw, Answer> {
        match raw::tls(self.devices, &self.pki, identity).await {
            Ok(stream) => Raw::connect(stream, hello).await,
            Err(_) => Err(Answer::Closed),
        }
    }

    /// Comes in as that role, and as that one of the two whom each role has here.
    pub async fn role(&self, role: Role, name: &str, hello: &Hello) -> Result<Raw, Answer> {
        match role {
            Role::Device => self.device(&self.pki.device(name), hello).await,
            Role::Control => {
                let identity = self.pki.control("heron-control");
                let stream = raw::tls(self.control, &self.pki, &identity).await.unwrap();
                Raw::connect(stream, hello).await
            }
            Role::Browser => {
                let stream = TcpStream::connect(self.browsers).await.unwrap();
                let hello = Hello {
                    user: Some(self.browser_user(name)),
                    ..hello.clone()
                };
                Raw::connect(stream, &hello).await
            }
        }
    }

    /// What a browser says to the broker: itself, or the gateway for it.
    fn browser_user(&self, name: &str) -> (String, String) {
        match self.maker {
            Maker::Mosquitto => (format!("{TENANT}/{name}"), String::new()),
            Maker::Heron => {
                let token = match name {
                    BROWSER => "token-01",
                    OTHER_BROWSER => "token-02",
                    other => panic!("no token for {other}"),
                };
                (name.to_owned(), token.to_owned())
            }
        }
    }
}

/// Ports that were free a moment ago.
fn free_addresses() -> [SocketAddr; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}
