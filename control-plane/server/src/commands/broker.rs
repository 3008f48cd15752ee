//! `heron-control broker` and `heron-control republish`.

use std::io::Write;

use super::ConfigFile;
use crate::brokers::{Product, config_for, control_door, republish};
use crate::config::BrokerKind;

pub(super) fn config(
    file: &ConfigFile,
    product: Product,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let config = file.load()?;
    write!(out, "{}", config_for(product, &config))?;
    Ok(())
}

pub(super) async fn republish_all(
    file: &ConfigFile,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let (config, home) = file.home().await?;
    if config.broker.kind == BrokerKind::Embedded {
        writeln!(
            out,
            "Nothing to do: the embedded broker forgets only when heron-control stops, and cameras that connect send \
             everything again."
        )?;
        return Ok(());
    }
    let door = control_door(&home, config.broker.control)?;
    let done = republish(&home, &door).await?;
    home.store.close().await;
    writeln!(
        out,
        "{} cameras connect anew and send their state again, or are told to be away; {} were never heard of",
        done.cameras, done.unheard
    )?;
    Ok(())
}
