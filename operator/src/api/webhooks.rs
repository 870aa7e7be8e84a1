//! `spec.webhooks`: where the events of rooms go. No I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LocalSecret, SecretKey};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhooks {
    /// URL that gets each event by POST, such as `https://app.example.org/chat-events`. It must be https, but for a container of the same
    /// pod (`http://localhost:8080`).
    #[schemars(length(min = 1, max = 2000))]
    pub url: String,

    /// Secret of this namespace with the secret that requests are signed with, as the value of any of its keys: `whsec_` and 24 to 64 random
    /// bytes in base64. Two keys sign each request twice, while one replaces the other. Pods take changes without a restart.
    pub secret_ref: LocalSecret,

    /// PEM CA certificates for the URL's certificate. Unset: public authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKey>,
}
