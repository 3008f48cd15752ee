//! The `heron` binary against a whole control plane.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heron_control::access::Role;
use heron_control::{Config, Server};
use serde_json::Value;

const PASSWORD: &str = "correct horse";

/// A control plane with an administrator, and the folder of somebody who uses the command.
struct Lab {
    server: Server,
    folder: tempfile::TempDir,
}

impl Lab {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nhttp_listen = \"127.0.0.1:0\"\npublic_host = \"127.0.0.1\"\n\
             data_dir = {:?}\n[broker]\ndevices = \"127.0.0.1:0\"\ncontrol = \"127.0.0.1:0\"\n\
             [turn]\nlisten = \"127.0.0.1:0\"\nrelay_address = \"127.0.0.1\"\n",
            folder.path().join("data")
        );
        let config = Config::parse(&text, Path::new("test.toml")).unwrap();
        let server = Server::start(config).await.unwrap();
        let home = server.home();
        home.add_person("Ada", PASSWORD, Role::Admin).await.unwrap();
        Self { server, folder }
    }

    fn session(&self) -> PathBuf {
        self.folder.path().join("session.toml")
    }

    /// Runs the command; `input` is what it reads.
    async fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heron"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HERON_SESSION", self.session())
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let input = input.to_owned();
        let run = move || {
            let mut child = command.spawn().unwrap();
            // A command that needs no input may have ended already.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            child.wait_with_output().unwrap()
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    async fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, "").await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let text = self.says(&[&["--json"], arguments].concat()).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The one line of a command that fails.
    async fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, "").await;
        assert!(!output.status.success(), "{arguments:?} should have failed");
        assert!(output.stdout.is_empty());
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    }

    async fn sign_in(&self) -> Output {
        self.log_in(&self.folder.path().join("data/root.pem"), PASSWORD)
            .await
    }

    /// Signs in at a server whose CA is said to be `ca`.
    async fn log_in(&self, ca: &Path, password: &str) -> Output {
        let server = format!("https://{}", self.server.https_address());
        let login = [
            "login",
            &server,
            "--name",
            "ada",
            "--ca",
            ca.to_str().unwrap(),
            "--password-stdin",
        ];
        self.run(&login, &format!("{password}\n")).await
    }
}

