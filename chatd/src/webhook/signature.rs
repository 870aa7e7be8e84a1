//! The secrets of the webhook and what is signed with them: HMAC-SHA256 as in Standard Webhooks, version v1. Pure: no I/O.

use std::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// The most secrets at once: the one in use, and the one before or after it.
pub const MAX_SECRETS: usize = 2;
/// How a secret begins.
const PREFIX: &str = "whsec_";
/// The bytes that Standard Webhooks allows for a secret.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// What is wrong with the secrets. Shows nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum SecretError {
    #[error("a secret is whsec_ and 24 to 64 random bytes in base64: echo whsec_$(head -c 32 /dev/urandom | base64)")]
    Form,
    #[error("holds no secret: echo whsec_$(head -c 32 /dev/urandom | base64)")]
    None,
    #[error("holds more than {MAX_SECRETS} secrets: remove old ones")]
    TooMany,
}

/// The secrets that every request is signed with: one, or two while one replaces the other.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// Reads secrets from texts of one secret a line.
    ///
    /// # Errors
    /// A line that is no secret; none, or too many of them.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, SecretError> {
        let lines = texts.into_iter().flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
        let secrets = lines.map(secret).collect::<Result<Vec<_>, _>>()?;
        match secrets.len() {
            0 => Err(SecretError::None),
            1..=MAX_SECRETS => Ok(Self(secrets)),
            _ => Err(SecretError::TooMany),
        }
    }

    /// The value of webhook-signature. `at`: when it is sent (Unix s).
    pub fn sign(&self, id: &str, at: u64, body: &[u8]) -> String {
        let mut signatures = String::new();
        for secret in &self.0 {
            let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
            context.update(format!("{id}.{at}.").as_bytes());
            context.update(body);
            let separator = if signatures.is_empty() { "" } else { " " };
            // Writing into a string does not fail.
            let _ = write!(signatures, "{separator}v1,{}", STANDARD.encode(context.sign()));
        }
        signatures
    }
}

fn secret(line: &str) -> Result<Vec<u8>, SecretError> {
    let encoded = line.strip_prefix(PREFIX).ok_or(SecretError::Form)?;
    let secret = STANDARD.decode(encoded).map_err(|_| SecretError::Form)?;
    if LENGTH.contains(&secret.len()) { Ok(secret) } else { Err(SecretError::Form) }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FIRST: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    const SECOND: &str = "whsec_//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=";
    const BODY: &[u8] = br#"{"type":"room.created"}"#;

    #[test]
    fn requests_are_signed_with_each_secret() {
        // By Python's hmac and openssl, over evt_1.1674087231.{"type":"room.created"}
        let by_first = "v1,WhT0xjMDC9ERjB/eSiMQ5KqN+vUvfgaV7Ao5UqUnc/w=";
        let by_second = "v1,DvgaXui8rAlv3CmKP6QH2wWJGK2XhRfNBhYnvWKm56k=";
        let sign = |texts: &[&str]| Secrets::parse(texts.iter().copied()).unwrap().sign("evt_1", 1_674_087_231, BODY);
        assert_eq!(sign(&[FIRST]), by_first);
        let both = format!("{by_first} {by_second}");
        assert_eq!(sign(&[&format!("{FIRST}\r\n\n{SECOND}\n")]), both);
        assert_eq!(sign(&[FIRST, SECOND]), both);
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let parse = |text: &str| Secrets::parse([text]).unwrap_err();
        for wrong in [
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
            "whsec_",
            "whsec_AAEC",
            "whsec_*",
            "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
        ] {
            assert_eq!(parse(wrong), SecretError::Form, "{wrong}");
        }
        assert_eq!(parse(&format!("whsec_{}", STANDARD.encode([1; 65]))), SecretError::Form);
        assert_eq!(parse(" \n\n"), SecretError::None);
        assert_eq!(parse(&[FIRST; 3].join("\n")), SecretError::TooMany);
        let secrets = Secrets::parse([FIRST]).unwrap();
        assert_eq!(format!("{secrets:?}"), "Secrets(1)");
    }
}
