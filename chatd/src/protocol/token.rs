//! Tokens: proof that a client holds a seat, signed with the deployment's key. Also the proofs of peers. Pure: no I/O.
//!
//! A token is these bytes in URL-safe base64 without padding, 38 to 122 characters:
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version, 1 |
//! | 2 | which key: the first bytes of a MAC under that key, so that a renamed key file changes nothing |
//! | 8 | the seat's number, big-endian |
//! | 16 | HMAC-SHA256 of version, room, seat and name, cut to 128 bits (RFC 2104 section 5 allows half of the hash) |
//! | 1 to 64 | the name as it is shown |
//!
//! The room is not in it: the client says it, and the MAC covers it. The MAC covers the name as shown, so that not even its case
//! can be changed; where seats are compared, names are equal whatever their case.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rand::CryptoRng;
use sha2::Sha256;

use super::{ErrorCode, PlayerName, RoomId, SeatId};

mod key;
#[cfg(test)]
mod tests;

pub use key::{KeyError, MAX_KEYS, MIN_KEY, parse_key};

const VERSION: u8 = 1;
const TAG: usize = 2;
const SEAT: usize = 8;
const MAC: usize = 16;
/// Where the name starts.
const FIXED: usize = 1 + TAG + SEAT + MAC;
/// A token with a name of 64 bytes: 91 bytes.
const LONGEST: usize = 122;

/// What a MAC is for comes first in its input, so that none can be passed off as another.
const FOR_TOKEN: u8 = 0;
const FOR_PURPOSE: u8 = 1;
const FOR_TAG: u8 = 2;
const FOR_PRINT: u8 = 3;
const FOR_TOKEN_OF_CHOSEN_ROOM: u8 = 4;

/// Stands for a key, whatever its id, without telling anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPrint([u8; 32]);

/// The deployment's keys by id: one signs, all verify.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<Key>,
    /// Index into `keys`.
    signs: usize,
}

#[derive(Clone)]
struct Key {
    id: String,
    /// Keyed, with nothing in it yet: a copy of it starts a MAC.
    mac: Hmac<Sha256>,
    tag: [u8; TAG],
    print: KeyPrint,
}

impl Key {
    fn new(id: String, mac: Hmac<Sha256>) -> Self {
        let output = mac.clone().chain_update([FOR_TAG]).finalize().into_bytes();
        let print = KeyPrint(mac.clone().chain_update([FOR_PRINT]).finalize().into_bytes().into());
        Self { id, mac, tag: std::array::from_fn(|index| output[index]), print }
    }

    fn token_mac(&self, room: RoomId, name: PlayerName, seat: SeatId) -> Hmac<Sha256> {
        // All but the name have a fixed length, or one that stands before them, so no two seats have the same input.
        let mac = self.mac.clone();
        let mac = if room.has_made_form() {
            mac.chain_update([FOR_TOKEN, VERSION])
        } else {
            mac.chain_update([FOR_TOKEN_OF_CHOSEN_ROOM, VERSION, room.as_bytes().len() as u8])
        };
        mac.chain_update(room.as_bytes()).chain_update(seat.0.to_be_bytes()).chain_update(name.as_bytes())
    }

    fn purpose_mac(&self, purpose: &str, message: &[u8]) -> Hmac<Sha256> {
        self.mac
            .clone()
            .chain_update([FOR_PURPOSE])
            .chain_update((purpose.len() as u64).to_be_bytes())
            .chain_update(purpose)
            .chain_update(message)
    }
}

