//! One real Postgres for all tests of this process, in a folder of its own. Does I/O.
//!
//! Making a Postgres takes a second or two, so that the tests share one and keep apart by roles and databases; to one of them it is away
//! when the test's proxy says so. It runs under a shell that waits for the end of its input, which the end of this process is, however
//! that comes: so nothing is left behind.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::ports::free_port;
use crate::wait_for;

/// Of the superuser `postgres`.
pub const PASSWORD: &str = "correct horse";
/// nobody, who is everywhere: Postgres refuses to run as root.
const NOBODY: u32 = 65534;

pub struct PostgresServer {
    pub port: u16,
    bin: PathBuf,
    folder: PathBuf,
    /// Its input is open for as long as this process lives.
    _guard: Child,
}

/// The shared server.
pub fn postgres() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(PostgresServer::start)
}

impl PostgresServer {
    fn start() -> Self {
        let bin = programs();
        let folder = tempfile::Builder::new().prefix("http-demo-postgres-").tempdir().unwrap().keep();
        let password = folder.join("password");
        fs::write(&password, PASSWORD).unwrap();
        if is_root() {
            for path in [&folder, &password] {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let data = folder.join("data");
        let mut command = unprivileged(&bin.join("initdb"));
        command.args(["--no-sync", "--no-locale", "--encoding=UTF8", "--auth=scram-sha-256", "--username=postgres"]);
        command.arg("--pgdata").arg(&data).arg("--pwfile").arg(&password).current_dir(&folder);
        let made = command.output().unwrap();
        assert!(made.status.success(), "initdb:\n{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let script = r#"folder=$1; shift; "$@" >"$folder/log" 2>&1 & server=$!
            read -r _; kill -QUIT "$server"; wait "$server"; rm -rf "$folder""#;
        let mut guard = Command::new("sh");
        guard.args(["-c", script, "sh"]).arg(&folder);
        let server = unprivileged(&bin.join("postgres"));
        guard.arg(server.get_program()).args(server.get_args()).arg("-D").arg(&data).current_dir(&folder);
        for setting in ["fsync=off", "shared_buffers=8MB", "listen_addresses=127.0.0.1", "unix_socket_directories="] {
            guard.args(["-c", setting]);
        }
        guard.args(["-p", &port.to_string()]);
        let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { port, bin, folder, _guard: guard };
        wait_for("Postgres answers", || {
            let outcome = server.psql("SELECT 1");
            outcome.status.success().then_some(())
        });
        server
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Statements by the superuser, each in a transaction of its own.
    pub fn run(&self, statements: &str) {
        for statement in statements.split(';') {
            let outcome = self.psql(statement);
            assert!(
                outcome.status.success(),
                "{statement}: {}\n{}",
                String::from_utf8_lossy(&outcome.stderr),
                fs::read_to_string(self.folder.join("log")).unwrap_or_default()
            );
        }
    }

    fn psql(&self, statement: &str) -> std::process::Output {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-X", "-q", "-w", "-c"]);
        command.arg(statement).env("PGPASSWORD", PASSWORD).output().unwrap()
    }
}

/// Debian keeps them out of the PATH.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let found = found.into_iter().find(|folder| folder.join("initdb").exists());
    found.expect("no initdb: hack/need postgres installs it")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]).arg("--clear-groups").arg(program);
    command
}
