//! kubectl on the current cluster, each call with a timeout. Does I/O.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cluster::{Record, Selection};
use programs::Output;

const LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
pub struct Kube(Record);

impl Kube {
    pub fn of(selection: &Selection) -> Result<Self> {
        Ok(Self(selection.cluster().at_hand()?))
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.0.kubectl();
        command.args(words);
        command
    }

    /// Runs it and gives what it printed.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        programs::succeed(&mut self.command(words), LIMIT)
    }

    pub fn run_with(&self, words: &[&str], input: &[u8]) -> Result<String> {
        programs::succeed_with(&mut self.command(words), input, LIMIT)
    }

    /// Whatever it answers.
    pub fn ask(&self, words: &[&str]) -> Result<Output> {
        programs::output(&mut self.command(words), &[], LIMIT)
    }

    /// `kubectl get`, read; None if the one thing asked for is not there.
    pub fn get(&self, words: &[&str]) -> Result<Option<Value>> {
        let all: Vec<&str> = ["get", "--output=json", "--ignore-not-found"].iter().chain(words).copied().collect();
        let text = self.run(&all)?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&text).map(Some).context("kubectl printed invalid JSON")
    }

    /// Makes these objects as they are written; fields that nobody wrote are left alone.
    pub fn apply(&self, manifest: &[u8]) -> Result<()> {
        let words = ["apply", "--server-side", "--force-conflicts", "--field-manager=xtask", "--filename=-"];
        self.run_with(&words, manifest).map(drop)
    }

    /// Every manifest of a folder, in the order of their names, with `fill` done to their text.
    pub fn apply_folder(&self, folder: &Path, fill: impl Fn(&str) -> String) -> Result<()> {
        let text = manifests(folder)?;
        self.apply(fill(&text).as_bytes())
    }
}

/// All manifests of a folder as one.
pub fn manifests(folder: &Path) -> Result<String> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    let texts = files.iter().map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(texts.join("\n---\n"))
}