impl Keyring {
    /// The ring of these keys (id and secret), of which the one with the id `signs` signs.
    ///
    /// # Errors
    ///
    /// A secret shorter than [`MIN_KEY`], an id that is there twice, more than [`MAX_KEYS`], or no key with the id `signs`.
    pub fn new(keys: Vec<(String, Vec<u8>)>, signs: &str) -> Result<Self, KeyError> {
        if keys.len() > MAX_KEYS {
            return Err(KeyError::TooMany { count: keys.len() });
        }
        let mut ring: Vec<Key> = Vec::with_capacity(keys.len());
        for (id, secret) in keys {
            key::check_length(&secret)?;
            if ring.iter().any(|key| key.id == id) {
                return Err(KeyError::Twice { id });
            }
            let mac = Hmac::new_from_slice(&secret).map_err(|_| KeyError::TooShort { bytes: secret.len() })?;
            ring.push(Key::new(id, mac));
        }
        let signs =
            ring.iter().position(|key| key.id == signs).ok_or_else(|| KeyError::Missing { id: signs.to_owned() })?;
        Ok(Self { keys: ring, signs })
    }

    /// A ring of one new key, for a process that shares its tokens with no other.
    pub fn generate(random: &mut impl CryptoRng) -> Self {
        // A whole block of SHA-256, which HMAC takes as it is.
        let mut secret = [0_u8; 64];
        random.fill_bytes(&mut secret);
        Self { keys: vec![Key::new("generated".to_owned(), Hmac::new(&secret.into()))], signs: 0 }
    }

    /// The id of the key that signs, for logs: ids are no secrets.
    pub fn signing_id(&self) -> &str {
        &self.signing_key().id
    }

    /// A token for one seat.
    pub fn sign(&self, room: RoomId, name: PlayerName, seat: SeatId) -> String {
        let key = self.signing_key();
        let mac = key.token_mac(room, name, seat).finalize().into_bytes();
        let mut bytes = Vec::with_capacity(FIXED + name.as_bytes().len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&key.tag);
        bytes.extend_from_slice(&seat.0.to_be_bytes());
        bytes.extend_from_slice(&mac[..MAC]);
        bytes.extend_from_slice(name.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The name and seat that `token` was made for.
    ///
    /// # Errors
    ///
    /// `bad_token` if it was not made, as it is, for a seat of `room` with one of these keys.
    pub fn verify(&self, room: RoomId, token: &str) -> Result<(PlayerName, SeatId), ErrorCode> {
        self.verified(room, token).ok_or(ErrorCode::BadToken)
    }

    fn verified(&self, room: RoomId, token: &str) -> Option<(PlayerName, SeatId)> {
        if token.len() > LONGEST {
            return None;
        }
        let mut bytes = [0_u8; LONGEST];
        let length = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
        let (version, rest) = bytes[..length].split_first()?;
        let (tag, rest) = rest.split_first_chunk::<TAG>()?;
        let (seat, rest) = rest.split_first_chunk::<SEAT>()?;
        let (mac, name) = rest.split_first_chunk::<MAC>()?;
        if *version != VERSION {
            return None;
        }
        let name: PlayerName = std::str::from_utf8(name).ok()?.parse().ok()?;
        let seat = SeatId(u64::from_be_bytes(*seat));
        // Tags are short: keys may share one.
        let mut candidates = self.keys.iter().filter(|key| key.tag == *tag);
        candidates.any(|key| key.token_mac(room, name, seat).verify_truncated_left(mac).is_ok()).then_some((name, seat))
    }

    /// The signing key's MAC of `message`. Each use has a `purpose` of its own, and no MAC of one is good for another.
    pub fn mac(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        self.signing_key().purpose_mac(purpose, message).finalize().into_bytes().into()
    }

    /// Which of the keys made `mac` of `message` for `purpose`; takes the same time wherever it differs.
    pub fn verify_mac(&self, purpose: &str, message: &[u8], mac: &[u8]) -> Option<KeyPrint> {
        let made = |key: &&Key| key.purpose_mac(purpose, message).verify_slice(mac).is_ok();
        self.keys.iter().find(made).map(|key| key.print)
    }

    /// Whether the key is one of these.
    pub fn has(&self, print: KeyPrint) -> bool {
        self.keys.iter().any(|key| key.print == print)
    }

    fn signing_key(&self) -> &Key {
        &self.keys[self.signs]
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
        formatter.debug_struct("Keyring").field("ids", &ids).field("signs", &self.signing_id()).finish()
    }
}
