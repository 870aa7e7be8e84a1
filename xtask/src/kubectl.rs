//! The command `kubectl`.

use anyhow::{Result, bail};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What goes to kubectl, unchanged.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

pub fn run(_arguments: &Arguments) -> Result<ExitCode> {
    bail!("kubectl: not built yet")
}
