//! The descriptor of a room: in what it differs from the deployment's settings, as the application that makes it says. Pure: no I/O.
//!
//! [`Descriptor::parse`] is for what an application wrote, and refuses what it does not know. What stands in a record or came from another
//! pod is read by serde, which ignores the fields of later versions.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// The most bytes of a descriptor in JSON.
pub const MAX_DESCRIPTOR: usize = 512;
/// The longest time that a room stays open with nobody in it (seconds).
pub const MAX_EMPTY_TTL: u32 = 86_400;
/// The most messages for replay.
pub const MAX_REPLAY_MESSAGES: u32 = 1_000;
/// The most labels.
pub const MAX_LABELS: usize = 8;
/// The most characters of a kind or a label.
pub const MAX_WORD: usize = 32;
/// The latest time (Unix seconds), in the year 5138: a greater number is one of milliseconds.
pub const MAX_TIME: u64 = 100_000_000_000;

/// Who may come into a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomAccess {
    /// Everyone who knows its id.
    #[default]
    Link,
    /// The holder of a join token for it.
    Token,
}

/// What becomes of the room's state with its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateKeeping {
    /// The record has it, and so has the next owner.
    Kept,
}

/// In what a room differs from the deployment's settings. What is not there is as they have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Descriptor {
    /// Seats of players.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, minimum = 1, maximum = 64)]
    pub max_players: Option<u32>,
    /// How long the seat of a dropped connection is held (seconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, minimum = 0, maximum = 600)]
    pub seat_hold: Option<u32>,
    /// How long the room stays open with nobody in it (seconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, minimum = 1, maximum = 86_400)]
    pub empty_ttl: Option<u32>,
    /// Messages that are kept for replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, minimum = 0, maximum = 1000)]
    pub replay_messages: Option<u32>,
    /// Bytes of text that are kept for replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, minimum = 0, maximum = 4_194_304)]
    pub replay_bytes: Option<u32>,
    /// Who may come in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub access: Option<RoomAccess>,
    /// Nobody new comes in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false, nullable)]
    pub locked: bool,
    /// It may be shown in lists, and be chosen by a quick join.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false, nullable)]
    pub listed: bool,
    /// What kind of room it is, for the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Option<String>, min_length = 1, max_length = 32)]
    pub kind: Option<Box<str>>,
    /// By what the application finds it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, nullable, value_type = Vec<String>, max_items = 8)]
    pub labels: Vec<Box<str>>,
    /// When the room ends (Unix seconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub expires_at: Option<u64>,
    /// The application hears of its messages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false, nullable)]
    pub webhook: bool,
    /// Whether its state outlives its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub state: Option<StateKeeping>,
}

/// What is wrong with a descriptor. `Copy`, as the results of all other checks of a join token are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum DescriptorError {
    #[error("it is longer than {MAX_DESCRIPTOR} bytes")]
    TooLong,
    #[error("it is not a JSON object")]
    NotAnObject,
    #[error("no descriptor has a field {0}")]
    Unknown(FieldName),
    #[error("{0} is there twice")]
    Twice(FieldName),
    #[error("{field} must be {expected}")]
    Wrong { field: &'static str, expected: &'static str },
}

/// The beginning of a field's name, as it may be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FieldName([u8; 24]);

