//! The protocol of `up` and the supervisor over the supervisor's socket: one line of JSON as request, one as answer. I/O.

use super::processes::Process;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Run this, and start it again when it ends. Nothing happens if it runs as it should already.
    Keep(Process),
    List,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Done,
    Processes(Vec<State>),
    Failed(String),
}

/// One process as the supervisor sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    pub name: String,
    pub running: bool,
    /// How often it ended since it was asked for.
    pub ends: u32,
    /// How it ended the last time.
    pub last_end: Option<String>,
    pub log: PathBuf,
}

#[derive(Debug, Clone)]
pub struct Supervisor {
    socket: PathBuf,
}

impl Supervisor {
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_path_buf() }
    }

    fn ask(&self, request: &Request) -> Result<Answer> {
        let mut stream = UnixStream::connect(&self.socket)
            .with_context(|| format!("the supervisor does not answer at {}", self.socket.display()))?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        stream.set_write_timeout(Some(Duration::from_secs(15)))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).context("the supervisor did not answer")?;
        match serde_json::from_str(&answer).context("the supervisor went away")? {
            Answer::Failed(reason) => bail!("{reason}"),
            good => Ok(good),
        }
    }

    pub fn keep(&self, process: Process) -> Result<()> {
        self.ask(&Request::Keep(process)).map(drop)
    }

    pub fn list(&self) -> Result<Vec<State>> {
        match self.ask(&Request::List)? {
            Answer::Processes(states) => Ok(states),
            other => bail!("the supervisor answered {other:?}"),
        }
    }
}
