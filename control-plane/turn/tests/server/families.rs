//! Clients over IPv6, and relayed addresses of both families.

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use heron_turn::stun::{Message, attribute};
use heron_turn::{Listener, TurnConfig, TurnServer};

use super::client::Client;
use super::setup::{SECRET, config, credential};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_over_ipv6_reaches_peers_of_both_families() {
    let local = (Ipv6Addr::LOCALHOST, 0).into();
    let server = TurnServer::start(TurnConfig {
        listeners: vec![Listener::udp(local), Listener::tcp(local)],
        relay_v6: Some(Ipv6Addr::LOCALHOST),
        ..config(&["127.0.0.0/8", "::1/128"])
    })
    .await
    .unwrap();
    let [udp, tcp] = server.local_addrs() else {
        panic!("two listeners");
    };
    let who = || credential(SECRET, "s", Duration::from_secs(600));
    for mut client in [Client::udp(*udp, who()), Client::tcp(*tcp, who())] {
        let both = [(attribute::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0][..])];
        let relayed = client.allocate(&both).unwrap();
        for (number, (own, relayed)) in ["127.0.0.1:0", "[::1]:0"]
            .into_iter()
            .zip(relayed)
            .enumerate()
        {
            let peer = UdpSocket::bind(own).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            let address: SocketAddr = peer.local_addr().unwrap();
            let mut data = [0; 64];

            // With a permission alone, by indication.
            client.permit(address).unwrap();
            client.indicate(address, b"there");
            assert_eq!(peer.recv_from(&mut data).unwrap(), (5, relayed));
            peer.send_to(b"back", relayed).unwrap();
            let indication = client.receive().unwrap();
            let indication = Message::parse(&indication).unwrap();
            assert_eq!(indication.get(attribute::DATA), Some(&b"back"[..]));
            let from = indication.addresses(attribute::XOR_PEER_ADDRESS).next();
            assert_eq!(from, Some(Some(address)));

            // And in a channel.
            let channel = 0x4000 + number as u16;
            client.bind(channel, address).unwrap();
            client.channel(channel, b"");
            assert_eq!(peer.recv_from(&mut data).unwrap(), (0, relayed));
            peer.send_to(b"", relayed).unwrap();
            let empty = [&channel.to_be_bytes()[..], &[0, 0]].concat();
            assert_eq!(client.receive().unwrap(), empty);
        }
    }
    server.stop().await;
}
