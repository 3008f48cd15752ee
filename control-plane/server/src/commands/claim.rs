//! `heron-control claim`.

use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context as _;

use super::ConfigFile;
use crate::config::Config;
use crate::home::Home;
use crate::identity::{ClaimServer, ClaimTerms, make_claim};

/// Where claims send cameras, as the configuration says.
pub(super) fn server(config: &Config, home: &Home) -> ClaimServer {
    let host = config.public_host();
    let own = config.server.certificate.is_none();
    home.claim_server(&host.with_port(config.server.listen.port()), own)
}

pub(super) async fn new(
    file: &ConfigFile,
    terms: &ClaimTerms,
    to: Option<&Path>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let (config, home) = file.home().await?;
    // Opened first: a claim that cannot be written must not come to be.
    let claim_file = to
        .map(|path| super::camera::create(path).with_context(|| path.display().to_string()))
        .transpose()?;
    let made = make_claim(
        &*home.store.claims,
        &server(&config, &home),
        &home.tenant,
        terms,
        SystemTime::now(),
    )
    .await;
    if let (Err(_), Some(path)) = (&made, to) {
        std::fs::remove_file(path)?;
    }
    let made = made?;
    let after = serde_json::json!({ "name": terms.name, "max_uses": made.claim.max_uses });
    home.audit("claim.make", &made.claim.id, after).await?;
    home.store.close().await;
    match claim_file.zip(to) {
        Some((mut claim_file, path)) => {
            claim_file.write_all(made.file.as_bytes())?;
            let ends = jiff::Timestamp::from_millisecond(made.claim.expires_ms)?;
            let (id, uses) = (&made.claim.id, made.claim.max_uses);
            let path = path.display();
            writeln!(out, "{id}  file {path}  for {uses} until {ends:.0}")?;
        }
        None => write!(out, "{}", made.file)?,
    }
    Ok(())
}

pub(super) async fn list(file: &ConfigFile, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let (_, home) = file.home().await?;
    for claim in home.store.claims.list(&home.tenant).await? {
        let ends = jiff::Timestamp::from_millisecond(claim.expires_ms)?;
        writeln!(
            out,
            "{}  {} of {} used  until {ends:.0}  {}",
            claim.id,
            claim.uses,
            claim.max_uses,
            claim.name.unwrap_or_default()
        )?;
    }
    home.store.close().await;
    Ok(())
}
