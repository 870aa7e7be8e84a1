//! Trees of files for images: walked in a fixed order, copied with their modes and links only. Does I/O.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Every entry below a folder, relative to it, in one order on every machine; folders come before what is in them.
pub fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    walk_without(folder, &[])
}

/// The same, without entries of these names and what is in them.
pub fn walk_without(folder: &Path, without: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    walk_into(folder, Path::new(""), without, &mut found)?;
    Ok(found)
}

fn walk_into(folder: &Path, below: &Path, without: &[&str], found: &mut Vec<PathBuf>) -> Result<()> {
    let whole = folder.join(below);
    let mut entries = fs::read_dir(&whole)
        .with_context(|| format!("cannot read {}", whole.display()))?
        .collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if without.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let path = below.join(entry.file_name());
        let is_folder = entry.file_type()?.is_dir();
        found.push(path.clone());
        if is_folder {
            walk_into(folder, &path, without, found)?;
        }
    }
    Ok(())
}

/// A file under another name, with the folders above it: 755 if it can be executed, else 644.
pub fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let above = to.parent().context("a file has a folder")?;
    fs::create_dir_all(above)?;
    if to.symlink_metadata().is_ok() {
        fs::remove_file(to)?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    let executable = fs::metadata(from)?.permissions().mode() & 0o100 != 0;
    fs::set_permissions(to, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    Ok(())
}

/// A file that is a program, whatever its mode says: archives of some kinds know of none.
pub fn copy_program(from: &Path, to: &Path) -> Result<()> {
    copy_file(from, to)?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(0o755))?)
}

/// A folder's files and links, without the entries that have one of these names.
pub fn copy_folder(from: &Path, to: &Path, without: &[&str]) -> Result<()> {
    for path in walk_without(from, without)? {
        let (source, target) = (from.join(&path), to.join(&path));
        let kind = source.symlink_metadata()?.file_type();
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
        } else if kind.is_symlink() {
            link(&fs::read_link(&source)?, &target)?;
        } else {
            copy_file(&source, &target)?;
        }
    }
    Ok(())
}

pub fn link(points_to: &Path, at: &Path) -> Result<()> {
    fs::create_dir_all(at.parent().context("a link has a folder")?)?;
    if at.symlink_metadata().is_ok() {
        fs::remove_file(at)?;
    }
    symlink(points_to, at).with_context(|| format!("cannot create {}", at.display()))
}

pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file has a folder")?)?;
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    Ok(())
}

pub fn make_folder(path: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// Whatever umask this was made under: folders can be entered by all, unless something else was asked for by `make_folder`.
pub fn open_folders(folder: &Path, but: &[&str]) -> Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for path in walk(folder)? {
        let whole = folder.join(&path);
        if whole.symlink_metadata()?.is_dir() && !but.iter().any(|kept| path == Path::new(kept)) {
            fs::set_permissions(&whole, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// It may not be there.
pub fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
