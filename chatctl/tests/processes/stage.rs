//! A real Redis and real chatd processes on loopback, ended by their process ids when dropped. Does I/O.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;

use crate::ports::free_port;

const PATIENCE: Duration = Duration::from_secs(30);
/// A token key, and what no output of a bundle may contain.
pub const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One chatd process, with ports of its own.
pub struct Pod {
    pub lines: String,
    pub web: String,
    pub admin: String,
    process: Option<Process>,
}

impl Pod {
    /// What its metrics say of a series without labels.
    pub fn metric(&self, series: &str) -> u64 {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        answer.lines().find_map(value).expect("a series that there is")
    }
}

pub struct Stage {
    pub pods: Vec<Pod>,
    redis: Option<Process>,
    redis_port: u16,
    files: TempDir,
}

/// chatd, which is built beside this crate's programs: by `cargo test --workspace` already, else here, with the same features.
fn chatd() -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let words = ["test", "--locked", "--quiet", "--workspace", "--no-run", "--test", "serve"];
        let built = Command::new(env!("CARGO")).args(words).status();
        assert!(built.unwrap().success(), "chatd is not built");
    });
    PathBuf::from(env!("CARGO_BIN_EXE_chatctl")).with_file_name("chatd")
}

pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn server_certificate() -> Vec<(&'static str, String)> {
    let made = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    vec![("tls.crt", made.cert.pem()), ("tls.key", made.signing_key.serialize_pem())]
}

fn client_certificate() -> Vec<(&'static str, String)> {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let client = CertificateParams::new(vec!["player".to_owned()]).unwrap();
    let client = client.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    vec![("client-ca.crt", authority_pem), ("client.crt", client.pem()), ("client.key", key.serialize_pem())]
}

impl Stage {
    /// So many pods that share a Redis.
    pub fn new(pods: usize) -> Self {
        Self::with_files(pods, &[])
    }

    /// The same, with certificates for `127.0.0.1` of an authority of their own.
    pub fn with_tls(pods: usize) -> Self {
        Self::with_files(pods, &server_certificate())
    }

    /// The same, with clients that have to show a certificate, such as `client.crt` with `client.key`.
    pub fn with_client_certificates(pods: usize) -> Self {
        Self::with_files(pods, &[server_certificate(), client_certificate()].concat())
    }

    fn with_files(pods: usize, files: &[(&str, String)]) -> Self {
        let redis_port = free_port();
        let mut stage = Self { pods: Vec::new(), redis: None, redis_port, files: tempfile::tempdir().unwrap() };
        for (name, content) in files {
            fs::write(stage.file(name), content).unwrap();
        }
        fs::write(stage.files.path().join("key"), KEY).unwrap();
        stage.start_redis();
        for number in 0..pods {
            stage.start_pod(number);
        }
        for pod in &stage.pods {
            wait_for("a pod is ready", || {
                let status =
                    Command::new(chatd()).args(["healthcheck", "--admin-listen", &pod.admin]).output().unwrap();
                status.status.success()
            });
        }
        stage
    }

    fn start_redis(&mut self) {
        let port = self.redis_port.to_string();
        let mut redis = Command::new("redis-server");
        redis.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--dir"]).arg(self.files.path());
        self.redis = Some(Process(redis.stdout(Stdio::null()).spawn().unwrap()));
        wait_for("Redis listens", || TcpStream::connect(("127.0.0.1", self.redis_port)).is_ok());
    }

    pub fn stop_redis(&mut self) {
        self.redis = None;
    }

    fn start_pod(&mut self, number: usize) {
        let [lines, web, peer, admin] = [(); 4].map(|()| format!("127.0.0.1:{}", free_port()));
        let log = File::create(self.files.path().join(format!("chat-{number}.log"))).unwrap();
        let mut command = Command::new(chatd());
        for (flag, name) in
            [("--tls-cert-file", "tls.crt"), ("--tls-key-file", "tls.key"), ("--tls-client-ca-file", "client-ca.crt")]
        {
            if self.file(name).exists() {
                command.arg(flag).arg(self.file(name));
            }
        }
        let process = command
            .args(["--pod-id", &format!("chat-{number}"), "--token-key-file"])
            .arg(self.files.path().join("key"))
            .args(["--redis-url", &format!("redis://127.0.0.1:{}", self.redis_port), "--drain-deadline", "6"])
            .args(["--tcp-listen", &lines, "--http-listen", &web, "--peer-listen", &peer, "--admin-listen", &admin])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.pods.push(Pod { lines, web, admin, process: Some(Process(process)) });
    }

    /// A file of the stage; `tls.crt` is also the authority.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Asks a pod to end in order; it drains.
    pub fn terminate(&self, pod: usize) {
        let id = self.pods[pod].process.as_ref().expect("runs").0.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
    }

    /// Ends a pod as a crash would.
    pub fn kill(&mut self, pod: usize) {
        self.pods[pod].process = None;
    }

    /// The addresses for clients, as flags have them.
    pub fn addresses(&self, of: impl Fn(&Pod) -> &String) -> String {
        self.pods.iter().map(|pod| of(pod).as_str()).collect::<Vec<_>>().join(",")
    }
}

/// `chatctl` with these arguments.
pub fn chatctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatctl"));
    command.args(arguments).env_remove("CHATCTL_ADMIN").stdin(Stdio::null());
    command
}

/// Its exit code and standard output; standard error is shown if the test fails.
pub fn run(arguments: &[&str]) -> (i32, String) {
    told(&chatctl(arguments).output().unwrap())
}

pub fn told(output: &Output) -> (i32, String) {
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8(output.stdout.clone()).unwrap())
}
