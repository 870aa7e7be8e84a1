//! The webhook: the files that a chat pod gets for it. Pure: no I/O.

use super::SecretFile;
use crate::api::{ChatDeploymentSpec, SecretKey};

/// Where a pod finds the secrets.
pub const WEBHOOK_SECRETS: &str = "/etc/chatd/webhook";
/// Where it finds the certificates.
pub const WEBHOOK_FILES: &str = "/etc/chatd/webhook-ca";

/// The certificates of the URL's authority, if the spec names any.
pub fn files(spec: &ChatDeploymentSpec) -> Vec<SecretFile> {
    let ca = spec.webhooks.as_ref().and_then(|webhooks| webhooks.ca_secret_ref.as_ref());
    let file = |ca: &SecretKey| SecretFile {
        secret: ca.name.clone(),
        key: ca.key.clone(),
        path: "ca.crt",
        variable: "CHATD_WEBHOOK_CA_FILE",
    };
    ca.map(file).into_iter().collect()
}
