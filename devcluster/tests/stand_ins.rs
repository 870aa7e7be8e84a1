//! `up`, `load` and `down` with kind, k3d, minikube and somebody's own cluster, by stand-in programs that write down how they were
//! called. Node images are not available everywhere; what these programs are told can be tested everywhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A PATH of its own with stand-ins, and a cluster of its own.
struct Stage {
    folder: PathBuf,
    name: &'static str,
}

impl Stage {
    fn named(name: &'static str) -> Self {
        let folder = std::env::temp_dir().join(format!("devcluster-stage-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("bin")).expect("a temporary folder");
        let stage = Self { folder, name };
        let _ = fs::remove_dir_all(stage.cache());
        stage
    }

    /// A program that notes its arguments and the KUBECONFIG it was given, then does `then`, a few lines of shell.
    fn program(&self, name: &str, then: &str) -> &Self {
        let file = self.folder.join("bin").join(name);
        let calls = self.folder.join("calls");
        let text = format!("#!/bin/sh\necho \"{name} $* [${{KUBECONFIG##*/}}]\" >> '{}'\n{then}\n", calls.display());
        fs::write(&file, text).expect("a stand-in");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its mode");
        self
    }

    /// A cluster that answers once `made` exists, which `maker` makes when it creates a cluster.
    fn engine_kubectl_and(&self, maker: &str, creating: &str) -> &Self {
        let made = self.folder.join("made").display().to_string();
        self.program("docker", "exit 0");
        self.program(
            "kubectl",
            &format!(
                "case \"$*\" in *readyz*) [ -e '{made}' ] ;; *current-context*) echo theirs ;; *) echo '{{}}' ;; esac"
            ),
        );
        // As kind does, which writes the file that it was told of.
        let then = format!(
            "case \"$*\" in {creating}) : > '{made}'; : > \"$KUBECONFIG\" ;; *kubeconfig*) echo '{{}}' ;; esac"
        );
        self.program(maker, &then)
    }

    fn command(&self, words: &[&str], wish: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devcluster"));
        command.args(words).env_clear().env("PATH", self.folder.join("bin")).env("CLUSTER_NAME", self.name);
        command.env("HOME", &self.folder).env("KUBECONFIG", self.folder.join("theirs.yaml"));
        if !wish.is_empty() {
            command.env("CLUSTER", wish);
        }
        command.stdin(Stdio::null()).output().expect("it runs")
    }

    /// Has to succeed; gives what it printed.
    fn good(&self, words: &[&str], wish: &str) -> String {
        let output = self.command(words, wish);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Has to fail; gives what it said.
    fn bad(&self, words: &[&str], wish: &str) -> String {
        let output = self.command(words, wish);
        assert!(!output.status.success(), "{words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// How the programs were called since the last look.
    fn calls(&self) -> Vec<String> {
        let file = self.folder.join("calls");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(file);
        text.lines().map(str::to_owned).collect()
    }

    fn cache(&self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
        root.join(".cache/cluster").join(self.name)
    }

    fn archive(&self) -> String {
        let file = self.folder.join("image.oci.tar");
        fs::write(&file, "").expect("an archive");
        file.to_string_lossy().into_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_dir_all(self.cache());
    }
}

fn called(calls: &[String], start: &str) -> usize {
    calls.iter().filter(|call| call.starts_with(start)).count()
}

#[test]
fn kind_from_up_to_down() {
    let stage = Stage::named("skind");
    stage.engine_kubectl_and("kind", "'create cluster'*");
    let said = stage.good(&["up"], "");
    assert!(said.contains("kind, since kind, docker and kubectl are here and work"), "{said}");
    let calls = stage.calls();
    assert_eq!(called(&calls, "kind create cluster --name chatd-skind --kubeconfig "), 1, "{calls:?}");
    // Every program that could write a kubeconfig has ours, and not the user's.
    assert!(
        calls.iter().filter(|call| call.starts_with("kind create")).all(|call| call.ends_with("[kubeconfig]")),
        "{calls:?}"
    );

    stage.good(&["up"], "");
    let calls = stage.calls();
    assert_eq!(called(&calls, "kind create") + called(&calls, "kind delete"), 0, "made twice: {calls:?}");

    stage.good(&["kubectl", "--", "get", "pods", "-A"], "");
    assert_eq!(stage.calls(), ["kubectl get pods -A [kubeconfig]"]);
    assert!(stage.good(&["env"], "").contains(".cache/cluster/skind/kubeconfig'"));

    let archive = stage.archive();
    stage.good(&["load", &archive], "");
    assert_eq!(stage.calls(), [format!("kind load image-archive {archive} --name chatd-skind [kubeconfig]")]);

    let said = stage.bad(&["up"], "k3d");
    assert!(said.contains("CLUSTER=k3d is asked for, but the cluster of this name is kind"), "{said}");
    stage.calls();

    stage.good(&["down"], "");
    assert_eq!(called(&stage.calls(), "kind delete cluster --name chatd-skind "), 1);
    assert!(!stage.cache().exists());
    stage.good(&["down"], "");
    assert!(stage.calls().is_empty(), "nothing is left to take away");
}

#[test]
fn k3d_and_minikube_make_load_and_delete() {
    for (name, maker, creating, expected) in [
        (
            "sk3d",
            "k3d",
            "'cluster create'*",
            ["k3d cluster create chatd-sk3d --agents 0 ", "k3d image import ", "k3d cluster delete chatd-sk3d"],
        ),
        (
            "smini",
            "minikube",
            "start*",
            [
                "minikube start --profile chatd-smini --nodes 1 ",
                "minikube --profile chatd-smini image load ",
                "minikube delete --profile chatd-smini",
            ],
        ),
    ] {
        let stage = Stage::named(name);
        stage.engine_kubectl_and(maker, creating);
        assert!(stage.good(&["up"], maker).contains(&format!("{maker}, since CLUSTER={maker} asks for it")));
        let archive = stage.archive();
        stage.good(&["load", &archive], "");
        let before_down = stage.calls();
        stage.good(&["down"], "");
        let calls = [before_down, stage.calls()].concat();
        for start in expected {
            assert!(called(&calls, start) >= 1, "{start} is not among {calls:?}");
        }
    }
}

#[test]
fn a_broken_off_kind_is_taken_away_before_the_next_try() {
    let stage = Stage::named("sbroken");
    stage.engine_kubectl_and("kind", "nothing");
    let failing = "case \"$*\" in 'create cluster'*) echo no such image >&2; exit 1 ;; esac";
    stage.program("kind", failing);
    // Asked for by name, so nothing else is tried.
    let said = stage.bad(&["up"], "kind");
    assert!(said.contains("no such image") && said.contains("kind create cluster"), "{said}");
    stage.calls();
    assert!(stage.bad(&["kubectl", "--", "get", "pods"], "").contains("run it again"));

    stage.engine_kubectl_and("kind", "'create cluster'*");
    stage.good(&["up"], "kind");
    let calls = stage.calls();
    let delete = calls.iter().position(|call| call.starts_with("kind delete")).expect("what was left is deleted");
    let create = calls.iter().position(|call| call.starts_with("kind create")).expect("a new one is made");
    assert!(delete < create, "{calls:?}");
}

#[test]
fn a_kind_that_fails_gives_way_to_builtin_unless_asked_for() {
    let stage = Stage::named("sgives");
    stage.engine_kubectl_and("kind", "nothing");
    stage.program("kind", "case \"$*\" in 'create cluster'*) exit 1 ;; esac");
    // Here builtin cannot be made either: nothing of it is in this PATH, nor anything that could install it.
    for tool in ["sed", "id"] {
        std::os::unix::fs::symlink(Path::new("/usr/bin").join(tool), stage.folder.join("bin").join(tool))
            .expect("a link");
    }
    let said = stage.bad(&["up"], "");
    assert!(said.contains("kind failed") && said.contains("from packages instead"), "{said}");
    assert!(said.contains("Go 1.21 or newer") && said.contains("containerd"), "not everything is named: {said}");
    assert!(called(&stage.calls(), "kind delete") >= 1);
}

#[test]
fn somebody_elses_cluster_is_used_only_when_asked_for_and_never_taken_away() {
    let stage = Stage::named("scurr");
    stage.engine_kubectl_and("kind", "'create cluster'*");
    let said = stage.good(&["up"], "current");
    assert!(said.contains("current, since CLUSTER=current asks for it"), "{said}");
    let calls = stage.calls();
    assert!(calls.iter().all(|call| !call.starts_with("kind create")), "{calls:?}");
    assert!(called(&calls, "kubectl config view --minify --flatten --raw [theirs.yaml]") == 1, "{calls:?}");
    let mode = fs::metadata(stage.cache().join("kubeconfig")).expect("a copy of the context").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    assert!(stage.bad(&["load", &stage.archive()], "").contains("push them to a registry"));
    let said = stage.good(&["down"], "");
    assert!(said.contains("leaving it unchanged"), "{said}");
    assert!(stage.calls().is_empty(), "down called something");
}

#[test]
fn all_that_is_missing_is_said_in_one_message() {
    let stage = Stage::named("smiss");
    stage.program("kind", "exit 1");
    let said = stage.bad(&["up"], "kind");
    for words in ["a kind that works", "docker or podman", "kubectl"] {
        assert!(said.contains(words), "{words} is not in: {said}");
    }
    assert!(!stage.cache().exists(), "something was begun");
    let said = stage.bad(&["up"], "current");
    assert!(said.contains("KUBECONFIG") && said.contains("kubectl"), "{said}");
}

/// As somebody who is not root, where sudo would ask for a password that nobody types.
#[test]
fn without_root_the_exact_command_is_said_first() {
    let stage = Stage::named("suser");
    stage.program("sudo", "exit 1");
    let copy = stage.folder.join("devcluster");
    fs::copy(env!("CARGO_BIN_EXE_devcluster"), &copy).expect("a copy that everyone may run");
    for path in [&stage.folder, &stage.folder.join("bin"), &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    fs::set_permissions(stage.folder.join("bin/sudo"), fs::Permissions::from_mode(0o755)).expect("its mode");
    let id = Command::new("id").arg("-u").output().expect("id runs");
    let mut command = if id.stdout == b"0\n" {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy);
        command
    } else {
        Command::new(&copy)
    };
    let path = format!("{}:{}", stage.folder.join("bin").display(), std::env::var("PATH").expect("a PATH"));
    command.args(["up", "--cluster-name", "suser"]).env("PATH", path).env("CLUSTER", "builtin");
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("sudo --preserve-env="), "{output:?}");
    assert!(!Path::new("/var/lib/chatd-cluster/suser").exists(), "something was begun");
}
