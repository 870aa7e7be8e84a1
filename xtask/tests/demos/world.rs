//! The cluster under test, and who uses it: kubectl, players with nc in a pod, ports of this machine. Does I/O.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// For what a person would wait for.
pub const SOON: Duration = Duration::from_secs(30);
/// A lease runs out after 10 s, a takeover waits for it, and the machine is busy.
pub const TAKEOVER: Duration = Duration::from_secs(45);
/// Pods that are deleted, drained or started again.
pub const LONG: Duration = Duration::from_mins(2);
pub const NAMESPACE: &str = "demo-test";

pub struct World {
    name: String,
    keep: bool,
    /// Whether something has gone wrong, so that names in later tests differ.
    count: Cell<u32>,
}

impl World {
    pub fn make() -> Self {
        let name = std::env::var("CLUSTER_NAME").unwrap_or_else(|_| "demos".to_owned());
        let kept = std::env::var("CHATD_TEST_KEEP").unwrap_or_default();
        let keep = !kept.is_empty();
        let world = Self { name, keep, count: Cell::new(0) };
        if kept == "ready" {
            return world;
        }
        if !keep {
            world.xtask(&["down"]);
        }
        world.xtask(&["tcp-demo", "--no-forward"]);
        world.xtask(&["http-demo", "--no-forward"]);
        world.xtask(&["images", "toolbox"]);
        world.xtask(&["load", ".cache/images/toolbox.oci.tar"]);
        world.make_toolbox();
        world
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(words).current_dir(repository());
        command.env("CLUSTER_NAME", &self.name).env("CLUSTER", "builtin").env("NODES", "2");
        command
    }

    /// Its output goes where ours goes.
    pub fn xtask(&self, words: &[&str]) {
        let status = self.command(words).stdin(Stdio::null()).status().unwrap();
        assert!(status.success(), "xtask {} failed", words.join(" "));
    }

    pub fn kubectl(&self, words: &[&str]) -> String {
        let (good, said) = self.try_kubectl(words);
        assert!(good, "kubectl {}: {said}", words.join(" "));
        said
    }

    pub fn try_kubectl(&self, words: &[&str]) -> (bool, String) {
        let all: Vec<&str> = ["kubectl", "--"].iter().chain(words).copied().collect();
        let output = self.command(&all).stdin(Stdio::null()).output().unwrap();
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    pub fn get(&self, words: &[&str]) -> Value {
        let all: Vec<&str> = ["get", "--output=json"].iter().chain(words).copied().collect();
        serde_json::from_str(&self.kubectl(&all)).unwrap()
    }

    pub fn apply(&self, object: &Value) {
        let mut child = self
            .command(&["kubectl", "--", "apply", "--filename=-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    fn make_toolbox(&self) {
        let labels = serde_json::json!({"pod-security.kubernetes.io/enforce": "restricted"});
        self.apply(&serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}));
        self.apply(&serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "toolbox", "namespace": NAMESPACE},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "toolbox", "image": "chatd.local/toolbox:1", "command": ["sleep", "86400"],
                    "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        }));
        self.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", "--namespace", NAMESPACE, "pod/toolbox"]);
    }

    pub fn node_of(&self, namespace: &str, pod: &str) -> String {
        let pod = self.get(&["pod", pod, "--namespace", namespace]);
        pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()
    }

    /// A player with nc in a pod, at `host:port` as pods know it.
    pub fn player(&self, address: &str) -> Player {
        let (host, port) = address.rsplit_once(':').unwrap();
        let words = ["kubectl", "--", "exec", "--stdin", "--namespace", NAMESPACE, "toolbox", "--", "nc", host, port];
        Player::start(self.command(&words))
    }

    /// At one of chatd's pods.
    pub fn player_at(&self, pod: u32) -> Player {
        self.player(&format!("chat-{pod}.chat-pods.chatd.svc.cluster.local:7654"))
    }

    /// A name that no test has used.
    pub fn fresh(&self, name: &str) -> String {
        self.count.set(self.count.get() + 1);
        format!("{name}{}", self.count.get())
    }

    /// Kills the process of a pod's container, as a crash would: the built-in cluster's processes are this machine's.
    pub fn kill(&self, namespace: &str, pod: &str, program: &str) {
        let uid = self.uid(namespace, pod);
        let pids: Vec<String> = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|entry| {
                let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
                read("cgroup").contains(&uid) && read("comm").trim() == program
            })
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(pids.len(), 1, "processes {program} of {pod}: {pids:?}");
        assert!(Command::new("kill").args(["-KILL", &pids[0]]).status().unwrap().success());
    }

    pub fn await_rollout(&self, namespace: &str, workload: &str) {
        self.kubectl(&["rollout", "status", "--timeout=180s", "--namespace", namespace, workload]);
    }

    /// Until all chat pods are ready, and hold their leases. The set is asked first: the operator hears of a pod's end a moment later.
    pub fn await_chatd(&self) {
        self.await_rollout("chatd", "statefulset/chat");
        self.kubectl(&["wait", "--for=condition=Ready", "--timeout=180s", "--namespace=chatd", "chatdeployment/chat"]);
    }

    /// The uids of all pods with these labels.
    pub fn uids(&self, namespace: &str, selector: &str) -> Vec<String> {
        let list = self.get(&["pods", "--namespace", namespace, "--selector", selector]);
        let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap().to_owned();
        let mut uids: Vec<String> = list["items"].as_array().unwrap().iter().map(uid).collect();
        uids.sort();
        uids
    }

