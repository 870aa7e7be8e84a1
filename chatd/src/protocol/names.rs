//! Identifiers that are always valid: rooms, players, seats, timelines, ownerships. Pure: no I/O.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

mod kept;
mod player;
mod profile;
mod room;
#[cfg(test)]
mod tests;

pub use kept::KeptName;
pub use player::PlayerName;
pub use room::RoomId;

/// A room or player name that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum NameError {
    #[error("a room is 1 to 64 characters of a-z, 0-9, ., _ and -, with a letter or digit at both ends")]
    Room,
    #[error("a name is 1 to 24 letters and digits, _ - . and ', without spaces")]
    Player,
    #[error("a timeline is 16 characters of 0-9 and a-f")]
    Timeline,
    #[error("a key is 22 to 64 characters of A-Z, a-z, 0-9, _ and -")]
    Key,
}

/// The number of one seat: random, so that an old token never fits a namesake's seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeatId(pub u64);

/// What the key is known by that a client has chosen for its seat: a hash, cut to 128 bits, so that who reads it (in the directory,
/// or on its way between pods) cannot show the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeatKey([u8; 16]);

impl SeatKey {
    /// 128 random bits need 22 characters in base64, and 32 as hexadecimal digits.
    const LENGTH: std::ops::RangeInclusive<usize> = 22..=64;

    /// `key`: as the client says it.
    ///
    /// # Errors
    ///
    /// It is not a word of the right length.
    pub fn new(room: RoomId, name: PlayerName, key: &str) -> Result<Self, NameError> {
        let valid = Self::LENGTH.contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if !valid {
            return Err(NameError::Key);
        }
        // A name has no fixed length, and none holds a space. Neither does an id that an application has chosen.
        let hash = Sha256::new()
            .chain_update(b"seat ")
            .chain_update(room.as_bytes())
            .chain_update(if room.has_made_form() { "" } else { " " })
            .chain_update(name.compared())
            .chain_update(b" ")
            .chain_update(key)
            .finalize();
        let (half, _) = hash.split_first_chunk::<16>().ok_or(NameError::Key)?;
        Ok(Self(*half))
    }
}

impl FromStr for SeatKey {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let valid = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let number = valid.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(|number| Self(number.to_be_bytes())).ok_or(NameError::Key)
    }
}

/// The name of one unbroken count of a room's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeline(pub u64);

/// Stands for one process: random at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodBoot(pub u64);

/// A room's ownership number.
pub type Epoch = u64;

/// Ownership of a room: the higher (epoch, boot) wins, at every pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ownership {
    /// Rises with each owner of the room.
    pub epoch: Epoch,
    /// The process; decides between two of one epoch.
    pub boot: PodBoot,
}

/// Reads a value from its text form, without a copy of the text.
struct Parsed<T>(PhantomData<T>);

impl<T: FromStr<Err = NameError>> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name in its text form")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Text forms: as shown to people and stored in Redis.
macro_rules! text_form {
    ($type:ty, $show:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let show: fn(&$type, &mut fmt::Formatter<'_>) -> fmt::Result = $show;
                show(self, formatter)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Parsed(PhantomData))
            }
        }
    };
}

/// Reads the name of a player, or of whom the application speaks as.
///
/// # Errors
///
/// It is neither.
pub fn speaker<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PlayerName, D::Error> {
    let name = Cow::<'de, str>::deserialize(deserializer)?;
    let parsed = name.strip_prefix('*').map_or_else(|| name.parse(), PlayerName::system);
    parsed.map_err(serde::de::Error::custom)
}

text_form!(RoomId, |room, formatter| formatter.write_str(room.as_str()));
text_form!(PlayerName, |name, formatter| formatter.write_str(name.as_str()));
text_form!(SeatId, |seat, formatter| write!(formatter, "{:016x}", seat.0));
text_form!(Timeline, |timeline, formatter| write!(formatter, "{:016x}", timeline.0));
text_form!(SeatKey, |key, formatter| write!(formatter, "{:032x}", u128::from_be_bytes(key.0)));
text_form!(PodBoot, |boot, formatter| write!(formatter, "{:016x}", boot.0));

/// A number of 64 bits as exactly 16 lower-case hexadecimal digits.
fn from_hex(text: &str) -> Result<u64, NameError> {
    let valid = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !valid {
        return Err(NameError::Timeline);
    }
    u64::from_str_radix(text, 16).map_err(|_| NameError::Timeline)
}

macro_rules! from_hex_form {
    ($($type:ident),*) => {
        $(impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                from_hex(text).map($type)
            }
        })*
    };
}

from_hex_form!(SeatId, Timeline, PodBoot);
