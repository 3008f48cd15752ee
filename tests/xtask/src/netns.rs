//! A network namespace for a check: free ports, no way out, and an address that is not loopback.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use heron_net_lab::Namespace;

use crate::step;

/// The machine's address in the namespace.
pub const ADDRESS: &str = "10.77.0.1";
/// Where packets for the rest of the world would go: WebRTC picks its address by the default route.
const GATEWAY: &str = "10.77.0.2";
/// Set in the environment of the process that runs inside.
const MARK: &str = "HERON_XTASK_NAMESPACE";

/// Whether this process already runs in a namespace made by [`enter`].
pub fn inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Starts this command anew in a namespace of its own; once in there, sets its links up.
///
/// Outside it returns only when it failed.
pub fn enter() -> Result<()> {
    if inside() {
        return configure();
    }
    let own = std::env::current_exe()?;
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !is_root()? {
        // A user namespace lends the rights over the network namespace to an ordinary user.
        command.arg("--map-root-user");
    }
    let error = command
        .arg("--")
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .exec();
    Err(error).context("`unshare` did not start: it comes with the package util-linux")
}

/// Whether this process may install packages and needs no user namespace.
pub fn is_root() -> Result<bool> {
    Ok(step::output(Command::new("id").arg("-u"))?.trim() == "0")
}

/// No UDP arrives here, as behind a strict firewall, until this is dropped.
pub struct BlockedUdp(());

impl BlockedUdp {
    /// From now on.
    pub fn new() -> Result<Self> {
        let rules = "table inet blocked {\n chain input { type filter hook input priority 0; meta l4proto udp drop; }\n}\n";
        Namespace::current("here").nft(rules)?;
        Ok(Self(()))
    }
}

impl Drop for BlockedUdp {
    fn drop(&mut self) {
        if let Err(error) = Namespace::current("here").nft("delete table inet blocked\n") {
            println!("  UDP stays blocked: {error}");
        }
    }
}

fn configure() -> Result<()> {
    let ip = |arguments: &str| step::output(Command::new("ip").args(arguments.split(' ')));
    ip("link set lo up")?;
    // One end of a pair works on kernels that have no dummy device.
    ip("link add heron0 type veth peer name heron1")?;
    // No link-local IPv6 addresses: they come a second or two after the link, and a browser that has
    // begun by then breaks off its requests (ERR_NETWORK_CHANGED).
    ip("link set heron0 addrgenmode none")?;
    ip("link set heron1 addrgenmode none")?;
    ip(&format!("address add {ADDRESS}/24 dev heron0"))?;
    ip("link set heron0 up")?;
    ip("link set heron1 up")?;
    ip(&format!("route add default via {GATEWAY} dev heron0"))?;
    Ok(())
}