impl From<&str> for FieldName {
    fn from(name: &str) -> Self {
        let mut bytes = [0; 24];
        for (byte, of_name) in bytes.iter_mut().zip(name.bytes()) {
            *byte = if of_name.is_ascii_graphic() { of_name } else { b'?' };
        }
        Self(bytes)
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take_while(|byte| **byte != 0).try_for_each(|byte| write!(formatter, "{}", char::from(*byte)))
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Descriptor {
    /// What an application wrote.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn parse(json: &str) -> Result<Self, DescriptorError> {
        // As everywhere in the protocol, what is null counts as absent.
        Self::default().patched(json)
    }

    /// The same descriptor with the fields that an application wrote. One that is `null` goes back to the settings.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with them; that the whole is too long.
    pub fn patched(self, json: &str) -> Result<Self, DescriptorError> {
        if json.len() > MAX_DESCRIPTOR {
            return Err(DescriptorError::TooLong);
        }
        let Members(members) = serde_json::from_str(json).map_err(|_| DescriptorError::NotAnObject)?;
        let mut descriptor = self;
        for (index, (name, value)) in members.iter().enumerate() {
            if members[..index].iter().any(|(other, _)| other == name) {
                return Err(DescriptorError::Twice((&**name).into()));
            }
            descriptor.read(name, value)?;
        }
        // Plain values can always be written.
        let length = serde_json::to_string(&descriptor).unwrap_or_default().len();
        if length > MAX_DESCRIPTOR { Err(DescriptorError::TooLong) } else { Ok(descriptor) }
    }

    /// Takes over one field; `null`: as the settings have it.
    fn read(&mut self, name: &str, value: &RawValue) -> Result<(), DescriptorError> {
        fn of<'a, T: Deserialize<'a>>(
            value: &'a RawValue,
            field: &'static str,
            expected: &'static str,
            is_right: impl Fn(&T) -> bool,
        ) -> Result<Option<T>, DescriptorError> {
            let value: Option<T> =
                serde_json::from_str(value.get()).map_err(|_| DescriptorError::Wrong { field, expected })?;
            if value.as_ref().is_none_or(is_right) {
                Ok(value)
            } else {
                Err(DescriptorError::Wrong { field, expected })
            }
        }
        let flag = |field| of(value, field, "true or false", |_: &bool| true).map(Option::unwrap_or_default);
        match name {
            "max_players" => {
                let expected = "a whole number from 1 to 64";
                self.max_players = of(value, "max_players", expected, |count| (1..=64).contains(count))?;
            }
            "seat_hold" => {
                let expected = "seconds, a whole number from 0 to 600";
                self.seat_hold = of(value, "seat_hold", expected, |seconds| *seconds <= 600)?;
            }
            "empty_ttl" => {
                let expected = "seconds, a whole number from 1 to 86400";
                self.empty_ttl = of(value, "empty_ttl", expected, |seconds| (1..=MAX_EMPTY_TTL).contains(seconds))?;
            }
            "replay_messages" => {
                let expected = "a whole number from 0 to 1000";
                self.replay_messages = of(value, "replay_messages", expected, |count| *count <= MAX_REPLAY_MESSAGES)?;
            }
            "replay_bytes" => {
                let expected = "a whole number from 0 to 4194304";
                self.replay_bytes = of(value, "replay_bytes", expected, |bytes| *bytes <= 4 << 20)?;
            }
            "access" => self.access = of(value, "access", "link or token", |_| true)?,
            "locked" => self.locked = flag("locked")?,
            "listed" => self.listed = flag("listed")?,
            "kind" => {
                let expected = "1 to 32 of a-z, A-Z, 0-9, _ . : = / and -";
                self.kind = of(value, "kind", expected, |word: &String| is_word(word))?.map(Into::into);
            }
            "labels" => {
                let expected = "at most 8 different words of 1 to 32 of a-z, A-Z, 0-9, _ . : = / and -";
                let labels = of(value, "labels", expected, |labels: &Vec<Box<str>>| are_labels(labels))?;
                self.labels = labels.unwrap_or_default();
            }
            "expires_at" => {
                let expected = "a time in Unix seconds (not milliseconds), a whole number";
                self.expires_at = of(value, "expires_at", expected, |at| *at <= MAX_TIME)?;
            }
            "webhook" => self.webhook = flag("webhook")?,
            "state" => self.state = of(value, "state", "kept", |_| true)?,
            unknown => return Err(DescriptorError::Unknown(unknown.into())),
        }
        Ok(())
    }

    /// Whether it says nothing: such a room has none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the record has the room's state, so that it outlives a takeover.
    pub fn keeps_state(&self) -> bool {
        self.state == Some(StateKeeping::Kept)
    }

    /// Whether the room has ended at `wall` (Unix ms).
    pub fn has_expired(&self, wall: u64) -> bool {
        self.expires_at.is_some_and(|at| at.saturating_mul(1_000) <= wall)
    }
}

fn is_word(word: &str) -> bool {
    let is_of_words = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:=/-".contains(&byte);
    (1..=MAX_WORD).contains(&word.len()) && word.bytes().all(is_of_words)
}

fn are_labels(labels: &[Box<str>]) -> bool {
    let is_new = |index: usize| !labels[..index].contains(&labels[index]);
    labels.len() <= MAX_LABELS && labels.iter().all(|label| is_word(label)) && (0..labels.len()).all(is_new)
}

/// The members of an object, each as often as it is there.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Reads the descriptor of a record. One that cannot be read lets nobody in without a token, since it may have said so: the room goes on.
///
/// # Errors
///
/// The record is no JSON.
pub fn stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<Descriptor>>, D::Error> {
    let json = Option::<Box<RawValue>>::deserialize(deserializer)?;
    let closed = || Descriptor { access: Some(RoomAccess::Token), ..Descriptor::default() };
    // Serde would take a list for the fields in their order.
    let read = |json: &str| serde_json::from_str(json).ok().filter(|_| json.starts_with('{'));
    Ok(json.map(|json| Box::new(read(json.get()).unwrap_or_else(closed))))
}

/// As JSON, in what travels between pods: there a field that is left out would move all that follow it.
pub mod as_json {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Descriptor;

    /// Encodes it as a text, or none.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    #[allow(clippy::ref_option, clippy::borrowed_box, reason = "serde passes the field as it is")]
    pub fn serialize<S: Serializer>(descriptor: &Option<Box<Descriptor>>, serializer: S) -> Result<S::Ok, S::Error> {
        // Serialising plain values into memory cannot fail.
        let json = descriptor.as_ref().map(|descriptor| serde_json::to_string(descriptor).unwrap_or_default());
        json.serialize(serializer)
    }

    /// Decodes it.
    ///
    /// # Errors
    ///
    /// It is no descriptor.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<Descriptor>>, D::Error> {
        let json = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        json.map(|json| serde_json::from_str(&json).map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
#[path = "descriptor_tests.rs"]
mod tests;
