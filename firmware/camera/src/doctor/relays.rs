//! The servers for media: STUN, the NAT between here and there, relays, and what the way to them carries.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use heron_protocol::messages::IceServer;
use heron_session::ice_servers::{Login, Server, Transport, look_up, usable};
use tokio::time::timeout;

use super::discovery::{filtering, mapping};
use super::finding::{Check, Subject};
use super::nat::Change;
use super::turn::Allocation;
use super::uplink::{self, Carried};
use super::wire::{self, Trouble, Wire};
use super::{Patient, Scope, mtu, stun};

/// Together with the rest a test takes no longer than half a minute.
const RELAY: Duration = Duration::from_secs(15);
const UPLINK: Duration = Duration::from_secs(8);
const GIVE_BACK: Duration = Duration::from_secs(1);
/// The lowest and the highest rate that the uplink is tried with, in bits a second.
const RATES: std::ops::RangeInclusive<u64> = 500_000..=20_000_000;

const OPEN_UDP: &str = "let UDP out to this port of the server";

/// A server by address.
struct At {
    host: String,
    transport: Transport,
    login: Option<Login>,
    addresses: Vec<SocketAddr>,
}

/// The servers that the control plane named.
pub struct Relays {
    servers: Vec<Server>,
    /// Why there are none.
    none: String,
}

impl Relays {
    /// As the control plane told, or why it did not.
    pub fn new(told: &Result<Vec<IceServer>, String>) -> Self {
        match told {
            Ok(servers) => Self {
                servers: usable(servers).0,
                none: "the control plane names no such server".to_owned(),
            },
            Err(why) => Self {
                servers: Vec::new(),
                none: why.clone(),
            },
        }
    }

    /// The names of all servers.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().map(Server::host)
    }

    /// Tests what there is.
    pub async fn test(&self, patient: &Patient, scope: Scope) -> Vec<Check> {
        let mut found = Vec::new();
        for server in &self.servers {
            let located = server.clone().at(&look_up(server.host()).await);
            found.push(At {
                host: located.host,
                transport: located.transport,
                login: located.login,
                addresses: located.addresses,
            });
        }
        let over_udp = || found.iter().filter(|at| at.transport == Transport::Udp);
        let v4 = addresses(over_udp(), SocketAddr::is_ipv4);
        let v6 = addresses(over_udp(), SocketAddr::is_ipv6);
        let any: Vec<_> = v4.iter().chain(&v6).copied().collect();
        let relay = |name, transport| self.relay(name, transport, &found, patient);
        let ((stun, [mapping, filtering]), mtu, ipv6, udp, tcp, tls) = tokio::join!(
            self.stun_and_nat(&any),
            self.mtu(&any),
            ipv6(&v6),
            relay(Subject::TurnUdp, Transport::Udp),
            relay(Subject::TurnTcp, Transport::Tcp),
            relay(Subject::TurnTls, Transport::Tls),
        );
        let mut open = [udp.1, tcp.1, tls.1].into_iter().flatten();
        let uplink = match scope {
            Scope::Short => None,
            Scope::Full => Some(uplink(open.next(), patient).await),
        };
        for relay in open {
            give_back(relay).await;
        }
        let mut checks = vec![stun, mapping, filtering, udp.0, tcp.0, tls.0];
        checks.extend(uplink);
        checks.extend([ipv6, mtu]);
        checks
    }

    async fn stun_and_nat(&self, servers: &[SocketAddr]) -> (Check, [Check; 2]) {
        let name = Subject::Stun;
        let nat = [Subject::NatMapping, Subject::NatFiltering];
        let Some(first) = servers.first() else {
            let why = format!("Not tried: {}.", self.none);
            return (
                Check::skipped(name, &why),
                nat.map(|name| Check::skipped(name, &why)),
            );
        };
        let mut trouble = Trouble::Silent;
        for server in servers {
            match reflexive(*server).await {
                Ok((local, mapped)) => {
                    let sentence = if local == mapped.ip() {
                        format!("{server} sees this camera at its own address {local}.")
                    } else {
                        format!(
                            "{server} sees this camera at {}; its own address is {local}.",
                            mapped.ip()
                        )
                    };
                    let checks = tokio::join!(mapping(*server), filtering(*server));
                    return (Check::ok(name, sentence), [checks.0, checks.1]);
                }
                Err(error) => trouble = error,
            }
        }
        let sentence = format!("{first} over UDP: {trouble}.");
        let why = "Not known without STUN over UDP.";
        (
            Check::failed(name, sentence, OPEN_UDP),
            nat.map(|name| Check::skipped(name, why)),
        )
    }

    async fn mtu(&self, servers: &[SocketAddr]) -> Check {
        let name = Subject::Mtu;
        let Some(server) = servers.first() else {
            return Check::skipped(name, format!("Not tried: {}.", self.none));
        };
        let advice =
            "a tunnel or link on the way is too narrow: raise its MTU to at least 1280 bytes";
        match mtu::path(*server).await {
            Ok(Some(largest)) => Check::ok(
                name,
                format!("Packets of {largest} bytes arrive at {server} whole."),
            ),
            // Nothing arrives there at all, which is another check's to say.
            Ok(None) if reflexive(*server).await.is_err() => {
                Check::skipped(name, format!("{server} does not answer over UDP."))
            }
            Ok(None) => {
                let needed = mtu::NEEDED;
                let sentence = format!("Packets of {needed} bytes do not arrive at {server}.");
                Check::failed(name, sentence, advice)
            }
            Err(error) => Check::skipped(name, format!("Not tried: {error}.")),
        }
    }

    /// Tries the relays that are reached in one way, up to the first that works, and keeps its address.
    async fn relay(
        &self,
        name: Subject,
        transport: Transport,
        found: &[At],
        patient: &Patient,
    ) -> (Check, Option<Allocation>) {
        let relays = found
            .iter()
            .filter(|at| at.transport == transport && at.login.is_some());
        let mut last = None;
        for at in relays {
            let Some(login) = &at.login else { continue };
            if at.addresses.is_empty() {
                last = Some((
                    at.host.clone(),
                    "its name is not known".to_owned(),
                    NAME_ADVICE,
                ));
            }
            for address in &at.addresses {
                let begin = async {
                    let wire = wire(at, *address, patient).await?;
                    Allocation::begin(wire, &login.username, &login.password).await
                };
                let begun = timeout(RELAY, begin).await.unwrap_or(Err(Trouble::Silent));
                match begun {
                    Ok(allocation) => return looped(name, &at.host, allocation).await,
                    Err(trouble) => {
                        let advice = advice(&trouble, transport);
                        last = Some((at.host.clone(), trouble.to_string(), advice));
                    }
                }
            }
        }
        let check = match last {
            Some((host, why, advice)) => {
                Check::failed(name, format!("The relay {host}: {why}."), advice)
            }
            None => Check::skipped(name, format!("Not tried: {}.", self.none)),
        };
        (check, None)
    }
}

