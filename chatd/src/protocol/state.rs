//! The state of a room as clients change and hear it: small JSON values under keys, with versions. Pure: no I/O.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::custom::check_json;
use super::{ErrorCode, EventKind, PlayerName};

/// Keys of one room at most.
pub const MAX_STATE_KEYS: usize = 32;
/// Bytes of all keys and compact values of one room at most.
pub const MAX_STATE: usize = 8 * 1024;
/// The same where the record keeps them.
pub const MAX_KEPT_STATE: usize = 2 * 1024;

/// The name of a value: `[a-z0-9_.-]{1,32}`, as kinds of events are.
pub type StateKey = EventKind;

/// A change as a client asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSet<'a> {
    /// What is changed.
    pub key: StateKey,
    /// Compact JSON; `None`: the key is removed.
    #[serde(borrow)]
    pub value: Option<Cow<'a, str>>,
    /// Only if the key has this version; 0: only if it is not there.
    pub if_version: Option<u64>,
}

impl<'a> StateSet<'a> {
    /// The change to `json`, as the client wrote it.
    ///
    /// # Errors
    ///
    /// `bad_command` for what events cannot have as data either; `line_too_long` for more than a room may have in all.
    pub fn new(key: StateKey, json: &'a str, if_version: Option<u64>) -> Result<Self, ErrorCode> {
        check_json(json)?;
        let value = compact(json);
        if value.len() > MAX_STATE {
            return Err(ErrorCode::LineTooLong);
        }
        Ok(Self { key, value: (value != "null").then_some(value), if_version })
    }

    /// Checks what another pod may have let through.
    ///
    /// # Errors
    ///
    /// Those of [`StateSet::new`].
    pub fn check(&self) -> Result<(), ErrorCode> {
        let Some(value) = &self.value else {
            return Ok(());
        };
        let same = StateSet::new(self.key, value, self.if_version)?;
        if same.value.as_ref() == Some(value) { Ok(()) } else { Err(ErrorCode::BadCommand) }
    }

    /// The same change, owning its value.
    pub fn into_owned(self) -> StateSet<'static> {
        StateSet { value: self.value.map(|value| Cow::Owned(value.into_owned())), ..self }
    }
}

/// A key as clients hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateView<'a> {
    /// The key.
    pub key: StateKey,
    /// Compact JSON; `None`: it was removed.
    pub value: Option<&'a str>,
    /// The room's count of changes at its last one.
    pub version: u64,
    /// Who changed it last.
    pub from: PlayerName,
}

/// All of a room's state, as clients hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateViews<'a> {
    /// The room's count of changes.
    pub version: u64,
    /// The keys that are there, in the order of their last changes.
    pub entries: &'a [StateView<'a>],
}

/// The JSON text without the white space between its values.
fn compact(json: &str) -> Cow<'_, str> {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    if !json.bytes().any(is_space) {
        return Cow::Borrowed(json);
    }
    let (mut inside, mut escaped) = (false, false);
    let kept = |character: &char| {
        let is_kept = inside || !matches!(character, ' ' | '\t' | '\n' | '\r');
        match character {
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = inside && !escaped && *character == '\\';
        is_kept
    };
    Cow::Owned(json.chars().filter(kept).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_compact_and_reads_as_before() {
        for (json, expected) in [
            (" { \"a b\" : [ 1 ,\t2 ] }\r\n", r#"{"a b":[1,2]}"#),
            (r#" "\\" "#, r#""\\""#),
            (r#"["\\\" x", "y \\" ]"#, r#"["\\\" x","y \\"]"#),
            ("17", "17"),
            (" \"ü \u{a0}\"", "\"ü \u{a0}\""),
        ] {
            let set = StateSet::new("k".parse().unwrap(), json, None).unwrap();
            assert_eq!(set.value.as_deref(), Some(expected));
            assert_eq!(set.check(), Ok(()));
            let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
            assert_eq!(read(expected), read(json));
        }
        assert_eq!(StateSet::new("k".parse().unwrap(), " null ", None).unwrap().value, None);
    }

    #[test]
    fn another_pod_s_change_is_checked() {
        let key = "k".parse().unwrap();
        for (value, code) in [("[1, 2]", "bad_command"), ("null", "bad_command"), ("{", "bad_command")] {
            let set = StateSet { key, value: Some(value.into()), if_version: None };
            assert_eq!(set.check().map_err(ErrorCode::as_str), Err(code), "{value}");
        }
        let long = format!("\"{}\"", "x".repeat(MAX_STATE - 1));
        assert_eq!(StateSet::new(key, &long, None), Err(ErrorCode::LineTooLong));
    }
}
