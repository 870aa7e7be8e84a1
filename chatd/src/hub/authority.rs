//! Who may come in: the keys of seats' tokens and of join tokens, and what is said of those that are refused. Pure: no I/O.

use std::sync::Arc;

use super::request::Entry;
use crate::join_token::{Failure, Grant, JoinTokens, Pass, RoomAccess, Verifier};
use crate::protocol::token::Keyring;
use crate::protocol::{ErrorCode, RoomId};

/// A thread says so seldom that join tokens are refused (ms): a client that sends many must not fill the log.
const SAID_EVERY: u64 = 10_000;

/// See the module's documentation.
#[derive(Debug)]
pub struct Authority {
    /// What signs and verifies tokens of seats.
    pub keys: Arc<Keyring>,
    join_tokens: JoinTokens,
    /// When a refusal may be said again (ms).
    say_from: u64,
    /// The refusals since then that were not said.
    unsaid: u64,
}

impl Authority {
    pub fn new(keys: Arc<Keyring>) -> Self {
        Self { keys, join_tokens: JoinTokens::default(), say_from: 0, unsaid: 0 }
    }

    pub fn set_join_keys(&mut self, verifier: Option<Arc<Verifier>>) {
        self.join_tokens.set_verifier(verifier);
    }

    /// Whether anybody can come in by a join token.
    pub fn has_join_keys(&self) -> bool {
        self.join_tokens.has_keys()
    }

    /// Whether this client shows nothing that lets it into a room that needs a token.
    pub fn is_stranger(&self, room: RoomId, entry: &Entry) -> bool {
        match entry {
            Entry::Join { auth, .. } => auth.is_none(),
            Entry::Resume { token, .. } => self.keys.verify(room, token).is_err(),
        }
    }

    /// What a stranger is told of a room that does not exist, and of one that needs a token. `access`: what the settings say.
    pub fn unknown_to_strangers(&self, access: RoomAccess, entry: &Entry) -> ErrorCode {
        let may_need_token = access == RoomAccess::Token || self.has_join_keys();
        match entry {
            Entry::Join { .. } if may_need_token => ErrorCode::AuthRequired,
            Entry::Join { .. } | Entry::Resume { .. } => ErrorCode::RoomNotFound,
        }
    }

    /// What a join token grants at `wall` (Unix ms).
    pub fn verify(&mut self, auth: &str, wall: u64) -> Result<Arc<Grant>, Failure> {
        self.join_tokens.verify(auth, wall / 1_000)
    }

    /// A join token that is made at `wall` (Unix ms). `None`: there is no secret to sign with.
    pub fn sign(&self, room: RoomId, pass: &Pass, wall: u64) -> Option<String> {
        self.join_tokens.sign(room, pass, wall)
    }

    /// A token was refused at `now` (ms). `Some`: that is to be said, with the number of those before it that were not.
    pub fn refused(&mut self, now: u64) -> Option<u64> {
        if now < self.say_from {
            self.unsaid += 1;
            return None;
        }
        self.say_from = now + SAID_EVERY;
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn of_many_refusals_few_are_said_and_none_is_forgotten() {
        let mut authority = Authority::new(Arc::new(Keyring::generate(&mut rand::rng())));
        let said: Vec<_> = [0, 1, 9_999, 10_000, 10_001, 30_000].map(|now| authority.refused(now)).into();
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