const NAME_ADVICE: &str =
    "check the DNS server that this board uses (/etc/resolv.conf), and the name";

async fn wire(at: &At, address: SocketAddr, patient: &Patient) -> Result<Wire, Trouble> {
    match at.transport {
        Transport::Udp => Wire::udp(address).await,
        Transport::Tcp => Wire::tcp(address, None).await,
        Transport::Tls => {
            let tls = patient.bundle.relay_tls(&patient.clock);
            let tls = tls.map_err(Trouble::Nonsense)?;
            Wire::tcp(address, Some((&tls, &at.host))).await
        }
    }
}

fn advice(trouble: &Trouble, transport: Transport) -> &'static str {
    match (trouble, transport) {
        (Trouble::Refused { code: 401, .. }, _) => {
            "control plane and relay do not share their secret, or their clocks disagree"
        }
        (
            Trouble::Refused {
                code: 486 | 508, ..
            },
            _,
        ) => "the relay is full, or this device has too many addresses there: look at its quotas",
        (Trouble::Refused { .. }, _) => "look at the relay's log and configuration",
        (Trouble::Tls(_), _) => {
            "the relay's certificate must carry its name and be signed by an authority that cameras trust; if the network inspects TLS, exempt it"
        }
        (Trouble::NotStun | Trouble::Nonsense(_), _) => {
            "something else answers there: a proxy, or another service on the relay's port"
        }
        (_, Transport::Udp) => OPEN_UDP,
        (_, Transport::Tcp | Transport::Tls) => "let TCP out to this port of the server",
    }
}

/// Whether something comes through the relay and back.
async fn looped(name: Subject, host: &str, mut relay: Allocation) -> (Check, Option<Allocation>) {
    let relayed = relay.relayed;
    let has = format!("The relay {host} gives this camera the address {relayed}");
    match timeout(RELAY, relay.round_trip()).await {
        Ok(Ok(took)) => {
            let sentence = format!(
                "{has}; what is sent there is back in {} ms.",
                took.as_millis()
            );
            (Check::ok(name, sentence), Some(relay))
        }
        // It lets nobody send to itself, which viewers do not need either.
        Ok(Err(Trouble::Refused { code, .. })) => {
            give_back(relay).await;
            let sentence = format!("{has}; it lets nothing loop back through it ({code}).");
            (Check::ok(name, sentence), None)
        }
        Ok(Err(_)) | Err(_) => {
            give_back(relay).await;
            let sentence = format!("{has}, but what is sent there does not come back.");
            let advice = "let the relay's own address and its range of relay ports through its firewall, UDP, both ways";
            (Check::warning(name, sentence, advice), None)
        }
    }
}

