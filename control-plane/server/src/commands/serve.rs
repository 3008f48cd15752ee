//! `heron-control serve`.

use std::io::Write;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::ConfigFile;
use crate::server::Server;

pub(super) async fn run(file: &ConfigFile, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    // Before anything is started, so that a signal that comes early is not missed.
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let config = file.load()?;
    allow_descriptors();
    let server = Server::start(config).await?;
    writeln!(out, "{}", server.summary())?;
    if server.has_no_people().await? {
        writeln!(
            out,
            "Nobody can sign in yet. Add an account: heron-control user add NAME{}",
            file.option()
        )?;
    }
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    server.stop().await;
    Ok(())
}

/// Each camera is a socket, and most systems allow a process 1,024 open files until it asks for as many as it may have.
pub(super) fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
