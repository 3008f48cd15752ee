//! Names that browsers hide their addresses behind (`….local`), asked for on the networks we are on
//! (draft-ietf-mmusic-mdns-ice-candidates, RFC 6762).
//!
//! One question from a port of its own, to which responders answer directly (one-shot, RFC 6762 section 5.1), repeated
//! twice; beside it the group is listened to, because some answer there only. Few names, two seconds, and no answer is
//! no loss: the browser's checks reach us anyway, and its address is learned from them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;

/// Names of one viewer that are asked for; a browser has one for each interface.
pub const MAX_NAMES: usize = 8;

/// Networks that are asked on.
const MAX_NETWORKS: usize = 8;

/// When the question is sent, milliseconds after the beginning.
const SENT_AT: [u64; 3] = [0, 200, 800];

/// How long answers are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A message that fits into an Ethernet frame, and one that does not (RFC 6762 section 17).
const MAX_MESSAGE: usize = 9000;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
const RESPONSE: u8 = 0x80;

/// Records of a message that are looked at, and pointers of a name that are followed.
const MAX_RECORDS: u16 = 64;
const MAX_POINTERS: usize = 8;

/// The name in a candidate (`candidate:…`) whose address is hidden. Names are one label before `.local`.
pub fn hidden(candidate: &str) -> Option<&str> {
    let name = candidate.split_ascii_whitespace().nth(4)?;
    let label = name.strip_suffix(".local")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    ((1..=63).contains(&label.len()) && label.bytes().all(allowed)).then_some(name)
}

/// The candidate with its address instead of the name.
pub fn shown(candidate: &str, ip: IpAddr) -> String {
    let mut words: Vec<&str> = candidate.split_ascii_whitespace().collect();
    let ip = ip.to_string();
    if let Some(word) = words.get_mut(4) {
        *word = &ip;
    }
    words.join(" ")
}

/// Asks for `names` on the networks of our `addresses`, and tells each answer once.
///
/// # Errors
///
/// When no socket can be had.
pub async fn resolve(
    names: &[String],
    addresses: &[Ipv4Addr],
    mut found: impl FnMut(&str, IpAddr),
) -> io::Result<()> {
    let addresses: Vec<Ipv4Addr> = addresses.iter().copied().take(MAX_NETWORKS).collect();
    let asking = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    asking.set_multicast_ttl_v4(255)?;
    // Somebody else may have the port for himself.
    let listening = listen(&addresses).ok();
    let question = question(names);
    let begin = Instant::now();
    let mut sends = SENT_AT.iter().map(|ms| begin + Duration::from_millis(*ms));
    let mut next_send = sends.next();
    let mut told: Vec<(String, IpAddr)> = Vec::new();
    let (mut near, mut far) = (vec![0; MAX_MESSAGE], vec![0; MAX_MESSAGE]);
    loop {
        let answer = tokio::select! {
            received = asking.recv(&mut near) => received.ok().and_then(|size| near.get(..size)),
            received = async {
                match &listening {
                    Some(socket) => socket.recv(&mut far).await,
                    None => std::future::pending().await,
                }
            } => received.ok().and_then(|size| far.get(..size)),
            () = sleep_until(next_send.unwrap_or(begin + PATIENCE)) => {
                if next_send.is_none() {
                    return Ok(());
                }
                for address in &addresses {
                    let _ = socket2::SockRef::from(&asking).set_multicast_if_v4(address);
                    let _ = asking.send_to(&question, (GROUP, PORT)).await;
                }
                next_send = sends.next();
                None
            }
        };
        for (name, ip) in answer.and_then(read).unwrap_or_default() {
            let asked = names.iter().find(|asked| asked.eq_ignore_ascii_case(&name));
            let Some(asked) = asked else { continue };
            let answer = (asked.clone(), ip);
            if told.len() < 2 * names.len() && !told.contains(&answer) {
                found(asked, ip);
                told.push(answer);
            }
        }
        if names
            .iter()
            .all(|name| told.iter().any(|(known, _)| known == name))
        {
            return Ok(());
        }
    }
}

