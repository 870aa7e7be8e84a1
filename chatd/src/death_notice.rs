//! The operator's notice that a process is dead, and its signature. Pure: no I/O.
//!
//! The body is JSON, `{"pod":"chat-0","boot":"00f1…"}`, whose unknown fields are ignored: later versions add fields. The header
//! `Chatd-Signature` has HMAC-SHA256 of exactly these bytes in base64, under one of the deployment's token keys and for a purpose of
//! its own, so that no token and no proof of a peer passes for one. A notice that is sent again says what is still true: a boot never
//! comes back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::protocol::PodBoot;
use crate::protocol::token::Keyring;

/// What the MAC of a notice is for.
pub const PURPOSE: &str = "death-notice";
/// The header with the signature.
pub const SIGNATURE: &str = "chatd-signature";
/// The longest body, in bytes: a name of 253 characters (DNS's limit), a boot, and room to spare.
pub const MAX_NOTICE: usize = 1_024;

/// A process that is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeathNotice {
    /// The name that its lease stands under.
    pub pod: String,
    /// The process.
    pub boot: PodBoot,
}

/// Why a notice is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum NoticeError {
    #[error("The header Chatd-Signature is missing, or not made with one of this deployment's token keys.")]
    Signature,
    #[error("The body is not a notice: {{\"pod\":\"<name>\",\"boot\":\"<16 hexadecimal digits>\"}}.")]
    Malformed,
}

impl DeathNotice {
    /// A notice that one of `keys` has signed. `signature`: what the header says.
    ///
    /// # Errors
    /// It has not, or it is not a notice. What nobody has signed is not parsed.
    pub fn read(keys: &Keyring, signature: Option<&[u8]>, body: &[u8]) -> Result<Self, NoticeError> {
        let mac = signature.and_then(|signature| STANDARD.decode(signature).ok()).ok_or(NoticeError::Signature)?;
        keys.verify_mac(PURPOSE, body, &mac).ok_or(NoticeError::Signature)?;
        serde_json::from_slice(body).map_err(|_| NoticeError::Malformed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ring(secret: u8) -> Keyring {
        Keyring::new(vec![("1".into(), vec![secret; 32])], "1").unwrap()
    }

    const BODY: &[u8] = br#"{"pod":"chat-0","boot":"00000000000000ab"}"#;

    #[test]
    fn only_what_a_key_of_the_deployment_has_signed_for_this_purpose_is_heard() {
        let signed = |keys: &Keyring, purpose: &str| STANDARD.encode(keys.mac(purpose, BODY)).into_bytes();
        let keys = ring(7);
        let read = |signature: Option<&[u8]>, body: &[u8]| DeathNotice::read(&keys, signature, body);
        let good = signed(&keys, PURPOSE);
        let notice = DeathNotice { pod: "chat-0".into(), boot: PodBoot(0xab) };
        assert_eq!(read(Some(&good), BODY), Ok(notice));
        let other_key = signed(&ring(8), PURPOSE);
        let other_purpose = signed(&keys, "peer-dialler");
        for signature in [None, Some(&b""[..]), Some(b"%"), Some(&good[..20]), Some(&other_key), Some(&other_purpose)] {
            assert_eq!(read(signature, BODY), Err(NoticeError::Signature), "{signature:?}");
        }
        let changed = br#"{"pod":"chat-0","boot":"00000000000000ac"}"#;
        assert_eq!(read(Some(&good), changed), Err(NoticeError::Signature));
        let later = Keyring::new(vec![("1".into(), vec![7; 32]), ("2".into(), vec![9; 32])], "2").unwrap();
        assert!(DeathNotice::read(&later, Some(&good), BODY).is_ok(), "each accepted key will do");
    }

    #[test]
    fn what_is_signed_may_still_be_no_notice() {
        let keys = ring(7);
        for body in [&b""[..], b"{}", br#"{"pod":"chat-0","boot":"ab"}"#, br#"{"pod":7,"boot":"00000000000000ab"}"#] {
            let signature = STANDARD.encode(keys.mac(PURPOSE, body));
            assert_eq!(DeathNotice::read(&keys, Some(signature.as_bytes()), body), Err(NoticeError::Malformed));
        }
        let body = br#"{"pod":"chat-0","boot":"00000000000000ab","since":1}"#;
        let signature = STANDARD.encode(keys.mac(PURPOSE, body));
        assert!(DeathNotice::read(&keys, Some(signature.as_bytes()), body).is_ok(), "later versions add fields");
    }

    /// The operator's tests have the same: its code is another crate's.
    #[test]
    fn the_operator_signs_like_this() {
        assert_eq!(STANDARD.encode(ring(7).mac(PURPOSE, BODY)), "xj9w/wJo+oHaQX5xpxkmGcPR+ojdpo3RDRrOeLLeZFo=");
    }
}
