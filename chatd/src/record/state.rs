//! What a room's record has of its state. Pure: no I/O.

use serde::{Deserialize, Serialize};

use crate::protocol::{PlayerName, StateKey};

/// The state as the record keeps it, so that the next owner has it after a takeover; or no more than that there was some.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedState {
    /// The room's count of changes; 0: the state is not kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u64,
    /// In the order of their last changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<RecordedEntry>,
}

/// A key of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedEntry {
    /// The key.
    pub key: StateKey,
    /// Compact JSON, as text.
    pub value: String,
    /// The count of changes at its last one.
    pub version: u64,
    /// Who changed it last.
    pub from: PlayerName,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_zero(version: &u64) -> bool {
    *version == 0
}
