//! Access to a cluster during its creation: kubectl as its creator, and waits that fail when a process keeps exiting. I/O.

use super::control::Supervisor;
use super::layout::Layout;
use crate::steps::wait_for;
use anyhow::{Context, Result, bail};
use programs::tail;
use std::fs;
use std::process::Command;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(150);

/// A cluster whose supervisor answers.
#[derive(Debug)]
pub struct Running<'a> {
    pub layout: &'a Layout,
    pub supervisor: Supervisor,
}

impl Running<'_> {
    /// kubectl with the identity that creates the first access rules.
    pub fn kubectl(&self, words: &[&str]) -> Result<String> {
        let mut kubectl = Command::new(self.layout.path("bin/kubectl"));
        kubectl.arg("--request-timeout=5s").arg("--kubeconfig").arg(self.layout.path("kubeconfig/bootstrap"));
        // Its cache of what the API offers would go into root's home.
        kubectl.env("KUBECACHEDIR", self.layout.path("kubectl-cache")).args(words);
        programs::succeed(&mut kubectl, Duration::from_secs(30))
    }

    /// Waits for what a process is to bring about; a process that keeps ending, or the limit, is an error with its last log lines.
    pub fn wait(&self, process: &str, what: &str, limit: Duration, mut ask: impl FnMut() -> Result<()>) -> Result<()> {
        wait_for(what, limit, PAUSE, || {
            let states = self.supervisor.list()?;
            if let Some(state) = states.iter().find(|state| state.name == process && state.ends >= 5) {
                bail!(
                    "{process} ended {} times, the last time with {}",
                    state.ends,
                    state.last_end.as_deref().unwrap_or("?")
                );
            }
            Ok(ask().map_err(|error| format!("{error:#}")))
        })
        .with_context(|| self.last_lines(process))
    }

    fn last_lines(&self, process: &str) -> String {
        let log = self.layout.log(process);
        let text = fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        format!("the last lines of {}:\n{}\n", log.display(), tail(&text, 15))
    }

    pub fn check_all(&self) -> Result<()> {
        match self.supervisor.list()?.into_iter().find(|state| !state.running) {
            Some(state) => {
                Err(anyhow::anyhow!("{} ended with {}", state.name, state.last_end.as_deref().unwrap_or("no word")))
                    .with_context(|| self.last_lines(&state.name))
            }
            None => Ok(()),
        }
    }
}