    /// The pods' uids by name.
    pub fn uid(&self, namespace: &str, pod: &str) -> String {
        let (good, said) =
            self.try_kubectl(&["get", "pod", pod, "--namespace", namespace, "--output=jsonpath={.metadata.uid}"]);
        if good { said } else { String::new() }
    }

    /// Waits until another pod of this name is ready.
    pub fn await_successor(&self, namespace: &str, pod: &str, old_uid: &str) {
        until(LONG, &format!("a new {pod}"), || {
            let uid = self.uid(namespace, pod);
            !uid.is_empty() && uid != old_uid
        });
        let (pod, limit) = (format!("pod/{pod}"), format!("--timeout={}s", LONG.as_secs()));
        self.kubectl(&["wait", "--for=condition=Ready", &limit, "--namespace", namespace, &pod]);
    }

    pub fn show_state(&self) {
        println!("{}", self.try_kubectl(&["get", "pods", "--all-namespaces", "--output=wide"]).1);
        println!("{}", self.try_kubectl(&["describe", "chatdeployment/chat", "--namespace=chatd"]).1);
        for (namespace, name) in [("chatd", "chatd"), ("chatd-operator", "chatd-operator")] {
            let selector = format!("--selector=app.kubernetes.io/name={name}");
            let words = ["logs", "--namespace", namespace, &selector, "--prefix", "--tail=15"];
            println!("{}", self.try_kubectl(&words).1);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !self.keep {
            let ended = self.command(&["down"]).stdin(Stdio::null()).status();
            assert!(ended.is_ok_and(|status| status.success()) || thread::panicking(), "xtask down failed");
        }
    }
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

pub fn until(limit: Duration, what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !check() {
        assert!(Instant::now() < deadline, "waited {} s for {what}", limit.as_secs());
        thread::sleep(Duration::from_millis(100));
    }
}

/// A program that is spoken to by lines.
pub struct Player {
    child: Child,
    /// None once it was closed.
    input: Option<ChildStdin>,
    heard: Arc<Mutex<Vec<String>>>,
    /// How many of the lines have been read.
    read: Cell<usize>,
}

impl Player {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().unwrap(), Arc::clone(&heard), "");
        collect(child.stderr.take().unwrap(), Arc::clone(&heard), "(stderr) ");
        let input = child.stdin.take();
        Self { child, input, heard, read: Cell::new(0) }
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line that starts so; those before it are passed over.
    pub fn read(&self, start: &str, limit: Duration) -> String {
        let mut found = None;
        let deadline = Instant::now() + limit;
        while found.is_none() {
            {
                let heard = self.heard.lock().unwrap();
                if let Some(at) = heard[self.read.get()..].iter().position(|line| line.starts_with(start)) {
                    found = Some(heard[self.read.get() + at].clone());
                    self.read.set(self.read.get() + at + 1);
                }
            }
            if found.is_none() {
                let all = || self.heard.lock().unwrap().join(" | ");
                assert!(Instant::now() < deadline, "waited {} s for `{start}`; came: {}", limit.as_secs(), all());
                thread::sleep(Duration::from_millis(20));
            }
        }
        found.unwrap()
    }

    /// Everything that was heard so far.
    pub fn all(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Closes its input and waits for its end.
    pub fn ends(mut self, limit: Duration) -> bool {
        self.input = None;
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: impl Read + Send + 'static, heard: Arc<Mutex<Vec<String>>>, prefix: &'static str) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            heard.lock().unwrap().push(format!("{prefix}{line}"));
        }
    });
}

/// `xtask forward` on free ports; the ports of this machine in the order of the pods'.
pub struct Forward {
    child: Option<Player>,
    pub ports: Vec<u16>,
}

impl Forward {
    pub fn start(world: &World, to: &str, count: usize) -> Self {
        let zeros = vec!["0"; count].join(",");
        let child = Player::start(world.command(&["forward", to, "--local-ports", &zeros]));
        let port = |line: &str| line.split([':', ' ']).find_map(|word| word.parse().ok()).unwrap();
        let ports = (0..count).map(|_| port(&child.read("    forwarding localhost:", SOON))).collect();
        child.read("    connections go to ", SOON);
        Self { child: Some(child), ports }
    }

    /// The pod that new connections go to from now on.
    pub fn pod(&self) -> String {
        let all = self.child.as_ref().unwrap().all();
        all.iter().rev().find_map(|line| line.strip_prefix("    connections go to ")).unwrap().to_owned()
    }

    /// As Ctrl-C does it; its children have ended with it.
    pub fn interrupt(mut self) {
        let child = self.child.take().unwrap();
        let children = children(child.pid());
        assert!(children.len() >= 2, "kubectl watches and forwards: {children:?}");
        let killed = Command::new("kill").args(["-INT", &child.pid().to_string()]).status().unwrap();
        assert!(killed.success() && child.ends(SOON), "Ctrl-C ends it");
        until(SOON, "the children's end", || children.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    }
}

fn children(pid: u32) -> Vec<String> {
    let file = format!("/proc/{pid}/task");
    let mut found = Vec::new();
    for task in std::fs::read_dir(file).unwrap().flatten() {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().map(str::to_owned));
    }
    found
}
