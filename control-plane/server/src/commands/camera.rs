//! `heron-control camera`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context as _;

use super::ConfigFile;
use crate::clock::unix_ms;
use crate::home::Home;
use crate::identity::{check_camera_name, check_reason};
use crate::store::{CameraRow, Standing};

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
    let enrolment = home.enrolment(broker.clone(), super::claim::server(&config, &home));
    let added = enrolment
        .add_camera(&home.tenant, name, SystemTime::now())
        .await;
    if let (Err(_), Some(path)) = (&added, to) {
        std::fs::remove_file(path)?;
    }
    let added = added?;
    let after = serde_json::json!({ "name": name });
    home.audit("camera.add", added.id.as_str(), after).await?;
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
pub(super) fn create(path: &Path) -> std::io::Result<std::fs::File> {
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
            "{:<40}  {added:.0}  {:<11}  {}",
            camera.id.as_str(),
            camera.standing.as_str(),
            camera.name
        )?;
    }
    home.store.close().await;
    Ok(())
}

pub(super) async fn revoke(
    file: &ConfigFile,
    id: &str,
    reason: &str,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let reason = check_reason(reason)?;
    let (camera, home) = find(file, id).await?;
    let (standing, now_ms) = (Standing::Revoked, unix_ms(SystemTime::now()));
    let certificates = &home.store.certificates;
    certificates
        .set_standing(&camera.id, standing, Some(reason), now_ms)
        .await?;
    let after = serde_json::json!({ "standing": standing, "reason": reason });
    home.audit("camera.revoke", camera.id.as_str(), after)
        .await?;
    home.store.close().await;
    writeln!(out, "{} is revoked: {reason}", camera.id)?;
    Ok(())
}

pub(super) async fn release(
    file: &ConfigFile,
    id: &str,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let (camera, home) = find(file, id).await?;
    anyhow::ensure!(
        camera.standing != Standing::Revoked,
        "{id} is revoked, and a revocation is final; remove the camera and enrol it again"
    );
    let (standing, now_ms) = (Standing::Trusted, unix_ms(SystemTime::now()));
    let certificates = &home.store.certificates;
    certificates
        .set_standing(&camera.id, standing, None, now_ms)
        .await?;
    let after = serde_json::json!({ "standing": standing });
    home.audit("camera.release", camera.id.as_str(), after)
        .await?;
    home.store.close().await;
    writeln!(out, "{} may connect again", camera.id)?;
    Ok(())
}

async fn find(file: &ConfigFile, id: &str) -> anyhow::Result<(CameraRow, Home)> {
    let (_, home) = file.home().await?;
    let camera = home.store.cameras.get(&home.tenant, id).await?;
    let camera = camera.with_context(|| format!("there is no camera {id:?}"))?;
    Ok((camera, home))
}
