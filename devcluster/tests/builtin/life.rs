//! One cluster with two nodes from its beginning to its end.

use crate::hands::{Cluster, eventually, text};
use crate::machine::Machine;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_mins(1);

/// The image that is in every cluster: its program sleeps.
const IMAGE: &str = "chatd.local/pause:1";

#[test]
#[ignore = "needs root: make test-cluster"]
fn two_nodes_from_up_to_down() {
    let mut cluster = Cluster::named("life");
    let before = Machine::look(cluster.name);
    println!("one node up after {:?}", cluster.up());
    cluster.nodes = 2;
    println!("a second node after {:?}", cluster.up());
    assert!(Machine::look(cluster.name).traces() > 20, "the comparison does not see a cluster that is there");

    is_secure(&cluster);
    has_names_and_figures(&cluster);
    starts_again_what_ends(&cluster);
    volume_follows_its_pod(&cluster);
    leaves_nothing(&cluster, &before);
}

fn is_secure(cluster: &Cluster) {
    let server = cluster.must(&["config", "view", "--output=jsonpath={.clusters[0].cluster.server}"]);
    let address = server.trim_start_matches("https://").to_owned();
    let host = address.split(':').next().expect("an address").to_owned();

    // Nobody gets in without a certificate.
    let request =
        format!("printf 'GET /api HTTP/1.0\\r\\n\\r\\n' | timeout 5 openssl s_client -quiet -connect {address}");
    let said = Command::new("sh").args(["-c", &request]).output().expect("openssl runs");
    assert!(text(&said.stdout).starts_with("HTTP/1.0 401"), "{said:?}");
    // kubelet serves, but not to everyone, and has no port that is open to all; etcd is on its own loopback.
    assert!(TcpStream::connect(format!("{host}:10250")).is_ok());
    for port in [10255, 2379, 2380, 10257, 10259, 10249, 8080] {
        assert!(TcpStream::connect(format!("{host}:{port}")).is_err(), "something listens at {host}:{port}");
    }

    // A Secret is not to be read in etcd's files.
    let secret = "a-very-secret-word-0815";
    cluster.must(&["create", "secret", "generic", "hidden", &format!("--from-literal=word={secret}")]);
    cluster.must(&["create", "configmap", "open", "--from-literal=word=a-very-open-word-0815"]);
    let stored = Command::new("grep")
        .args(["--recursive", "--binary-files=text", "--no-filename", "--only-matching", "a-very-[a-z]*-word-0815"])
        .arg(cluster.state().join("etcd"))
        .output()
        .expect("grep runs");
    let stored = text(&stored.stdout);
    assert!(stored.contains("a-very-open-word") && !stored.contains("a-very-secret-word"), "{stored}");
    // Nor can anyone but root look into the state folder.
    let mode = std::fs::metadata(cluster.state()).expect("the state folder");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o700);

    // Pod Security admission.
    let refused = cluster.kubectl(&["run", "bad", "--image", IMAGE, "--privileged", "--restart=Never"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("PodSecurity"), "{refused:?}");

    // A node may speak of itself, and of no other.
    let kubelet = cluster.state().join("kubeconfig/kubelet-1");
    let as_node = |words: &[&str]| {
        let mut all = vec!["--kubeconfig".to_owned(), kubelet.to_string_lossy().into_owned()];
        all.extend(words.iter().map(|&word| word.to_owned()));
        cluster.kubectl(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert!(as_node(&["label", "node", "node1", "chatd.local/tested=yes"]).status.success());
    let refused = as_node(&["label", "node", "node2", "chatd.local/tested=yes"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("only its own Node object"), "{refused:?}");
    assert!(!as_node(&["get", "secrets", "--all-namespaces"]).status.success());

    // The components have no more than they need: none is in the group that may do everything.
    for user in ["scheduler", "controller-manager", "coredns", "metrics-server", "provisioner", "kube-proxy"] {
        let file = cluster.state().join("kubeconfig").join(user);
        let said =
            cluster.kubectl(&["--kubeconfig", &file.to_string_lossy(), "auth", "can-i", "*", "*", "--all-namespaces"]);
        assert_eq!(text(&said.stdout).trim(), "no", "{user} may do everything");
    }
    assert_eq!(cluster.must(&["auth", "can-i", "*", "*", "--all-namespaces"]).trim(), "yes");
}

fn has_names_and_figures(cluster: &Cluster) {
    // Through kube-proxy's address for CoreDNS, from inside each node's network.
    for node in 1..=2 {
        let namespace = format!("--net=/run/netns/chatd-{}-{node}", cluster.name);
        let words = [&namespace, "busybox", "nslookup", "kubernetes.default.svc.cluster.local", "10.96.0.10"];
        eventually("the cluster's names", SOON, || {
            text(&Command::new("nsenter").args(words).output().expect("nsenter runs").stdout).contains("10.96.0.1\n")
        });
    }
    eventually("figures of both nodes", SOON, || {
        let said = text(&cluster.kubectl(&["top", "nodes", "--no-headers"]).stdout);
        said.lines().filter(|line| line.contains('%')).count() == 2
    });
}

fn process_of(cluster: &Cluster, component: &str) -> Option<i32> {
    let marker = format!("/{}/programs/", cluster.name);
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let program = text(line.split(|&byte| byte == 0).next()?);
        (program.contains(&marker) && program.ends_with(&format!("/{component}"))).then_some(())?;
        entry.file_name().to_str()?.parse().ok()
    })
}

fn starts_again_what_ends(cluster: &Cluster) {
    let scheduler = process_of(cluster, "kube-scheduler").expect("the scheduler runs");
    let pid = rustix::process::Pid::from_raw(scheduler).expect("an id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it can be killed");
    eventually("another scheduler, and the first one reaped", SOON, || {
        process_of(cluster, "kube-scheduler").is_some_and(|now| now != scheduler)
            && !std::path::Path::new(&format!("/proc/{scheduler}")).exists()
    });
}

fn volume_follows_its_pod(cluster: &Cluster) {
    cluster.apply(&format!(
        r"
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: keeper}}
spec:
  replicas: 1
  serviceName: keeper
  selector: {{matchLabels: {{app: keeper}}}}
  template:
    metadata: {{labels: {{app: keeper}}}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {{runAsNonRoot: true, runAsUser: 1234, fsGroup: 4321, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
        - name: keeper
          image: {IMAGE}
          securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
          volumeMounts: [{{name: data, mountPath: /data}}]
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}
"
    ));
    cluster.must(&["rollout", "status", "statefulset/keeper", "--timeout=60s"]);
    let volume = cluster.must(&["get", "persistentvolume", "--output=jsonpath={.items[0].spec.local.path}"]);
    let mode = std::fs::metadata(&volume).expect("the volume is a folder");
    assert_eq!(std::os::unix::fs::MetadataExt::gid(&mode), 4321, "the volume belongs to the pod's fsGroup");
    std::fs::write(format!("{volume}/kept"), "kept").expect("the test may write into it");

    let node = || cluster.must(&["get", "pod", "keeper-0", "--output=jsonpath={.spec.nodeName}"]);
    let first = node();
    let drain = ["drain", &first, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s"];
    cluster.must(&drain);
    eventually("the pod on the other node", SOON, || {
        let said = cluster.kubectl(&["get", "pod", "keeper-0", "--output=jsonpath={.spec.nodeName}"]);
        said.status.success() && !said.stdout.is_empty() && text(&said.stdout) != first
    });
    cluster.must(&["rollout", "status", "statefulset/keeper", "--timeout=60s"]);
    cluster.must(&["uncordon", &first]);
    assert_eq!(std::fs::read_to_string(format!("{volume}/kept")).expect("it is still there"), "kept");

    // A volume goes with its claim.
    cluster.must(&["delete", "statefulset/keeper", "persistentvolumeclaim/data-keeper-0", "--timeout=60s"]);
    eventually("the volume's end", SOON, || !std::path::Path::new(&volume).exists());
}

/// With pods that do not end: one waits in its hook, one is held by a finalizer.
fn leaves_nothing(cluster: &Cluster, before: &Machine) {
    cluster.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{name: waits}}
spec:
  terminationGracePeriodSeconds: 600
  containers: [{{name: c, image: {IMAGE}, lifecycle: {{preStop: {{sleep: {{seconds: 600}}}}}}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: held, finalizers: [chatd.local/never]}}
spec:
  containers: [{{name: c, image: {IMAGE}}}]
"
    ));
    cluster.must(&["wait", "pod", "waits", "held", "--for=condition=Ready", "--timeout=60s"]);
    cluster.must(&["delete", "pod", "waits", "held", "--wait=false"]);
    println!("down after {:?}", cluster.down());
    before.assert_unchanged();
}
