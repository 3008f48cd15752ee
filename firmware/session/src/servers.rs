//! The ICE servers of a session (RFC 7064, RFC 7065): which are usable, and where they are.

use std::net::{IpAddr, SocketAddr};

use heron_protocol::messages::IceServer;

const STUN_PORT: u16 = 3478;

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
    /// For TURN; a STUN server has none.
    login: Option<Login>,
}

/// A server by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Where it is: at most one address of each family.
    pub addresses: Vec<SocketAddr>,
    /// For TURN; a STUN server has none.
    pub login: Option<Login>,
}

impl Server {
    /// Looks the name up. An address is its own name and needs no network.
    pub async fn locate(self) -> Located {
        let addresses = match self.host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, self.port)],
            Err(_) => match tokio::net::lookup_host((self.host.as_str(), self.port)).await {
                Ok(found) => one_of_each_family(found),
                Err(error) => {
                    tracing::info!(host = self.host, %error, "an ICE server's name is not known");
                    Vec::new()
                }
            },
        };
        Located {
            addresses,
            login: self.login,
        }
    }

    fn read(url: &str, server: &IceServer) -> Option<Self> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (scheme, address) = address.split_once(':')?;
        if !(query.is_empty() || query == "transport=udp") {
            return None;
        }
        let login = match scheme {
            "stun" => None,
            "turn" if !server.username.is_empty() => Some(Login {
                username: server.username.clone(),
                password: server.credential.clone(),
            }),
            _ => return None,
        };
        let (host, port) = host_and_port(address)?;
        Some(Self { host, port, login })
    }
}

/// The usable servers, one for each URL, and the URLs that are passed over: we speak STUN and TURN over UDP only.
pub fn usable(servers: &[IceServer]) -> (Vec<Server>, Vec<String>) {
    let mut usable = Vec::new();
    let mut skipped = Vec::new();
    for server in servers {
        for url in &server.urls {
            match Server::read(url, server) {
                Some(server) if !usable.contains(&server) => usable.push(server),
                Some(_) => {}
                None => skipped.push(url.clone()),
            }
        }
    }
    (usable, skipped)
}

fn host_and_port(address: &str) -> Option<(String, u16)> {
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
        None => STUN_PORT,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn one_of_each_family(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = Vec::with_capacity(2);
    for address in found {
        if !addresses
            .iter()
            .any(|known| known.is_ipv4() == address.is_ipv4())
        {
            addresses.push(address);
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
    async fn turn_over_udp_and_stun_are_used() {
        let (servers, skipped) = usable(&[
            server(
                &[
                    "turn:192.0.2.1:3479",
                    "turn:192.0.2.1:3479?transport=udp",
                    "turn:192.0.2.1:3478?transport=tcp",
                    "turns:192.0.2.1:5349",
                ],
                "u",
            ),
            server(&["stun:192.0.2.2", "stun:[2001:db8::1]:99"], ""),
        ]);
        let mut found = Vec::new();
        for server in servers {
            let located = server.locate().await;
            found.push((located.addresses[0].to_string(), located.login.is_some()));
        }
        assert_eq!(
            found,
            [
                ("192.0.2.1:3479".to_owned(), true),
                ("192.0.2.2:3478".to_owned(), false),
                ("[2001:db8::1]:99".to_owned(), false),
            ]
        );
        assert_eq!(
            skipped,
            ["turn:192.0.2.1:3478?transport=tcp", "turns:192.0.2.1:5349"]
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
        fn any_url_is_used_or_passed_over(url in "(turn:|stun:)?[ -~]{0,60}") {
            let (servers, skipped) = usable(&[server(&[&url], "u")]);
            prop_assert_eq!(servers.len() + skipped.len(), 1);
        }
    }
}
