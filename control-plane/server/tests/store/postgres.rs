//! A PostgreSQL of a test's own: Debian's program on a fresh folder, reached by a socket in it.
#![allow(dead_code, reason = "each program of tests uses its part")]

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use heron_control::store::{Store, StoreUrl};

/// How long it may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database server that ends with the test.
pub struct Postgres {
    dir: tempfile::TempDir,
    running: Option<Child>,
}

impl Postgres {
    /// A fresh one, started.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        if is_root() {
            let user = ids_of("postgres");
            chown(dir.path(), Some(user.0), Some(user.1)).unwrap();
        }
        let made = program("initdb")
            .arg("--pgdata")
            .arg(dir.path().join("data"))
            .args([
                "--username=heron",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut postgres = Self { dir, running: None };
        postgres.go_on();
        postgres
    }

    /// Starts it where it was stopped.
    pub fn go_on(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let child = program("postgres")
            .arg("-D")
            .arg(self.dir.path().join("data"))
            .arg("-k")
            .arg(self.dir.path())
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "max_connections=60",
            ])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running = Some(child);
    }

    /// Stops it, as its service would: clients are put out.
    pub fn stop(&mut self) {
        let Some(mut child) = self.running.take() else {
            return;
        };
        // SIGINT is its "fast shutdown" (PostgreSQL 15, section 19.5).
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        child.wait().unwrap();
    }

    /// As `store.url` names it.
    pub fn address(&self) -> String {
        let folder = self.dir.path().display();
        format!("postgres:///postgres?host={folder}&user=heron")
    }

    fn url(&self) -> StoreUrl {
        self.address().parse().unwrap()
    }

    /// Opens it, as soon as it answers.
    pub async fn open(&self) -> Store {
        let start = Instant::now();
        loop {
            match Store::connect(&self.url()).await {
                Ok(store) => return store,
                Err(error) if start.elapsed() > PATIENCE => {
                    let log =
                        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                    panic!("{error:?}: {log}");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A program of the newest PostgreSQL that is installed. It does not run as root.
fn program(name: &str) -> Command {
    let path = newest().join(name);
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
        ])
        .arg(path);
    command
}

fn newest() -> PathBuf {
    let versions = std::fs::read_dir(Path::new("/usr/lib/postgresql"));
    let versions = versions.expect("PostgreSQL is not installed: apt-get install postgresql");
    let bins = versions.map(|version| version.unwrap().path().join("bin"));
    bins.filter(|bin| bin.join("initdb").exists())
        .max()
        .expect("/usr/lib/postgresql has no initdb")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user and group ids of an account.
fn ids_of(name: &str) -> (u32, u32) {
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = accounts
        .lines()
        .find(|line| line.split(':').next() == Some(name));
    let fields: Vec<&str> = line
        .expect("an account that PostgreSQL runs under")
        .split(':')
        .collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}
