//! The places of the laboratory: a control plane on a public host, and sites with cameras and viewers.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use heron_net_lab::{Access, Internet, Namespace, Site, embedded};
use serde_json::{Value, json};

use super::PROFILE;
use crate::build;
use crate::process::{Process, tied};
use crate::stack::{self, Account, Control, SMALL_PATTERN};
use crate::step;

/// What a link takes each way: a packet between two sites passes two links.
pub const DELAY: Duration = Duration::from_millis(20);
/// The control plane's name. Each host knows it from its `/etc/hosts`: with IPv6 only it is the address that a DNS64
/// (RFC 6147) would make up, for the server has an IPv4 address alone.
pub const SERVER: &str = "heron.lab";
/// Where cameras find the broker: the one thing they need beside port 443.
const BROKER: u16 = 8883;

/// An end of the pairs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Camera,
    Viewer,
}

/// All of it, running.
pub struct World {
    // In the order in which they end: programs, then hosts, then what joins them.
    cameras: Vec<Process>,
    control: Control,
    account: Account,
    hosts: BTreeMap<(Role, &'static str), Namespace>,
    sites: BTreeMap<(Role, &'static str), Site>,
    internet: Internet,
    folder: PathBuf,
}

impl World {
    /// The control plane, and nobody else yet. `turn` are lines for the end of the configuration.
    pub fn new(folder: &Path, turn: &str) -> Result<Self> {
        let internet = Internet::new().context("the NAT laboratory needs rights it has not")?;
        internet.join(&Namespace::current("home"), 0)?;
        let config = format!(
            r#"[server]
listen = "0.0.0.0:443"
public_host = "{SERVER}"
data_dir = "data"

[turn]
relay_address = "{}"
{turn}"#,
            Internet::address(0)
        );
        let program = build::built(PROFILE).control;
        let url = format!("https://{SERVER}");
        let control = Control::configured(&program, &folder.join("control"), url, &config)?;
        let account = control.add_user("demo")?;
        trust(folder)?;
        Ok(Self {
            cameras: Vec::new(),
            control,
            account,
            hosts: BTreeMap::new(),
            sites: BTreeMap::new(),
            internet,
            folder: folder.to_owned(),
        })
    }

    /// Makes a place for one end of the pairs. Two ends with a hairpin share a site.
    pub fn add(&mut self, role: Role, access: Access) -> Result<()> {
        let name = access.name();
        let owner = match access {
            Access::Hairpin => Role::Camera,
            _ => role,
        };
        let number = self.sites.len() + 1;
        let site = match self.sites.entry((owner, name)) {
            std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                let ports: &[u16] = match role {
                    Role::Camera => &[BROKER],
                    Role::Viewer => &[],
                };
                let number = u8::try_from(number)?;
                let site = Site::new(&self.internet, number, access, ports, DELAY);
                free.insert(site.context(
                    "the NAT laboratory takes root, or user namespaces and /dev/net/tun",
                )?)
            }
        };
        let initial = match role {
            Role::Camera => 'c',
            Role::Viewer => 'v',
        };
        let host = site.host(&format!("{initial}-{name}"))?;
        self.hosts.insert((role, name), host);
        Ok(())
    }

    /// Starts a camera in its place. It is online some time later.
    pub fn start_camera(&mut self, access: Access) -> Result<()> {
        let name = access.name();
        let folder = self.folder.join("cameras").join(name);
        fs::create_dir_all(&folder)?;
        let bundle = self.control.add_camera(name)?;
        fs::rename(bundle, folder.join("bundle.toml"))?;
        let config = stack::camera_config("bundle.toml", SMALL_PATTERN, "", "");
        fs::write(folder.join("heron-camera.toml"), config)?;
        let program = build::built(PROFILE).camera;
        let there = self.program(Role::Camera, access, &program)?;
        let mut command = tied(&there);
        command.args(["run", "--config", "heron-camera.toml"]);
        let log = folder.join("heron-camera.log");
        let camera = Process::spawn(name, command, &log, &folder)?;
        self.cameras.push(camera);
        Ok(())
    }

    /// Joins one more public host.
    pub fn join(&self, host: &Namespace, number: u8) -> Result<()> {
        Ok(self.internet.join(host, number)?)
    }

    /// The site of an end, and its host there.
    pub fn place(&mut self, role: Role, access: Access) -> Result<(&mut Site, &Namespace)> {
        let key = (role, access.name());
        let site = self.sites.get_mut(&key).context("no such site")?;
        let host = self.hosts.get(&key).context("no such place")?;
        Ok((site, host))
    }

    /// What a browser script needs to know.
    pub fn input(&self, cameras: &[Access], viewers: &[Access]) -> Result<Value> {
        let mut browsers = Vec::new();
        for access in viewers {
            let program = self.program(Role::Viewer, *access, &build::chromium())?;
            browsers.push(json!({ "kind": access.name(), "chromium": program }));
        }
        let names: Vec<_> = cameras.iter().map(|access| access.name()).collect();
        let mut input = stack::input(&self.control, &self.account, &self.folder);
        input["cameras"] = json!(names);
        input["viewers"] = json!(browsers);
        Ok(input)
    }

    /// A program that starts another one in a place, where the server's name is known.
    fn program(&self, role: Role, access: Access, program: &Path) -> Result<PathBuf> {
        let name = access.name();
        let host = self.hosts.get(&(role, name)).context("no such place")?;
        let server: IpAddr = match access {
            Access::Ipv6Only => embedded(Internet::address(0)).into(),
            _ => Internet::address(0).into(),
        };
        let files = self.folder.join("hosts");
        fs::create_dir_all(&files)?;
        let names = files.join(format!("{}.hosts", host.name()));
        // The name also with its dot: Chromium asks for that of a relay.
        fs::write(
            &names,
            format!("127.0.0.1 localhost\n{server} {SERVER} {SERVER}.\n"),
        )?;
        let file = files.join(host.name());
        let text = format!(
            "#!/bin/sh\nexport HOME='{}'\nexec {} unshare --mount -- sh -c 'mount --bind {} /etc/hosts && exec \"$@\"' sh {} \"$@\"\n",
            home(&self.folder).display(),
            host.prefix().join(" "),
            names.display(),
            program.display()
        );
        fs::write(&file, text)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        Ok(file)
    }

    /// Fails when a program has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        self.control.ensure_running()?;
        self.cameras
            .iter_mut()
            .try_for_each(Process::ensure_running)
    }
}

/// The home of the laboratory's browsers.
fn home(folder: &Path) -> PathBuf {
    folder.join("home")
}

/// Has browsers trust the control plane's CA, as an administrator does: what a person may click away on a page, WebRTC
/// does not ask about, and a relay over TLS would not be used.
fn trust(folder: &Path) -> Result<()> {
    let keys = home(folder).join(".pki/nssdb");
    if keys.exists() {
        fs::remove_dir_all(&keys)?;
    }
    fs::create_dir_all(&keys)?;
    let keys = format!("sql:{}", keys.display());
    let root = folder.join("control/data/root.pem");
    step::output(Command::new("certutil").args(["-N", "--empty-password", "-d", &keys]))?;
    let add = ["-A", "-n", "heron", "-t", "C,,", "-d", &keys, "-i"];
    step::output(Command::new("certutil").args(add).arg(root))?;
    Ok(())
}

/// The folder of the laboratory's data and logs.
pub fn folder() -> PathBuf {
    crate::workspace::target().join("nat-lab")
}
