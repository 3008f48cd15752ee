//! The ICE servers of a session in the form the WebRTC stack takes.

use heron_protocol::messages::IceServer;
use rtc::peer_connection::transport::RTCIceServer;

/// The usable URLs, one server each, and those that are passed over.
///
/// The stack speaks STUN and TURN over UDP only, and one URL that it cannot read would spoil the others.
pub fn usable_servers(servers: &[IceServer]) -> (Vec<RTCIceServer>, Vec<String>) {
    let mut usable = Vec::new();
    let mut skipped = Vec::new();
    for server in servers {
        for url in &server.urls {
            let (address, query) = url.split_once('?').unwrap_or((url, ""));
            let is_turn = address.starts_with("turn:");
            let udp = query.is_empty() || query == "transport=udp";
            let candidate = RTCIceServer {
                urls: vec![if is_turn {
                    format!("{address}?transport=udp")
                } else {
                    address.to_owned()
                }],
                username: server.username.clone(),
                credential: server.credential.clone(),
            };
            if udp && (is_turn || address.starts_with("stun:")) && candidate.urls().is_ok() {
                usable.push(candidate);
            } else {
                skipped.push(url.clone());
            }
        }
    }
    (usable, skipped)
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

    #[test]
    fn turn_over_udp_and_stun_are_used() {
        let (usable, skipped) = usable_servers(&[
            server(
                &[
                    "turn:192.0.2.1:3478",
                    "turn:192.0.2.1:3478?transport=tcp",
                    "turns:192.0.2.1:5349",
                ],
                "u",
            ),
            server(
                &["stun:192.0.2.2:3478?transport=udp", "stun:[2001:db8::1]"],
                "",
            ),
        ]);
        let urls: Vec<_> = usable
            .iter()
            .map(|server| server.urls[0].as_str())
            .collect();
        assert_eq!(
            urls,
            [
                "turn:192.0.2.1:3478?transport=udp",
                "stun:192.0.2.2:3478",
                "stun:[2001:db8::1]"
            ]
        );
        assert_eq!(
            skipped,
            ["turn:192.0.2.1:3478?transport=tcp", "turns:192.0.2.1:5349"]
        );
    }

    #[test]
    fn turn_without_a_credential_is_passed_over() {
        let (usable, skipped) = usable_servers(&[server(&["turn:192.0.2.1:3478"], "")]);
        assert!(usable.is_empty());
        assert_eq!(skipped.len(), 1);
    }

    proptest! {
        #[test]
        fn any_url_is_used_or_passed_over(url in "(turn:|stun:)?[ -~]{0,60}") {
            let (usable, skipped) = usable_servers(&[server(&[&url], "u")]);
            prop_assert_eq!(usable.len() + skipped.len(), 1);
        }
    }
}
