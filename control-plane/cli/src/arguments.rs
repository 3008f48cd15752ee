//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::address::Address;

/// Cameras of a Heron control plane, from the command line.
#[derive(Debug, Parser)]
#[command(name = "heron", version)]
pub struct Cli {
    /// Print the API's answer as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in; the session is kept for the other commands.
    Login(Login),
    /// Sign out and forget the session.
    Logout,
    /// Look at cameras, put one out and let it in again.
    Camera {
        #[command(subcommand)]
        command: CameraCommand,
    },
    /// Make, list and withdraw claims: files by which cameras enrol by themselves.
    Claim {
        #[command(subcommand)]
        command: ClaimCommand,
    },
    /// Look at a camera that shows a pairing code, and say yes or no.
    Pairing {
        #[command(subcommand)]
        command: PairingCommand,
    },
    /// See who watched what, and how pictures found their way.
    Session {
        #[command(subcommand)]
        command: SessionCommand,
    },
    /// See who changed what.
    Audit(AuditFilter),
    /// Print what makes a shell complete these commands: `heron completion bash > /etc/bash_completion.d/heron`.
    Completion {
        /// For this shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub struct AuditFilter {
    /// Only of this action, such as `camera.revoke`.
    #[arg(long)]
    pub action: Option<String>,
    /// Only of this subject: the id of a camera, claim or person.
    #[arg(long)]
    pub subject: Option<String>,
    /// At most so many, newest first.
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// Those before this number.
    #[arg(long)]
    pub before: Option<i64>,
}

#[derive(Debug, Args)]
pub struct Login {
    /// The control plane: `https://HOST[:PORT]`, or http://127.0.0.1:8080 on its own machine.
    pub server: Address,
    /// The account's name.
    #[arg(long)]
    pub name: String,
    /// The control plane's CA (root.pem in its data folder, or GET /api/v1/ca.pem); otherwise this machine's authorities.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Read the password from standard input; otherwise it is asked for.
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub enum CameraCommand {
    /// List the cameras.
    List,
    /// Show a camera with its identity.
    Show {
        /// Its id or name.
        camera: String,
    },
    /// Show when a camera came and went, and why.
    Connections {
        /// Its id or name.
        camera: String,
        /// At most so many, newest first.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Revoke a camera for good: its connection and sessions end, its certificates are refused.
    Revoke {
        /// Its id or name.
        camera: String,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
        /// Do not ask whether this is meant.
        #[arg(long)]
        yes: bool,
    },
    /// Keep a camera out until it is released.
    Quarantine {
        /// Its id or name.
        camera: String,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
    },
    /// Let a quarantined camera in again.
    Release {
        /// Its id or name.
        camera: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum ClaimCommand {
    /// Make a claim file for the boot partition of cameras.
    New(ClaimTerms),
    /// List the claims, without their secrets.
    List,
    /// Withdraw a claim; cameras that have enrolled with it stay.
    Remove {
        /// The claim's id.
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct ClaimTerms {
    /// What to call its cameras; several are numbered.
    #[arg(long)]
    pub name: Option<String>,
    /// Where they are.
    #[arg(long)]
    pub site: Option<String>,
    /// What to file them under; may be given several times.
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// How many cameras may enrol with it.
    #[arg(long, default_value_t = 1)]
    pub uses: u32,
    /// For how long, in hours.
    #[arg(long, default_value_t = 24)]
    pub hours: u32,
    /// Where to write the file, readable by you only; otherwise it is printed.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum PairingCommand {
    /// Show the camera behind a code.
    Show {
        /// The code, ABCD-EFGH.
        code: String,
    },
    /// Say yes: it becomes a camera of yours.
    Confirm {
        /// The code, ABCD-EFGH.
        code: String,
        /// What to call it.
        #[arg(long)]
        name: String,
        /// Where it is.
        #[arg(long)]
        site: Option<String>,
        /// What to file it under; may be given several times.
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
    },
    /// Say no: it is told so.
    Refuse {
        /// The code, ABCD-EFGH.
        code: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List recent video sessions.
    List {
        /// Only of this camera: its id or name.
        #[arg(long)]
        camera: Option<String>,
        /// Only those that last: who watches now.
        #[arg(long)]
        live: bool,
        /// At most so many, newest first.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// End a session that lasts: its picture stops at once.
    End {
        /// The session id.
        id: String,
        /// Why; both ends are told.
        #[arg(long)]
        reason: String,
    },
    /// Show how sessions found their way: directly or relayed, how fast, and what failed.
    Paths {
        /// Only of this camera: its id or name.
        #[arg(long)]
        camera: Option<String>,
        /// Of so many days, up to now.
        #[arg(long, default_value_t = 7)]
        days: u32,
    },
}
