//! Folders as archives the kernel unpacks when it boots.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::step;

/// Packs a folder; whoever packs it, in the guest all of it is root's.
pub fn pack(folder: &Path, archive: &Path) -> Result<()> {
    // Under another name until it is whole: a run that is interrupted leaves nothing to trip over.
    let script = "set -o pipefail; \
         find . | cpio --quiet --create --format=newc --owner=+0:+0 | gzip -1 > \"$0.part\" && mv \"$0.part\" \"$0\"";
    step::output(
        Command::new("bash")
            .args(["-c", script])
            .arg(archive)
            .current_dir(folder),
    )
    .map(|_| ())
}