/// What a camera does that shows a code: it asks for a certificate.
fn ask_for_pairing(http: &str, code: &str) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut request = rcgen::CertificateParams::default();
    request.distinguished_name = rcgen::DistinguishedName::new();
    let request = request.serialize_request(&key).unwrap();
    let (body, credentials) = (
        STANDARD.encode(request.der()),
        STANDARD.encode(format!("pair:{code}")),
    );
    let mut stream = TcpStream::connect(http).unwrap();
    write!(
        stream,
        "POST /.well-known/est/simpleenroll HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n\
         content-type: application/pkcs10\r\nauthorization: Basic {credentials}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_is_needed_and_kept_in_a_private_file() {
    let lab = Lab::start().await;
    assert!(lab.fails(&["camera", "list"]).await.contains("heron login"));

    let signed_in = lab.sign_in().await;
    assert!(
        signed_in.status.success(),
        "{}",
        String::from_utf8_lossy(&signed_in.stderr)
    );
    assert!(String::from_utf8_lossy(&signed_in.stdout).contains("as Ada (admin)"));
    let mode = std::fs::metadata(lab.session())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(lab.says(&["camera", "list"]).await, "no cameras\n");

    lab.says(&["logout"]).await;
    assert!(!lab.session().exists());
    assert!(lab.fails(&["camera", "list"]).await.contains("heron login"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changed_what_is_listed() {
    let lab = Lab::start().await;
    lab.sign_in().await;
    let made = lab
        .says(&["claim", "new", "--name", "Stable", "--json"])
        .await;
    let claim: Value = serde_json::from_str(&made).unwrap();
    let claim = claim["id"].as_str().unwrap();
    let all = lab.says(&["audit"]).await;
    let newest = all.lines().nth(1).unwrap();
    assert!(
        newest.contains("Ada") && newest.contains("claim.make"),
        "{all}"
    );
    assert!(newest.contains(claim) && newest.contains("Stable"), "{all}");
    let one = lab
        .says(&["audit", "--action", "claim.make", "--subject", claim])
        .await;
    assert_eq!(one.lines().count(), 2, "{one}");
    assert_eq!(
        lab.says(&["audit", "--subject", "a & b"]).await,
        "nothing was changed\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_complete_the_commands() {
    let lab = Lab::start().await;
    let script = lab.says(&["completion", "bash"]).await;
    assert!(
        script.contains("quarantine") && script.contains("complete -F"),
        "{script}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_believed_gets_no_password() {
    let lab = Lab::start().await;
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
    let ca = lab.folder.path().join("other.pem");
    std::fs::write(&ca, other.cert.pem()).unwrap();
    let output = lab.log_in(&ca, PASSWORD).await;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("not trusted here") && !said.contains(PASSWORD),
        "{said}"
    );

    let ca = lab.folder.path().join("data/root.pem");
    let output = lab.log_in(&ca, "wrong").await;
    assert!(!output.status.success() && !lab.session().exists());
    let output = lab
        .run(&["login", "http://192.0.2.1", "--name", "ada"], "")
        .await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("own machine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_made_listed_and_withdrawn() {
    let lab = Lab::start().await;
    lab.sign_in().await;
    let new = [
        "claim",
        "new",
        "--name",
        "Stable",
        "--uses",
        "3",
        "--out",
        "claim.toml",
    ];
    let said = lab.says(&new).await;
    assert!(said.contains("3 camera(s)"), "{said}");
    let file = lab.folder.path().join("claim.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("claim = ") && text.contains("BEGIN CERTIFICATE"),
        "{text}"
    );
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let claims = lab.json(&["claim", "list"]).await;
    let id = claims["claims"][0]["id"].as_str().unwrap();
    assert_eq!(claims["claims"][0]["max_uses"], 3);
    assert!(lab.says(&["claim", "list"]).await.contains("0 of 3"));
    lab.says(&["claim", "remove", id]).await;
    assert_eq!(lab.says(&["claim", "list"]).await, "no claims\n");
    assert!(
        lab.fails(&["claim", "remove", id])
            .await
            .contains("no such claim")
    );
    assert!(
        lab.fails(&["claim", "new", "--uses", "0"])
            .await
            .contains("uses")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_shows_a_code_is_confirmed_and_later_put_out() {
    let lab = Lab::start().await;
    lab.sign_in().await;
    let http = lab.server.local_url().replace("http://", "");
    let asked = tokio::task::spawn_blocking(move || ask_for_pairing(&http, "AB3D90GH")).await;
    let asked = asked.unwrap();
    assert!(asked.starts_with("HTTP/1.1 202"), "{asked}");

    let pairing = lab.json(&["pairing", "show", "ab3d-90gh"]).await;
    assert_eq!(
        (&pairing["code"], &pairing["state"]),
        (&"AB3D-90GH".into(), &"waiting".into())
    );
    let said = lab
        .says(&["pairing", "confirm", "AB3D-90GH", "--name", "Front door"])
        .await;
    assert!(said.contains("Front door is confirmed"), "{said}");
    assert!(
        lab.fails(&["pairing", "refuse", "AB3D-90GH"])
            .await
            .contains("already")
    );
    assert!(
        lab.fails(&["pairing", "show", "../cameras"])
            .await
            .contains("ABCD-EFGH")
    );

    let list = lab.says(&["camera", "list"]).await;
    assert!(
        list.contains("Front door") && list.contains("never connected"),
        "{list}"
    );
    let said = lab
        .says(&["camera", "quarantine", "front door", "--reason", "odd"])
        .await;
    assert!(said.contains("is quarantined"), "{said}");
    let shown = lab.says(&["camera", "show", "Front door"]).await;
    assert!(
        shown.contains("quarantined") && shown.contains("odd"),
        "{shown}"
    );
    lab.says(&["camera", "release", "Front door"]).await;

    // A revocation cannot be undone: a script has to say that it means it.
    let revoke = ["camera", "revoke", "Front door", "--reason", "stolen"];
    assert!(lab.fails(&revoke).await.contains("--yes"));
    lab.says(&[&revoke[..], &["--yes"]].concat()).await;
    let shown = lab.json(&["camera", "show", "Front door"]).await;
    assert_eq!(shown["identity"]["state"], "revoked");
    assert_eq!(shown["identity"]["reason"], "stolen");
    let connections = lab.says(&["camera", "connections", "Front door"]).await;
    assert_eq!(connections, "it has never connected\n");
    assert!(
        lab.fails(&["camera", "show", "back door"])
            .await
            .contains("no camera has")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_their_paths_are_told_even_when_there_are_none() {
    let lab = Lab::start().await;
    lab.sign_in().await;
    assert_eq!(lab.says(&["session", "list"]).await, "no sessions\n");
    let said = lab.says(&["session", "paths", "--days", "30"]).await;
    assert!(
        said.contains("no path is known") && said.contains("no failures"),
        "{said}"
    );
    let overview = lab.json(&["session", "paths"]).await;
    assert_eq!(overview["sessions"], 0);
    let missing = lab.fails(&["session", "list", "--camera", "Nowhere"]).await;
    assert!(missing.contains("Nowhere"), "{missing}");
}