/// Listens to the group only: datagrams to this machine's own port 5353 stay with whoever has it.
fn listen(addresses: &[Ipv4Addr]) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((GROUP, PORT)).into())?;
    for address in addresses {
        let _ = socket.join_multicast_v4(&GROUP, address);
    }
    UdpSocket::from_std(socket.into())
}

/// A question for the addresses of `names` (RFC 1035 section 4.1).
fn question(names: &[String]) -> Vec<u8> {
    let count = 2 * names.len().min(MAX_NAMES) as u16;
    let mut message = vec![0; 12];
    message[4..6].copy_from_slice(&count.to_be_bytes());
    for name in names.iter().take(MAX_NAMES) {
        for kind in [TYPE_A, TYPE_AAAA] {
            for label in name.split('.') {
                // `hidden` lets no longer one through.
                message.push(label.len().min(63) as u8);
                message.extend(label.bytes().take(63));
            }
            message.push(0);
            message.extend(kind.to_be_bytes());
            message.extend(CLASS_IN.to_be_bytes());
        }
    }
    message
}

/// The addresses in a response; `None` when it is none, or broken. What was read before the break does not count.
pub fn read(message: &[u8]) -> Option<Vec<(String, IpAddr)>> {
    let [_, _, flags, rcode, counts @ ..] = message.first_chunk::<12>()?;
    if flags & RESPONSE == 0 || flags & 0x78 != 0 || rcode & 0x0f != 0 {
        return None;
    }
    let mut counts = counts
        .chunks(2)
        .map(|two| u16::from_be_bytes([two[0], two[1]]));
    let questions = counts.next()?;
    let records = counts.fold(0, u16::saturating_add);
    let mut at = 12;
    for _ in 0..questions.min(MAX_RECORDS) {
        at = name(message, at)?.1 + 4;
    }
    let mut addresses = Vec::new();
    for _ in 0..records.min(MAX_RECORDS) {
        let (owner, head) = name(message, at)?;
        let [t1, t2, c1, c2, _, _, _, _, l1, l2] = *message.get(head..)?.first_chunk::<10>()?;
        let length = usize::from(u16::from_be_bytes([l1, l2]));
        let data = message.get(head + 10..head + 10 + length)?;
        at = head + 10 + length;
        // The top bit of the class asks caches to forget what they had (RFC 6762 section 10.2).
        if u16::from_be_bytes([c1 & 0x7f, c2]) != CLASS_IN {
            continue;
        }
        let ip: Option<IpAddr> = match u16::from_be_bytes([t1, t2]) {
            TYPE_A => <[u8; 4]>::try_from(data)
                .ok()
                .map(|ip| Ipv4Addr::from(ip).into()),
            TYPE_AAAA => <[u8; 16]>::try_from(data)
                .ok()
                .map(|ip| Ipv6Addr::from(ip).into()),
            _ => None,
        };
        addresses.extend(ip.map(|ip| (owner, ip)));
    }
    Some(addresses)
}

