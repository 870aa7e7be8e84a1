//! A namespace with an operator and a ChatDeployment, and the built plugin. Does I/O: kubectl, processes.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_mins(2);

/// Ends the process by its id, however the test ends.
pub struct Process(Option<Child>);

impl Process {
    pub fn finish(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub struct World {
    namespace: String,
    _operator: Process,
}

pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The exit code and standard output; standard error is shown if the test fails.
pub fn told(output: &Output) -> (i32, String) {
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8(output.stdout.clone()).unwrap())
}

/// Standard output of a program that has to succeed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let (code, text) = told(&Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap());
    assert_eq!(code, 0, "{program} {arguments:?}");
    text
}

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Which is built beside this crate's programs, with the features that all tests have.
fn start_operator(namespace: &str) -> Process {
    let words = ["test", "--locked", "--quiet", "--workspace", "--no-run", "--test", "generated"];
    let built = Command::new(env!("CARGO")).args(words).status();
    assert!(built.unwrap().success(), "the operator is not built");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_kubectl-chatd")).with_file_name("chatd-operator");
    // What reaches pods, where they cannot be reached from here.
    let enter = variable("CHATD_TEST_ENTER", "env");
    let mut words = enter.split_whitespace();
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{namespace}.log"));
    let operator = Command::new(words.next().unwrap())
        .args(words)
        .arg(program)
        .args(["run", "--admin-listen", "127.0.0.1:0", "--watch-namespace", namespace])
        .args(["--chatd-image", &variable("CHATD_TEST_IMAGE", "chatd.local/chatd:dev")])
        .args(["--valkey-image", &variable("VALKEY_TEST_IMAGE", "chatd.local/valkey:9")])
        .stdout(File::create(log).unwrap())
        .spawn();
    Process(Some(operator.unwrap()))
}

impl World {
    /// With two chat pods, which may not be ready yet.
    pub fn new() -> Self {
        let namespace = format!("chatctl-{}", std::process::id());
        run("kubectl", &["create", "namespace", &namespace]);
        let world = Self { _operator: start_operator(&namespace), namespace };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chat.yaml");
        let object =
            "apiVersion: chatd.dev/v1beta1\nkind: ChatDeployment\nmetadata: {name: chat}\nspec: {replicas: 2}\n";
        std::fs::write(&file, object).unwrap();
        world.kubectl(&["apply", "--filename", file.to_str().unwrap()]);
        world
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        run("kubectl", &[&["--namespace", &self.namespace], arguments].concat())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-chatd"));
        command.args(["--namespace", &self.namespace]).args(arguments).stdin(Stdio::null());
        command
    }

    /// `kubectl chatd` with these arguments: its exit code and standard output.
    pub fn chatd(&self, arguments: &[&str]) -> (i32, String) {
        told(&self.command(arguments).output().unwrap())
    }

    /// The same, in the background.
    pub fn start(&self, arguments: &[&str]) -> Process {
        let child = self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Process(Some(child.unwrap()))
    }

    /// The values of a Secret.
    pub fn secrets(&self, name: &str) -> Vec<String> {
        // A file of several lines has its secret in one of them.
        let template = "--output=go-template={{range .data}}{{base64decode .}}{{\"\\x00\"}}{{end}}";
        let values = self.kubectl(&["get", "secret", name, template]);
        values.split('\0').filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    /// A kubelet brings changed Secrets into a pod's files at once when the pod itself changes.
    pub fn hurry_files(&self) {
        self.kubectl(&["annotate", "pods", "--all", "--overwrite", "test/hurry=yes"]);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = Command::new("kubectl").args(["delete", "namespace", &self.namespace, "--wait=false"]).status();
    }
}
