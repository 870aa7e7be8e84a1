//! The parts of `up`, `down` and `load` that need root, as separate commands: users other than root run them through sudo. I/O.

use crate::cluster::Name;
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    #[arg(long)]
    pub name: Name,
    #[arg(long)]
    pub nodes: u8,
    /// The multi-call program.
    #[arg(long)]
    pub program: PathBuf,
    /// The archive of the pause image.
    #[arg(long)]
    pub pause: PathBuf,
    /// Where the user's kubeconfig goes.
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// Whose it becomes: the user's and the group's numbers.
    #[arg(long)]
    pub owner: Option<String>,
    /// Write an audit log.
    #[arg(long)]
    pub audit: bool,
}

#[derive(Debug, clap::Args)]
pub struct Named {
    #[arg(long)]
    pub name: Name,
}

#[derive(Debug, clap::Args)]
pub struct Load {
    #[arg(long)]
    pub name: Name,
    pub archives: Vec<PathBuf>,
}

/// Runs one of these commands by way of `root`, which is sudo and its options.
pub fn as_root(root: &[String], words: &[String]) -> Result<()> {
    let mut command = programs::from_words(root);
    let this = std::env::current_exe()?;
    command.arg(&this).args(words);
    let status = command.status().with_context(|| format!("starting {}", root.join(" ")))?;
    let name = this.file_name().unwrap_or_default().to_string_lossy();
    ensure!(status.success(), "`{} {name} {}` ended with {status}", root.join(" "), words.join(" "));
    Ok(())
}

impl Arguments {
    /// As a command line.
    pub fn words(&self) -> Vec<String> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let mut words = vec!["builtin-up".to_owned()];
        let mut put = |option: &str, value: String| words.extend([option.to_owned(), value]);
        put("--name", self.name.to_string());
        put("--nodes", self.nodes.to_string());
        put("--program", text(&self.program));
        put("--pause", text(&self.pause));
        put("--kubeconfig", text(&self.kubeconfig));
        if let Some(owner) = &self.owner {
            put("--owner", owner.clone());
        }
        if self.audit {
            words.push("--audit".to_owned());
        }
        words
    }
}
