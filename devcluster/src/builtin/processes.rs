//! The processes of a built-in cluster and their arguments. Pure.

use super::layout::{API_PORT, Layout, METRICS_PORT, Node, POD_RANGE, SERVICE_RANGE};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// What the supervisor needs to know of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub name: String,
    /// The network namespace that it runs in, as `ip netns` names it.
    pub network_namespace: String,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub log: PathBuf,
    /// Changes when a file that it reads at its start changes: then it has to be started again.
    pub revision: String,
}

/// A revision of some configuration.
pub fn revision(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..8])
}

/// Builds the processes of one layout with one set of programs.
#[derive(Debug)]
pub struct Processes<'a> {
    pub layout: &'a Layout,
    /// The folder in which the multi-call program has a link for each component.
    pub programs: PathBuf,
    pub containerd: PathBuf,
    pub audit: bool,
}

impl Processes<'_> {
    fn component(&self, name: &str, node: Node, arguments: Vec<String>) -> Process {
        let process =
            if matches!(name, "kubelet" | "kube-proxy") { format!("{name}-{}", node.0) } else { name.to_owned() };
        Process {
            network_namespace: self.layout.network_namespace(node),
            program: self.programs.join(name),
            arguments,
            log: self.layout.log(&process),
            revision: String::new(),
            name: process,
        }
    }

    fn kubeconfig(&self, user: &str) -> String {
        self.layout.text(&format!("kubeconfig/{user}"))
    }

    pub fn etcd(&self) -> Process {
        let pki = |file: &str| self.layout.pki(file);
        let arguments = vec![
            "--name=chatd".to_owned(),
            format!("--data-dir={}", self.layout.text("etcd")),
            "--listen-client-urls=https://127.0.0.1:2379".to_owned(),
            "--advertise-client-urls=https://127.0.0.1:2379".to_owned(),
            "--listen-peer-urls=https://127.0.0.1:2380".to_owned(),
            "--initial-advertise-peer-urls=https://127.0.0.1:2380".to_owned(),
            "--initial-cluster=chatd=https://127.0.0.1:2380".to_owned(),
            format!("--cert-file={}", pki("etcd.crt")),
            format!("--key-file={}", pki("etcd.key")),
            format!("--trusted-ca-file={}", pki("etcd-ca.crt")),
            "--client-cert-auth=true".to_owned(),
            format!("--peer-cert-file={}", pki("etcd.crt")),
            format!("--peer-key-file={}", pki("etcd.key")),
            format!("--peer-trusted-ca-file={}", pki("etcd-ca.crt")),
            "--peer-client-cert-auth=true".to_owned(),
            // A development cluster outlives its processes, but need not outlive a power cut.
            "--unsafe-no-fsync=true".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        self.component("etcd", Node(1), arguments)
    }

    pub fn apiserver(&self) -> Process {
        let pki = |file: &str| self.layout.pki(file);
        let address = self.layout.api_address();
        let mut arguments = vec![
            "--etcd-servers=https://127.0.0.1:2379".to_owned(),
            format!("--etcd-cafile={}", pki("etcd-ca.crt")),
            format!("--etcd-certfile={}", pki("etcd-client.crt")),
            format!("--etcd-keyfile={}", pki("etcd-client.key")),
            format!("--bind-address={address}"),
            format!("--advertise-address={address}"),
            format!("--secure-port={API_PORT}"),
            format!("--tls-cert-file={}", pki("apiserver.crt")),
            format!("--tls-private-key-file={}", pki("apiserver.key")),
            format!("--client-ca-file={}", pki("ca.crt")),
            "--anonymous-auth=false".to_owned(),
            format!("--kubelet-certificate-authority={}", pki("ca.crt")),
            format!("--kubelet-client-certificate={}", pki("apiserver-kubelet-client.crt")),
            format!("--kubelet-client-key={}", pki("apiserver-kubelet-client.key")),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!("--service-cluster-ip-range={SERVICE_RANGE}"),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            format!("--service-account-signing-key-file={}", pki("service-accounts.key")),
            format!("--service-account-key-file={}", pki("service-accounts.pub")),
            "--authorization-mode=Node,RBAC".to_owned(),
            format!("--enable-admission-plugins={}", self.admission_plugins()),
            format!("--admission-control-config-file={}", self.layout.text("config/admission.json")),
            format!("--encryption-provider-config={}", self.layout.text("config/encryption.json")),
            "--allow-privileged=true".to_owned(),
            "--profiling=false".to_owned(),
            "--enable-aggregator-routing=true".to_owned(),
            format!("--requestheader-client-ca-file={}", pki("front-proxy-ca.crt")),
            "--requestheader-allowed-names=front-proxy-client".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            format!("--proxy-client-cert-file={}", pki("front-proxy-client.crt")),
            format!("--proxy-client-key-file={}", pki("front-proxy-client.key")),
        ];
        if self.audit {
            arguments.push(format!("--audit-policy-file={}", self.layout.text("config/audit-policy.json")));
            arguments.push(format!("--audit-log-path={}", self.layout.text("logs/audit.json")));
            arguments.push("--audit-log-maxsize=100".to_owned());
            arguments.push("--audit-log-maxbackup=2".to_owned());
        }
        self.component("kube-apiserver", Node(1), arguments)
    }

    /// The second is OpenShift's check of owner references. For tests of rights alone: for up to 30 s after a
    /// CustomResourceDefinition has come, it refuses every object that is owned by one of the new kind.
    fn admission_plugins(&self) -> &'static str {
        if self.audit { "NodeRestriction,OwnerReferencesPermissionEnforcement" } else { "NodeRestriction" }
    }

    pub fn controller_manager(&self) -> Process {
        let kubeconfig = self.kubeconfig("controller-manager");
        let arguments = vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--leader-elect=false".to_owned(),
            "--use-service-account-credentials=true".to_owned(),
            format!("--service-account-private-key-file={}", self.layout.pki("service-accounts.key")),
            format!("--root-ca-file={}", self.layout.pki("ca.crt")),
            format!("--cluster-cidr={POD_RANGE}"),
            format!("--service-cluster-ip-range={SERVICE_RANGE}"),
            // Addresses of pods are the network plugin's matter: each node has its range from `up`.
            "--allocate-node-cidrs=false".to_owned(),
            // The defaults, 20 and 30 for each controller, would be what tests with many pods wait for.
            "--kube-api-qps=300".to_owned(),
            "--kube-api-burst=600".to_owned(),
            "--profiling=false".to_owned(),
        ];
        self.component("kube-controller-manager", Node(1), arguments)
    }

    pub fn scheduler(&self) -> Process {
        let kubeconfig = self.kubeconfig("scheduler");
        let arguments = vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--leader-elect=false".to_owned(),
            "--profiling=false".to_owned(),
        ];
        self.component("kube-scheduler", Node(1), arguments)
    }

    pub fn coredns(&self) -> Process {
        self.component("coredns", Node(1), vec![format!("-conf={}", self.layout.text("config/Corefile"))])
    }

    pub fn metrics_server(&self) -> Process {
        let kubeconfig = self.kubeconfig("metrics-server");
        let arguments = vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            format!("--bind-address={}", self.layout.api_address()),
            format!("--secure-port={METRICS_PORT}"),
            format!("--tls-cert-file={}", self.layout.pki("metrics-server.crt")),
            format!("--tls-private-key-file={}", self.layout.pki("metrics-server.key")),
            format!("--kubelet-certificate-authority={}", self.layout.pki("ca.crt")),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            "--metric-resolution=15s".to_owned(),
            "--kubelet-request-timeout=10s".to_owned(),
        ];
        self.component("metrics-server", Node(1), arguments)
    }

    pub fn provisioner(&self) -> Process {
        let arguments = vec![
            format!("--kubeconfig={}", self.kubeconfig("provisioner")),
            format!("--folder={}", self.layout.text("volumes")),
        ];
        self.component("provisioner", Node(1), arguments)
    }

    pub fn containerd(&self, node: Node) -> Process {
        let name = format!("containerd-{}", node.0);
        Process {
            network_namespace: self.layout.network_namespace(node),
            program: self.containerd.clone(),
            arguments: vec![format!("--config={}", self.layout.text(&format!("node{}/containerd.toml", node.0)))],
            log: self.layout.log(&name),
            revision: String::new(),
            name,
        }
    }

    pub fn kubelet(&self, node: Node) -> Process {
        let arguments = vec![
            format!("--config={}", self.layout.text(&format!("node{}/kubelet.json", node.0))),
            format!("--kubeconfig={}", self.kubeconfig(&format!("kubelet-{}", node.0))),
            format!("--root-dir={}", self.layout.text(&format!("node{}/kubelet", node.0))),
            format!("--cert-dir={}", self.layout.text(&format!("node{}/kubelet/pki", node.0))),
            format!("--hostname-override={}", node.name()),
            format!("--node-ip={}", self.layout.node_address(node)),
        ];
        self.component("kubelet", node, arguments)
    }

    pub fn kube_proxy(&self, node: Node) -> Process {
        let config = self.layout.text(&format!("node{}/kube-proxy.json", node.0));
        self.component("kube-proxy", node, vec![format!("--config={config}")])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn all(layout: &Layout) -> Vec<Process> {
        let processes =
            Processes { layout, programs: "/programs".into(), containerd: "/usr/bin/containerd".into(), audit: true };
        let mut all = vec![
            processes.etcd(),
            processes.apiserver(),
            processes.controller_manager(),
            processes.scheduler(),
            processes.coredns(),
            processes.metrics_server(),
            processes.provisioner(),
        ];
        for node in Node::all(2) {
            all.extend([processes.containerd(node), processes.kubelet(node), processes.kube_proxy(node)]);
        }
        all
    }

    #[test]
    fn names_and_logs_are_unique_and_inside_the_state_folder() {
        let layout = Layout::new(&"demo".parse().expect("a name"), [10, 201, 1]);
        let all = all(&layout);
        assert_eq!(all.iter().map(|process| &process.name).collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(all.iter().map(|process| &process.log).collect::<BTreeSet<_>>().len(), all.len());
        assert!(all.iter().all(|process| process.log.starts_with(&layout.state)));
    }

    #[test]
    fn nothing_listens_on_every_address_or_trusts_strangers() {
        let layout = Layout::new(&"demo".parse().expect("a name"), [10, 201, 1]);
        for process in all(&layout) {
            for argument in &process.arguments {
                assert!(!argument.contains("0.0.0.0") && !argument.contains("http://"), "{argument}");
                assert!(!argument.contains("insecure"), "{argument}");
            }
        }
    }

    #[test]
    fn a_revision_depends_on_every_part_and_where_it_ends() {
        assert_eq!(revision(&["a", "b"]), revision(&["a", "b"]));
        assert_ne!(revision(&["a", "b"]), revision(&["ab", ""]));
        assert_ne!(revision(&["a"]), revision(&["b"]));
    }
}
