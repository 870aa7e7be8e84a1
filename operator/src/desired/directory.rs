//! The directory: its URL, the files that its settings need, and its identity, which must not change while rooms exist. Pure: no
//! I/O.

use super::services::VALKEY_PORT;
use super::{Context, Names};
use crate::api::{ChatDeploymentSpec, RedisType};
use crate::hash;

/// A key of a Secret that is mounted as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// The name of the Secret.
    pub secret: String,
    /// The key in it.
    pub key: String,
    /// The path below `/etc/chatd/redis`.
    pub path: &'static str,
    /// The setting of chatd that names the file.
    pub variable: &'static str,
}

/// The directory as chatd's settings say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The URL, without a user and a password.
    pub url: String,
    /// The user of Redis, if it is not the default one.
    pub username: Option<String>,
    /// Passwords and certificates.
    pub files: Vec<SecretFile>,
    /// Changes when rooms would have to be looked for elsewhere. Passwords and certificates do not count.
    pub identity: String,
}

impl Directory {
    /// That of a ChatDeployment.
    pub fn of(context: &Context<'_>) -> Self {
        let names = context.names();
        match context.spec.redis.type_ {
            RedisType::Managed => managed(context, &names),
            RedisType::External => external(context.spec),
        }
    }

    /// What `status.redis.endpoint` says: the URL without scheme.
    pub fn endpoint(&self) -> String {
        self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest).to_owned()
    }
}

fn managed(context: &Context<'_>, names: &Names<'_>) -> Directory {
    let secret = names.valkey();
    let url = format!("redis://{}.{}.svc:{VALKEY_PORT}", names.valkey(), context.owner.namespace);
    let identity = identity("Managed", &url, &context.spec.redis.key_prefix);
    let password =
        SecretFile { secret, key: "password".to_owned(), path: "password", variable: "CHATD_REDIS_PASSWORD_FILE" };
    Directory { url, username: Some(super::secrets::VALKEY_USER.to_owned()), files: vec![password], identity }
}

fn external(spec: &ChatDeploymentSpec) -> Directory {
    let external = spec.redis.external.clone().unwrap_or_default();
    let mut files = Vec::new();
    let mut add = |secret: &str, key: &str, path, variable| {
        files.push(SecretFile { secret: secret.to_owned(), key: key.to_owned(), path, variable });
    };
    let url = match (&external.url, &external.sentinel) {
        (_, Some(sentinel)) => {
            let scheme = if external.tls.is_some() { "rediss" } else { "redis" };
            if let Some(password) = &sentinel.password_secret_ref {
                let variable = "CHATD_REDIS_SENTINEL_PASSWORD_FILE";
                add(&password.name, &password.key, "sentinel-password", variable);
            }
            format!("{scheme}+sentinel://{}/{}", sentinel.addresses.join(","), sentinel.master_name)
        }
        (url, None) => url.clone().unwrap_or_default(),
    };
    let username = external.auth.as_ref().and_then(|auth| auth.username.clone());
    if let Some(auth) = &external.auth {
        let password = &auth.password_secret_ref;
        add(&password.name, &password.key, "password", "CHATD_REDIS_PASSWORD_FILE");
    }
    if let Some(tls) = &external.tls {
        if let Some(ca) = &tls.ca_secret_ref {
            add(&ca.name, &ca.key, "ca.crt", "CHATD_REDIS_CA_FILE");
        }
        if let Some(certificate) = &tls.client_certificate_secret_ref {
            add(&certificate.name, "tls.crt", "tls.crt", "CHATD_REDIS_CERT_FILE");
            add(&certificate.name, "tls.key", "tls.key", "CHATD_REDIS_KEY_FILE");
        }
    }
    let identity = identity("External", &url, &spec.redis.key_prefix);
    Directory { url, username, files, identity }
}

fn identity(kind: &str, url: &str, prefix: &str) -> String {
    // TLS to the same server is the same directory.
    let plain = url.strip_prefix("rediss").map_or_else(|| url.to_owned(), |rest| format!("redis{rest}"));
    hash::of_text(&format!("{kind} {plain} {prefix}"))
}
