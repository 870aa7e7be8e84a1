//! TLS with clients: the files that a chat pod gets, and what its settings say. Pure: no I/O.

use super::SecretFile;
use crate::api::{ChatDeploymentSpec, ClientTls, TcpTls};

/// Where a pod finds the files.
pub const TLS_FILES: &str = "/etc/chatd/tls";

/// None without `spec.tls`. Kubernetes replaces all of them in one moment, so that a pair always belongs together.
pub fn files(spec: &ChatDeploymentSpec) -> Vec<SecretFile> {
    let Some(tls) = &spec.tls else {
        return Vec::new();
    };
    let file = |secret: &str, key: &str, path, variable| SecretFile {
        secret: secret.to_owned(),
        key: key.to_owned(),
        path,
        variable,
    };
    let pair = &tls.secret_ref.name;
    let mut files = vec![
        file(pair, "tls.crt", "tls.crt", "CHATD_TLS_CERT_FILE"),
        file(pair, "tls.key", "tls.key", "CHATD_TLS_KEY_FILE"),
    ];
    if let Some(ca) = &tls.client_ca_secret_ref {
        files.push(file(&ca.name, &ca.key, "client-ca.crt", "CHATD_TLS_CLIENT_CA_FILE"));
    }
    files
}

/// As chatd's setting names it.
pub fn tcp_mode(tls: &ClientTls) -> &'static str {
    match tls.tcp {
        TcpTls::Required => "on",
        TcpTls::Optional => "both",
        TcpTls::Disabled => "off",
    }
}
