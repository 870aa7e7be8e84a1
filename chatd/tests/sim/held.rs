//! A room's state as one client has it, and whether what it is told next can be so. No I/O.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::history::Verdict;

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    /// `None`: it was removed.
    pub value: Option<String>,
    pub version: u64,
    pub from: String,
}

impl Change {
    pub fn from_json(value: &Value) -> Self {
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        Self {
            key: text("key").unwrap_or_default(),
            value: text("value"),
            version: value["version"].as_u64().unwrap_or_default(),
            from: text("from").unwrap_or_default(),
        }
    }
}

/// All of a room's state, as a client has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    pub version: u64,
    pub entries: BTreeMap<String, Change>,
}

impl Held {
    pub fn from_json(value: &Value) -> Self {
        let entries = value["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
        let entries = entries.iter().map(Change::from_json).map(|change| (change.key.clone(), change));
        Self { version: value["version"].as_u64().unwrap_or_default(), entries: entries.collect() }
    }

    /// A change is told: the next one, or once more one's own that is there already.
    pub fn apply(&mut self, change: &Change, again: bool) -> Verdict {
        let there = self.entries.get(&change.key);
        // Who has none may not know where the count begins.
        if change.version == self.version + 1 || self.version == 0 {
            self.version = change.version;
            self.entries.remove(&change.key);
            if change.value.is_some() {
                self.entries.insert(change.key.clone(), change.clone());
            }
            return Ok(());
        }
        let is_there = there == Some(change) || there.is_none() && change.value.is_none();
        if again && change.version <= self.version && is_there {
            return Ok(());
        }
        Err(("I15", format!("{change:?} comes after version {}, with {there:?} there", self.version)))
    }
}
