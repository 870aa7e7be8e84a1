//! helm, kubectl, and what they print, read. Does I/O.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub const RELEASE: &str = "chatd-operator";
pub const CHART: &str = "charts/chatd-operator";
/// ChatDeployments by the version that every definition serves: kubectl remembers others that are gone.
pub const SERVED: &str = "chatdeployments.v1alpha1.chatd.dev";
/// What has not come after this long will not come.
pub const PATIENCE: Duration = Duration::from_mins(2);

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn run(command: &mut Command, input: &[u8]) -> Output {
    command.current_dir(repository()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Beside the reading: a pipe holds less than a manifest. A program that does not read to the end reports why.
    let writer = thread::spawn(move || stdin.write_all(&input).err());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn good(what: &str, output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Whatever it answers. What it keeps of its own is kept away from the user's home.
pub fn try_helm(words: &[&str]) -> Output {
    let mut helm = Command::new(env!("CARGO_BIN_EXE_xtask"));
    helm.args(["helm", "--"]).args(words);
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        helm.env(name, Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm"));
    }
    run(&mut helm, b"")
}

pub fn helm(words: &[&str]) -> String {
    good(&format!("helm {}", words.join(" ")), &try_helm(words))
}

/// `helm template` as text.
pub fn template(flags: &[&str]) -> Output {
    try_helm(&[&["template", RELEASE, CHART, "--namespace", RELEASE], flags].concat())
}

/// What the chart makes with these flags.
pub fn rendered(flags: &[&str]) -> Vec<Value> {
    objects(&good(&format!("helm template {}", flags.join(" ")), &template(flags)))
}

/// The objects of a manifest.
pub fn objects(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    all.into_iter().filter(|object| !object.is_null()).collect()
}

pub fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
}

pub fn try_kubectl(words: &[&str], input: &[u8]) -> Output {
    run(Command::new("kubectl").args(words), input)
}

pub fn kubectl(words: &[&str]) -> String {
    good(&format!("kubectl {}", words.join(" ")), &try_kubectl(words, b""))
}

/// Makes it so, and returns the API server's warnings.
pub fn apply(flags: &[&str], manifest: &str) -> String {
    let words = [&["apply", "--server-side", "--force-conflicts", "--filename=-"], flags].concat();
    let output = try_kubectl(&words, manifest.as_bytes());
    good(&format!("kubectl {}", words.join(" ")), &output);
    String::from_utf8(output.stderr).unwrap()
}

pub fn get(words: &[&str]) -> Value {
    serde_json::from_str(&kubectl(&[&["get", "--output=json"], words].concat())).unwrap()
}

/// None if it is not there.
pub fn find(words: &[&str]) -> Option<Value> {
    let said = kubectl(&[&["get", "--output=json", "--ignore-not-found"], words].concat());
    (!said.trim().is_empty()).then(|| serde_json::from_str(&said).unwrap())
}

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// A namespace in which only what Pod Security calls restricted may run. It goes with the cluster, or by [`forget`].
pub fn make_namespace(name: &str) {
    let labels = serde_json::json!({
        "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
    });
    let namespace = serde_json::json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels },
    });
    apply(&[], &namespace.to_string());
}

pub fn forget(namespace: &str) {
    kubectl(&["delete", "namespace", namespace, "--ignore-not-found"]);
}

/// The folder of a Go module that hack/crds/go.mod names: what others publish their CustomResourceDefinitions in.
pub fn module(path: &str) -> PathBuf {
    let go = |words: &[&str]| {
        let mut go = Command::new("go");
        go.args(words).env("GOWORK", "off").env("GOFLAGS", "-mod=readonly").stdin(Stdio::null());
        let output = go.current_dir(repository().join("hack/crds")).output().unwrap();
        good(&format!("go {}", words.join(" ")), &output)
    };
    go(&["mod", "download", path]);
    PathBuf::from(go(&["list", "-m", "-f", "{{.Dir}}", path]).trim())
}
