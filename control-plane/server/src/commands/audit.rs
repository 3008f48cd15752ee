//! `heron-control audit`.

use std::io::Write;

use super::ConfigFile;
use crate::store::Verified;

pub(super) async fn verify(file: &ConfigFile, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let (_, home) = file.home().await?;
    let verified = home.store.audit.verify().await?;
    home.store.close().await;
    match verified {
        Verified::Whole(0, _) => writeln!(out, "the audit log is empty")?,
        Verified::Whole(count, hash) => {
            writeln!(
                out,
                "all {count} entries of the audit log are as they were written; the last hash is {hash}"
            )?;
        }
        Verified::Broken(id) => anyhow::bail!(
            "entry {id} of the audit log is not the one that was written, or is not there: entries before it can be \
             believed, and from it on none"
        ),
    }
    Ok(())
}
