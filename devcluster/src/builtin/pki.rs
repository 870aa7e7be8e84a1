//! Keys and certificates of a built-in cluster. Each component has its own certificate, which carries only its identity; RBAC holds
//! its rights. Generating them is pure except for random numbers and the time; writing them is I/O.

use super::layout::{API_SERVICE, Layout, MOST_NODES, Node};
use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use time::{Duration, OffsetDateTime};

/// A cluster for development is recreated long before.
const VALID: Duration = Duration::days(730);

/// The group of the person at the keyboard; `objects.yaml` binds it to cluster-admin.
pub const ADMINISTRATORS: &str = "chatd:administrators";

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

struct Request {
    file: &'static str,
    common_name: String,
    organization: Option<&'static str>,
    /// Names and addresses that a server answers at; a client has none.
    server: Vec<String>,
}

fn parameters(
    common_name: &str,
    organization: Option<&str>,
    names: Vec<String>,
    now: OffsetDateTime,
) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = DistinguishedName::new();
    if let Some(organization) = organization {
        parameters.distinguished_name.push(DnType::OrganizationName, organization);
    }
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    // An hour for clocks that are behind.
    parameters.not_before = now - Duration::hours(1);
    parameters.not_after = now + VALID;
    Ok(parameters)
}

fn authority(common_name: &str, now: OffsetDateTime) -> Result<Authority> {
    let key = KeyPair::generate()?;
    let mut parameters = parameters(common_name, None, Vec::new(), now)?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = parameters.self_signed(&key)?;
    Ok(Authority { certificate, issuer: Issuer::new(parameters, key) })
}

fn signed(request: &Request, by: &Authority, now: OffsetDateTime) -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut parameters = parameters(&request.common_name, request.organization, request.server.clone(), now)?;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if !request.server.is_empty() {
        parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    Ok((parameters.signed_by(&key, &by.issuer)?.pem(), key.serialize_pem()))
}

fn client(file: &'static str, common_name: &str, organization: Option<&'static str>) -> Request {
    Request { file, common_name: common_name.to_owned(), organization, server: Vec::new() }
}

fn server(file: &'static str, common_name: &str, names: &[&str]) -> Request {
    let server = names.iter().map(|&name| name.to_owned()).collect();
    Request { file, common_name: common_name.to_owned(), organization: None, server }
}

/// Those that the cluster's own authority signs.
fn cluster_requests(layout: &Layout) -> Vec<Request> {
    let api = layout.api_address();
    let mut requests = vec![
        server(
            "apiserver",
            "kube-apiserver",
            &[
                "127.0.0.1",
                &api,
                API_SERVICE,
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            ],
        ),
        // Only makes the bindings of `objects.yaml`; everyone else is bound by those.
        client("bootstrap", "chatd:bootstrap", Some("system:masters")),
        client("admin", "admin", Some(ADMINISTRATORS)),
        client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", None),
        client("controller-manager", "system:kube-controller-manager", None),
        client("scheduler", "system:kube-scheduler", None),
        client("coredns", "system:coredns", None),
        client("provisioner", "system:chatd:provisioner", None),
        // The name is the one that the aggregator asks for.
        server("metrics-server", "system:metrics-server", &["metrics-server.kube-system.svc", &api]),
    ];
    for node in Node::all(MOST_NODES) {
        let address = layout.node_address(node);
        // Both nodes at once: a second node that comes later needs no authority's key.
        requests.push(Request {
            file: if node.0 == 1 { "kubelet-1" } else { "kubelet-2" },
            common_name: format!("system:node:{}", node.name()),
            organization: Some("system:nodes"),
            server: vec![node.name(), address],
        });
    }
    requests.push(client("kube-proxy", "system:kube-proxy", None));
    requests
}

/// All keys and certificates, once for a state folder.
pub fn make(layout: &Layout) -> Result<()> {
    let folder = layout.path("pki");
    let done = folder.join("complete");
    if done.exists() {
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    let now = OffsetDateTime::now_utc();
    let cluster = authority("chatd-cluster", now)?;
    let etcd = authority("chatd-etcd", now)?;
    // A separate CA: a client with its certificate may impersonate any user at an aggregated API.
    let front_proxy = authority("chatd-front-proxy", now)?;
    for (authority, file) in [(&cluster, "ca.crt"), (&etcd, "etcd-ca.crt"), (&front_proxy, "front-proxy-ca.crt")] {
        write(&folder.join(file), &authority.certificate.pem(), 0o644)?;
    }
    let etcd_requests =
        [server("etcd", "etcd", &["127.0.0.1", "localhost"]), client("etcd-client", "kube-apiserver", None)];
    let front_proxy_requests = [client("front-proxy-client", "front-proxy-client", None)];
    let all = (cluster_requests(layout).into_iter().map(|request| (request, &cluster)))
        .chain(etcd_requests.into_iter().map(|request| (request, &etcd)))
        .chain(front_proxy_requests.into_iter().map(|request| (request, &front_proxy)));
    for (request, by) in all {
        let (certificate, key) = signed(&request, by, now)?;
        write(&folder.join(format!("{}.crt", request.file)), &certificate, 0o644)?;
        write(&folder.join(format!("{}.key", request.file)), &key, 0o600)?;
    }
    let service_accounts = KeyPair::generate()?;
    write(&folder.join("service-accounts.key"), &service_accounts.serialize_pem(), 0o600)?;
    write(&folder.join("service-accounts.pub"), &service_accounts.public_key_pem(), 0o644)?;
    write(&done, "", 0o644)
}

/// A file that nobody else can read at any moment, if its mode says so.
pub fn write(file: &Path, text: &str, mode: u32) -> Result<()> {
    let mut open = fs::OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(mode);
    open.open(file)
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .with_context(|| format!("writing {}", file.display()))
}
