//! The command `load`: loads image archives (OCI) into every node of the current cluster. I/O.

use crate::cluster::{Cluster, Kind, Selection};
use crate::steps::Steps;
use crate::{builtin, external, facts};
use anyhow::{Result, bail, ensure};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// OCI archives (`.oci.tar`).
    #[arg(required = true)]
    archives: Vec<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    load(&arguments.selection.cluster(), &arguments.archives)?;
    Ok(ExitCode::SUCCESS)
}

/// For other commands that need images in the cluster.
pub fn load(cluster: &Cluster, archives: &[PathBuf]) -> Result<()> {
    let record = cluster.at_hand()?;
    for archive in archives {
        ensure!(archive.exists(), "there is no {}: run `make images` first", archive.display());
    }
    let names: Vec<_> = archives.iter().filter_map(|archive| archive.file_name()?.to_str()).collect();
    Steps::begin().step(&format!("images into the nodes: {}", names.join(" ")), || match record.kind {
        Kind::Builtin => {
            let root = facts::root().map_err(anyhow::Error::msg)?;
            if root.is_empty() {
                return builtin::load(&cluster.name, archives);
            }
            let mut words = vec!["builtin-load".to_owned(), "--name".to_owned(), cluster.name.to_string()];
            words.extend(archives.iter().map(|archive| archive.to_string_lossy().into_owned()));
            builtin::as_root(&root, &words)
        }
        Kind::Current => bail!(
            "images cannot be brought into a cluster of somebody else: push them to a registry that it pulls from, \
             and set the image names in deploy/"
        ),
        kind => archives.iter().try_for_each(|archive| {
            external::run(cluster, &external::load(kind, &cluster.external_name(), &archive.to_string_lossy()))
        }),
    })
}
