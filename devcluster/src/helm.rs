//! The command `helm`: executes helm, built from its Go module at the version that hack/helm/go.mod names. Does I/O.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::cluster::Selection;
use crate::go_program::GoProgram;
use crate::steps::Steps;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// What goes to helm, unchanged. With none it is only built.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// On the cluster at hand, if there is one. Its standard input, output and exit code are helm's own, since it is replaced by it.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let program = GoProgram {
        name: "helm",
        source: "hack/helm",
        package: "helm.sh/helm/v4/cmd/helm",
        cache: "helm",
        linker_flags: "-s -w".to_owned(),
        try_with: &["version"],
        note: "building helm from its Go module, once",
    };
    let helm = program.build(&Steps::begin())?;
    if arguments.words.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let mut helm = Command::new(helm);
    helm.args(&arguments.words);
    if let Ok(record) = arguments.selection.cluster().at_hand() {
        helm.env("KUBECONFIG", record.kubeconfig);
    }
    Err(helm.exec()).context("starting helm")
}
