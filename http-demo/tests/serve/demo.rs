//! A real http-demo process, ended by its process id when dropped, and requests to it. Does I/O.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::ports::free_port;
use crate::wait_for;

/// No answer takes longer on a machine that is not overloaded; those without Redis or Postgres have a bound of their own.
const HTTP_LIMIT: Duration = Duration::from_secs(20);

pub struct Demo {
    pub address: SocketAddr,
    child: Child,
    files: TempDir,
}

/// The built program, with nothing of the environment that could change its settings.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_http-demo"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HTTP_DEMO_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

impl Demo {
    /// Starts it and waits until it is ready.
    pub fn start(arguments: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let log = File::create(files.path().join("log")).unwrap();
        let errors = log.try_clone().unwrap();
        let mut command = program();
        command.args(["--listen", &address.to_string(), "--log-level", "debug"]).args(arguments);
        let child = command.stdout(log).stderr(errors).spawn().unwrap();
        let mut demo = Self { address, child, files };
        wait_for("http-demo is ready", || {
            if let Some(status) = demo.child.try_wait().unwrap() {
                panic!("http-demo has ended ({status}):\n{}", demo.log());
            }
            TcpStream::connect(address).ok()
        });
        assert_eq!(demo.get("/readyz").status, 200);
        demo
    }

    /// With this Redis; nothing is where it would look for Postgres.
    pub fn with_redis(url: &str, more: &[&str]) -> Self {
        let nowhere = nowhere().to_string();
        Self::start(&[&["--redis-url", url, "--postgres-host", &nowhere], more].concat())
    }

    /// With this Postgres; nothing is where it would look for Redis.
    pub fn with_postgres(host: &str, more: &[&str]) -> Self {
        let nowhere = format!("redis://{}", nowhere());
        Self::start(&[&["--redis-url", &nowhere, "--postgres-host", host], more].concat())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.files.path().join("log")).unwrap_or_default()
    }

    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for the process to end by itself: its exit code, or minus the number of the signal that ended it.
    pub fn exit_code(&mut self) -> i32 {
        wait_for("http-demo ends", || {
            let status = self.child.try_wait().unwrap()?;
            Some(status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)))
        })
    }

    // ---- requests, each on a connection of its own

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn put(&self, path: &str, content_type: &str, value: &[u8]) -> Answer {
        self.ask("PUT", path, &[&format!("Content-Type: {content_type}")], value)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, &[], b"")
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n");
        for header in headers {
            request += &format!("{header}\r\n");
        }
        if !body.is_empty() || method == "PUT" {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        let mut bytes = format!("{request}\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.exchange(&bytes)
    }

    /// Writes all of it, and reads to the end.
    pub fn exchange(&self, request: &[u8]) -> Answer {
        let started = Instant::now();
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        let mut answer = Answer::read(&mut stream);
        answer.took = started.elapsed();
        answer
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(HTTP_LIMIT)).unwrap();
        stream
    }

    /// A series of `/metrics`, with its labels as written there.
    pub fn metric(&self, series: &str) -> u64 {
        let text = self.get("/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("no {series} in\n{text}"))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the log of http-demo:\n{}", self.log());
        }
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// An address of loopback that refuses connections.
pub fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub took: Duration,
}

impl Answer {
    /// Reads to the end of the connection.
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no HTTP answer: {:?}", String::from_utf8_lossy(&bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers = lines.filter_map(header).collect();
        Self { status, headers, body: bytes[end + 4..].to_vec(), took: Duration::ZERO }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// That it is this error, whole: status, code, a sentence, JSON.
    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.header("content-type")), (status, Some("application/json")), "{}", self.text());
        let error = &self.json()["error"];
        assert_eq!(error["code"], code);
        assert!(error["message"].as_str().unwrap().ends_with('.'), "{error}");
    }

    /// That it says which service is away, and why, within 2 s; a busy machine may answer a little late.
    #[track_caller]
    pub fn is_away(&self, service: &str, reason: &str) {
        self.is_error(503, "unavailable");
        let error = &self.json()["error"];
        assert_eq!((&error["service"], &error["reason"]), (&service.into(), &reason.into()), "{error}");
        assert!(self.took < Duration::from_secs(4), "{:?}", self.took);
        assert_eq!(self.header("retry-after"), Some("2"));
    }
}
