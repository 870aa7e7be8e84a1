//! Ids of rooms: made by the server, or chosen by an application. Pure: no I/O.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use rand::{Rng, RngExt};

use super::NameError;

/// The most bytes of an id.
const MOST: usize = 64;
/// The length of ids that the server makes.
const MADE: usize = 8;

/// The id of a room: `[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?`.
///
/// A value of 65 bytes: an id is in every frame between pods, and comes from clients before it is known whether there is such a room, so that a
/// table of names would have to be cleared of those that nobody uses. What there are many of, sessions and their timers, holds none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoomId {
    /// Zeroes after the id: so the order is that of the texts.
    bytes: [u8; MOST],
    length: u8,
}

impl RoomId {
    /// Of new ids: without what is taken for another character when it is read or heard (0 and o, 1 and l). Older ids have them.
    const ALPHABET: &'static [u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

    /// A room id that nobody can guess, if `random` is secure: 40 bits.
    pub fn random(random: &mut impl Rng) -> Self {
        let id: [u8; MADE] = std::array::from_fn(|_| Self::ALPHABET[random.random_range(0..Self::ALPHABET.len())]);
        Self::holding(&id)
    }

    fn holding(id: &[u8]) -> Self {
        let mut bytes = [0; MOST];
        bytes[..id.len()].copy_from_slice(id);
        Self { bytes, length: id.len() as u8 }
    }

    /// The id of these 8 letters and digits: the opposite of [`RoomId::as_bytes`] where [`RoomId::has_made_form`].
    pub(crate) fn of_made_form(id: [u8; MADE]) -> Self {
        Self::holding(&id)
    }

    /// Its characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The same as ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether it has the form of those that servers make: 8 letters and digits. Hashes over such an id and what follows it need no mark
    /// between them.
    pub fn has_made_form(&self) -> bool {
        usize::from(self.length) == MADE && self.as_bytes().iter().all(u8::is_ascii_alphanumeric)
    }

    /// Which of `shards` threads of a pod has this room: the same for every connection, whatever pod it came by.
    pub fn shard(&self, shards: usize) -> usize {
        // FNV-1a: spreads ASCII bytes evenly and needs no state; see RFC 9923.
        let hash = self
            .as_bytes()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        ((hash >> 32) as usize) % shards.max(1)
    }
}

impl FromStr for RoomId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let id = text.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inner = |byte: &u8| plain(byte) || matches!(byte, b'.' | b'_' | b'-');
        let ends = id.first().is_some_and(plain) && id.last().is_some_and(plain);
        let valid = id.len() <= MOST && ends && id.iter().all(inner);
        valid.then(|| Self::holding(id)).ok_or(NameError::Room)
    }
}

impl Hash for RoomId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The bytes after the id are always the same.
        state.write(self.as_bytes());
    }
}

impl fmt::Debug for RoomId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
