//! The command `databases`: Redis and Postgres in the cluster at hand, applied and waited for.

use std::process::ExitCode;

use anyhow::Result;

use crate::deploy;
use devcluster::cluster::Selection;
use devcluster::kube::Kube;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let kube = Kube::of(&arguments.selection)?;
    deploy::images(&arguments.selection, &["redis", "postgres"])?;
    deploy::databases(&kube)?;
    Ok(ExitCode::SUCCESS)
}
