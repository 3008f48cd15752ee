//! The driver of [`nat`](super::nat): puts its questions to a STUN server, and says what was found.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::finding::{Check, Subject};
use super::nat::{Behaviour, Filtering, Found, Mapping, Question, Seen};
use super::{stun, wire};

/// The first of three waits for an answer over UDP; each is as long as all before it.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// Asks a server how the NAT maps.
pub async fn mapping(server: SocketAddr) -> Check {
    let name = Subject::NatMapping;
    let begun = async {
        let socket = UdpSocket::bind((wire::source(server).await?, 0)).await?;
        let discovery = Mapping::new(socket.local_addr()?, server);
        std::io::Result::Ok((socket, discovery))
    };
    let (socket, mut discovery) = match begun.await {
        Ok(begun) => begun,
        Err(error) => return Check::skipped(name, format!("Not tried: {error}.")),
    };
    let found = loop {
        match discovery.next() {
            Ok(question) => discovery.answer(put(&socket, question).await),
            Err(found) => break found,
        }
    };
    match found {
        Found::Untranslated => Check::ok(name, "No NAT: endpoint-independent by nature."),
        Found::Behaves(behaviour @ Behaviour::EndpointIndependent) => Check::ok(
            name,
            format!("The NAT's mapping is {behaviour}: viewers can be met directly."),
        ),
        Found::Behaves(behaviour) => Check::warning(
            name,
            format!(
                "The NAT's mapping is {behaviour} (\"symmetric\"): many viewers are met through a relay only."
            ),
            "where the router allows it, turn off its symmetric NAT, or let it give this camera a fixed port ([session] udp_port)",
        ),
        Found::Unsupported => unsupported(name),
        Found::Silent => Check::skipped(name, "The server stopped answering."),
    }
}

/// Asks a server whom the NAT lets in.
pub async fn filtering(server: SocketAddr) -> Check {
    let name = Subject::NatFiltering;
    let begun = async { UdpSocket::bind((wire::source(server).await?, 0)).await };
    let socket = match begun.await {
        Ok(socket) => socket,
        Err(error) => return Check::skipped(name, format!("Not tried: {error}.")),
    };
    let mut discovery = Filtering::new(server);
    let found = loop {
        match discovery.next() {
            Ok(question) => discovery.answer(put(&socket, question).await),
            Err(found) => break found,
        }
    };
    match found {
        Found::Behaves(behaviour) => {
            let meaning = match behaviour {
                Behaviour::EndpointIndependent => "anybody may begin",
                Behaviour::AddressDependent => {
                    "addresses that were sent to may answer from any port"
                }
                Behaviour::AddressAndPortDependent => "only who was sent to may answer",
            };
            let sentence = format!("The filtering of NAT and firewalls is {behaviour}: {meaning}.");
            Check::ok(name, sentence)
        }
        Found::Unsupported | Found::Untranslated => unsupported(name),
        Found::Silent => Check::skipped(name, "The server stopped answering."),
    }
}

fn unsupported(name: Subject) -> Check {
    let sentence = "Not known: the STUN server has no second address to tell by (RFC 5780).";
    Check::skipped(name, sentence)
}

/// Puts a question, three times if need be, and waits for an answer from whichever address.
async fn put(socket: &UdpSocket, question: Question) -> Option<Seen> {
    let request = stun::binding(question.change);
    let mut wait = FIRST_WAIT;
    for _ in 0..3 {
        // Where it cannot be sent nothing will be heard.
        let _ = socket.send_to(&request.raw, question.to).await;
        let deadline = Instant::now() + wait;
        let mut bytes = vec![0; 1500];
        while let Ok(received) = timeout_at(deadline, socket.recv_from(&mut bytes)).await {
            // An ICMP message about an address that nobody is at.
            let Ok((size, from)) = received else { continue };
            let Some(answer) = stun::answer(&bytes[..size], &request) else {
                continue;
            };
            // A refusal tells that the server cannot do what was asked.
            return match stun::refusal(&answer) {
                Some(_) => Some(Seen {
                    from: question.to,
                    ..stun::seen(&answer, from).unwrap_or(Seen {
                        mapped: from,
                        from,
                        other: None,
                    })
                }),
                None => stun::seen(&answer, from),
            };
        }
        wait *= 2;
    }
    None
}
