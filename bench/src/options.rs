//! Arguments that several benchmarks share. Does I/O: writes the report.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The peers, as they are installed.
#[derive(Debug, clap::Args)]
pub struct Installed {
    /// bun's binary
    #[arg(long)]
    pub bun: PathBuf,
    /// The server that bun runs
    #[arg(long, default_value = "bench/peers/bun.ts")]
    pub bun_script: PathBuf,
    /// Where node's packages are; one that is in none of these folders is left out
    #[arg(long)]
    pub node_modules: Vec<PathBuf>,
    /// The servers that node runs
    #[arg(long, default_value = "bench/peers")]
    pub node_scripts: PathBuf,
    /// centrifugo's binary; without it, it is left out
    #[arg(long)]
    pub centrifugo: Option<PathBuf>,
}

/// What stands in a report besides the figures, and where it goes.
#[derive(Debug, clap::Args)]
pub struct ReportOptions {
    /// The day, for the report
    #[arg(long, default_value = "")]
    pub date: String,
    /// What else may be worth knowing of the machine, for the report
    #[arg(long, default_value = "")]
    pub conditions: String,
    /// Where the report goes besides standard output
    #[arg(long)]
    pub out: Option<PathBuf>,
}

impl ReportOptions {
    pub fn publish(&self, report: &str) -> Result<()> {
        println!("{report}");
        if let Some(out) = &self.out {
            std::fs::write(out, report).with_context(|| format!("writing {}", out.display()))?;
        }
        Ok(())
    }
}
