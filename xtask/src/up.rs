//! The command `up`.

use anyhow::{Result, bail};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {}

pub fn run(_arguments: &Arguments) -> Result<ExitCode> {
    bail!("up: not built yet")
}

pub fn ensure(_selection: &crate::cluster::Selection) -> Result<()> {
    bail!("not merged")
}
