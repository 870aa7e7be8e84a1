//! The keys of the server API (`--api-keys-file`): who may call what, and what follows from a caller's Idempotency-Key. Pure: no I/O.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use crate::protocol::{NameError, RoomId};
use crate::room_call::CallKey;

/// The most keys of a file: each is compared with what a caller shows.
pub const MAX_KEYS: usize = 64;
/// A secret is at least so many characters: 32 random bytes have 43 in base64 and 64 as hexadecimal digits.
const SECRET: std::ops::RangeInclusive<usize> = 32..=256;
const ID: std::ops::RangeInclusive<usize> = 1..=64;
/// What compares secrets without telling by its time where they differ. Its value is of no importance.
const COMPARING: &[u8] = b"chatd api key";
/// 32 characters that a room's id may consist of.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Calls that change nothing.
    Read,
    /// Calls that change something.
    Write,
}

/// A key of the server API.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// How logs name it.
    pub id: String,
    secret: String,
    scopes: Vec<Scope>,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ApiKey({}, {:?})", self.id, self.scopes)
    }
}

/// All keys of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeys(Vec<Arc<ApiKey>>);

/// What is wrong with a file of keys. Holds nothing of what is in it but ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum ApiKeysError {
    #[error(r#"must be {{"keys": [{{"id": "backend", "secret": "...", "scopes": ["read", "write"]}}]}}"#)]
    Form,
    #[error("holds more than {MAX_KEYS} keys: remove old ones")]
    TooMany,
    #[error("holds no key")]
    Empty,
    #[error("the id of key {number} must be 1 to 64 characters of a-z, A-Z, 0-9, _ . and -")]
    Id { number: usize },
    #[error("two keys have the id {id}")]
    SameId { id: String },
    #[error("two keys have the secret of {id}")]
    SameSecret { id: String },
    #[error("the secret of {id} must be 32 to 256 visible ASCII characters: head -c 32 /dev/urandom | base64")]
    Secret { id: String },
    #[error("{id} has no scopes: read, write or both")]
    Scopes { id: String },
}

