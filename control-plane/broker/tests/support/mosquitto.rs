//! The command line clients of Mosquitto: an implementation that shares no code with ours.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::{Output, Stdio};

use tokio::process::Command;

use super::PATIENCE;
use super::pki::{Identity, Pki};

/// What the program said, and whether it was content.
pub struct Said {
    pub success: bool,
    pub text: String,
}

/// Runs `mosquitto_pub` or `mosquitto_sub` over TLS with that certificate.
pub async fn run(
    program: &str,
    broker: SocketAddr,
    pki: &Pki,
    identity: Option<&Identity>,
    arguments: &[&str],
) -> Said {
    let mut command = Command::new(program);
    command
        .args([
            "-h",
            "localhost",
            "-p",
            &broker.port().to_string(),
            "--cafile",
        ])
        .arg(pki.path("server-ca.pem"));
    if let Some(identity) = identity {
        command
            .arg("--cert")
            .arg(&identity.certificate_path)
            .arg("--key")
            .arg(&identity.key_path);
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("the program ends in time");
    said(program, output)
}

/// The same over plain TCP, for the bridge.
pub async fn run_plain(program: &str, port: u16, arguments: &[&str]) -> Said {
    let mut command = Command::new(program);
    command
        .args(["-h", "localhost", "-p", &port.to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("the program ends in time");
    said(program, output)
}

fn said(program: &str, output: std::io::Result<Output>) -> Said {
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("these tests need {program}: install the package mosquitto-clients")
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let text = [output.stdout, output.stderr].concat();
    Said {
        success: output.status.success(),
        text: String::from_utf8_lossy(&text).into_owned(),
    }
}
