//! The file of every pod's public addresses (`--advertise-file`). Reads that file; the rest is pure.

use std::collections::HashMap;
use std::path::Path;

use super::{FileError, read_bytes};
use crate::settings::HostPort;

/// Where clients outside reach one pod.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct PodAddresses {
    #[serde(deserialize_with = "host_port")]
    pub tcp: HostPort,
    #[serde(deserialize_with = "host_port")]
    pub web: HostPort,
}

fn host_port<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<HostPort, D::Error> {
    let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// Reads `{"chat-0":{"tcp":"h:p","web":"h:p"}}`, by pod_id. Unknown fields are ignored; an empty file is no pods.
pub fn read_addresses(path: &Path) -> Result<HashMap<String, PodAddresses>, FileError> {
    let bytes = read_bytes(path)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(HashMap::new());
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        let expected =
            r#"must be JSON such as {"chat-0":{"tcp":"chat.example.org:30001","web":"chat.example.org:30002"}}"#;
        FileError::wrong(path, format!("{expected}: {error}"))
    })
}