impl ApiKeys {
    /// The keys of a JSON text.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it. That there are none is no error: such a file takes all keys back.
    pub fn parse(json: &str) -> Result<Self, ApiKeysError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            keys: Vec<ApiKey>,
        }
        let File { keys } = serde_json::from_str(json).map_err(|_| ApiKeysError::Form)?;
        if keys.len() > MAX_KEYS {
            return Err(ApiKeysError::TooMany);
        }
        let (mut ids, mut secrets) = (HashSet::new(), HashSet::new());
        for (index, ApiKey { id, secret, scopes }) in keys.iter().enumerate() {
            let of_id = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if !ID.contains(&id.len()) || !id.bytes().all(of_id) {
                return Err(ApiKeysError::Id { number: index + 1 });
            }
            let id = id.clone();
            if !SECRET.contains(&secret.len()) || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(ApiKeysError::Secret { id });
            }
            if scopes.is_empty() {
                return Err(ApiKeysError::Scopes { id });
            }
            if !secrets.insert(secret) {
                return Err(ApiKeysError::SameSecret { id });
            }
            if !ids.insert(id.clone()) {
                return Err(ApiKeysError::SameId { id });
            }
        }
        Ok(Self(keys.into_iter().map(Arc::new).collect()))
    }

    /// # Errors
    ///
    /// There is no key: nobody could call anything.
    pub fn check_not_empty(&self) -> Result<(), ApiKeysError> {
        if self.0.is_empty() { Err(ApiKeysError::Empty) } else { Ok(()) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The key with this secret. Takes equally long for every secret of one length.
    pub fn find(&self, secret: &str) -> Option<Arc<ApiKey>> {
        let mac = |secret: &str| Hmac::<Sha256>::new_from_slice(COMPARING).map(|mac| mac.chain_update(secret)).ok();
        let shown = mac(secret)?.finalize().into_bytes();
        let mut found = None;
        for key in &self.0 {
            if mac(&key.secret)?.verify(&shown).is_ok() {
                found = Some(key.clone());
            }
        }
        found
    }
}

impl ApiKey {
    /// Whether it is good for this.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// 128 bits that only who has the secret can tell.
    fn derive(&self, parts: [&str; 3]) -> u128 {
        // HMAC takes keys of any length.
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes());
        let mac = mac.map(|mac| parts.iter().fold(mac, |mac, part| mac.chain_update(part).chain_update([0])));
        let bytes = mac.map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
        bytes.iter().take(16).fold(0, |all, byte| (all << 8) | u128::from(*byte))
    }

    /// The room that a call to make one is for, through any pod and however often it comes with this Idempotency-Key.
    ///
    /// # Errors
    ///
    /// None in practice: its letters are those of a room's id.
    pub fn room(&self, key: &str) -> Result<RoomId, NameError> {
        self.room_of("room", key)
    }

    /// The room that a quick join with this Idempotency-Key makes, should it make one.
    ///
    /// # Errors
    ///
    /// As [`ApiKey::room`].
    pub fn room_to_join(&self, key: &str) -> Result<RoomId, NameError> {
        self.room_of("join", key)
    }

    fn room_of(&self, what: &str, key: &str) -> Result<RoomId, NameError> {
        let bits = self.derive([what, "", key]);
        let letter = |index: u32| char::from(LETTERS[(bits >> (5 * index)) as usize & 31]);
        (0..26).map(letter).collect::<String>().parse()
    }

    /// By what a room's owner recognises a call. `what`: the kind of call.
    pub fn call_key(&self, what: &str, room: RoomId, key: &str) -> CallKey {
        CallKey(self.derive([what, room.as_str(), key]))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn keys(keys: &serde_json::Value) -> Result<ApiKeys, ApiKeysError> {
        ApiKeys::parse(&serde_json::json!({ "keys": keys }).to_string())
    }

    #[test]
    fn a_key_is_found_by_its_whole_secret_and_is_good_for_its_scopes() {
        let other = SECRET.replace('0', "x");
        let file = serde_json::json!([
            { "id": "backend", "secret": SECRET, "scopes": ["read", "write"] },
            { "id": "board", "secret": other, "scopes": ["read"] },
        ]);
        let keys = keys(&file).unwrap();
        let backend = keys.find(SECRET).unwrap();
        assert!(backend.id == "backend" && backend.may(Scope::Read) && backend.may(Scope::Write));
        let board = keys.find(&other).unwrap();
        assert!(board.id == "board" && board.may(Scope::Read) && !board.may(Scope::Write));
        for wrong in ["", &SECRET[1..], &format!("{SECRET}0"), "backend"] {
            assert_eq!(keys.find(wrong), None, "{wrong}");
        }
        assert!(!format!("{keys:?}").contains(SECRET));
    }

    #[test]
    fn a_file_is_refused_with_a_sentence_that_holds_no_secret() {
        let key = |id: &str, secret: &str| serde_json::json!({ "id": id, "secret": secret, "scopes": ["read"] });
        let other = SECRET.replace('0', "x");
        for (file, word) in [
            (serde_json::json!([key("a", &SECRET[1..])]), "the secret of a must"),
            (serde_json::json!([key("a", &SECRET.replace('0', " "))]), "the secret of a must"),
            (serde_json::json!([key("", SECRET)]), "the id of key 1"),
            (serde_json::json!([key("a b", SECRET)]), "the id of key 1"),
            (serde_json::json!([key("a", SECRET), key("a", &other)]), "two keys have the id a"),
            (serde_json::json!([key("a", SECRET), key("b", SECRET)]), "two keys have the secret of b"),
            (serde_json::json!([{ "id": "a", "secret": SECRET, "scopes": [] }]), "no scopes"),
            (serde_json::json!([{ "id": "a", "secret": SECRET, "scopes": ["all"] }]), "must be {\"keys\""),
            (serde_json::json!([{ "id": "a", "secret": SECRET, "scopes": ["read"], "more": 1 }]), "must be {"),
            (serde_json::json!([{ "id": "a", "secret": SECRET }]), "must be {"),
        ] {
            let error = keys(&file).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains(&SECRET[1..9]), "{error}");
        }
        assert_eq!(ApiKeys::parse("[]"), Err(ApiKeysError::Form));
        let none = keys(&serde_json::json!([])).unwrap();
        assert_eq!(none.check_not_empty(), Err(ApiKeysError::Empty));
    }

    #[test]
    fn an_idempotency_key_stands_for_one_room_and_one_call_of_one_api_key() {
        let key = |secret: &str| ApiKey { id: "a".into(), secret: secret.into(), scopes: vec![Scope::Write] };
        let (one, two) = (key(SECRET), key(&SECRET.replace('0', "x")));
        let room = one.room("order-1").unwrap();
        assert_eq!(room, one.room("order-1").unwrap());
        assert_eq!(room.as_str().len(), 26);
        assert_ne!(room, one.room("order-2").unwrap());
        assert_ne!(room, one.room_to_join("order-1").unwrap());
        assert_ne!(room, two.room("order-1").unwrap());
        let call = one.call_key("say", room, "order-1");
        assert_eq!(call, one.call_key("say", room, "order-1"));
        let elsewhere = one.room("order-2").unwrap();
        for other in [
            one.call_key("send", room, "order-1"),
            one.call_key("say", elsewhere, "order-1"),
            one.call_key("say", room, "order-2"),
            two.call_key("say", room, "order-1"),
        ] {
            assert_ne!(call, other);
        }
    }
}
