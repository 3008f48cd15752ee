//! The command line: `heron-control serve`, `camera`, `claim`, `broker`, `republish`, `turn`, `user`, `audit`, `backup`,
//! `restore`, `asyncapi`, `openapi`.

mod audit;
mod broker;
mod camera;
mod claim;
mod serve;
mod turn;
mod user;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::access::Role;
use crate::backup;
use crate::brokers::Product;
use crate::config::Config;
use crate::home::Home;
use crate::identity::ClaimTerms;

/// Heron's control plane: sign-in, cameras, signalling and TURN in one process.
#[derive(Debug, Parser)]
#[command(name = "heron-control", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the control plane until SIGTERM or SIGINT.
    Serve(ConfigFile),
    /// Add and list cameras, put one out and let it in again.
    Camera {
        #[command(subcommand)]
        command: CameraCommand,
    },
    /// Make and list claims: files by which cameras enrol by themselves.
    Claim {
        #[command(subcommand)]
        command: ClaimCommand,
    },
    /// Print what another broker than the embedded one is to be started with.
    Broker {
        #[command(subcommand)]
        command: BrokerCommand,
    },
    /// Rebuild what another broker had retained, after it lost that. Works while the control plane runs.
    Republish(ConfigFile),
    /// Run a relay (TURN server) on its own until SIGTERM, so that relays scale apart from the control plane. It needs
    /// `[turn]` of the configuration and a copy of the control plane's turn.secret.
    #[command(args_conflicts_with_subcommands = true)]
    Turn {
        #[command(subcommand)]
        command: Option<TurnCommand>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Add and list the people who may sign in.
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Look after the log of what people changed.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Write everything into one file: the database, whichever it is, and the keys. Works while the control plane runs.
    /// Keep the file as safe as the keys in it.
    Backup {
        /// The file to make, readable by you only.
        file: PathBuf,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Fill an empty data directory and an empty database from such a file, while no control plane runs on them. SQLite
    /// and PostgreSQL take each other's.
    Restore {
        /// The file of `heron-control backup`.
        file: PathBuf,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Print the AsyncAPI document of everything that travels over MQTT.
    Asyncapi,
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
}

#[derive(Debug, Clone, Args)]
struct ConfigFile {
    /// The configuration (TOML); every key in it is optional, and so is the file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Compute every hash of the log again, and say which entry is not the one that was written. Prints the last hash: noted
    /// elsewhere, it shows later that nothing was cut off.
    Verify(ConfigFile),
}

#[derive(Debug, Subcommand)]
enum CameraCommand {
    /// Make the identity of a new camera and write its device bundle. Works while the control plane runs.
    Add {
        /// What to call it.
        name: String,
        /// Where to write the bundle, readable by you only; otherwise it is printed.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// List the cameras.
    List(ConfigFile),
    /// Revoke a camera for good: within seconds its connection, sessions and relays end. Works while the control plane
    /// runs.
    Revoke {
        /// The device id.
        id: String,
        /// Why, for the record.
        #[arg(long, default_value = "revoked on the command line")]
        reason: String,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Let a quarantined camera in again. Works while the control plane runs.
    Release {
        /// The device id.
        id: String,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Debug, Subcommand)]
enum ClaimCommand {
    /// Make a claim file for the boot partition of cameras. Works while the control plane runs.
    New {
        /// What to call its cameras; they are numbered if there are several.
        #[arg(long)]
        name: Option<String>,
        /// Where they are.
        #[arg(long)]
        site: Option<String>,
        /// What to file them under; may be given several times.
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        /// How many cameras may enrol with it.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// For how long, in hours.
        #[arg(long, default_value_t = 24)]
        hours: u32,
        /// Where to write the file, readable by you only; otherwise it is printed.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// List the claims, without their secrets.
    List(ConfigFile),
}

#[derive(Debug, Subcommand)]
enum BrokerCommand {
    /// Print its configuration, with what to do as comments.
    Config {
        /// Which broker.
        #[arg(long = "for", value_name = "BROKER")]
        product: Product,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Debug, Subcommand)]
enum TurnCommand {
    /// Print the configuration of a TURN server that is not ours, with what to do as comments.
    Config {
        /// Which server.
        #[arg(long = "for", value_name = "SERVER")]
        product: turn::Foreign,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Replace the secret that relays share by a new one. Sessions go on, as the one before stays good. Works while the
    /// control plane runs; copy the file to relays on other machines.
    RotateSecret {
        /// Also when the last rotation was less than 12 hours ago: sessions of before it may then lose their relay.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Add somebody who may sign in. Works while the control plane runs.
    Add {
        /// The name to sign in with.
        name: String,
        /// What the account may do: the first account is an admin, later ones are viewers, unless told.
        #[arg(long)]
        role: Option<Role>,
        /// Read the password from standard input; otherwise one is made and printed.
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// List the people who may sign in.
    List(ConfigFile),
}

impl ConfigFile {
    fn load(&self) -> anyhow::Result<Config> {
        Ok(self
            .config
            .as_deref()
            .map(Config::load)
            .transpose()?
            .unwrap_or_default())
    }

    async fn home(&self) -> anyhow::Result<(Config, Home)> {
        let config = self.load()?;
        let home = Home::open(&config).await?;
        Ok((config, home))
    }

    /// The option as it would be typed again.
    fn option(&self) -> String {
        self.config
            .as_deref()
            .map(Path::display)
            .map(|file| format!(" --config {file}"))
            .unwrap_or_default()
    }
}

impl Cli {
    /// Does what the command says; what it has to say goes to `out`.
    ///
    /// # Errors
    ///
    /// One line for the person who typed it.
    pub async fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(file) => serve::run(&file, out).await,
            Command::Camera {
                command:
                    CameraCommand::Add {
                        name,
                        out: to,
                        config,
                    },
            } => camera::add(&config, &name, to.as_deref(), out).await,
            Command::Camera {
                command: CameraCommand::List(config),
            } => camera::list(&config, out).await,
            Command::Camera {
                command: CameraCommand::Revoke { id, reason, config },
            } => camera::revoke(&config, &id, &reason, out).await,
            Command::Camera {
                command: CameraCommand::Release { id, config },
            } => camera::release(&config, &id, out).await,
            Command::Claim {
                command:
                    ClaimCommand::New {
                        name,
                        site,
                        tags,
                        uses,
                        hours,
                        out: to,
                        config,
                    },
            } => {
                let terms = ClaimTerms {
                    name,
                    site,
                    tags,
                    max_uses: uses,
                    ttl_s: u64::from(hours) * 3600,
                };
                claim::new(&config, &terms, to.as_deref(), out).await
            }
            Command::Claim {
                command: ClaimCommand::List(config),
            } => claim::list(&config, out).await,
            Command::User {
                command:
                    UserCommand::Add {
                        name,
                        role,
                        password_stdin,
                        config,
                    },
            } => user::add(&config, &name, role, password_stdin, out).await,
            Command::User {
                command: UserCommand::List(config),
            } => user::list(&config, out).await,
            Command::Broker {
                command: BrokerCommand::Config { product, config },
            } => broker::config(&config, product, out),
            Command::Turn {
                command: None,
                config,
            } => turn::serve(&config, out).await,
            Command::Turn {
                command: Some(TurnCommand::Config { product, config }),
                ..
            } => turn::config(&config, product, out),
            Command::Turn {
                command: Some(TurnCommand::RotateSecret { force, config }),
                ..
            } => turn::rotate_secret(&config, force, out),
            Command::Republish(file) => broker::republish_all(&file, out).await,
            Command::Audit {
                command: AuditCommand::Verify(config),
            } => audit::verify(&config, out).await,
            Command::Backup { file, config } => {
                let made = backup::write(&config.load()?, &file).await?;
                writeln!(out, "{}: {made}", file.display())?;
                Ok(())
            }
            Command::Restore { file, config } => {
                let restored = backup::restore(&config.load()?, &file).await?;
                writeln!(out, "{}: {restored}", file.display())?;
                Ok(())
            }
            Command::Asyncapi => document(&heron_protocol::asyncapi::document(), out),
            Command::Openapi => document(&crate::api::openapi(), out),
        }
    }
}

fn document(document: &impl serde::Serialize, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    writeln!(out)?;
    Ok(())
}
