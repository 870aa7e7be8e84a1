//! Join tokens: JWTs (RFC 7519) with which an application's backend lets its users into rooms. Pure: no I/O, and no clock.
//!
//! A token is verified with a key of the pod's key set, by the algorithm that the key has; what the token says of itself decides
//! nothing. Which check failed is for the log and a metric; the client hears only an error code ([`Failure::code`]).

mod cache;
mod claims;
mod failure;
mod json;
mod keys;
mod once;
mod signing;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

pub use crate::descriptor::RoomAccess;
pub use crate::protocol::Role;
pub use cache::JoinTokens;
pub use claims::{Create, Grant};
pub use failure::Failure;
pub use keys::{KeySet, KeySetError};
pub use once::{Once, TokenId};
pub use signing::Pass;

use crate::protocol::{MAX_JOIN_TOKEN, RoomId};
use json::Json;

/// So many viewers may be in a room, besides its players.
pub const MAX_VIEWERS: usize = 64;
/// How far the clocks of a backend and of this pod may be apart (seconds).
pub const LEEWAY: u64 = 30;
/// How long before a token's end its holder is told (seconds).
pub const WARNING: u64 = 60;

/// Stands for a token's `sub` in one room: a hash, cut to 128 bits, so that two rooms' records do not show that one person is in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(u128);

impl Subject {
    /// `sub`: the claim.
    pub fn new(room: RoomId, sub: &str) -> Self {
        // No room's id holds a space.
        let hash = Sha256::new()
            .chain_update(b"sub ")
            .chain_update(room.as_str())
            .chain_update(b" ")
            .chain_update(sub)
            .finalize();
        Self(hash.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte)))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl FromStr for Subject {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let valid = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        valid.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self).ok_or(Failure::Claim("sub"))
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a seat keeps of the token that it was taken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatAuth {
    /// Who holds it.
    pub sub: Subject,
    /// The end of the token (Unix seconds).
    #[serde(rename = "exp")]
    pub expires: u64,
    /// What its holder may do.
    #[serde(default)]
    pub role: Role,
}

impl SeatAuth {
    /// When its connection ends (Unix ms): when the token would not be accepted any more.
    pub fn ends_at(&self) -> u64 {
        self.expires.saturating_add(LEEWAY).saturating_mul(1_000)
    }

    /// When its holder is told of that (Unix ms).
    pub fn warns_at(&self) -> u64 {
        self.expires.saturating_sub(WARNING).saturating_mul(1_000)
    }

    /// What is left of it at `wall` (Unix ms), in seconds.
    pub fn left(&self, wall: u64) -> u64 {
        self.expires.saturating_sub(wall / 1_000)
    }
}

/// Whether who holds a seat with this token takes no player's place.
pub fn is_viewer(auth: Option<SeatAuth>) -> bool {
    auth.is_some_and(|auth| auth.role == Role::Viewer)
}

/// Places of a room, as they are given out.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    players: usize,
    viewers: usize,
}

impl Places {
    /// All are free. `players`: how many of these there may be.
    pub fn new(players: u32) -> Self {
        Self { players: players as usize, viewers: MAX_VIEWERS }
    }

    /// Takes one. False: there is none.
    pub fn take(&mut self, auth: Option<SeatAuth>) -> bool {
        let left = if is_viewer(auth) { &mut self.viewers } else { &mut self.players };
        let is_free = *left > 0;
        *left -= usize::from(is_free);
        is_free
    }
}

/// Keys, and what the settings want of every token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    keys: KeySet,
    audience: Option<String>,
    issuer: Option<String>,
}

impl Verifier {
    /// `audience`, `issuer`: what `aud` has to hold and `iss` has to be, if anything.
    pub fn new(keys: KeySet, audience: Option<String>, issuer: Option<String>) -> Self {
        Self { keys, audience, issuer }
    }

    /// What `token` grants at `now` (Unix seconds).
    ///
    /// # Errors
    ///
    /// The first check that fails. Claims are not looked at before the signature is known to be right.
    pub fn verify(&self, token: &str, now: u64) -> Result<Grant, Failure> {
        let grant = self.verify_at_any_time(token)?;
        grant.check_time(now)?;
        Ok(grant)
    }

    /// What `token` grants at some time.
    fn verify_at_any_time(&self, token: &str) -> Result<Grant, Failure> {
        if token.len() > MAX_JOIN_TOKEN {
            return Err(Failure::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Failure::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Failure::Malformed)?;
        if payload.contains('.') {
            return Err(Failure::Malformed);
        }
        let header = part(header)?;
        if header.has("crit") {
            return Err(Failure::Critical);
        }
        let kid = header.get("kid").map(|kid| kid.text().ok_or(Failure::Malformed)).transpose()?;
        let alg = header.get("alg").and_then(Json::text).ok_or(Failure::Malformed)?;
        let key = self.keys.find(kid).ok_or(Failure::UnknownKey)?;
        if !key.is_called(alg) {
            return Err(Failure::Algorithm);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Failure::Malformed)?;
        if !key.has_signed(signed.as_bytes(), &signature) {
            return Err(Failure::Signature);
        }
        Grant::new(&part(payload)?, self.issuer.as_deref(), self.audience.as_deref())
    }
}

/// A part of a token: an object.
fn part(text: &str) -> Result<Json, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Failure::Malformed)?;
    Json::parse(&bytes).filter(|part| matches!(part, Json::Object(_))).ok_or(Failure::Malformed)
}
