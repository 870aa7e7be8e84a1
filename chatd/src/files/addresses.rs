//! The file of all pods' public addresses (`--advertise-file`). Reads that file; the rest is pure.

use std::collections::HashMap;
use std::path::Path;

use super::{FileError, read_bytes};
use crate::hub::Advertised;
use crate::settings::HostPort;

/// Reads `{"chat-0":{"tcp":"h:p","web":"h:p"}}`, by pod_id. Unknown fields are ignored; an empty file is no pods.
pub fn read_addresses(path: &Path) -> Result<HashMap<String, Advertised>, FileError> {
    const EXPECTED: &str =
        r#"must be JSON such as {"chat-0":{"tcp":"chat.example.org:30001","web":"chat.example.org:30002"}}"#;
    let bytes = read_bytes(path)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(HashMap::new());
    }
    let pods: HashMap<String, Advertised> =
        serde_json::from_slice(&bytes).map_err(|error| FileError::wrong(path, format!("{EXPECTED}: {error}")))?;
    // Clients are sent there as it stands, so it must be something that can be dialled.
    let canonical = |address: &str| match address.parse::<HostPort>() {
        Ok(address) if !address.is_wildcard() => Ok(address.to_string()),
        _ => Err(FileError::wrong(path, EXPECTED)),
    };
    let pods = pods
        .into_iter()
        .map(|(pod_id, pod)| Ok((pod_id, Advertised { tcp: canonical(&pod.tcp)?, web: canonical(&pod.web)? })));
    pods.collect()
}
