//! Events that applications define: their kind, their data, and whom they are to. Pure: no I/O.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{ErrorCode, MAX_PLAYERS, PlayerName};

#[cfg(test)]
mod tests;

/// The data of an event is at most this many bytes, as its sender wrote it.
pub const MAX_DATA: usize = 4_000;
/// What a player says of itself with SET is at most this many bytes.
pub const MAX_PRESENCE: usize = 512;
/// Arrays and objects in the data stand in each other at most so deep: not every reader of JSON bears more.
pub const MAX_DEPTH: usize = 32;
/// The longest kind.
const MAX_KIND: usize = 32;

/// What an event is to its application: `[a-z0-9_.-]{1,32}`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EventKind {
    length: u8,
    bytes: [u8; MAX_KIND],
}

impl EventKind {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

/// A word that is no kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a kind is 1 to 32 characters of a-z, 0-9, _, . and -")]
pub struct KindError;

impl FromStr for EventKind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        let of_kind = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
        if !(1..=MAX_KIND).contains(&text.len()) || !text.bytes().all(of_kind) {
            return Err(KindError);
        }
        let mut bytes = [0; MAX_KIND];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { length: text.len() as u8, bytes })
    }
}

impl fmt::Debug for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KindVisitor;

        impl Visitor<'_> for KindVisitor {
            type Value = EventKind;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a kind of event")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<EventKind, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(KindVisitor)
    }
}

/// An event as a client asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing<'a> {
    /// Its kind.
    pub kind: EventKind,
    /// JSON that has been through [`check_data`], as the client wrote it.
    #[serde(borrow)]
    pub data: Cow<'a, str>,
    /// Only these get it; `None`: everyone.
    pub to: Option<Vec<PlayerName>>,
    /// It may be lost.
    pub volatile: bool,
}

impl Outgoing<'_> {
    /// Checks what another pod may have let through.
    ///
    /// # Errors
    ///
    /// Those of [`check_data`]; `bad_command` where it is to too many.
    pub fn check(&self) -> Result<(), ErrorCode> {
        match &self.to {
            Some(to) if to.len() > MAX_PLAYERS as usize => Err(ErrorCode::BadCommand),
            _ => check_data(&self.data),
        }
    }

    /// Everyone hears it, it has a number, and the room keeps it.
    pub fn is_numbered(&self) -> bool {
        self.to.is_none() && !self.volatile
    }

    /// As clients get it from `from`, without a number. `at`: Unix ms.
    pub fn to_client(&self, from: PlayerName, at: u64) -> Custom<'_> {
        let (kind, to) = (self.kind.as_str(), self.to.as_deref());
        Custom { from, kind, data: &self.data, seq: None, at, replay: false, to, reached: None }
    }

    /// The same event, owning its data.
    pub fn into_owned(self) -> Outgoing<'static> {
        Outgoing { data: Cow::Owned(self.data.into_owned()), ..self }
    }
}

/// An event as clients get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Custom<'a> {
    /// Its sender.
    pub from: PlayerName,
    /// Its kind.
    pub kind: &'a str,
    /// JSON, as its sender wrote it.
    pub data: &'a str,
    /// Its number among the messages of the timeline; `None`: it is not kept.
    pub seq: Option<u64>,
    /// Unix milliseconds.
    pub at: u64,
    /// Missed before a resume.
    pub replay: bool,
    /// Nobody else gets it.
    pub to: Option<&'a [PlayerName]>,
    /// Whom it reached of these; only for the sender.
    pub reached: Option<&'a [PlayerName]>,
}

/// Checks that `data` is one JSON value that every reader of JSON reads in the same way.
///
/// # Errors
///
/// `line_too_long` over [`MAX_DATA`] bytes; `bad_command` for what is no JSON, for a key that is twice in one object, a number beyond 64-bit
/// floats, half of a surrogate pair, or more than [`MAX_DEPTH`] levels.
pub fn check_data(data: &str) -> Result<(), ErrorCode> {
    if data.len() > MAX_DATA { Err(ErrorCode::LineTooLong) } else { check_json(data) }
}

/// [`check_data`] without its length.
pub(super) fn check_json(data: &str) -> Result<(), ErrorCode> {
    let mut reader = serde_json::Deserializer::from_str(data);
    let read = Check { levels: MAX_DEPTH }.deserialize(&mut reader);
    read.and_then(|()| reader.end()).map_err(|_| ErrorCode::BadCommand)
}

/// [`check_data`] for what a player says of itself.
pub fn check_presence(data: &str) -> Result<(), ErrorCode> {
    if data.len() > MAX_PRESENCE { Err(ErrorCode::LineTooLong) } else { check_data(data) }
}

/// Reads a value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Check {
    /// How many levels it may have yet.
    levels: usize,
}

impl Check {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let levels = self.levels.checked_sub(1);
        levels.map(|levels| Self { levels }).ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while values.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut keys = HashSet::<String>::new();
        while let Some(key) = map.next_key()? {
            if !keys.insert(key) {
                return Err(A::Error::custom("a key twice"));
            }
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}
