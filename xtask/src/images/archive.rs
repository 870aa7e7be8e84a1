//! An OCI layout on disk as one archive, the same bytes for the same content: sorted, without times and owners. Does I/O.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::tree;
use crate::command::succeed;

const LIMIT: Duration = Duration::from_mins(2);

/// Packs a layout (`oci-layout`, `index.json`, `blobs`) and puts the archive in its place whole.
pub fn pack(layout: &Path, archive: &Path) -> Result<()> {
    if !layout.join("oci-layout").exists() {
        bail!("{} is no OCI layout", layout.display());
    }
    let unfinished = archive.with_extension("unfinished");
    succeed(
        Command::new("tar")
            .args(["--create", "--format=ustar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0"])
            .args(["--numeric-owner", "--mode=u=rwX,go=rX"])
            .arg(format!("--directory={}", layout.display()))
            .arg(format!("--file={}", unfinished.display()))
            .args(["oci-layout", "index.json", "blobs"]),
        LIMIT,
    )?;
    std::fs::rename(&unfinished, archive).with_context(|| format!("{} cannot be written", archive.display()))?;
    Ok(())
}

/// Unpacks what an engine saved, and packs it again in our way; what is no OCI layout is left out.
pub fn repack(saved: &Path, archive: &Path) -> Result<()> {
    let layout = saved.with_extension("layout");
    tree::remove(&layout)?;
    std::fs::create_dir_all(&layout)?;
    succeed(
        Command::new("tar")
            .arg("--extract")
            .arg(format!("--directory={}", layout.display()))
            .arg(format!("--file={}", saved.display())),
        LIMIT,
    )?;
    pack(&layout, archive)?;
    tree::remove(&layout)
}
