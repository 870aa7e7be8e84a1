//! Verified join tokens, remembered by their hash. Pure: no I/O.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Failure, Grant, Verifier};
use crate::protocol::MAX_JOIN_TOKEN;

/// The most tokens that a thread remembers: a few hundred bytes each.
const MOST: usize = 4_096;

/// What a thread needs to verify join tokens: the pod's keys, and what it has verified with them.
#[derive(Debug, Default)]
pub struct JoinTokens {
    verifier: Option<Arc<Verifier>>,
    /// By SHA-256: who reads this memory cannot show the tokens.
    verified: HashMap<[u8; 32], Arc<Grant>>,
}

impl JoinTokens {
    /// Other keys, or none. What was verified with the former ones is forgotten: one of them may have been taken away.
    pub fn set_verifier(&mut self, verifier: Option<Arc<Verifier>>) {
        *self = Self { verifier, verified: HashMap::new() };
    }

    /// Whether there are keys.
    pub fn has_keys(&self) -> bool {
        self.verifier.is_some()
    }

    /// What verifies.
    pub(super) fn verifier(&self) -> Option<&Verifier> {
        self.verifier.as_deref()
    }

    /// What `token` grants at `now` (Unix seconds).
    ///
    /// # Errors
    ///
    /// The first check that fails.
    pub fn verify(&mut self, token: &str, now: u64) -> Result<Arc<Grant>, Failure> {
        let verifier = self.verifier.as_deref().ok_or(Failure::NoKeys)?;
        if token.len() > MAX_JOIN_TOKEN {
            return Err(Failure::TooLong);
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some(grant) = self.verified.get(&hash) {
            return grant.check_time(now).map(|()| grant.clone());
        }
        // Also one that has ended: who shows it again and again costs no more signatures.
        let grant = Arc::new(verifier.verify_at_any_time(token)?);
        self.make_room(now);
        self.verified.insert(hash, grant.clone());
        grant.check_time(now)?;
        Ok(grant)
    }

    fn make_room(&mut self, now: u64) {
        if self.verified.len() >= MOST {
            self.verified.retain(|_, grant| grant.check_time(now).is_ok());
        }
        // All of them can be verified once more, and a list of their uses would cost each JOIN.
        if self.verified.len() >= MOST {
            self.verified.clear();
        }
    }

    /// The number of tokens that are remembered.
    pub fn len(&self) -> usize {
        self.verified.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.verified.is_empty()
    }
}
