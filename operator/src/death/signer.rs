//! Signs what the operator tells pods, with a token key that they have, too. Pure: no I/O.

use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};
use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::ByteString;
use sha2::Sha256;

/// What a signature is for: it comes first in what is signed, so that no signature of another purpose passes for it.
pub const PURPOSE: &str = "death-notice";
/// The header with it.
pub const SIGNATURE: &str = "Chatd-Signature";

/// Chatd's mark of a MAC for a purpose, as opposed to a player's token.
const FOR_PURPOSE: u8 = 1;
/// chatd refuses shorter keys.
const MIN_KEY: usize = 32;

/// Has one key of a deployment; cheap to clone.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Signer")
    }
}

impl Signer {
    /// With the oldest key of the Secret: the one that no pod waits for. A pod accepts all that it has, and a newer key reaches a
    /// pod's files a minute or two after the Secret.
    pub fn of(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let mut keys = data.iter().filter(|(id, _)| !id.starts_with('.')).map(|(_, value)| value);
        let key = keys.find_map(|value| parse(std::str::from_utf8(&value.0).ok()?))?;
        Hmac::new_from_slice(&key).ok().map(Self)
    }

    /// The header's value for a body.
    pub fn sign(&self, body: &[u8]) -> String {
        let mac = self.0.clone().chain_update([FOR_PURPOSE]).chain_update((PURPOSE.len() as u64).to_be_bytes());
        general_purpose::STANDARD.encode(mac.chain_update(PURPOSE).chain_update(body).finalize().into_bytes())
    }
}

/// A key as chatd reads it: hexadecimal digits, or base64 of either alphabet, padded or not; whitespace is skipped.
fn parse(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let key = if digits.iter().all(u8::is_ascii_hexdigit) { hex::decode(&digits).ok()? } else { from_base64(&digits)? };
    (key.len() >= MIN_KEY).then_some(key)
}

fn from_base64(digits: &[u8]) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if digits.iter().any(|digit| matches!(digit, b'-' | b'_')) { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, config).decode(digits).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"pod":"chat-0","boot":"00000000000000ab"}"#;
    /// chatd's own tests have the same: `the_operator_signs_like_this`.
    const SIGNED: &str = "xj9w/wJo+oHaQX5xpxkmGcPR+ojdpo3RDRrOeLLeZFo=";

    fn signed(keys: &[(&str, &str)]) -> Option<String> {
        let data = keys.iter().map(|(id, key)| ((*id).to_owned(), ByteString(key.as_bytes().to_vec())));
        Signer::of(&data.collect()).map(|signer| signer.sign(BODY))
    }

    #[test]
    fn the_oldest_key_signs_in_each_form_that_chatd_reads() {
        let (hex, other) = ("07".repeat(32), "08".repeat(32));
        let base64 = general_purpose::STANDARD.encode([7; 32]);
        let wrapped = format!("{}\n{}\n", &base64[..20], base64[20..].trim_end_matches('='));
        for key in [hex.as_str(), &base64, &wrapped] {
            assert_eq!(signed(&[("1", key)]).as_deref(), Some(SIGNED), "{key}");
            assert_eq!(signed(&[(".hidden", &other), ("1", key), ("2", &other)]).as_deref(), Some(SIGNED));
        }
        assert_eq!(
            signed(&[("0", "short"), ("1", &hex)]).as_deref(),
            Some(SIGNED),
            "chatd cannot read that one either"
        );
    }

    #[test]
    fn without_a_key_nothing_is_signed() {
        let short = "07".repeat(31);
        let odd = format!("{}0", "07".repeat(32));
        for keys in [&[][..], &[("1", "")], &[("1", short.as_str())], &[("1", odd.as_str())], &[("1", "%%")]] {
            assert_eq!(signed(keys), None, "{keys:?}");
        }
    }
}
