//! Identities in bulk: cameras added through the API, several at a time.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::task::JoinSet;

use crate::http::Control;
use crate::identity::Identity;

/// Connections over which cameras are added.
const CONNECTIONS: usize = 4;

/// Adds cameras as the person who is signed in, named `swarm-00000` and so on.
///
/// # Errors
///
/// What the control plane says of the first that it refuses.
pub async fn add_cameras(control: &Control, cameras: usize) -> Result<Vec<Identity>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..CONNECTIONS.min(cameras) {
        let (control, next) = (control.clone(), Arc::clone(&next));
        workers.spawn(async move {
            let mut connection = control.connect().await?;
            let mut added = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= cameras {
                    return anyhow::Ok(added);
                }
                let name = json!({ "name": format!("swarm-{number:05}") });
                let answer = connection.post("/api/v1/cameras", &name).await?;
                let bundle = answer["bundle"].as_str().context("no bundle in it")?;
                added.push((number, Identity::parse(bundle)?));
            }
        });
    }
    let mut added = Vec::with_capacity(cameras);
    while let Some(some) = workers.join_next().await {
        added.extend(some??);
    }
    added.sort_by_key(|(number, _)| *number);
    Ok(added.into_iter().map(|(_, identity)| identity).collect())
}

/// Writes identities into a folder for [`load`](crate::load), readable by their owner only.
///
/// # Errors
///
/// What the file system says.
pub fn save(folder: &Path, identities: &[Identity]) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (number, identity) in identities.iter().enumerate() {
        let path = folder.join(format!("{number:05}.toml"));
        let mut file = fs::File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(identity.text().as_bytes())?;
    }
    Ok(())
}
