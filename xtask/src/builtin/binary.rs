//! The multi-call program of the built-in cluster: built once for each state of its source, its pinned modules and the compiler. I/O.

use super::processes::hex;
use crate::cluster::repository;
use crate::command::{self, SHORT, tail};
use crate::steps::{Steps, seconds};
use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

const KUBERNETES: (&str, &str) = ("1", "37");
const KUBERNETES_PATCH: &str = "2";
/// How often a long build says where it is.
const REPORT: Duration = Duration::from_secs(15);
const BUILD_LIMIT: Duration = Duration::from_hours(1);

fn source() -> PathBuf {
    repository().join("hack/cluster")
}

fn bin() -> PathBuf {
    repository().join(".cache/cluster/bin")
}

/// Kubernetes reports the version that it is linked with; without it kubectl and the clients find no version at all.
fn linker_flags() -> String {
    let (major, minor) = KUBERNETES;
    let set = |name: &str, value: &str| format!("-X k8s.io/component-base/version.{name}={value}");
    let version = format!("v{major}.{minor}.{KUBERNETES_PATCH}");
    ["-s -w".to_owned(), set("gitVersion", &version), set("gitMajor", major), set("gitMinor", minor)].join(" ")
}

fn go() -> Command {
    let mut go = Command::new("go");
    go.current_dir(source()).env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOFLAGS", "-mod=readonly");
    go
}

/// What the program depends on, as the name of its folder.
fn key() -> Result<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(source())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|end| end == "go" || end == "mod" || end == "sum"))
        .collect();
    files.sort();
    let mut hash = Sha256::new();
    let compiler = command::succeed(go().args(["env", "GOVERSION", "GOOS", "GOARCH"]), Duration::from_mins(5))?;
    for text in [compiler, linker_flags()] {
        hash.update(text);
        hash.update([0]);
    }
    for file in files {
        let content = fs::read(&file)?;
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update((content.len() as u64).to_be_bytes());
        hash.update(content);
    }
    Ok(hex(&hash.finalize()[..8]))
}

pub fn build(steps: &Steps) -> Result<PathBuf> {
    let folder = bin().join(key()?);
    let program = folder.join("chatd-cluster");
    if program.exists() {
        return Ok(program);
    }
    fs::create_dir_all(&folder)?;
    let lock = File::create(bin().join("lock"))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).context("waiting for another build of the same")?;
    if program.exists() {
        return Ok(program);
    }
    steps.note("building Kubernetes, etcd, CoreDNS and metrics-server from their Go modules: about 15 minutes on 2 cores, once");
    let draft = folder.join("chatd-cluster.draft");
    compile(steps, &draft)?;
    fs::rename(&draft, &program)?;
    remove_others(&folder)?;
    Ok(program)
}

fn compile(steps: &Steps, program: &Path) -> Result<()> {
    let started = Instant::now();
    steps.note("fetching modules");
    command::succeed(go().args(["mod", "download"]), BUILD_LIMIT).context("fetching Go modules")?;
    let listed = command::succeed(go().args(["list", "-deps", "."]), Duration::from_mins(5))?;
    let packages = listed.lines().count();
    steps.note(format!(
        "modules are there after {}; {packages} packages, fewer if Go has some of them already",
        seconds(started.elapsed())
    ));

    let mut command = go();
    command.args(["build", "-v", "-trimpath", "-ldflags", &linker_flags(), "-o"]).arg(program).arg(".");
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
    let mut said = Vec::new();
    let (mut built, mut report) = (0_usize, Instant::now() + REPORT);
    loop {
        match lines.recv_timeout(report.saturating_duration_since(Instant::now())) {
            // A line is a package's path, or what the compiler has to say.
            Ok(line) => {
                if !line.contains(' ') {
                    built += 1;
                }
                said.push(line);
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
        bail!("`go build` in hack/cluster failed:\n{}", tail(&said.join("\n"), 20));
    }
    command::succeed(Command::new(program).args(["kubectl", "version", "--client"]), SHORT)
        .context("the new program does not run")?;
    Ok(())
}

/// Each is large, and only the newest is of use. A running cluster has a copy of its own.
fn remove_others(keep: &Path) -> Result<()> {
    for entry in fs::read_dir(bin())? {
        let path = entry?.path();
        if path.is_dir() && path != keep {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}
