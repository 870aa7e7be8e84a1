//! Join tokens that chatd signs itself, with a secret of the application's: for the server API's quick join. Pure: no I/O.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::claims;
use super::json::Json;
use super::{JoinTokens, Role, SeatAuth, Subject, Verifier};
use crate::protocol::{PlayerName, RoomId};

/// For whom the application wants a place, and what it says of that person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    sub: Box<str>,
    name: Option<PlayerName>,
    display: Option<Box<str>>,
    /// JSON.
    info: Option<Box<str>>,
    /// How long the token is to last (seconds).
    lasts: u32,
}

#[derive(Debug, Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Claims<'a> {
    sub: &'a str,
    room: &'a str,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a RawValue>,
}

impl Pass {
    /// A pass with these claims, as those of a token are checked. `lasts`: seconds.
    ///
    /// # Errors
    ///
    /// The name of the claim that is wrong.
    pub fn new(
        sub: &str,
        name: Option<PlayerName>,
        display: Option<&str>,
        info: Option<&str>,
        lasts: u32,
    ) -> Result<Self, &'static str> {
        let display = display.map(|text| claims::displayed(text).ok_or("display")).transpose()?;
        let compact = |info: &str| claims::short(Json::parse(info.as_bytes())?.compact());
        let info = info.map(|info| compact(info).ok_or("info")).transpose()?;
        Ok(Self { sub: claims::identity(sub).ok_or("sub")?, name, display, info, lasts })
    }

    /// The application's id of the person.
    pub fn sub(&self) -> &str {
        &self.sub
    }

    /// What its holder is going to be called, if the application says so.
    pub fn name(&self) -> Option<PlayerName> {
        self.name
    }

    /// For how long the token lasts (seconds).
    pub fn lasts(&self) -> u32 {
        self.lasts
    }

    /// What goes with the seat, of a token that is made at `wall` (Unix ms).
    pub fn seat(&self, room: RoomId, wall: u64) -> SeatAuth {
        SeatAuth { sub: Subject::new(room, &self.sub), expires: self.expires(wall), role: Role::Member }
    }

    fn expires(&self, wall: u64) -> u64 {
        (wall / 1_000).saturating_add(self.lasts.into())
    }
}

impl Verifier {
    /// A token for this room that this verifier accepts at `wall` (Unix ms). `None`: no key of it is a secret, and others sign nothing.
    pub fn sign(&self, room: RoomId, pass: &Pass, wall: u64) -> Option<String> {
        let key = self.keys.signing()?;
        let header = Header { alg: "HS256", typ: "JWT", kid: key.kid() };
        let claims = Claims {
            sub: &pass.sub,
            room: room.as_str(),
            exp: pass.expires(wall),
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
            name: pass.name.as_ref().map(PlayerName::as_str),
            display: pass.display.as_deref(),
            // It may come from another pod.
            info: pass.info.as_deref().map(serde_json::from_str).transpose().ok()?,
        };
        let part = |json: serde_json::Result<Vec<u8>>| json.ok().map(|json| URL_SAFE_NO_PAD.encode(json));
        let (header, claims) = (part(serde_json::to_vec(&header))?, part(serde_json::to_vec(&claims))?);
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?);
        Some(format!("{signed}.{signature}"))
    }
}

impl JoinTokens {
    /// See [`Verifier::sign`].
    pub fn sign(&self, room: RoomId, pass: &Pass, wall: u64) -> Option<String> {
        self.verifier()?.sign(room, pass, wall)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{ED25519_PUBLIC, SECRET, keys};
    use super::super::{KeySet, Verifier};
    use super::*;

    const WALL: u64 = 1_795_461_000_000;

    fn pass(info: Option<&str>) -> Result<Pass, &'static str> {
        Pass::new("user-1", Some("ana".parse().unwrap()), Some(" Ana B. "), info, 600)
    }

    #[test]
    fn what_is_signed_is_accepted_with_all_that_it_says() {
        let room = "abc12def".parse().unwrap();
        let verifier = Verifier::new(keys(), Some("chat".into()), Some("app".into()));
        let pass = pass(Some(r#"{ "team": 1 }"#)).unwrap();
        let token = verifier.sign(room, &pass, WALL).unwrap();
        let grant = verifier.verify(&token, WALL / 1_000).unwrap();
        grant.check_room(room).unwrap();
        assert!(grant.check_room("abc12dex".parse().unwrap()).is_err());
        assert_eq!(grant.seat(room), pass.seat(room, WALL));
        assert_eq!(grant.seat(room).expires, WALL / 1_000 + 600);
        assert_eq!((grant.display.as_deref(), grant.info.as_deref()), (Some("Ana B."), Some(r#"{"team":1}"#)));
        assert!(grant.check_name("ana".parse().unwrap()).is_ok() && grant.check_name("ben".parse().unwrap()).is_err());
        assert!(verifier.verify(&token, WALL / 1_000 + 631).is_err());
        // As any other verifier of these settings, and by the oracle.
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
        (validation.validate_exp, validation.validate_aud) = (false, false);
        let secret = base64::engine::general_purpose::STANDARD.decode(SECRET).unwrap();
        let key = jsonwebtoken::DecodingKey::from_secret(&secret).unwrap();
        let claims = jsonwebtoken::decode::<serde_json::Value>(&token, &key, &validation).unwrap().claims;
        assert_eq!((&claims["aud"], &claims["iss"], &claims["sub"]), (&"chat".into(), &"app".into(), &"user-1".into()));
    }

    #[test]
    fn public_keys_sign_nothing_and_a_secret_without_a_name_only_where_it_is_alone() {
        let room: RoomId = "abc12def".parse().unwrap();
        let verifier = |keys| Verifier::new(keys, None, None);
        let public = KeySet::from_files([("ed".to_owned(), ED25519_PUBLIC.to_owned())]).unwrap();
        assert_eq!(verifier(public).sign(room, &pass(None).unwrap(), WALL), None);
        let secret = |kid: Option<&str>, byte: u8| {
            let mut key = serde_json::json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([byte; 32])});
            if let Some(kid) = kid {
                key["kid"] = kid.into();
            }
            key
        };
        for jwks in [vec![secret(None, 1)], vec![secret(None, 1), secret(Some("b"), 2), secret(Some("a"), 3)]] {
            let jwks = serde_json::json!({ "keys": jwks }).to_string();
            let verifier = verifier(KeySet::from_jwks(&jwks).unwrap());
            let token = verifier.sign(room, &pass(None).unwrap(), WALL).unwrap();
            verifier.verify(&token, WALL / 1_000).unwrap();
        }
    }

    #[test]
    fn what_no_token_may_say_is_refused_by_its_name() {
        let long = "x".repeat(129);
        assert_eq!(Pass::new("", None, None, None, 60), Err("sub"));
        assert_eq!(Pass::new(&long, None, None, None, 60), Err("sub"));
        assert_eq!(Pass::new("a", None, Some("a\nb"), None, 60), Err("display"));
        for info in [r#"{"a":1,"a":2}"#, &format!("\"{}\"", "x".repeat(511))] {
            assert_eq!(pass(Some(info)), Err("info"), "{info}");
        }
    }
}
