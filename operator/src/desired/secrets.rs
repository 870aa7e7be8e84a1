//! Secrets that the operator generates once: token keys, keys of the server API, and the managed Valkey's password. Pure: randomness is
//! an argument, no I/O.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use super::server_api::API_KEYS_FILE;
use super::{CHAT, Child, Context, Kind, VALKEY};

/// The user that chat pods log in to the managed Valkey as.
pub const VALKEY_USER: &str = "chatd";

/// What chatd asks of Redis, and no more (docs/operations.md).
const COMMANDS: &str = "-@all +get +set +del +pexpire +zadd +zrem +zrange +eval +evalsha +role +select +cluster|slots +asking +ping \
     +client|id +client|list +info";

/// A first key. `id` grows with time (`20261124010203`), so that a key that somebody adds later under such a name sorts behind it.
pub fn new_token_keys(context: &Context<'_>, id: &str, random: &[u8; 32]) -> Child {
    secret(context, context.names().token_keys(), CHAT, [(id, hexadecimal(random))].into())
}

/// A first key of the server API, for all calls: the list for the pods, and the key alone for the backend, which gets it as a variable.
pub fn new_api_keys(context: &Context<'_>, id: &str, random: &[u8; 32]) -> Child {
    let key = hexadecimal(random);
    let list = json!({ "keys": [{ "id": id, "secret": key, "scopes": ["read", "write"] }] });
    let data = [(API_KEYS_FILE, format!("{list:#}\n")), ("key", key)].into();
    secret(context, context.names().api(), CHAT, data)
}

/// Whether a Secret holds a list of keys of the server API. Its form is chatd's business.
pub fn has_api_keys(data: &BTreeMap<String, ByteString>) -> bool {
    data.get(API_KEYS_FILE).is_some_and(|value| !value.0.is_empty())
}

/// Whether a Secret holds a token key at all. Their form is chatd's business.
pub fn has_token_key(data: &BTreeMap<String, ByteString>) -> bool {
    data.iter().any(|(name, value)| !name.starts_with('.') && !value.0.is_empty())
}

/// The password, for the pods, and the access control list with it, for Valkey.
pub fn new_valkey_secret(context: &Context<'_>, random: &[u8; 32]) -> Child {
    let password = hexadecimal(random);
    // Nobody can be `default`, but its append-only file is loaded in its name, and Redis 7 checks its rights to each transaction there.
    let list = format!("user default off ~* &* +@all\nuser {VALKEY_USER} on >{password} ~* resetchannels {COMMANDS}\n");
    secret(context, context.names().valkey(), VALKEY, [("password", password), ("users.acl", list)].into())
}

/// Whether a Secret has all that Valkey and the pods need.
pub fn is_whole_valkey_secret(data: &BTreeMap<String, ByteString>) -> bool {
    ["password", "users.acl"].iter().all(|key| data.get(*key).is_some_and(|value| !value.0.is_empty()))
}

fn secret(context: &Context<'_>, name: String, component: &str, data: BTreeMap<&str, String>) -> Child {
    let data = data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())));
    let secret = Secret {
        metadata: context.metadata(name, component),
        data: Some(data.collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    super::child(Kind::Secret, &secret)
}

/// A token key, or a password, of random bytes.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
