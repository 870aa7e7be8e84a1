//! The command `http-demo`.

use anyhow::{Result, bail};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {}

pub fn run(_arguments: &Arguments) -> Result<ExitCode> {
    bail!("http-demo: not built yet")
}
