//! The command `files` of the Dockerfile's first stage, so that a binary is compiled in one way only. Does I/O.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use programs::repository;

use crate::architecture::Architecture;
use crate::{binaries, list};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder to put them in, one folder for each image.
    pub folder: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    binaries::make(&repository(), &arguments.folder, Architecture::here(), &list::programs())?;
    Ok(ExitCode::SUCCESS)
}
