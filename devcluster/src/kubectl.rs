//! The command `kubectl`: executes kubectl for the current cluster. I/O.

use crate::cluster::Selection;
use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// What goes to kubectl, unchanged.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Its standard input, output and exit code are kubectl's own, since it is replaced by it.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let record = arguments.selection.cluster().at_hand()?;
    let error = record.kubectl().args(&arguments.words).exec();
    Err(error).context("starting kubectl")
}
