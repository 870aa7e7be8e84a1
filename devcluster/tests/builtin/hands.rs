//! Helpers for tests with a cluster: commands with a timeout, and a cluster that is removed when its test ends.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const UP: Duration = Duration::from_mins(3);
/// The promise of `make down`.
pub const DOWN: Duration = Duration::from_secs(15);

/// Something that only root can do is tested here: CI is root, and a person is told.
pub fn assert_root() {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    assert_eq!(String::from_utf8_lossy(&id.stdout).trim(), "0", "the cluster tests need root: sudo make test-cluster");
}

#[derive(Debug)]
pub struct Cluster {
    pub name: &'static str,
    pub nodes: u8,
}

impl Cluster {
    /// A name for one test; the remains of an interrupted run are removed first.
    pub fn named(name: &'static str) -> Self {
        assert_root();
        let cluster = Self { name, nodes: 1 };
        cluster.down();
        cluster
    }

    pub fn state(&self) -> PathBuf {
        PathBuf::from("/var/lib/chatd-cluster").join(self.name)
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devcluster"));
        command
            .args(words)
            .env("CLUSTER_NAME", self.name)
            .env("NODES", self.nodes.to_string())
            .env("CLUSTER", "builtin");
        command.stdin(Stdio::null());
        command
    }

    /// `up` or `down` in the background, in a process group of its own, and silent.
    pub fn start(&self, what: &str) -> Background {
        use std::os::unix::process::CommandExt;
        let mut command = self.command(&[what]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Background(command.spawn().expect("it starts"))
    }

    pub fn up(&self) -> Duration {
        let started = Instant::now();
        let output = within(UP, self.command(&["up"]));
        assert!(output.status.success(), "up failed:\n{}{}", text(&output.stdout), text(&output.stderr));
        started.elapsed()
    }

    /// Has to succeed within its limit.
    pub fn down(&self) -> Duration {
        let started = Instant::now();
        let output = within(DOWN, self.command(&["down"]));
        assert!(output.status.success(), "down failed:\n{}{}", text(&output.stdout), text(&output.stderr));
        started.elapsed()
    }

    pub fn kubectl(&self, words: &[&str]) -> Output {
        let mut all = vec!["kubectl", "--"];
        all.extend(words);
        within(Duration::from_mins(2), self.command(&all))
    }

    /// kubectl that has to succeed; gives what it printed.
    pub fn must(&self, words: &[&str]) -> String {
        let output = self.kubectl(words);
        assert!(output.status.success(), "kubectl {words:?}:\n{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// `kubectl apply` of a text.
    pub fn apply(&self, yaml: &str) {
        let file = std::env::temp_dir().join(format!("devcluster-test-{}-{}.yaml", self.name, std::process::id()));
        std::fs::write(&file, yaml).expect("a temporary file");
        self.must(&["apply", "--filename", &file.to_string_lossy()]);
        std::fs::remove_file(&file).expect("it can be removed");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Also after a failure; what went wrong was said already.
        let _ = self.command(&["down"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// A process group that does not outlive its test.
#[derive(Debug)]
pub struct Background(Child);

impl Background {
    /// Kills it without warning; with its whole process group, as a closed terminal does, or alone.
    pub fn kill(mut self, group: bool) {
        let pid = Pid::from_child(&self.0);
        let killed = if group { kill_process_group(pid, Signal::KILL) } else { kill_process(pid, Signal::KILL) };
        killed.expect("it can be killed");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Not if it was waited for: its id may be another's by now.
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Its output, read while it runs; ends it and fails when the limit has passed.
pub fn within(limit: Duration, mut command: Command) -> Output {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let pid = child.id();
    let stdout = read_aside(child.stdout.take().expect("a pipe"));
    let stderr = read_aside(child.stderr.take().expect("a pipe"));
    let status = loop {
        if let Some(status) = child.try_wait().expect("it can be asked") {
            break status;
        }
        if started.elapsed() > limit {
            child.kill().expect("it can be ended");
            child.wait().expect("it ends");
            panic!("{command:?} (process {pid}) did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Output { status, stdout: stdout.join().expect("read"), stderr: stderr.join().expect("read") }
}

fn read_aside(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

/// Asks until it is so.
pub fn eventually(what: &str, limit: Duration, mut ask: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !ask() {
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
