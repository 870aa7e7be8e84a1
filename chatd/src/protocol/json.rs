//! The JSON encoding (WebSocket). Pure: no I/O.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    Command, ErrorCode, Heard, MAX_BAN, MAX_PLAYERS, OnWrongPod, Outgoing, PlayerName, RoomId, SeatKey, StateSet,
    check_data, check_presence, text,
};

mod write;

pub use write::{encode_close, encode_frame};

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;

/// The greatest `id`: the greatest integer that JavaScript's numbers hold with all before it.
pub const MAX_ID: u64 = (1 << 53) - 1;

/// What a message asks for, and the `id` that it carries (also where the rest is wrong).
///
/// Unknown fields are ignored, whatever is in them; so are known ones that the message's type does not use. An optional field
/// that is `null` counts as absent. A message that is not JSON, or whose `id` is wrong, is `bad_command` without an id.
pub fn parse(text: &str) -> (Option<u64>, Result<Command<'_>, ErrorCode>) {
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(text) else {
        return (None, Err(ErrorCode::BadCommand));
    };
    match fields.id() {
        Ok(id) => (id, fields.command()),
        Err(code) => (None, Err(code)),
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Type,
    Id,
    Text,
    Room,
    Name,
    Token,
    Timeline,
    LastSeq,
    Resumable,
    OnWrongPod,
    Key,
    Kind,
    Data,
    To,
    Volatile,
    Auth,
    Value,
    IfVersion,
    BanS,
    #[serde(other)]
    Unknown,
}

/// The fields that some command uses, not looked into yet: so that a wrong one is an error only where it is used, and with the
/// error of its own. The syntax of all has been checked.
#[derive(Default)]
struct Fields<'a> {
    values: [Option<&'a RawValue>; Field::Unknown as usize],
    id_twice: bool,
    /// A field twice: two readers could disagree on which one counts.
    twice: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some(field) = map.next_key::<Field>()? {
                    if matches!(field, Field::Unknown) {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let before = fields.values[field as usize].replace(map.next_value()?);
                    if before.is_some() {
                        fields.twice = true;
                        fields.id_twice |= matches!(field, Field::Id);
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl<'a> Fields<'a> {
    /// The field as it stands in the JSON, unless it is absent or null.
    fn raw(&self, field: Field) -> Option<&'a str> {
        self.values[field as usize].map(RawValue::get).filter(|raw| *raw != "null")
    }

    /// The field if it is a string, copied only where it holds escapes.
    fn string(&self, field: Field) -> Option<Cow<'a, str>> {
        let raw = self.raw(field)?;
        let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
        if inner.contains('\\') {
            // Fails for half of a surrogate pair, which is no text.
            serde_json::from_str(raw).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(inner))
        }
    }

    fn parsed<T: std::str::FromStr>(&self, field: Field) -> Option<T> {
        self.string(field)?.parse().ok()
    }

    fn id(&self) -> Result<Option<u64>, ErrorCode> {
        if self.id_twice {
            return Err(ErrorCode::BadCommand);
        }
        let id = self.integer(Field::Id)?;
        if id.is_some_and(|id| id > MAX_ID) { Err(ErrorCode::BadCommand) } else { Ok(id) }
    }

    fn integer(&self, field: Field) -> Result<Option<u64>, ErrorCode> {
        self.raw(field).map(|raw| raw.parse().map_err(|_| ErrorCode::BadCommand)).transpose()
    }

    fn command(&self) -> Result<Command<'a>, ErrorCode> {
        if self.twice {
            return Err(ErrorCode::BadCommand);
        }
        match &*self.string(Field::Type).ok_or(ErrorCode::BadCommand)? {
            "say" => {
                let text = match self.string(Field::Text).ok_or(ErrorCode::BadText)? {
                    Cow::Borrowed(text) => text::clean_str(text)?,
                    Cow::Owned(text) => Cow::Owned(text::clean_str(&text)?.into_owned()),
                };
                Ok(Command::Say { text })
            }
            "join" => {
                let room = self.parsed(Field::Room).ok_or(ErrorCode::BadRoom)?;
                let name = self.parsed(Field::Name).ok_or(ErrorCode::BadName)?;
                let (resumable, key, auth) = (self.flag(Field::Resumable)?, self.key(room, name)?, self.auth()?);
                let on_wrong_pod = self.on_wrong_pod()?;
                Ok(Command::Join { room, name, resumable, key, auth, on_wrong_pod, events: true })
            }
            "resume" => Ok(Command::Resume {
                room: self.parsed(Field::Room).ok_or(ErrorCode::BadRoom)?,
                token: self.string(Field::Token).ok_or(ErrorCode::BadToken)?,
                heard: self.heard()?,
                on_wrong_pod: self.on_wrong_pod()?,
                events: true,
            }),
            "set" => self.presence(),
            "send" => self.outgoing().map(|event| Command::Send(Box::new(event))),
            "state_set" => self.state_set().map(|set| Command::StateSet(Box::new(set))),
            "refresh" => {
                let auth = self.auth()?.ok_or(ErrorCode::AuthInvalid)?;
                Ok(Command::Refresh { auth })
            }
            "kick" => {
                let name = self.parsed(Field::Name).ok_or(ErrorCode::BadName)?;
                Ok(Command::Kick { name, ban_s: self.ban()? })
            }
            "create_room" => Ok(Command::CreateRoom { auth: self.auth()? }),
            "lock" => Ok(Command::Lock { locked: true }),
            "unlock" => Ok(Command::Lock { locked: false }),
            "who" => Ok(Command::Who),
            "leave" => Ok(Command::Leave),
            "ping" => Ok(Command::Ping),
            "quit" => Ok(Command::Quit),
            _ => Err(ErrorCode::BadCommand),
        }
    }

    fn outgoing(&self) -> Result<Outgoing<'a>, ErrorCode> {
        let kind = self.parsed(Field::Kind).ok_or(ErrorCode::BadCommand)?;
        // `null` is data like any other.
        let data = self.values[Field::Data as usize].map(RawValue::get).ok_or(ErrorCode::BadCommand)?;
        check_data(data)?;
        Ok(Outgoing { kind, data: Cow::Borrowed(data), to: self.to()?, volatile: self.flag(Field::Volatile)? })
    }

    /// `null` removes the key.
    fn state_set(&self) -> Result<StateSet<'a>, ErrorCode> {
        let key = self.parsed(Field::Key).ok_or(ErrorCode::BadCommand)?;
        let value = self.values[Field::Value as usize].map(RawValue::get).ok_or(ErrorCode::BadCommand)?;
        StateSet::new(key, value, self.integer(Field::IfVersion)?)
    }

    /// `null` takes back what was set.
    fn presence(&self) -> Result<Command<'a>, ErrorCode> {
        let data = self.values[Field::Data as usize].map(RawValue::get).ok_or(ErrorCode::BadCommand)?;
        check_presence(data)?;
        Ok(Command::Set { data: (data != "null").then_some(Cow::Borrowed(data)) })
    }

    /// Whom an event is to. That they are in the room is not asked here.
    fn to(&self) -> Result<Option<Vec<PlayerName>>, ErrorCode> {
        let Some(raw) = self.raw(Field::To) else {
            return Ok(None);
        };
        let names: Vec<Cow<'_, str>> = serde_json::from_str(raw).map_err(|_| ErrorCode::BadCommand)?;
        if names.len() > MAX_PLAYERS as usize {
            return Err(ErrorCode::BadCommand);
        }
        let names: Result<_, _> = names.iter().map(|name| name.parse().map_err(|_| ErrorCode::BadName)).collect();
        names.map(Some)
    }

    fn ban(&self) -> Result<Option<u32>, ErrorCode> {
        let seconds = self.integer(Field::BanS)?.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
        if seconds.is_some_and(|seconds| !(1..=MAX_BAN).contains(&seconds)) {
            return Err(ErrorCode::BadCommand);
        }
        Ok(seconds)
    }

    fn flag(&self, field: Field) -> Result<bool, ErrorCode> {
        match self.raw(field) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ErrorCode::BadCommand),
        }
    }

    fn key(&self, room: RoomId, name: PlayerName) -> Result<Option<SeatKey>, ErrorCode> {
        if self.raw(Field::Key).is_none() {
            return Ok(None);
        }
        let key = self.string(Field::Key).and_then(|key| SeatKey::new(room, name, &key).ok());
        key.ok_or(ErrorCode::BadCommand).map(Some)
    }

    /// A join token, as it is; what is no text, or too long, is no token.
    fn auth(&self) -> Result<Option<Cow<'a, str>>, ErrorCode> {
        if self.raw(Field::Auth).is_none() {
            return Ok(None);
        }
        let auth = self.string(Field::Auth).filter(|auth| auth.len() <= super::MAX_JOIN_TOKEN);
        auth.ok_or(ErrorCode::AuthInvalid).map(Some)
    }

    /// Without a word: relay, since a page cannot always reach another pod.
    fn on_wrong_pod(&self) -> Result<Option<OnWrongPod>, ErrorCode> {
        if self.raw(Field::OnWrongPod).is_none() {
            return Ok(Some(OnWrongPod::Relay));
        }
        match self.string(Field::OnWrongPod).as_deref() {
            Some("relay") => Ok(Some(OnWrongPod::Relay)),
            Some("redirect") => Ok(Some(OnWrongPod::Redirect)),
            _ => Err(ErrorCode::BadCommand),
        }
    }

    /// What was heard last. A timeline is opaque to clients, and another version of this server may write it in another way: one
    /// that cannot be read is one that is not known.
    fn heard(&self) -> Result<Option<Heard>, ErrorCode> {
        let last_seq = self.integer(Field::LastSeq)?;
        if self.raw(Field::Timeline).is_some() && self.string(Field::Timeline).is_none() {
            return Err(ErrorCode::BadCommand);
        }
        let timeline = self.parsed(Field::Timeline);
        Ok(timeline.zip(last_seq).map(|(timeline, last_seq)| Heard { timeline, last_seq }))
    }
}