/// A name (RFC 1035 section 4.1.4) and where what follows it begins. Pointers lead backwards only, and not far.
fn name(message: &[u8], begin: usize) -> Option<(String, usize)> {
    let (mut at, mut after, mut pointers) = (begin, None, 0);
    let mut text = String::new();
    loop {
        let length = *message.get(at)?;
        match length >> 6 {
            0 if length == 0 => return Some((text, after.unwrap_or(at + 1))),
            0 => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                if text.len() + label.len() > 255 {
                    return None;
                }
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(std::str::from_utf8(label).ok()?);
                at += 1 + usize::from(length);
            }
            3 => {
                let to = usize::from(length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                after = after.or(Some(at + 2));
                pointers += 1;
                if to >= at || pointers > MAX_POINTERS {
                    return None;
                }
                at = to;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "0e4a0b7e-1f5c-4c1c-8a51-5c0b3a2f7d11.local";

    /// What a responder says to a question: the question's name by pointer, then the address.
    fn response(question: &[u8], records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2] = 0x84;
        message[7] = records.len() as u8;
        for (kind, data) in records {
            message.extend([0xc0, 12]);
            message.extend(kind.to_be_bytes());
            message.extend([0x80, 1, 0, 0, 0, 120]);
            message.extend((data.len() as u16).to_be_bytes());
            message.extend(*data);
        }
        message
    }

    #[test]
    fn a_hidden_candidate_is_told_from_others_and_shown() {
        let candidate = |at: &str| format!("candidate:1 1 udp 2122260223 {at} 50123 typ host");
        assert_eq!(hidden(&candidate(NAME)), Some(NAME));
        for other in [
            "192.168.1.9",
            "a.b.local",
            ".local",
            "local",
            "x y.local",
            "\u{e4}.local",
        ] {
            assert_eq!(hidden(&candidate(other)), None, "{other}");
        }
        let address: IpAddr = "192.168.1.9".parse().unwrap();
        assert_eq!(shown(&candidate(NAME), address), candidate("192.168.1.9"));
    }

    #[test]
    fn addresses_of_both_families_are_read_through_pointers() {
        let question = question(&[NAME.to_owned()]);
        assert_eq!(read(&question), None);
        let v6: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let answer = response(
            &question,
            &[
                (TYPE_A, &[192, 168, 1, 9]),
                (47, b"nsec"),
                (TYPE_AAAA, &v6.octets()),
            ],
        );
        let address: IpAddr = "192.168.1.9".parse().unwrap();
        assert_eq!(
            read(&answer).unwrap(),
            [(NAME.to_owned(), address), (NAME.to_owned(), v6.into())]
        );
        for cut in 0..answer.len() {
            assert_eq!(read(&answer[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn pointers_lead_backwards_and_not_in_circles() {
        let mut message = response(&question(&[NAME.to_owned()]), &[(TYPE_A, &[1, 2, 3, 4])]);
        let at = message.len() - 16;
        for to in [at, at + 1, 0x3fff] {
            message[at..at + 2].copy_from_slice(&(0xc000 | to as u16).to_be_bytes());
            assert_eq!(read(&message), None);
        }
    }

    /// A responder answers a question from another port than 5353 directly (RFC 6762 section 6.7); Chromium's answers to
    /// the group all the same.
    async fn answered(directly: bool, id: &str) {
        let local = Ipv4Addr::LOCALHOST;
        let responder = listen(&[local]).unwrap();
        let name = format!("{id}-1f5c-4c1c-8a51-5c0b3a2f7d11.local");
        let serve = async {
            let mut data = [0; 1500];
            loop {
                let (size, from) = responder.recv_from(&mut data).await.unwrap();
                // Other tests on this machine ask and answer too.
                let ours = data[..size]
                    .windows(id.len())
                    .any(|part| part == id.as_bytes());
                if !ours || data[2] != 0 {
                    continue;
                }
                let answer = response(&data[..size], &[(TYPE_A, &[127, 0, 0, 1])]);
                let answering = UdpSocket::bind((local, 0)).await.unwrap();
                let to = if directly { from } else { (GROUP, PORT).into() };
                let by = socket2::SockRef::from(&answering);
                by.set_multicast_if_v4(&local).unwrap();
                answering.send_to(b"nonsense", to).await.unwrap();
                answering.send_to(&answer, to).await.unwrap();
            }
        };
        let mut answers = Vec::new();
        let (names, addresses) = ([name.clone()], [local]);
        let ask = resolve(&names, &addresses, |name, ip| {
            answers.push((name.to_owned(), ip));
        });
        tokio::select! {
            asked = ask => asked.unwrap(),
            () = serve => {}
        }
        assert_eq!(answers, [(name, IpAddr::from(local))]);
    }

    #[tokio::test]
    async fn a_name_on_our_network_is_resolved_whichever_way_it_is_answered() {
        answered(true, "0e4a0b7e").await;
        answered(false, "0e4a0b7f").await;
    }

    proptest! {
        #[test]
        fn any_message_is_read_or_refused(tail: Vec<u8>, counts: [u8; 8]) {
            let mut message = vec![0, 0, 0x84, 0];
            message.extend(counts);
            message.extend(&tail);
            let _ = read(&message);
            let _ = read(&tail);
        }

        #[test]
        fn any_candidate_is_hidden_or_not(text in "[ -~]{0,80}", ip: IpAddr) {
            if hidden(&text).is_some() {
                let shown = shown(&text, ip);
                prop_assert!(hidden(&shown).is_none());
            }
        }
    }
}