/// The address is free again. A relay that does not hear of it frees it later.
async fn give_back(relay: Allocation) {
    let _ = timeout(GIVE_BACK, relay.end()).await;
}

/// What the way to a relay carries, and back.
async fn uplink(relay: Option<Allocation>, patient: &Patient) -> Check {
    let name = Subject::Uplink;
    let Some(mut relay) = relay else {
        return Check::skipped(name, "Not measured: no relay sends anything back.");
    };
    let needs = patient.bitrate_bps;
    let rate = (2 * needs).clamp(*RATES.start(), *RATES.end());
    let measured = timeout(UPLINK, uplink::measure(&mut relay, rate)).await;
    give_back(relay).await;
    let narrow = "lower bitrate_kbps in [video], or connect the camera to a faster network; until then pictures are made smaller by themselves";
    let kbps = |bps: u64| format!("{} kbit/s", bps / 1000);
    match measured {
        Ok(Ok(carried)) => {
            let Carried { sent_bps, back_bps } = carried;
            let how = "measured for 2 s through the relay and back";
            if carried.is_all() {
                let sentence = format!(
                    "At least {} get through ({how}); picture and sound need {}.",
                    kbps(back_bps),
                    kbps(needs)
                );
                return Check::ok(name, sentence);
            }
            let sentence = format!(
                "{} of {} get through ({how}); picture and sound need {}.",
                kbps(back_bps),
                kbps(sent_bps),
                kbps(needs)
            );
            if back_bps > needs + needs / 5 {
                Check::ok(name, sentence)
            } else {
                Check::warning(name, sentence, narrow)
            }
        }
        Ok(Err(trouble)) => Check::warning(
            name,
            format!("The relay was lost while it was loaded: {trouble}."),
            narrow,
        ),
        Err(_) => Check::warning(name, "The way to the relay was stuck under load.", narrow),
    }
}

/// Whether this network has IPv6, and whether it leads anywhere.
async fn ipv6(servers: &[SocketAddr]) -> Check {
    let name = Subject::Ipv6;
    // Any global address: only the way is looked up, nothing is sent.
    let anywhere = servers
        .first()
        .copied()
        .unwrap_or_else(|| SocketAddr::new(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 1).into(), 9));
    let Ok(IpAddr::V6(own)) = wire::source(anywhere).await else {
        return Check::ok(name, "This network has no IPv6, and needs none.");
    };
    let Some(server) = servers.first() else {
        return Check::ok(
            name,
            format!("This camera has the IPv6 address {own}; no server has one to try it with."),
        );
    };
    match reflexive(*server).await {
        Ok(_) => Check::ok(
            name,
            format!("{server} answers to this camera's IPv6 address {own}."),
        ),
        Err(trouble) => Check::warning(
            name,
            format!("This camera has the IPv6 address {own}, but {server}: {trouble}."),
            "IPv6 is set up here and leads nowhere: let UDP through, or repair it; IPv4 is used meanwhile",
        ),
    }
}

fn addresses<'a>(
    servers: impl Iterator<Item = &'a At>,
    family: fn(&SocketAddr) -> bool,
) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = servers
        .flat_map(|at| at.addresses.iter().copied())
        .collect();
    addresses.retain(family);
    let mut seen = Vec::new();
    addresses.retain(|address| {
        let new = !seen.contains(address);
        seen.push(*address);
        new
    });
    addresses
}

/// This machine's own address towards a STUN server, and where that server sees it.
async fn reflexive(server: SocketAddr) -> Result<(IpAddr, SocketAddr), Trouble> {
    let local = wire::source(server).await.map_err(Trouble::Connect)?;
    let mut wire = Wire::udp(server).await?;
    let answer = wire.ask(&stun::binding(Change::Nothing)).await?;
    if let Some((code, reason)) = stun::refusal(&answer) {
        return Err(Trouble::Refused { code, reason });
    }
    let seen = stun::seen(&answer, server);
    let seen = seen.ok_or_else(|| Trouble::Nonsense("no address in it".to_owned()))?;
    Ok((local, seen.mapped))
}
