//! The command `load`.

use anyhow::{Result, bail};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// OCI archives (`.oci.tar`).
    #[arg(required = true)]
    pub archives: Vec<std::path::PathBuf>,
}

pub fn run(_arguments: &Arguments) -> Result<ExitCode> {
    bail!("load: not built yet")
}

pub fn archives(_selection: &crate::cluster::Selection, _archives: &[std::path::PathBuf]) -> Result<()> {
    bail!("not merged")
}
