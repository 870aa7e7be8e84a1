//! A Go program: built once for each version of its source, its pinned modules and the compiler, and cached in `.cache`. Does I/O.

use crate::steps::{Steps, seconds};
use anyhow::{Context, Result, bail};
use programs::repository;
use programs::{SHORT, tail};
use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a long build says where it is.
const REPORT: Duration = Duration::from_secs(15);
const BUILD_LIMIT: Duration = Duration::from_hours(1);

/// What to build, and from what.
#[derive(Debug)]
pub struct GoProgram {
    /// Its file's name.
    pub name: &'static str,
    /// The folder of its go.mod.
    pub source: &'static str,
    /// Which package of those modules it is.
    pub package: &'static str,
    /// The folder of `.cache` that keeps it.
    pub cache: &'static str,
    pub linker_flags: String,
    /// What it can be called with to see whether it runs.
    pub try_with: &'static [&'static str],
    /// The line that is printed before a build.
    pub note: &'static str,
}

impl GoProgram {
    fn bin(&self) -> PathBuf {
        repository().join(".cache").join(self.cache)
    }

    fn go(&self) -> Command {
        let mut go = Command::new("go");
        go.current_dir(repository().join(self.source));
        go.env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOFLAGS", "-mod=readonly");
        go
    }

    /// What the program depends on, as the name of its folder.
    fn key(&self) -> Result<String> {
        let mut files: Vec<PathBuf> = fs::read_dir(repository().join(self.source))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|file| file.extension().is_some_and(|end| end == "go" || end == "mod" || end == "sum"))
            .collect();
        files.sort();
        let mut hash = Sha256::new();
        let compiler =
            programs::succeed(self.go().args(["env", "GOVERSION", "GOOS", "GOARCH"]), Duration::from_mins(5))?;
        for text in [&compiler, &self.linker_flags] {
            hash.update(text);
            hash.update([0]);
        }
        for file in files {
            let content = fs::read(&file)?;
            hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
            hash.update((content.len() as u64).to_be_bytes());
            hash.update(content);
        }
        Ok(hex::encode(&hash.finalize()[..8]))
    }

    /// Where it is, built if it was not yet.
    pub fn build(&self, steps: &Steps) -> Result<PathBuf> {
        let folder = self.bin().join(self.key()?);
        let program = folder.join(self.name);
        if program.exists() {
            return Ok(program);
        }
        fs::create_dir_all(&folder)?;
        let lock = File::create(self.bin().join("lock"))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).context("waiting for another build of the same")?;
        if program.exists() {
            return Ok(program);
        }
        steps.note(self.note);
        let draft = folder.join(format!("{}.draft", self.name));
        self.compile(steps, &draft)?;
        fs::rename(&draft, &program)?;
        self.remove_others(&folder)?;
        Ok(program)
    }

    fn compile(&self, steps: &Steps, program: &Path) -> Result<()> {
        let started = Instant::now();
        steps.note("fetching modules");
        programs::succeed(self.go().args(["mod", "download"]), BUILD_LIMIT).context("fetching Go modules")?;
        let listed = programs::succeed(self.go().args(["list", "-deps", self.package]), Duration::from_mins(5))?;
        let packages = listed.lines().count();
        steps.note(format!(
            "modules are there after {}; {packages} packages, fewer if Go has some of them already",
            seconds(started.elapsed())
        ));

        let mut command = self.go();
        command.args(["build", "-v", "-trimpath", "-ldflags", &self.linker_flags, "-o"]).arg(program).arg(self.package);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let (sender, lines) = mpsc::channel();
        let stderr = child.stderr.take().context("no pipe to the compiler")?;
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut output = Vec::new();
        let (mut built, mut report) = (0_usize, Instant::now() + REPORT);
        loop {
            match lines.recv_timeout(report.saturating_duration_since(Instant::now())) {
                // A line is a package's path, or what the compiler has to say.
                Ok(line) => {
                    if !line.contains(' ') {
                        built += 1;
                    }
                    output.push(line);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= report {
                steps.note(format!("{built} of {packages} packages, {}", seconds(started.elapsed())));
                report += REPORT;
            }
            if started.elapsed() > BUILD_LIMIT {
                child.kill()?;
                child.wait()?;
                bail!("the build took more than {}", seconds(BUILD_LIMIT));
            }
        }
        let status = child.wait()?;
        let _ = reader.join();
        if !status.success() {
            bail!("`go build` in {} failed:\n{}", self.source, tail(&output.join("\n"), 20));
        }
        programs::succeed(Command::new(program).args(self.try_with), SHORT).context("the new program does not run")?;
        Ok(())
    }

    /// Each is large, and only the newest is needed. A running cluster has its own copy.
    fn remove_others(&self, keep: &Path) -> Result<()> {
        for entry in fs::read_dir(self.bin())? {
            let path = entry?.path();
            if path.is_dir() && path != keep {
                fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }
}
