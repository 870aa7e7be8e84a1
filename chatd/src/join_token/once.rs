//! Tokens that are good for one JOIN (`once`): what the directory remembers of them. Pure: no I/O.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::LEEWAY;
use crate::protocol::{RoomId, SeatId, SeatKey};

/// Stands for the `jti` of a token: a hash, cut to 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenId(u128);

impl TokenId {
    /// `jti`: the claim.
    pub fn new(jti: &str) -> Self {
        let hash = Sha256::new().chain_update(b"jti ").chain_update(jti).finalize();
        Self(hash.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte)))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// A token that is good for one JOIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Once {
    /// Of the token.
    pub token: TokenId,
    /// The end of the token (Unix seconds).
    pub expires: u64,
}

impl Once {
    /// What the directory holds once the token is used for this seat by a JOIN with this key: nobody else can write the same.
    pub fn used_for(room: RoomId, seat: SeatId, key: Option<SeatKey>) -> Bytes {
        let key = key.map(|key| format!(",\"key\":\"{key}\"")).unwrap_or_default();
        format!("{{\"room\":\"{room}\",\"seat\":\"{seat}\"{key}}}").into()
    }

    /// How long the directory has to hold that at `wall` (Unix ms): for as long as a pod accepts the token, also one whose clock is behind.
    pub fn held_for(&self, wall: u64) -> Duration {
        Duration::from_secs(self.expires.saturating_add(2 * LEEWAY).saturating_sub(wall / 1_000).max(1))
    }
}
