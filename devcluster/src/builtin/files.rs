//! The configuration files of a built-in cluster, as text. JSON where the reader takes YAML. Pure.

use super::layout::{DNS_SERVICE, Layout, Node, POD_RANGE};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub const PAUSE_IMAGE: &str = "chatd.local/pause:1";

/// A kubeconfig for a process of the cluster: its key stays in a file of its own.
pub fn kubeconfig(layout: &Layout, user: &str) -> Value {
    kubeconfig_of(
        layout,
        &json!({"certificate-authority": layout.pki("ca.crt")}),
        &json!({"client-certificate": layout.pki(&format!("{user}.crt")), "client-key": layout.pki(&format!("{user}.key"))}),
    )
}

/// The user's kubeconfig: one file that can be copied.
pub fn user_kubeconfig(layout: &Layout, authority: &str, certificate: &str, key: &str) -> Value {
    kubeconfig_of(
        layout,
        &json!({"certificate-authority-data": STANDARD.encode(authority)}),
        &json!({"client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key)}),
    )
}

fn kubeconfig_of(layout: &Layout, authority: &Value, user: &Value) -> Value {
    let name = layout.bridge();
    let mut cluster = authority.clone();
    cluster["server"] = json!(layout.api_url());
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    })
}

/// Secrets are encrypted before etcd sees them.
pub fn encryption(key: &[u8; 32]) -> Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{
            "resources": ["secrets"],
            "providers": [
                {"secretbox": {"keys": [{"name": "key1", "secret": STANDARD.encode(key)}]}},
                {"identity": {}},
            ],
        }],
    })
}

/// A namespace without labels of its own gets `baseline`, and a warning where `restricted` would object.
pub fn admission() -> Value {
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{
            "name": "PodSecurity",
            "configuration": {
                "apiVersion": "pod-security.admission.config.k8s.io/v1",
                "kind": "PodSecurityConfiguration",
                "defaults": {
                    "enforce": "baseline", "enforce-version": "latest",
                    "audit": "restricted", "audit-version": "latest",
                    "warn": "restricted", "warn-version": "latest",
                },
                "exemptions": {"namespaces": ["kube-system"]},
            },
        }],
    })
}

/// Who did what to what, without the contents.
pub fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    })
}

pub fn kubelet(layout: &Layout, node: Node) -> Value {
    let address = layout.node_address(node);
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "healthzBindAddress": "127.0.0.1",
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket(node).display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", layout.cgroup(node)),
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": layout.text("resolv.conf"),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": layout.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": layout.pki(&format!("kubelet-{}.crt", node.0)),
        "tlsPrivateKeyFile": layout.pki(&format!("kubelet-{}.key", node.0)),
        "podLogsDir": format!("/var/log/pods-{}", node.0),
        "volumePluginDir": layout.text(&format!("node{}/volume-plugins", node.0)),
        // An image that was removed to save space could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "5s",
        // Within one and a half of this a changed Secret reaches the files of its pods: a minute by default.
        "syncFrequency": "10s",
        "shutdownGracePeriod": "0s",
        "enableControllerAttachDetach": true,
    })
}

pub fn kube_proxy(layout: &Layout, node: Node) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": layout.text("kubeconfig/kube-proxy")},
        "mode": "iptables",
        // A second of the default is long where pods come and go by the second.
        "iptables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        "clusterCIDR": POD_RANGE,
        "hostnameOverride": node.name(),
        "bindAddress": layout.node_address(node),
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // The host's settings stay as they are.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    })
}

/// Pods are routed, not bridged: that needs no kernel module, and a pod reaches a Service whose pod is its neighbour.
pub fn network(layout: &Layout, node: Node) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "chatd",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": layout.text(&format!("node{}/addresses", node.0)),
                    "ranges": [[{"subnet": node.pod_subnet()}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

pub fn containerd(layout: &Layout, node: Node, plugins: &str) -> String {
    let folder = layout.text(&format!("node{}", node.0));
    let socket = layout.containerd_socket(node).display().to_string();
    format!(
        r#"version = 2
root = "{folder}/containerd"
# Below the cluster's own /run: it goes when its processes go, as after a reboot.
state = "/run/containerd/node{number}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/network"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"#,
        number = node.0,
    )
}

/// CoreDNS answers for the cluster's own names, and refuses all others at once: nothing outside can be reached.
pub fn corefile(layout: &Layout) -> String {
    format!(
        "cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {{
    errors
    health 127.0.0.1:8080
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods verified
        ttl 5
    }}
}}
",
        kubeconfig = layout.text("kubeconfig/coredns"),
    )
}
