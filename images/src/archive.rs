//! An OCI layout on disk as one archive, the same bytes for the same content: sorted, without times and owners. Does I/O.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::tree;
use programs::succeed;

const LIMIT: Duration = Duration::from_mins(2);

/// Packs a layout (`oci-layout`, `index.json`, `blobs`) and puts the archive in its place whole.
pub fn pack(layout: &Path, archive: &Path) -> Result<()> {
    if !layout.join("oci-layout").exists() {
        bail!("{} is not an OCI layout", layout.display());
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
    std::fs::rename(&unfinished, archive).with_context(|| format!("cannot write {}", archive.display()))?;
    Ok(())
}

/// Unpacks what an engine saved, and packs it again in our way; what is not an OCI layout is left out.
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::SystemTime;

    fn layout(folder: &Path, names: &[&str], mode: u32, time: SystemTime) {
        fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        for name in names {
            fs::write(folder.join(name), name).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
            File::open(folder.join(name)).unwrap().set_modified(time).unwrap();
        }
    }

    #[test]
    fn the_same_content_is_the_same_archive_whenever_and_in_whatever_order_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        layout(&one, &["oci-layout", "index.json", "blobs/sha256/a", "blobs/sha256/b"], 0o600, SystemTime::now());
        layout(
            &other,
            &["blobs/sha256/b", "blobs/sha256/a", "index.json", "oci-layout"],
            0o644,
            SystemTime::now() - Duration::from_hours(1),
        );
        // What an engine puts beside the layout does not count.
        fs::write(other.join("manifest.json"), "docker's own").unwrap();
        let archives = [folder.path().join("one.oci.tar"), folder.path().join("other.oci.tar")];
        pack(&one, &archives[0]).unwrap();
        pack(&other, &archives[1]).unwrap();
        let [first, second] = archives.each_ref().map(|archive| fs::read(archive).unwrap());
        assert!(first == second && first.len() > 512);
        // And again from an archive, as docker gives it.
        let again = folder.path().join("again.oci.tar");
        repack(&archives[1], &again).unwrap();
        assert!(fs::read(&again).unwrap() == first);
    }

    #[test]
    fn what_is_no_layout_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = pack(folder.path(), &folder.path().join("x.oci.tar")).unwrap_err().to_string();
        assert!(error.ends_with("is not an OCI layout"), "{error}");
    }
}
