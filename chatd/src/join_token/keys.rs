//! The keys that join tokens are verified with, from a JWKS or from files of PEM and secrets. Pure: no I/O.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use sha2::Sha256;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey as Parsed;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::json::Json;
use crate::protocol::token::{KeyError, MAX_KEYS, MIN_KEY, parse_key};

/// RFC 7518 section 3.3; ring takes no longer ones.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// A key set that cannot be used. Says nothing of what is secret in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum KeySetError {
    #[error("is neither a JWKS such as {{\"keys\":[...]}}, nor a directory of keys")]
    NotJwks,
    #[error("holds no key that can be used: EdDSA, ES256, RS256 and HS256 are known")]
    Empty,
    #[error("holds more than {MAX_KEYS} keys: remove old ones")]
    TooMany,
    #[error("has two keys with the kid {0:?}")]
    Twice(String),
    #[error("key {kid:?}: a private key; verifying needs the public one, and nobody else should have this")]
    Private { kid: String },
    #[error("key {kid:?}: an RSA key of {bits} bits, and must have 2048 to 8192")]
    Rsa { kid: String, bits: usize },
    #[error("key {kid:?}: a secret of {bytes} bytes, and must have {MIN_KEY} or more")]
    Short { kid: String, bytes: usize },
    #[error("key {kid:?}: a part of it has not the form that its kind has")]
    Form { kid: String },
    #[error("key {kid:?}: of another kind than EdDSA (Ed25519), ES256 (P-256) and RS256")]
    Kind { kid: String },
    #[error(
        "key {kid:?}: a public key or certificate without its BEGIN line, or encoded twice; as a secret, everybody would know it"
    )]
    Known { kid: String },
    #[error("key {kid:?}: {error}")]
    Secret { kid: String, error: KeyError },
}

/// A key, which says by its kind what a signature has to be: a token's word for it counts for nothing.
#[derive(Clone, PartialEq, Eq)]
enum Material {
    /// EdDSA over Curve25519 (RFC 8037).
    Ed25519([u8; 32]),
    /// ECDSA with P-256 and SHA-256: an uncompressed point.
    P256([u8; 65]),
    /// RSASSA-PKCS1-v1_5 with SHA-256: modulus and exponent without leading zeros.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// HMAC with SHA-256.
    Secret(Vec<u8>),
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    kid: Option<String>,
    material: Material,
}

impl Key {
    /// Whether `alg` is what this key's signatures are called. RFC 9864 gives EdDSA with this curve a name of its own.
    pub fn is_called(&self, alg: &str) -> bool {
        match self.material {
            Material::Ed25519(_) => matches!(alg, "EdDSA" | "Ed25519"),
            Material::P256(_) => alg == "ES256",
            Material::Rsa { .. } => alg == "RS256",
            Material::Secret(_) => alg == "HS256",
        }
    }

    /// How tokens name it.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The signature of `message`. `None`: only the holder of another part of the key can sign.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let Material::Secret(secret) = &self.material else {
            return None;
        };
        let mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        Some(mac.chain_update(message).finalize().into_bytes().to_vec())
    }

    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
            Material::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature).is_ok()
            }
            Material::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            // In constant time.
            Material::Secret(secret) => Hmac::<Sha256>::new_from_slice(secret)
                .is_ok_and(|mac| mac.chain_update(message).verify_slice(signature).is_ok()),
        }
    }
}

/// The keys by `kid`. Where there is none, no token is right.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.keys.iter().map(|key| key.kid.as_deref().unwrap_or_default())).finish()
    }
}

