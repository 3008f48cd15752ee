//! The ICE servers of a session (RFC 7064, RFC 7065): which are usable, and where they are.

use std::net::{IpAddr, SocketAddr};

use heron_protocol::messages::IceServer;

const STUN_PORT: u16 = 3478;
const STUN_TLS_PORT: u16 = 5349;

/// How a server is reached. In the order in which they are tried: a later one only when those before do not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream inside TLS.
    Tls,
}

/// How to log in at a TURN server.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
}

// The password stays out of logs.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A server by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    host: String,
    port: u16,
    transport: Transport,
    url: String,
    /// For TURN; a STUN server has none.
    login: Option<Login>,
}

/// A server by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its name, which its certificate must have.
    pub host: String,
    /// Its URL, which holds no credential.
    pub url: String,
    /// How it is reached.
    pub transport: Transport,
    /// Where it is: at most one address of each family.
    pub addresses: Vec<SocketAddr>,
    /// For TURN; a STUN server has none.
    pub login: Option<Login>,
}

impl Server {
    /// A name to be looked up, or an address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The server with the addresses that its name has.
    pub fn at(self, addresses: &[IpAddr]) -> Located {
        let port = self.port;
        Located {
            addresses: addresses
                .iter()
                .map(|ip| SocketAddr::new(*ip, port))
                .collect(),
            host: self.host,
            url: self.url,
            transport: self.transport,
            login: self.login,
        }
    }

    fn read(url: &str, server: &IceServer) -> Option<Self> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (scheme, address) = address.split_once(':')?;
        // RFC 7065 section 3.1. TURN over DTLS nobody offers, and STUN over a stream tells nothing about UDP.
        let (transport, port) = match (scheme, query) {
            ("stun" | "turn", "" | "transport=udp") => (Transport::Udp, STUN_PORT),
            ("turn", "transport=tcp") => (Transport::Tcp, STUN_PORT),
            ("turns", "" | "transport=tcp") => (Transport::Tls, STUN_TLS_PORT),
            _ => return None,
        };
        let login = match scheme {
            "stun" => None,
            _ if server.username.is_empty() => return None,
            _ => Some(Login {
                username: server.username.clone(),
                password: server.credential.clone(),
            }),
        };
        let (host, port) = host_and_port(address, port)?;
        Some(Self {
            host,
            port,
            transport,
            url: url.to_owned(),
            login,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        let place = |server: &Self| (server.host.clone(), server.port, server.transport);
        place(self) == place(other) && self.login == other.login
    }
}

/// Looks a name up: at most one address of each family. An address is its own name and needs no network.
pub async fn look_up(host: &str) -> Vec<IpAddr> {
    if let Ok(ip) = host.parse() {
        return vec![ip];
    }
    match tokio::net::lookup_host((host, STUN_PORT)).await {
        Ok(found) => one_of_each_family(found.map(|address| address.ip())),
        Err(error) => {
            tracing::info!(host, %error, "an ICE server's name is not known");
            Vec::new()
        }
    }
}

/// The usable servers, one for each place, and the URLs that are passed over.
pub fn usable(servers: &[IceServer]) -> (Vec<Server>, Vec<String>) {
    let mut usable: Vec<Server> = Vec::new();
    let mut skipped = Vec::new();
    for server in servers {
        for url in &server.urls {
            match Server::read(url, server) {
                Some(server) if !usable.iter().any(|known| known.is_same(&server)) => {
                    usable.push(server);
                }
                Some(_) => {}
                None => skipped.push(url.clone()),
            }
        }
    }
    (usable, skipped)
}

fn host_and_port(address: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest.strip_prefix(':'))
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None => usual,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn one_of_each_family(found: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(2);
    for ip in found {
        if !addresses
            .iter()
            .any(|known| known.is_ipv4() == ip.is_ipv4())
        {
            addresses.push(ip);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn server(urls: &[&str], username: &str) -> IceServer {
        IceServer {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            username: username.to_owned(),
            credential: username.to_owned(),
        }
    }

    #[tokio::test]
    async fn turn_over_udp_tcp_and_tls_and_stun_are_used() {
        let (servers, skipped) = usable(&[
            server(
                &[
                    "turn:192.0.2.1:3479",
                    "turn:192.0.2.1:3479?transport=udp",
                    "turn:192.0.2.1?transport=tcp",
                    "turns:192.0.2.1:443?transport=tcp",
                    "turns:192.0.2.1",
                    "turns:192.0.2.1?transport=udp",
                    "turn:192.0.2.1?transport=sctp",
                ],
                "u",
            ),
            server(
                &["stun:192.0.2.2", "stun:[2001:db8::1]:99", "stuns:192.0.2.2"],
                "",
            ),
        ]);
        let mut found = Vec::new();
        for server in servers {
            let ips = look_up(server.host()).await;
            let located = server.at(&ips);
            let address = located.addresses[0].to_string();
            found.push((address, located.transport, located.login.is_some()));
        }
        let expected = [
            ("192.0.2.1:3479", Transport::Udp, true),
            ("192.0.2.1:3478", Transport::Tcp, true),
            ("192.0.2.1:443", Transport::Tls, true),
            ("192.0.2.1:5349", Transport::Tls, true),
            ("192.0.2.2:3478", Transport::Udp, false),
            ("[2001:db8::1]:99", Transport::Udp, false),
        ];
        assert_eq!(
            found,
            expected.map(|(address, transport, turn)| (address.to_owned(), transport, turn))
        );
        assert_eq!(
            skipped,
            [
                "turns:192.0.2.1?transport=udp",
                "turn:192.0.2.1?transport=sctp",
                "stuns:192.0.2.2"
            ]
        );
    }

    #[test]
    fn turn_without_a_credential_is_passed_over() {
        let (servers, skipped) = usable(&[server(&["turn:192.0.2.1:3478"], "")]);
        assert!(servers.is_empty());
        assert_eq!(skipped.len(), 1);
    }

    proptest! {
        #[test]
        fn any_url_is_used_or_passed_over(url in "(turn:|turns:|stun:)?[ -~]{0,60}") {
            let (servers, skipped) = usable(&[server(&[&url], "u")]);
            prop_assert_eq!(servers.len() + skipped.len(), 1);
        }
    }
}
