//! `heron`: the control plane's HTTP API on the command line.
//!
//! For whoever runs a fleet from a terminal or a script, on whichever machine: what it does is what the
//! dashboard does, over the same routes and with the same rights. (`heron-control camera` and its like are
//! for the control plane's own machine: they open its database.)
//!
//! ```text
//! heron login https://heron.example:8443 --ca root.pem --name ada
//! heron camera list
//! heron claim new --name "Stable" --uses 5 --out heron-claim.toml
//! heron pairing confirm ABCD-EFGH --name "Front door"
//! heron camera revoke "Front door" --reason stolen
//! heron session paths --days 30
//! heron audit --action camera.revoke
//! heron camera list --json | jq '.cameras[].id'
//! ```
//!
//! `login` keeps the session ([`session`]: one file, for its owner only); every other command uses it until it runs
//! out or `logout`. Each command is one process and a request or two ([`http`]), over TLS with the control plane's
//! own CA or the public ones, or without TLS from the same machine. A camera may be given by its id or its name.
//!
//! With `--json` the answer of the API is printed as it came. On failure: one line on standard error, status 1.

mod address;
mod arguments;
mod audit;
mod camera;
mod claim;
mod http;
mod login;
mod pairing;
mod password;
mod session;
mod table;
mod video_session;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use arguments::{CameraCommand, ClaimCommand, Cli, Command, PairingCommand, SessionCommand};
use session::Session;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(cli)));
    match done {
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever reads along, such as `head`, has read enough.
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "heron: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does what the command says; returns what it has to say.
async fn run(cli: Cli) -> anyhow::Result<String> {
    let json = cli.json;
    let answer = match cli.command {
        Command::Login(login) => return login::sign_in(login).await,
        Command::Logout => return login::sign_out().await,
        Command::Camera { command } => {
            let client = Session::load()?.client()?;
            match command {
                CameraCommand::List => camera::list(&client).await?,
                CameraCommand::Show { camera } => camera::show(&client, &camera).await?,
                CameraCommand::Connections { camera, limit } => {
                    camera::connections(&client, &camera, limit).await?
                }
                CameraCommand::Revoke {
                    camera,
                    reason,
                    yes,
                } => camera::revoke(&client, &camera, &reason, yes).await?,
                CameraCommand::Quarantine { camera, reason } => {
                    camera::quarantine(&client, &camera, &reason).await?
                }
                CameraCommand::Release { camera } => camera::release(&client, &camera).await?,
            }
        }
        Command::Claim { command } => {
            let client = Session::load()?.client()?;
            match command {
                ClaimCommand::New(terms) => claim::new(&client, &terms).await?,
                ClaimCommand::List => claim::list(&client).await?,
                ClaimCommand::Remove { id } => claim::remove(&client, &id).await?,
            }
        }
        Command::Pairing { command } => {
            let client = Session::load()?.client()?;
            match command {
                PairingCommand::Show { code } => pairing::show(&client, &code).await?,
                PairingCommand::Confirm {
                    code,
                    name,
                    site,
                    tags,
                } => pairing::confirm(&client, &code, &name, site.as_deref(), &tags).await?,
                PairingCommand::Refuse { code } => pairing::refuse(&client, &code).await?,
            }
        }
        Command::Audit(filter) => audit::list(&Session::load()?.client()?, &filter).await?,
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "heron", &mut script);
            return Ok(String::from_utf8(script)?);
        }
        Command::Session { command } => {
            let client = Session::load()?.client()?;
            match command {
                SessionCommand::List {
                    camera,
                    live,
                    limit,
                } => video_session::list(&client, camera.as_deref(), live, limit).await?,
                SessionCommand::End { id, reason } => {
                    video_session::end(&client, &id, &reason).await?
                }
                SessionCommand::Paths { camera, days } => {
                    video_session::paths(&client, camera.as_deref(), days).await?
                }
            }
        }
    };
    Ok(answer.print(json))
}

/// What a command came to.
struct Outcome {
    /// The API's answer.
    json: serde_json::Value,
    /// The same for a person.
    text: String,
}

impl Outcome {
    fn print(self, json: bool) -> String {
        if json {
            format!("{:#}\n", self.json)
        } else {
            self.text
        }
    }
}
