//! Parses the text of a key file. Pure: no I/O.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// A key has at least this many bytes: the length of the hash, as RFC 2104 section 3 advises.
pub const MIN_KEY: usize = 32;
/// A ring has at most this many keys; a rotation needs two.
pub const MAX_KEYS: usize = 32;

/// What is wrong with a key, without any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum KeyError {
    #[error("the key is empty; {MAKE_ONE}")]
    Empty,
    #[error("the key is {bytes} bytes long, and must be {MIN_KEY} random bytes or more; {MAKE_ONE}")]
    TooShort { bytes: usize },
    #[error("the key is neither base64 nor hexadecimal digits; {MAKE_ONE}")]
    NotText,
    #[error("the key has an odd number of hexadecimal digits: one is missing or too many")]
    OddHex,
    #[error("there are two keys with the id {id:?}")]
    Twice { id: String },
    #[error("there is no key with the id {id:?} to sign with")]
    Missing { id: String },
    #[error("there are {count} keys, but at most {MAX_KEYS} are allowed; remove old ones")]
    TooMany { count: usize },
}

const MAKE_ONE: &str = "make one with: head -c 32 /dev/urandom | base64";

pub(super) fn check_length(secret: &[u8]) -> Result<(), KeyError> {
    if secret.len() < MIN_KEY {
        return Err(KeyError::TooShort { bytes: secret.len() });
    }
    Ok(())
}

/// The bytes of a key written in hexadecimal digits, or in base64 of either alphabet, padded or not. Whitespace is skipped
/// wherever it stands, since tools wrap long lines. What consists of hexadecimal digits only is hexadecimal.
pub fn parse_key(text: &str) -> Result<Vec<u8>, KeyError> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if digits.is_empty() {
        return Err(KeyError::Empty);
    }
    let key = if digits.iter().all(u8::is_ascii_hexdigit) { from_hex(&digits)? } else { from_base64(&digits)? };
    check_length(&key)?;
    Ok(key)
}

fn from_hex(digits: &[u8]) -> Result<Vec<u8>, KeyError> {
    if !digits.len().is_multiple_of(2) {
        return Err(KeyError::OddHex);
    }
    let value = |digit: u8| char::from(digit).to_digit(16).ok_or(KeyError::NotText);
    digits.chunks_exact(2).map(|pair| Ok((value(pair[0])? << 4 | value(pair[1])?) as u8)).collect()
}

fn from_base64(digits: &[u8]) -> Result<Vec<u8>, KeyError> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if digits.iter().any(|digit| matches!(digit, b'-' | b'_')) { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, config).decode(digits).map_err(|_| KeyError::NotText)
}
