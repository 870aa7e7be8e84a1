//! The load of a soak run: `kubectl chatd load`, which takes pods away meanwhile. Does I/O: a process and its two files.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use devcluster::kube::Kube;
use serde_json::Value;

use super::arguments::Arguments;
use crate::deploy::CHAT;

/// The pod that chaos leaves alone, so that one process of chatd lives through all of it.
const SPARED: &str = "chat-0";
/// The others.
pub const VICTIMS: &[&str] = &["chat-1", "chat-2"];

/// A load under way. It ends with this.
pub struct Load {
    child: Child,
    verdict: PathBuf,
    log: PathBuf,
}

impl Drop for Load {
    fn drop(&mut self) {
        // One that has ended is none any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Load {
    /// Its players connect to the Service, where pods can be reached.
    pub fn start(kube: &Kube, arguments: &Arguments, duration: Duration) -> Result<Self> {
        let service = kube.get(&["service", "chat", &format!("--namespace={}", CHAT.namespace)])?.unwrap_or_default();
        let address = service["spec"]["clusterIP"].as_str().context("the Service chat has no address")?;
        let program = std::env::current_exe()?.with_file_name("kubectl-chatd");
        ensure!(program.is_file(), "{} is not built: cargo build -p chatctl", program.display());
        let folder = programs::repository().join(format!("target/soak/{}", arguments.selection.name));
        fs::create_dir_all(&folder)?;
        let (verdict, log) = (folder.join("verdict.json"), folder.join("load.log"));
        let enter = arguments.enter.split_whitespace().map(str::to_owned);
        let words: Vec<String> = enter.chain([program.to_string_lossy().into_owned()]).collect();
        let child = programs::from_words(&words)
            .args(["--namespace", CHAT.namespace, "load", "chat", "--output", "json", "--chaos", "both"])
            // Names of pods are known to the cluster's DNS only.
            .arg("--relay")
            .args(["--spare", SPARED, "--lines", &format!("{address}:7654"), "--web", &format!("{address}:8081")])
            .args(["--rooms", &arguments.rooms.to_string(), "--players", &arguments.players.to_string()])
            .args(["--rate", &arguments.rate.to_string(), "--duration", &duration.as_secs().max(1).to_string()])
            .stdin(Stdio::null())
            .stdout(File::create(&verdict)?)
            .stderr(File::create(&log)?)
            .spawn()?;
        Ok(Self { child, verdict, log })
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// The last line of its progress, and how many pods it has deleted and killed.
    pub fn progress(&self) -> (String, [usize; 2]) {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let count = |what: &str| log.lines().filter(|line| line.starts_with(what)).count();
        let last = log.lines().rev().find(|line| !line.starts_with("chaos: ")).unwrap_or("no progress yet");
        (last.trim().to_owned(), [count("chaos: deleting"), count("chaos: killing")])
    }

    /// What came of it, once it has ended.
    pub fn verdict(&mut self) -> Result<Verdict> {
        let is_well = self.child.wait()?.success();
        let text = fs::read_to_string(&self.verdict)?;
        let figures = serde_json::from_str(&text).with_context(|| {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            format!("the load came to no verdict; its last lines:\n{}", programs::tail(&log, 5))
        })?;
        Ok(Verdict { is_well, figures })
    }
}

/// Its own judgement, and its figures.
pub struct Verdict {
    pub is_well: bool,
    pub figures: Value,
}

impl Verdict {
    /// What it found wrong.
    pub fn finding(&self) -> Option<String> {
        let of = |name: &str| self.figures[name].as_u64().unwrap_or(0);
        (!self.is_well).then(|| {
            format!(
                "the load is not well: {} lines lost, {} doubled, {} out of order, {} of {} players in at the end",
                of("lost"),
                of("doubled"),
                of("disordered"),
                of("inside"),
                of("players")
            )
        })
    }
}
