//! A camera without a bundle and a real control plane: enrolled by a claim file and by pairing, then online with its own
//! certificate; told no; and cut off in between. And its network, tested while it runs, while it does not, and without
//! the control plane.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod running;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

use running::{PATIENCE, TOKEN, ask, free_address, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// `heron-control` as it is started in production, with an admin.
struct Control {
    place: TempDir,
    process: Child,
    https: SocketAddr,
    http: SocketAddr,
    cookie: String,
}

impl Control {
    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let [https, http, devices, control, turn] = [(); 5].map(|()| free_address());
        let config = format!(
            "[server]\nlisten = \"{https}\"\nhttp_listen = \"{http}\"\npublic_host = \"127.0.0.1\"\ndata_dir = \"data\"\n\
             [broker]\ndevices = \"{devices}\"\ncontrol = \"{control}\"\n\
             [turn]\nlisten = \"{turn}\"\nrelay_address = \"127.0.0.1\"\n"
        );
        fs::write(place.path().join("control.toml"), config).unwrap();
        let process = command(place.path(), &["serve"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the control plane answers", || {
            TcpStream::connect(http).is_ok()
        });
        let mut control = Self {
            place,
            process,
            https,
            http,
            cookie: String::new(),
        };
        let said = control.run(&["user", "add", "Ada"]);
        let password = said.rsplit_once("password ").unwrap().1.trim().to_owned();
        let answer = control.ask(
            "POST",
            "/sign-in",
            &json!({"name": "Ada", "password": password}),
        );
        assert_eq!(answer.0, 200, "{}", answer.1);
        control
    }

    fn run(&self, arguments: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = command(self.place.path(), arguments).output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// The API, as the dashboard asks it.
    fn ask(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let headers = [
            ("Content-Type", "application/json"),
            ("Cookie", self.cookie.as_str()),
        ];
        let path = format!("/api/v1{path}");
        let answer = ask(self.http, method, &path, &headers, &body.to_string());
        if let Some(cookie) = answer.headers.get("set-cookie") {
            cookie
                .split(';')
                .next()
                .unwrap()
                .clone_into(&mut self.cookie);
        }
        let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        (answer.status, body)
    }

    fn root(&self) -> String {
        fs::read_to_string(self.place.path().join("data/root.pem")).unwrap()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The control plane's program is built beside ours: `cargo test --workspace` does, else `cargo build -p heron-control`.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_heron-camera")).with_file_name("heron-control");
    assert!(
        program.exists(),
        "this test needs heron-control: cargo build -p heron-control"
    );
    let mut command = Command::new(program);
    command
        .args(arguments)
        .args(["--config", "control.toml"])
        .current_dir(folder);
    command
}

/// A board with a camera's software and nothing else.
struct Board {
    place: TempDir,
    view: SocketAddr,
    metrics: SocketAddr,
    enrolment: String,
}

/// The software, running.
struct Running {
    process: Child,
    log: mpsc::Receiver<String>,
}

impl Board {
    fn new(enrolment: &str) -> Self {
        Self {
            place: tempfile::tempdir().unwrap(),
            view: free_address(),
            metrics: free_address(),
            enrolment: enrolment.to_owned(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn start(&self) -> Running {
        let Self {
            view,
            metrics,
            enrolment,
            ..
        } = self;
        let config = format!(
            "bundle = \"bundle.toml\"\n[enrolment]\nclaim_file = \"heron-claim.toml\"\n{enrolment}\n\
             [video]\nsource = \"pattern\"\nwidth = 320\nheight = 180\nfps = 5\n[audio]\nsource = \"none\"\n\
             [metrics]\nlisten = \"{metrics}\"\n[local_view]\nlisten = \"{view}\"\ntoken = \"{TOKEN}\"\n"
        );
        fs::write(self.path("camera.toml"), config).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_heron-camera"))
            .args(["run", "--config", "camera.toml"])
            .current_dir(self.place.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, log) = mpsc::channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Running { process, log }
    }

    fn is_online(&self) -> bool {
        TcpStream::connect(self.metrics).is_ok() && {
            let answer = ask(self.metrics, "GET", "/metrics", &[], "");
            answer.text().contains("\nheron_broker_connected 1\n")
        }
    }

    /// What the local page shows while the camera waits.
    fn pairing(&self) -> Value {
        let bearer = format!("Bearer {TOKEN}");
        let answer = ask(
            self.view,
            "GET",
            "/pairing",
            &[("Authorization", &bearer)],
            "",
        );
        serde_json::from_slice(&answer.body).unwrap()
    }
}

impl Running {
    /// The first line of the log from now on with this in it.
    fn says(&self, wanted: &str) -> String {
        loop {
            let line = self
                .log
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("never said: {wanted}"));
            if line.contains(wanted) {
                return line;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_claim_file_makes_a_board_a_camera() {
    let mut control = Control::start();
    let board = Board::new("");
    let claim = board.path("heron-claim.toml");
    control.run(&[
        "claim",
        "new",
        "--name",
        "Hall",
        "--out",
        claim.to_str().unwrap(),
    ]);
    // As it looks after a stay on another computer.
    let text = fs::read_to_string(&claim).unwrap();
    fs::write(&claim, format!("\u{feff}{}", text.replace('\n', "\r\n"))).unwrap();

    let camera = board.start();
    camera.says("enrolled");
    until("it is online", || board.is_online());
    assert!(!claim.exists(), "the claim was used");
    let mode = fs::metadata(board.path("bundle.toml"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let (status, cameras) = control.ask("GET", "/cameras", &Value::Null);
    assert_eq!(status, 200, "{cameras}");
    assert!(cameras.to_string().contains("\"Hall\""), "{cameras}");

    // The same claim in another board.
    let other = Board::new("");
    fs::write(other.path("heron-claim.toml"), &text).unwrap();
    let refused = other.start().says("not enrolled: ");
    assert!(
        refused.contains("the claim was refused: ") && refused.contains("used up"),
        "{refused}"
    );
    assert!(other.path("heron-claim.toml").exists() && !other.path("bundle.toml").exists());
}

#[test]
fn a_person_confirms_the_code_that_the_board_shows() {
    let mut control = Control::start();
    let root = control.root();
    let board = Board::new(&format!(
        "server = \"https://{}\"\nca = \"\"\"\n{root}\"\"\"\nserial = \"SN-0001\"",
        control.https
    ));
    let camera = board.start();
    let line = camera.says("pairing code ");
    let code = line.split("pairing code ").nth(1).unwrap()[..9].to_owned();
    assert!(camera.says("▄").chars().count() > 20, "a QR code is drawn");
    let shown = board.pairing();
    assert_eq!(
        (&shown["state"], &shown["code"]),
        (&json!("pairing"), &json!(code))
    );
    assert!(shown["qr"].as_str().unwrap().contains("<svg"));
    let page = shown["page"].as_str().unwrap();
    assert_eq!(
        page,
        format!("https://{}/pair/{}", control.https, code.replace('-', ""))
    );
    let denied = ask(board.view, "GET", "/pairing", &[], "");
    assert_eq!(
        denied.status, 401,
        "the code is not for everybody in the network"
    );

    let (status, pairing) = control.ask("GET", &format!("/pairings/{code}"), &Value::Null);
    assert_eq!(status, 200, "{pairing}");
    assert_eq!(pairing["serial"], "SN-0001");
    let fingerprint = pairing["key_fingerprint"].as_str().unwrap();
    assert!(fingerprint.starts_with(shown["key"].as_str().unwrap()));
    // The board loses power while the person looks for their glasses.
    drop(camera);
    let camera = board.start();
    assert!(
        camera.says("pairing code ").contains(&code),
        "the same code"
    );
    let confirm = format!("/pairings/{code}/confirm");
    let (status, confirmed) = control.ask("POST", &confirm, &json!({"name": "Door"}));
    assert!(status == 200 || status == 201, "{confirmed}");
    camera.says("enrolled");
    until("it is online", || board.is_online());
    // The page is the camera's own now.
    let page = ask(board.view, "GET", "/", &[], "");
    assert!(page.text().contains("<video"), "{}", page.text());

    let text = fs::read_to_string(board.path("bundle.toml")).unwrap();
    let device = confirmed["camera"].to_string();
    assert!(text.contains(&device), "{device}");
}

#[test]
fn a_power_cut_at_any_time_leaves_a_board_that_enrols() {
    let control = Control::start();
    for delay_ms in [0, 40, 80, 120, 180, 250, 400] {
        let board = Board::new("");
        let claim = board.path("heron-claim.toml");
        control.run(&["claim", "new", "--out", claim.to_str().unwrap()]);
        let camera = board.start();
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        drop(camera);
        assert!(claim.exists() || board.path("bundle.toml").exists());
        let camera = board.start();
        until("it is online", || board.is_online());
        assert!(!claim.exists(), "cut after {delay_ms} ms");
        drop(camera);
    }
}

/// What `heron-camera doctor` finds: whether all is well, and the state and sentence of a check.
struct Found(bool, Value);

impl Found {
    fn check(&self, name: &str) -> (&str, &str) {
        let mut checks = self.1["checks"].as_array().unwrap().iter();
        let check = checks.find(|check| check["name"] == name);
        let check = check.unwrap_or_else(|| panic!("no {name} in {}", self.1));
        let text = |key: &str| check[key].as_str().unwrap();
        (text("state"), text("sentence"))
    }
}

impl Board {
    fn doctor(&self) -> Found {
        let output = Command::new(env!("CARGO_BIN_EXE_heron-camera"))
            .args(["doctor", "--json", "--config", "camera.toml"])
            .current_dir(self.place.path())
            .output()
            .unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        });
        assert_eq!(found["works"], output.status.success(), "{found}");
        Found(output.status.success(), found)
    }
}

#[test]
fn the_doctor_says_what_works_and_the_camera_what_it_found_itself() {
    let mut control = Control::start();
    let board = Board::new("");
    let claim = board.path("heron-claim.toml");
    control.run(&["claim", "new", "--out", claim.to_str().unwrap()]);
    let camera = board.start();
    until("it is online", || board.is_online());

    let found = board.doctor();
    assert!(found.0, "{}", found.1);
    for name in ["control_plane", "clock", "broker", "stun", "turn_udp"] {
        assert_eq!(found.check(name).0, "ok", "{}", found.1);
    }
    let (_, sentence) = found.check("broker");
    assert!(
        sentence.contains("the running service has the connection"),
        "{sentence}"
    );
    assert!(board.is_online(), "the service was not disturbed");

    // The service tests as well, and its control plane knows what it found.
    let (_, cameras) = control.ask("GET", "/cameras", &Value::Null);
    let id = cameras["cameras"][0]["id"].as_str().unwrap().to_owned();
    until("the twin has what was found", || {
        let (_, detail) = control.ask("GET", &format!("/cameras/{id}"), &Value::Null);
        let tested = &detail["state"]["network"]["self_test"];
        tested["checks"].as_array().is_some_and(|checks| {
            let broker = |check: &Value| check["name"] == "broker" && check["state"] == "ok";
            checks.iter().any(broker)
        })
    });

    drop(camera);
    let found = board.doctor();
    assert!(found.0, "{}", found.1);
    let (_, sentence) = found.check("broker");
    assert!(sentence.ends_with(" accepts this camera."), "{sentence}");

    drop(control);
    let found = board.doctor();
    assert!(!found.0);
    for name in ["control_plane", "broker"] {
        let (state, sentence) = found.check(name);
        assert!(
            state == "failed" && sentence.contains("refused"),
            "{sentence}"
        );
    }
    assert_eq!(found.check("turn_udp").0, "skipped");
}
