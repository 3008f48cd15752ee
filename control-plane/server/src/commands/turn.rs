//! `heron-control turn`: a relay on its own, its secret, and the configuration of others.

use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context as _;
use axum::http::Uri;
use heron_turn::{ForeignServer, ForeignTls, Quotas, coturn_config, eturnal_config};
use tokio::signal::unix::{SignalKind, signal};

use super::ConfigFile;
use crate::config::PoolKind;
use crate::turn::{REALM, RelayProcess, SecretFile, secret_file};

/// Where TURN servers listen.
const TURN_PORT: u16 = 3478;

pub(super) async fn serve(file: &ConfigFile, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    // Before anything is started, so that a signal that comes early is not missed.
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let config = file.load()?;
    super::serve::allow_descriptors();
    let relay = RelayProcess::start(&config).await?;
    let admin = relay.admin_address().map_or_else(
        || "nobody can end its sessions: give turn.admin_listen".to_owned(),
        |address| format!("its control plane asks at {address}"),
    );
    writeln!(
        out,
        "The relay listens on {}; {admin}",
        relay.turn().local_addr()
    )?;
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => {
            tracing::info!("SIGTERM: taking nobody new");
            // Whoever says it twice means it.
            tokio::select! {
                () = relay.drain() => {}
                _ = terminate.recv() => {}
            }
        }
        _ = interrupt.recv() => {
            tracing::info!("SIGINT: stopping");
            relay.stop().await;
        }
    }
    Ok(())
}

pub(super) fn rotate_secret(
    file: &ConfigFile,
    force: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let path = secret_file(&file.load()?);
    let secret =
        SecretFile::open(&path).context("there is no secret yet: heron-control serve makes it")?;
    secret.rotate(SystemTime::now(), force)?;
    writeln!(
        out,
        "{} holds a new secret; what was made with the one before stays good. A control plane or relay that runs with \
         this file has it within seconds; copy it to relays elsewhere now.",
        path.display()
    )?;
    Ok(())
}

/// A TURN server that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Foreign {
    /// coturn.
    Coturn,
    /// eturnal.
    Eturnal,
}

/// Prints what such a server is to be started with: as the first pool of its kind says, else as `[turn]` does.
pub(super) fn config(
    file: &ConfigFile,
    product: Foreign,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let config = file.load()?;
    let (turn, server) = (&config.turn, &config.server);
    let kind = match product {
        Foreign::Coturn => PoolKind::Coturn,
        Foreign::Eturnal => PoolKind::Eturnal,
    };
    let pool = turn.pool.iter().find(|pool| pool.kind == kind);
    let path = pool
        .and_then(|pool| pool.secret_file.clone())
        .unwrap_or_else(|| secret_file(&config));
    let secret = SecretFile::open(&path)
        .context("the shared secret; heron-control serve makes the one in its data directory")?;
    let certificate = server.certificate.clone().zip(server.key.clone());
    let tls_port = pool.map_or(turn.tls_listen.map(|listen| listen.port()), |pool| {
        pool.tls_port
    });
    let tls = tls_port.map(|port| {
        let (certificate, key) = certificate.unwrap_or_else(|| {
            let file = |name: &str| PathBuf::from("/etc/ssl/private").join(name);
            (file("turn.pem"), file("turn.key"))
        });
        ForeignTls {
            port,
            certificate,
            key,
        }
    });
    let own_port = turn.listen.port();
    let foreign = ForeignServer {
        realm: REALM.to_owned(),
        secrets: secret.secrets(),
        listen: Vec::new(),
        port: pool.map_or(own_port, |pool| pool.port.unwrap_or(TURN_PORT)),
        tls,
        relay: turn.relay_address.into_iter().collect(),
        relay_ports: turn.relay_ports.ports(),
        allow_peers: turn.allow_peers.clone(),
        quotas: Quotas {
            allocations: turn.capacity,
            udp_rate: turn.rate_bps,
            ..Quotas::default()
        },
        redis: pool
            .and_then(|pool| pool.redis.as_deref())
            .map(connection_string)
            .transpose()?,
        prometheus: false,
    };
    let text = match product {
        Foreign::Coturn => coturn_config(&foreign),
        Foreign::Eturnal => eturnal_config(&foreign),
    };
    write!(out, "{}", text?)?;
    Ok(())
}

/// A Redis URL as coturn's library wants it.
fn connection_string(url: &str) -> anyhow::Result<String> {
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
    let host = uri.host().with_context(|| format!("{url:?} has no host"))?;
    let port = uri.port_u16().unwrap_or(6379);
    let database = match uri.path().trim_start_matches('/') {
        "" => "0",
        database => database,
    };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let password = authority.rsplit_once('@').and_then(|(account, _)| {
        let (_, password) = account.split_once(':')?;
        Some(format!(" password={password}"))
    });
    Ok(format!(
        "ip={host} dbname={database} port={port}{}",
        password.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::connection_string;

    #[test]
    fn a_redis_url_is_written_as_coturn_reads_it() {
        assert_eq!(
            connection_string("redis://127.0.0.1:6380/2").unwrap(),
            "ip=127.0.0.1 dbname=2 port=6380"
        );
        assert_eq!(
            connection_string("redis://:pw@redis.example").unwrap(),
            "ip=redis.example dbname=0 port=6379 password=pw"
        );
    }
}
