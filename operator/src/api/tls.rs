//! `spec.tls`: the certificate that clients see. No I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LocalSecret, SecretKey};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TcpTls {
    #[default]
    Required,
    Optional,
    Disabled,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientTls {
    /// Secret of type `kubernetes.io/tls` (keys `tls.crt`, `tls.key`) of this namespace, as cert-manager writes it. Pods take its
    /// renewed content without a restart.
    pub secret_ref: LocalSecret,

    /// TLS on the raw TCP port. Optional: a client may speak plaintext too.
    #[serde(default)]
    pub tcp: TcpTls,

    /// PEM CA certificates: clients of both ports must show a certificate that one of these has signed. Unset: clients need none.
    #[serde(default, rename = "clientCASecretRef", skip_serializing_if = "Option::is_none")]
    pub client_ca_secret_ref: Option<SecretKey>,
}
