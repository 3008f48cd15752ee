//! `heron-control camera`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context as _;

use super::ConfigFile;
use crate::identity::check_camera_name;

pub(super) async fn add(
    file: &ConfigFile,
    name: &str,
    to: Option<&Path>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let name = check_camera_name(name)?;
    let (config, home) = file.home().await?;
    let broker = config.public_host().with_port(config.broker.devices.port());
    // Opened first: a camera whose bundle cannot be written must not come to be.
    let bundle_file = to
        .map(|path| create(path).with_context(|| path.display().to_string()))
        .transpose()?;
    let enrolment = home.enrolment(broker.clone());
    let added = enrolment
        .add_camera(&*home.store.cameras, &home.tenant, name, SystemTime::now())
        .await;
    if let (Err(_), Some(path)) = (&added, to) {
        std::fs::remove_file(path)?;
    }
    let added = added?;
    home.store.close().await;
    match bundle_file.zip(to) {
        Some((mut bundle_file, path)) => {
            bundle_file.write_all(added.bundle.as_bytes())?;
            writeln!(
                out,
                "{}  bundle {}  broker {broker}",
                added.id,
                path.display()
            )?;
        }
        None => write!(out, "{}", added.bundle)?,
    }
    Ok(())
}

/// Never overwrites: the file may be the only copy of another camera's key.
fn create(path: &Path) -> std::io::Result<std::fs::File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

pub(super) async fn list(file: &ConfigFile, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let (_, home) = file.home().await?;
    for camera in home.store.cameras.list(&home.tenant).await? {
        let added = jiff::Timestamp::from_millisecond(camera.added_ms)?;
        writeln!(
            out,
            "{:<40}  {added:.0}  {}",
            camera.id.as_str(),
            camera.name
        )?;
    }
    home.store.close().await;
    Ok(())
}
