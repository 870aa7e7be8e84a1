//! The record of a built-in cluster in its state folder, and the lock on that folder. I/O.

use super::identity::Identity;
use super::layout::{Layout, Subnet};
use crate::cluster::Name;
use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Noted {
    pub subnet: Subnet,
    pub nodes: u8,
    /// The process whose end ends all others.
    pub supervisor: Option<Identity>,
}

fn file(state: &Path) -> std::path::PathBuf {
    state.join("cluster.json")
}

pub fn read(name: &Name) -> Result<Option<Noted>> {
    let file = file(&Layout::state_of(name));
    match fs::read(&file) {
        Ok(bytes) => {
            Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", file.display()))?))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

/// Replaces the file as a whole: a killed `up` leaves the old one or the new one.
pub fn write(name: &Name, noted: &Noted) -> Result<()> {
    let file = file(&Layout::state_of(name));
    let draft = file.with_extension("draft");
    fs::write(&draft, serde_json::to_vec_pretty(noted)?)?;
    fs::rename(&draft, &file).with_context(|| format!("writing {}", file.display()))
}

/// Held as long as it lives; the kernel lets go of it when its process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _folder: File,
}

/// The lock on a cluster's state folder, which is made if need be.
pub fn lock(name: &Name) -> Result<Lock> {
    let state = Layout::state_of(name);
    loop {
        // Everyone may see which clusters there are, and only root what is in them.
        DirBuilder::new().recursive(true).mode(0o755).create(Layout::STATES)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&state)?;
        let folder = File::open(&state)?;
        if rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another `make up` or `make down` of cluster `{name}` is running: wait until it has finished");
        }
        // `down` may have removed the folder between the opening and the lock.
        if fs::metadata(&state).is_ok_and(|now| folder.metadata().is_ok_and(|locked| locked.ino() == now.ino())) {
            return Ok(Lock { _folder: folder });
        }
    }
}
