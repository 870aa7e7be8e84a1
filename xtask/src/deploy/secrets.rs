//! Passwords and keys: generated once, stored only in Secrets of the cluster, and copied to the namespaces of their users. Pure
//! functions of random bytes decide a Secret's content; reading and writing is at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use devcluster::kube::Kube;

/// A Secret's keys and what they hold.
pub type Content = BTreeMap<String, String>;
/// 256 bits.
pub type Random = [u8; 32];

/// Each user of Redis has a password of its own and no more rights than it needs. chatd's are those of docs/operations.md.
const REDIS_USERS: &[(&str, &str)] = &[
    ("admin", "~* &* +@all"),
    (
        "chatd",
        "resetkeys ~chat:* resetchannels -@all +get +set +del +pexpire +zadd +zrem +zrange +eval +evalsha +role +select \
         +cluster|slots +asking",
    ),
    ("http-demo", "resetkeys ~http-demo:* resetchannels -@all +@connection +@transaction +@hash +del +expire +pttl"),
];

/// The databases' users, whose names are keys of the Secret `redis`; `users.acl` is what Redis reads, with hashes in it only.
pub fn redis(mut random: impl FnMut() -> Result<Random>) -> Result<Content> {
    let mut content = Content::new();
    // Nobody can be `default`, but Redis 7 loads its append-only file in its name, and checks its rights to each transaction there.
    let mut list =
        String::from("user default off ~* &* +@all\nuser probe on nopass resetkeys resetchannels -@all +ping\n");
    for (user, rights) in REDIS_USERS {
        let password = hex::encode(random()?);
        let hash = hex::encode(Sha256::digest(password.as_bytes()));
        let _ = writeln!(list, "user {user} on #{hash} {rights}");
        content.insert((*user).to_owned(), password);
    }
    content.insert("users.acl".to_owned(), list);
    Ok(content)
}

/// The superuser's password and that of the demo's own role.
pub fn postgres(mut random: impl FnMut() -> Result<Random>) -> Result<Content> {
    let mut content = Content::new();
    for key in ["password", "http-demo"] {
        content.insert(key.to_owned(), hex::encode(random()?));
    }
    Ok(content)
}

/// From the kernel.
pub fn random() -> Result<Random> {
    let mut bytes = Random::default();
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The Secret's content; creates the Secret if it does not exist, and never changes it.
pub fn made_once(kube: &Kube, namespace: &str, name: &str, make: impl FnOnce() -> Result<Content>) -> Result<Content> {
    if let Some(content) = read(kube, namespace, name)? {
        return Ok(content);
    }
    let content = make()?;
    // Not `apply`: if somebody was faster, theirs counts and this is an error.
    kube.run_with(&["create", "--filename=-"], secret(namespace, name, &content).to_string().as_bytes())?;
    println!("    created the Secret {name} in the namespace {namespace}");
    Ok(content)
}

/// Makes it, or makes it what it should be.
pub fn write(kube: &Kube, namespace: &str, name: &str, content: &Content) -> Result<()> {
    kube.apply(secret(namespace, name, content).to_string().as_bytes())
}

/// A few characters that are others when the content is.
pub fn identity(content: &Content) -> String {
    let mut hash = Sha256::new();
    for (key, value) in content {
        hash.update(format!("{key} {value}\n"));
    }
    hex::encode(&hash.finalize()[..4])
}

/// One of the keys.
pub fn key<'a>(content: &'a Content, key: &str, of: &str) -> Result<&'a str> {
    content.get(key).map(String::as_str).with_context(|| {
        format!("the Secret {of} in the namespace databases has no key {key}: delete the Secret, and its pod, to get a new one")
    })
}

fn read(kube: &Kube, namespace: &str, name: &str) -> Result<Option<Content>> {
    let found = kube.get(&["secret", name, &format!("--namespace={namespace}")])?;
    found.map(|secret| decoded(&secret)).transpose()
}

fn secret(namespace: &str, name: &str, content: &Content) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": content.iter().map(|(key, value)| (key.clone(), STANDARD.encode(value))).collect::<BTreeMap<_, _>>(),
    })
}

fn decoded(secret: &Value) -> Result<Content> {
    let Some(data) = secret["data"].as_object() else { return Ok(Content::new()) };
    data.iter()
        .map(|(key, value)| {
            let bytes =
                STANDARD.decode(value.as_str().unwrap_or_default()).context("a Secret's value is not base64")?;
            Ok((key.clone(), String::from_utf8(bytes).context("a Secret's value is not text")?))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn counting() -> impl FnMut() -> Result<Random> {
        let mut count = 0;
        move || {
            count += 1;
            Ok([count; 32])
        }
    }

    #[test]
    fn each_user_of_redis_has_its_own_password_and_the_list_holds_none() {
        let content = redis(counting()).unwrap();
        let list = &content["users.acl"];
        let mut passwords: Vec<&String> = REDIS_USERS.iter().map(|(user, _)| &content[*user]).collect();
        assert!(passwords.iter().all(|password| password.len() == 64 && !list.contains(*password)), "{list}");
        passwords.dedup();
        assert_eq!(passwords.len(), REDIS_USERS.len());
        assert!(list.starts_with("user default off ~* &* +@all\n"), "{list}");
        let hash = hex::encode(Sha256::digest(content["chatd"].as_bytes()));
        assert!(list.contains(&format!("user chatd on #{hash} resetkeys ~chat:* ")), "{list}");
    }

    #[test]
    fn a_secret_is_read_as_it_was_written() {
        let content = postgres(counting()).unwrap();
        assert_eq!(decoded(&secret("databases", "postgres", &content)).unwrap(), content);
    }
}
