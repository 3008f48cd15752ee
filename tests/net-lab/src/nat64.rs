//! A NAT64 (RFC 6146) out of the parts that Debian has: tayga translates (RFC 7915), and the router's NAT shares the
//! IPv4 address.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::{LabError, Namespace};

const DEVICE: &str = "nat64";
/// The IPv4 addresses that IPv6 hosts have between the two parts.
const POOL: &str = "192.168.255.0/24";
const OWN: &str = "192.168.255.1";
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
const PREFIX: &str = "64:ff9b::/96";

/// How a host with IPv6 only writes an IPv4 address (RFC 6052 section 2.1).
#[must_use]
pub fn embedded(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets();
    let pair = |high, low| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, pair(a, b), pair(c, d))
}

/// A translator that runs; dropped, it ends.
#[derive(Debug)]
pub(crate) struct Nat64 {
    tayga: Child,
}

impl Nat64 {
    /// Starts it on a router whose device `wan` leads out. `own` is the address that its IPv6 errors come from.
    pub(crate) fn start(router: &Namespace, wan: &str, own: &str) -> Result<Self, LabError> {
        let config = format!(
            "tun-device {DEVICE}\nipv4-addr {OWN}\nipv6-addr {own}\nprefix {PREFIX}\ndynamic-pool {POOL}\n"
        );
        // The device is there before the program is: routes need it.
        router.ip(&format!("tuntap add dev {DEVICE} mode tun"))?;
        router.ip(&format!("link set {DEVICE} addrgenmode none"))?;
        router.ip(&format!("link set {DEVICE} up"))?;
        router.ip(&format!("route add {POOL} dev {DEVICE}"))?;
        router.ip(&format!("route add {PREFIX} dev {DEVICE}"))?;
        router.nft(&format!(
            r#"table ip6 lab {{
chain through {{
type filter hook forward priority filter
policy drop
iifname != "{wan}" accept
ct state established,related accept
}}
}}
"#
        ))?;
        let tayga = router.serve("tayga", &["--nodetach", "-c", "/dev/stdin"], &config)?;
        let mut nat64 = Self { tayga };
        nat64.attached(router)?;
        Ok(nat64)
    }

    /// Waits until it has taken its device, which has a carrier then.
    fn attached(&mut self, router: &Namespace) -> Result<(), LabError> {
        let failed = |complaint: &str| LabError::Command {
            command: "tayga".to_owned(),
            complaint: complaint.to_owned(),
        };
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let mut show = router.command("ip");
            let shown = show.args(["link", "show", DEVICE]).output();
            let shown = shown.map_err(|error| failed(&error.to_string()))?;
            if String::from_utf8_lossy(&shown.stdout).contains("LOWER_UP") {
                return Ok(());
            }
            if self.tayga.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(failed("it ended at once: is the package tayga installed?"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(failed("it did not take its device"))
    }
}

impl Drop for Nat64 {
    fn drop(&mut self) {
        // One that has ended by itself needs no ending.
        let _ = self.tayga.kill();
        let _ = self.tayga.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_embedded_as_rfc_6052_has_it() {
        // Section 2.4, with the well-known prefix.
        let embedded = embedded(Ipv4Addr::new(192, 0, 2, 33));
        assert_eq!(embedded, "64:ff9b::192.0.2.33".parse::<Ipv6Addr>().unwrap());
    }
}