impl KeySet {
    fn new(keys: Vec<Key>) -> Result<Self, KeySetError> {
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|other| other.kid == key.kid) {
                return Err(KeySetError::Twice(key.kid.clone().unwrap_or_default()));
            }
        }
        Ok(Self { keys })
    }

    /// A JWKS (RFC 7517 section 5). Keys of kinds that are not known here, or for encryption, are left out.
    ///
    /// # Errors
    ///
    /// No JWKS, keys of which none can be used, one that is weak, private or no secret, or a `kid` twice.
    pub fn from_jwks(text: &str) -> Result<Self, KeySetError> {
        let jwks = Json::parse(text.as_bytes()).ok_or(KeySetError::NotJwks)?;
        let Some(Json::List(list)) = jwks.get("keys") else {
            return Err(KeySetError::NotJwks);
        };
        let keys: Result<Vec<_>, _> = list.iter().filter_map(|jwk| from_jwk(jwk).transpose()).collect();
        let keys = Self::new(keys?)?;
        if !list.is_empty() {
            keys.check_not_empty()?;
        }
        Ok(keys)
    }

    /// The files of a directory, by `kid`: public keys in PEM (`BEGIN PUBLIC KEY`), and secrets in base64 or hexadecimal digits.
    ///
    /// # Errors
    ///
    /// As for a JWKS, and for a key of an unknown kind.
    pub fn from_files(files: impl IntoIterator<Item = (String, String)>) -> Result<Self, KeySetError> {
        let keys: Result<Vec<_>, _> = files.into_iter().map(|(kid, text)| from_file(kid, &text)).collect();
        Self::new(keys?)
    }

    /// The key that a token names; a token without a name means the only one.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&Key> {
        match (kid, self.keys.as_slice()) {
            (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// The first secret that a token can name, which is the key that chatd signs with.
    pub(super) fn signing(&self) -> Option<&Key> {
        let is_found = |key: &&Key| key.kid.is_some() || self.keys.len() == 1;
        self.keys.iter().filter(is_found).find(|key| matches!(key.material, Material::Secret(_)))
    }

    /// What a process needs to start: at least one key. Later the last one may be taken away.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn check_not_empty(&self) -> Result<(), KeySetError> {
        if self.keys.is_empty() { Err(KeySetError::Empty) } else { Ok(()) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }
}

/// `None`: not for us.
fn from_jwk(jwk: &Json) -> Result<Option<Key>, KeySetError> {
    let text = |name: &str| jwk.get(name).and_then(Json::text);
    let kid = text("kid").map(str::to_owned);
    let shown = kid.clone().unwrap_or_default();
    let is_for_signatures = text("use").is_none_or(|purpose| purpose == "sig");
    let bytes = |name: &str| {
        let decoded = text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        decoded.ok_or_else(|| KeySetError::Form { kid: shown.clone() })
    };
    let fixed = |name: &str| {
        let half: Result<[u8; 32], _> = bytes(name)?.try_into();
        half.map_err(|_| KeySetError::Form { kid: shown.clone() })
    };
    let material = match (text("kty"), text("crv")) {
        _ if !is_for_signatures => return Ok(None),
        (Some("OKP"), Some("Ed25519")) => Material::Ed25519(fixed("x")?),
        (Some("EC"), Some("P-256")) => Material::P256(point(fixed("x")?, fixed("y")?)),
        (Some("RSA"), _) => rsa(&shown, &bytes("n")?, &bytes("e")?)?,
        (Some("oct"), _) => secret(&shown, bytes("k")?)?,
        _ => return Ok(None),
    };
    if jwk.get("d").is_some() {
        return Err(KeySetError::Private { kid: shown });
    }
    let key = Key { kid, material };
    Ok(text("alg").is_none_or(|alg| key.is_called(alg)).then_some(key))
}

fn from_file(kid: String, text: &str) -> Result<Key, KeySetError> {
    if !text.contains("-----BEGIN") {
        let secret = parse_key(text).map_err(|error| KeySetError::Secret { kid: kid.clone(), error })?;
        let material = self::secret(&kid, secret)?;
        return Ok(Key { kid: Some(kid), material });
    }
    if text.contains("PRIVATE KEY-----") {
        return Err(KeySetError::Private { kid });
    }
    let form = || KeySetError::Form { kid: kid.clone() };
    let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).map_err(|_| form())?;
    let (rest, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| form())?;
    if !rest.is_empty() {
        return Err(form());
    }
    let curve = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let material = match info.algorithm.algorithm.to_id_string().as_str() {
        "1.3.101.112" => Material::Ed25519(info.subject_public_key.data.as_ref().try_into().map_err(|_| form())?),
        "1.2.840.10045.2.1" if curve.is_some_and(|curve| curve.to_id_string() == "1.2.840.10045.3.1.7") => {
            let point: [u8; 65] = info.subject_public_key.data.as_ref().try_into().map_err(|_| form())?;
            if point[0] != 4 {
                return Err(form());
            }
            Material::P256(point)
        }
        "1.2.840.113549.1.1.1" => match info.parsed() {
            Ok(Parsed::RSA(key)) => rsa(&kid, key.modulus, key.exponent)?,
            _ => return Err(form()),
        },
        _ => return Err(KeySetError::Kind { kid }),
    };
    Ok(Key { kid: Some(kid), material })
}

fn point(x: [u8; 32], y: [u8; 32]) -> [u8; 65] {
    let mut point = [4; 65];
    point[1..33].copy_from_slice(&x);
    point[33..].copy_from_slice(&y);
    point
}

fn rsa(kid: &str, modulus: &[u8], exponent: &[u8]) -> Result<Material, KeySetError> {
    let plain = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        number[zeros..].to_vec()
    };
    let (modulus, exponent) = (plain(modulus), plain(exponent));
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(KeySetError::Rsa { kid: kid.to_owned(), bits });
    }
    // Even numbers and 1 are no exponents; ring takes none of more than 33 bits.
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !odd(&modulus) || !odd(&exponent) || exponent == [1] || exponent.len() > 4 {
        return Err(KeySetError::Form { kid: kid.to_owned() });
    }
    Ok(Material::Rsa { modulus, exponent })
}

fn secret(kid: &str, secret: Vec<u8>) -> Result<Material, KeySetError> {
    if secret.len() < MIN_KEY {
        return Err(KeySetError::Short { kid: kid.to_owned(), bytes: secret.len() });
    }
    // What anybody may have, or what is no secret by itself: it came here without its armour.
    let is_der = |rest: Option<&[u8]>| rest.is_some_and(<[u8]>::is_empty);
    let is_key = is_der(SubjectPublicKeyInfo::from_der(&secret).ok().map(|(rest, _)| rest));
    let is_certificate = is_der(X509Certificate::from_der(&secret).ok().map(|(rest, _)| rest));
    if is_key || is_certificate || secret.starts_with(b"-----BEGIN") {
        return Err(KeySetError::Known { kid: kid.to_owned() });
    }
    Ok(Material::Secret(secret))
}
