//! A real chatd process on ports of its own, ended by its process id when dropped.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::ports::free_port;
use super::wait_for;

/// A key for tokens and links, the same for all pods of a test that do not ask for another.
pub const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// A busy machine may take this long to start a process.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Lines of a pod's log that a failed test shows.
const LOG_TAIL: usize = 60;
const HTTP_LIMIT: Duration = Duration::from_secs(5);

pub struct Pod {
    pub name: String,
    pub tcp: SocketAddr,
    pub web: SocketAddr,
    pub peer: SocketAddr,
    pub admin: SocketAddr,
    arguments: Vec<String>,
    /// What the system allows it; unset: what it allows this process.
    open_files: Option<u32>,
    child: Option<Child>,
    files: TempDir,
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The built program, with nothing of the environment that could change its settings.
pub fn program() -> Command {
    without_settings(env!("CARGO_BIN_EXE_chatd"))
}

fn without_settings(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHATD_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

impl Pod {
    /// Starts `name` with more arguments; [`Pod::ready`] waits for it. `redis_url`: none for a pod alone.
    pub fn launch(name: &str, redis_url: Option<&str>, more: &[&str]) -> Self {
        Self::launch_limited(name, redis_url, None, more)
    }

    /// The same without Redis, of which the system lets open only so many files.
    pub fn launch_with_open_files(name: &str, open_files: u32, more: &[&str]) -> Self {
        Self::launch_limited(name, None, Some(open_files), more)
    }

    fn launch_limited(name: &str, redis_url: Option<&str>, open_files: Option<u32>, more: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let [tcp, web, peer, admin] = std::array::from_fn(|_| loopback(free_port()));
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |flag: &str, value: &str| arguments.extend([flag.to_owned(), value.to_owned()]);
        add("--pod-id", name);
        for (flag, address) in
            [("--tcp-listen", tcp), ("--http-listen", web), ("--peer-listen", peer), ("--admin-listen", admin)]
        {
            add(flag, &address.to_string());
        }
        if let Some(url) = redis_url {
            add("--redis-url", url);
        }
        if !more.contains(&"--token-key-file") {
            let key = files.path().join("token.key");
            fs::write(&key, KEY).unwrap();
            add("--token-key-file", key.to_str().unwrap());
        }
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let name = name.to_owned();
        let mut pod = Self { name, tcp, web, peer, admin, arguments, open_files, child: None, files };
        pod.spawn();
        pod
    }

    /// Starts it and waits until it is ready.
    pub fn start(name: &str, redis_url: &str, more: &[&str]) -> Self {
        let mut pod = Self::launch(name, Some(redis_url), more);
        pod.ready();
        pod
    }

    fn log_file(&self) -> PathBuf {
        self.files.path().join("log")
    }

    fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let errors = log.try_clone().unwrap();
        let mut command = program();
        if let Some(open_files) = self.open_files {
            command = without_settings("sh");
            command.args(["-c", &format!("ulimit -n {open_files} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_chatd")]);
        }
        let child = command.args(&self.arguments).stdout(log).stderr(errors).spawn().unwrap();
        self.child = Some(child);
    }

    /// Waits until `/readyz` says 200.
    pub fn ready(&mut self) -> &mut Self {
        let deadline = Instant::now() + START_LIMIT;
        while self.try_get("/readyz").is_none_or(|answer| answer.status != 200) {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "{} has ended ({ended:?}):\n{}", self.name, self.log());
            assert!(Instant::now() < deadline, "{} is not ready:\n{}", self.name, self.log());
            sleep(Duration::from_millis(10));
        }
        self
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A place for the test's files, which ends with the pod.
    pub fn files(&self) -> &Path {
        self.files.path()
    }

    // ---- signals

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("is running");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again under its name and on its ports.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "still runs");
        self.spawn();
    }

    /// The process stands still, every thread of it; its sockets stay open.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.process_id());
        wait_for("every thread has stopped", START_LIMIT, || {
            let stopped = |task: fs::DirEntry| {
                let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
            };
            fs::read_dir(&tasks).unwrap().all(|task| stopped(task.unwrap())).then_some(())
        });
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    pub fn process_id(&self) -> u32 {
        self.child.as_ref().expect("is running").id()
    }

    /// Waits for the process to end by itself: its exit code, or minus the number of the signal that ended it.
    pub fn exit_code(&mut self, limit: Duration) -> i32 {
        let deadline = Instant::now() + limit;
        let child = self.child.as_mut().expect("is running");
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                self.child = None;
                return status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
            }
            assert!(Instant::now() < deadline, "{} still runs after {limit:?}", self.name);
            sleep(Duration::from_millis(5));
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    // ---- the admin port

    fn try_get(&self, path: &str) -> Option<Answer> {
        get(self.admin, path)
    }

    fn get(&self, path: &str) -> Answer {
        self.try_get(path).unwrap_or_else(|| panic!("{} does not answer {path}", self.name))
    }

    /// The status code of `/readyz` or `/livez`.
    pub fn probe(&self, path: &str) -> u16 {
        self.get(path).status
    }

    pub fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.get("/status").body).unwrap()
    }

    /// The directory's state in `/status`.
    pub fn directory_state(&self) -> String {
        self.try_directory_state().unwrap_or_else(|| panic!("{} has no status", self.name))
    }

    /// The same of a pod that may not have started yet.
    pub fn try_directory_state(&self) -> Option<String> {
        Some(self.try_status()?["directory"]["state"].as_str()?.to_owned())
    }

    pub fn try_status(&self) -> Option<serde_json::Value> {
        let answer = self.try_get("/status").filter(|answer| answer.status == 200)?;
        serde_json::from_str(&answer.body).ok()
    }

    /// Waits until a series has this value: some are only looked at once a second.
    #[track_caller]
    pub fn metric_becomes(&self, series: &str, value: u64) {
        wait_for(&format!("{series} is {value}"), START_LIMIT, || (self.metric(series) == value).then_some(()));
    }

    /// A series of `/metrics` that counts things, with its labels as written there.
    pub fn metric(&self, series: &str) -> u64 {
        let body = self.get("/metrics").body;
        value_of(series, &body).unwrap_or_else(|| panic!("no {series} in\n{body}"))
    }

    /// The same of a pod that may be too busy to say it.
    pub fn try_metric(&self, series: &str) -> Option<u64> {
        value_of(series, &self.try_get("/metrics")?.body)
    }
}

fn value_of(series: &str, metrics: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

impl Drop for Pod {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "--- {}, the end of its log:\n{}",
                self.name,
                lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
            );
        }
        self.kill();
    }
}

pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// One request on a connection of its own; `None`: no whole answer.
pub fn get(address: SocketAddr, path: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, HTTP_LIMIT).ok()?;
    stream.set_read_timeout(Some(HTTP_LIMIT)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some(Answer { status, body: if is_chunked { joined(body)? } else { body.to_owned() } })
}

/// The chunks of a body, as others than chatd send one that is long.
fn joined(mut chunks: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (length, rest) = chunks.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body += rest.get(..length)?;
        chunks = rest.get(length..)?.strip_prefix("\r\n")?;
    }
}
