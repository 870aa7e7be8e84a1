//! A real redis-server on a free port, ended by its process id when dropped. Does I/O.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use redis::FromRedisValue;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::ports::free_port;
use crate::wait_for;

pub struct RedisServer {
    pub port: u16,
    arguments: Vec<String>,
    child: Child,
    folder: TempDir,
}

impl RedisServer {
    pub fn start(arguments: &[&str]) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = launch(&folder, port, &arguments);
        let mut server = Self { port, arguments, child, folder };
        server.listens();
        server
    }

    fn listens(&mut self) {
        wait_for("redis-server listens", || {
            assert!(self.child.try_wait().unwrap().is_none(), "redis-server has ended");
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    pub fn kill(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }

    /// Starts it again on the same port, without its data.
    pub fn start_again(&mut self) {
        self.child = launch(&self.folder, self.port, &self.arguments);
        self.listens();
    }

    /// Stops the process: its sockets stay open and say nothing.
    pub fn freeze(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    pub fn thaw(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Asks the server something, given as words.
    pub fn run<T: FromRedisValue>(&self, words: &str) -> T {
        self.run_as("", words)
    }

    /// As `run`, by a `user:password@`.
    pub fn run_as<T: FromRedisValue>(&self, login: &str, words: &str) -> T {
        let client = redis::Client::open(format!("redis://{login}127.0.0.1:{}", self.port)).unwrap();
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        command.query(&mut client.get_connection().unwrap()).unwrap()
    }
}

fn launch(folder: &TempDir, port: u16, arguments: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(folder.path());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("redis-server cannot be run ({error}); hack/need redis installs it"))
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
