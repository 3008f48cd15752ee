//! A session that runs, and a path that breaks under it: how long after there is a path again until a new picture is
//! there, without a click.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use heron_net_lab::{Access, Internet, Namespace};
use serde_json::json;

use super::world::{Role, World, folder};
use crate::node::Node;
use crate::process::{Process, tied};
use crate::{browser, workspace};

const LIMIT: Duration = Duration::from_secs(400);
/// How long an interface is down.
const DOWN: Duration = Duration::from_secs(10);
/// Both ends of a path that needs no relay, and of one that does.
const DIRECT: Access = Access::PortRestricted;
const RELAYED: Access = Access::Symmetric;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What breaks, and behind which kind of access both ends are then. The viewer is told all of it, in this order.
const EVENTS: [(&str, Access); 5] = [
    ("the camera's address changes", DIRECT),
    ("the camera's interface is down for 10 s", DIRECT),
    ("the camera's NAT rebinds", DIRECT),
    ("the camera's NAT rebinds, relayed", RELAYED),
    ("the chosen TURN server dies", RELAYED),
];

/// Breaks them one after the other, prints the table, and fails when a picture was back too late.
pub fn run(node: &Node) -> Result<()> {
    let folder = folder();
    let mut relays = Relays::prepare(&folder)?;
    let mut world = World::new(&folder, &relays.config())?;
    relays.start(&world)?;
    for kind in [DIRECT, RELAYED] {
        world.add(Role::Camera, kind)?;
        world.add(Role::Viewer, kind)?;
        world.start_camera(kind)?;
    }
    let mut input = world.input(&[DIRECT, RELAYED], &[DIRECT, RELAYED])?;
    let events = EVENTS.map(|(name, kind)| json!({ "name": name, "kind": kind.name() }));
    input["events"] = json!(events);
    let outcome = browser::run(node, "nat-events", &input, LIMIT, &mut |what, relay| {
        let at = EVENTS.iter().position(|(name, _)| *name == what);
        match at.context("no such event")? {
            0 => {
                let (site, host) = world.place(Role::Camera, DIRECT)?;
                site.readdress(host)?;
            }
            1 => {
                let (site, host) = world.place(Role::Camera, DIRECT)?;
                site.unplug(host)?;
                thread::sleep(DOWN);
                site.plug(host)?;
            }
            2 => world.place(Role::Camera, DIRECT)?.0.rebind()?,
            3 => world.place(Role::Camera, RELAYED)?.0.rebind()?,
            _ => relays.kill(relay)?,
        }
        Ok(now()?.to_string())
    })?;
    world.ensure_running()?;
    let file = workspace::target().join("bench/nat-events.json");
    fs::create_dir_all(workspace::target().join("bench"))?;
    fs::write(&file, serde_json::to_vec_pretty(&outcome.data)?)?;
    println!("  All figures are in {}", file.display());
    outcome.conclude()
}

/// Unix time in milliseconds.
fn now() -> Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())
}

/// Two TURN servers on public hosts of their own, in place of the control plane's: coturn, as others run it.
struct Relays {
    // Declared first: the programs end before their hosts.
    running: Vec<(String, Process)>,
    hosts: [Namespace; 2],
    folder: std::path::PathBuf,
}

impl Relays {
    fn prepare(folder: &Path) -> Result<Self> {
        let folder = folder.join("relays");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("secret"), SECRET)?;
        let hosts = [Namespace::new("relay-1")?, Namespace::new("relay-2")?];
        Ok(Self {
            running: Vec::new(),
            hosts,
            folder,
        })
    }

    /// Their public addresses.
    fn addresses(&self) -> impl Iterator<Item = (u8, &Namespace, String)> {
        let numbered = (1..).zip(&self.hosts);
        numbered.map(|(number, host)| (number, host, Internet::address(number).to_string()))
    }

    /// The lines for the control plane.
    fn config(&self) -> String {
        let mut lines = "embedded = false\n".to_owned();
        let secret = self.folder.join("secret");
        for (_, _, address) in self.addresses() {
            lines += &format!(
                "\n[[turn.pool]]\nkind = \"coturn\"\nhost = \"{address}\"\nsecret_file = \"{}\"\n",
                secret.display()
            );
        }
        lines
    }

    fn start(&mut self, world: &World) -> Result<()> {
        let mut running = Vec::new();
        for (number, host, address) in self.addresses() {
            world.join(host, number)?;
            let [nsenter, rest @ ..] = &host.prefix()[..] else {
                bail!("a host of its own has a prefix");
            };
            let mut command = tied(Path::new(nsenter));
            command.args(rest).arg("turnserver").args([
                "-n",
                "--fingerprint",
                "--no-cli",
                "--no-tls",
                "--no-dtls",
                "--no-stdout-log",
                "--use-auth-secret",
                "--realm=heron.lab",
            ]);
            command.args([
                format!("--static-auth-secret={SECRET}"),
                format!("--listening-ip={address}"),
                format!("--relay-ip={address}"),
                format!("--log-file={}/{address}.log", self.folder.display()),
                format!("--pidfile={}/{address}.pid", self.folder.display()),
                format!("--userdb={}/{address}.db", self.folder.display()),
            ]);
            let log = self.folder.join(format!("{address}.out"));
            let process = Process::spawn("turnserver", command, &log, &self.folder)?;
            running.push((address, process));
        }
        self.running = running;
        Ok(())
    }

    /// Ends the one at this address as a crash would.
    fn kill(&mut self, address: &str) -> Result<()> {
        let chosen = self.running.iter_mut().find(|(at, _)| at == address);
        chosen
            .with_context(|| format!("no relay is at {address}"))?
            .1
            .kill()
    }
}
