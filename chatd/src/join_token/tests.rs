//! Tokens that jsonwebtoken has signed, and what is made of them: with other algorithms, keys, forms, claims and times.
#![allow(clippy::unwrap_used)]

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{
    ED25519_PUBLIC, P256_PUBLIC, P384_PUBLIC, RSA_1024_PUBLIC, RSA_PUBLIC, SECRET, keys, signed, signing,
};
use super::*;
use crate::protocol::ErrorCode;

const NOW: u64 = 1_800_000_000;
const ALL: [Algorithm; 4] = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256, Algorithm::HS256];

fn verifier() -> Verifier {
    Verifier::new(keys(), None, None)
}

fn claims() -> Value {
    json!({"sub": "user-1", "exp": NOW + 600, "room": "abc12def"})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// What our secret has signed, whatever it is.
fn by_secret(header: &str, payload: &str) -> String {
    let (_, key) = signing(Algorithm::HS256);
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn verify(token: &str) -> Result<Grant, Failure> {
    verifier().verify(token, NOW)
}

fn room(text: &str) -> RoomId {
    text.parse().unwrap()
}

#[test]
fn a_token_of_each_algorithm_is_accepted_and_none_that_was_changed() {
    for algorithm in ALL {
        let token = signed(algorithm, &claims());
        let grant = verify(&token).unwrap();
        assert_eq!(grant.check_room(room("abc12def")), Ok(()));
        assert_eq!(grant.seat(room("abc12def")).expires, NOW + 600);
        // Each character: of the header, of the claims and of the signature.
        for (at, _) in token.match_indices(|character| character != '.') {
            let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
            let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            // The last character of a part may have bits that say nothing: those must be 0.
            assert!(verify(&changed).is_err(), "{algorithm:?}: character {at}");
        }
    }
}

#[test]
fn the_algorithm_is_that_of_the_key_whatever_the_token_says() {
    let payload = claims().to_string();
    for (kid, own) in [("ed", "EdDSA"), ("ec", "ES256"), ("rsa", "RS256"), ("secret", "HS256")] {
        let others = [
            "none", "None", "NONE", "", "HS256", "HS384", "HS512", "RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA",
        ];
        for alg in others.into_iter().filter(|alg| *alg != own) {
            let header = json!({"alg": alg, "kid": kid}).to_string();
            assert_eq!(verify(&by_secret(&header, &payload)), Err(Failure::Algorithm), "{kid} {alg}");
            let bare = format!("{}.{}.", encode(&header), encode(&payload));
            assert_eq!(verify(&bare), Err(Failure::Algorithm), "{kid} {alg} without a signature");
        }
    }
    // The known attack: a public key taken for a secret.
    for (kid, public) in [("ed", ED25519_PUBLIC), ("rsa", RSA_PUBLIC), ("ec", P256_PUBLIC)] {
        let key = jsonwebtoken::EncodingKey::from_secret(public.as_bytes()).unwrap();
        let header = jsonwebtoken::Header { kid: Some(kid.to_owned()), ..jsonwebtoken::Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
        assert_eq!(verify(&token), Err(Failure::Algorithm), "{kid}");
    }
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::HS384, Algorithm::HS512] {
        assert_eq!(verify(&signed(algorithm, &claims())), Err(Failure::Algorithm), "{algorithm:?}");
    }
}

#[test]
fn the_key_is_that_of_the_kid_and_no_other() {
    let payload = claims().to_string();
    for (kid, expected) in [
        (json!("secret"), Ok(())),
        (json!("Secret"), Err(Failure::UnknownKey)),
        (json!(""), Err(Failure::UnknownKey)),
        (json!("../secret"), Err(Failure::UnknownKey)),
        (json!("secret\u{0}"), Err(Failure::UnknownKey)),
        (json!("' or 1=1 --"), Err(Failure::UnknownKey)),
        (json!(["secret"]), Err(Failure::Malformed)),
        (json!(7), Err(Failure::Malformed)),
        (json!("ed"), Err(Failure::Algorithm)),
    ] {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        assert_eq!(verify(&by_secret(&header, &payload)).map(drop), expected, "{kid}");
    }
    // What a token brings along as its key is not looked at.
    let header = r#"{"alg":"HS256","kid":"secret","jku":"https://evil.example/k","jwk":{"kty":"oct","k":"AAAA"},"x5u":"https://evil.example"}"#;
    assert!(verify(&by_secret(header, &payload)).is_ok());
    // Without a kid: only where there is one key.
    let token = by_secret(r#"{"alg":"HS256"}"#, &payload);
    assert_eq!(verify(&token), Err(Failure::UnknownKey));
    let only = KeySet::from_files([("any".to_owned(), SECRET.to_owned())]).unwrap();
    assert!(Verifier::new(only, None, None).verify(&token, NOW).is_ok());
}

#[test]
fn a_token_that_is_no_token_is_refused() {
    let good = by_secret(r#"{"alg":"HS256","kid":"secret"}"#, &claims().to_string());
    assert!(verify(&good).is_ok());
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    for token in [
        String::new(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature} "),
        format!("{header} .{payload}.{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{}.{payload}.{signature}", encode("[]")),
        format!("{}.{payload}.{signature}", encode("null")),
        format!("{}.{payload}.{signature}", encode("{}")),
        format!("{}.{payload}.{signature}", encode(r#"{"alg":7,"kid":"secret"}"#)),
        format!("{}.{payload}.{signature}", encode(r#"{"alg":"HS256","kid":"secret","kid":"secret"}"#)),
    ] {
        assert_eq!(verify(&token), Err(Failure::Malformed), "{token}");
    }
}

#[test]
fn what_a_header_calls_critical_and_members_that_stand_twice_are_refused() {
    let payload = claims().to_string();
    for crit in [json!(["exp"]), json!([]), json!("b64"), json!(["b64"]), json!(null)] {
        let header = json!({"alg": "HS256", "kid": "secret", "crit": crit, "b64": false}).to_string();
        assert_eq!(verify(&by_secret(&header, &payload)), Err(Failure::Critical));
    }
    let header = r#"{"alg":"HS256","kid":"secret"}"#;
    for payload in [
        format!(r#"{{"sub":"a","sub":"b",{}"#, &payload[1..]),
        format!(r#"{{"exp":1,{}"#, &payload[1..]),
        format!(r#"{{"info":{{"a":1,"\u0061":2}},{}"#, &payload[1..]),
        format!("[{payload}]"),
        format!("{payload}{payload}"),
        "7".to_owned(),
    ] {
        assert_eq!(verify(&by_secret(header, &payload)), Err(Failure::Malformed), "{payload}");
    }
}

#[test]
fn a_long_or_deep_token_costs_nothing() {
    let filled = |length: usize| signed(Algorithm::HS256, &with("fill", json!("x".repeat(length))));
    let most = (0..MAX_JOIN_TOKEN).rev().find(|length| filled(*length).len() <= MAX_JOIN_TOKEN).unwrap();
    assert!(verify(&filled(most)).is_ok());
    assert_eq!(verify(&filled(most + 2)), Err(Failure::TooLong));
    assert_eq!(verify(&"A".repeat(1_000_000)), Err(Failure::TooLong));
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let header = r#"{"alg":"HS256","kid":"secret"}"#;
    let payload = |levels: usize| format!(r#"{{"fill":{},{}"#, deep(levels), &claims().to_string()[1..]);
    assert!(verify(&by_secret(header, &payload(15))).is_ok());
    for levels in [16, 200, 1_000] {
        assert_eq!(verify(&by_secret(header, &payload(levels))), Err(Failure::Malformed), "{levels}");
    }
    let header = format!(r#"{{"alg":"HS256","kid":"secret","fill":{}}}"#, deep(1_000));
    assert_eq!(verify(&by_secret(&header, &claims().to_string())), Err(Failure::Malformed));
}

#[test]
fn times_are_taken_with_the_leeway_and_to_the_second() {
    let token = signed(Algorithm::HS256, &json!({"sub": "a", "room": "*", "exp": NOW, "nbf": NOW - 100}));
    for (now, expected) in [
        (NOW - 131, Err(Failure::NotYet)),
        (NOW - 130, Ok(())),
        (NOW, Ok(())),
        (NOW + 29, Ok(())),
        (NOW + 30, Err(Failure::Expired)),
        (0, Err(Failure::NotYet)),
        (u64::MAX, Err(Failure::Expired)),
    ] {
        assert_eq!(verifier().verify(&token, now).map(drop), expected, "{now}");
        // The same as one that was verified before.
        let mut tokens = JoinTokens::default();
        tokens.set_verifier(Some(std::sync::Arc::new(verifier())));
        assert!(tokens.verify(&token, NOW).is_ok());
        assert_eq!(tokens.verify(&token, now).map(drop), expected, "{now}, remembered");
    }
    for (exp, valid) in [
        (json!(NOW), true),
        (json!(1_800_000_000.75), true),
        (json!(100_000_000_000_u64), true),
        // What `Date.now()` says would be good for 50,000 years.
        (json!(NOW * 1_000), false),
        (json!(1_800_000_000_000.5), false),
        (json!(100_000_000_001_u64), false),
        (json!(u64::MAX), false),
        (json!(1e300), false),
        (json!(-1), false),
        (json!("1800000000"), false),
        (json!(null), false),
        (json!([NOW]), false),
    ] {
        let outcome = verify(&signed(Algorithm::HS256, &with("exp", exp.clone())));
        let expected = if valid { Ok(()) } else { Err(Failure::Claim("exp")) };
        assert_eq!(outcome.map(drop), expected, "{exp}");
    }
}

#[test]
fn the_oracle_and_this_module_agree_on_times_audience_and_issuer() {
    let (_, key) = signing(Algorithm::HS256);
    let decoding = jsonwebtoken::DecodingKey::from_secret(key.as_bytes()).unwrap();
    let now = jsonwebtoken::get_current_timestamp();
    let ours = Verifier::new(keys(), Some("game".to_owned()), Some("backend".to_owned()));
    let mut theirs = jsonwebtoken::Validation::new(Algorithm::HS256);
    theirs.leeway = LEEWAY;
    theirs.validate_nbf = true;
    theirs.set_audience(&["game"]);
    theirs.set_issuer(&["backend"]);
    theirs.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    // Seconds away from the edge, since the oracle looks at the clock.
    for exp in [-3_600, -35, -25, 0, 3_600] {
        for nbf in [-3_600, 0, 25, 35] {
            for aud in [json!("game"), json!("Game"), json!(["x", "game"]), json!([]), json!(null)] {
                for iss in [json!("backend"), json!("backend2"), json!(null)] {
                    let claims = json!({
                        "sub": "a", "room": "*", "exp": now.saturating_add_signed(exp), "nbf": now.saturating_add_signed(nbf),
                        "aud": aud, "iss": iss,
                    });
                    let token = signed(Algorithm::HS256, &claims);
                    let oracle = jsonwebtoken::decode::<Value>(&token, &decoding, &theirs);
                    assert_eq!(ours.verify(&token, now).is_ok(), oracle.is_ok(), "{claims} {oracle:?}");
                }
            }
        }
    }
}

#[test]
fn issuer_and_audience_are_those_of_the_settings() {
    let ours = Verifier::new(keys(), Some("game".to_owned()), Some("backend".to_owned()));
    let check = |aud: Value, iss: Value| {
        let mut claims = with("aud", aud);
        claims["iss"] = iss;
        ours.verify(&signed(Algorithm::EdDSA, &claims), NOW).map(drop)
    };
    assert_eq!(check(json!("game"), json!("backend")), Ok(()));
    assert_eq!(check(json!(["game", 7]), json!("backend")), Err(Failure::Audience));
    assert_eq!(check(json!("game "), json!("backend")), Err(Failure::Audience));
    assert_eq!(check(json!("game"), json!(["backend"])), Err(Failure::Issuer));
    assert_eq!(check(json!("game"), json!(null)), Err(Failure::Issuer));
}

#[test]
fn every_claim_has_its_form() {
    let long = |length: usize| json!("x".repeat(length));
    for (name, value, valid) in [
        ("sub", json!(""), false),
        ("sub", json!(7), false),
        ("sub", json!(null), false),
        ("sub", long(128), true),
        ("sub", long(129), false),
        ("room", json!(null), false),
        ("room", json!(""), false),
        ("room", json!("*"), true),
        ("room", json!("game-7*"), true),
        ("room", json!("game*7"), false),
        ("room", json!("ABC12DEF"), false),
        ("room", json!("abc12def "), false),
        ("room", json!(["abc12def"]), false),
        ("name", json!("Alice"), true),
        ("name", json!("a b"), false),
        ("name", json!(""), false),
        ("display", json!("Alice, the 1st"), true),
        ("display", long(64), true),
        ("display", long(65), false),
        ("display", json!("two\nlines"), false),
        ("display", json!("a\tb"), false),
        ("display", json!("  "), false),
        ("role", json!("viewer"), true),
        ("role", json!("moderator"), true),
        ("role", json!("admin"), false),
        ("role", json!(["member"]), false),
        ("create", json!(true), true),
        ("create", json!(false), true),
        ("create", json!({"max_players": 8}), true),
        ("create", json!("true"), false),
        ("info", json!({"level": 7}), true),
        ("info", long(510), true),
        ("info", long(511), false),
        ("once", json!(true), false),
        ("once", json!("true"), false),
        ("jti", json!("x"), true),
        ("jti", long(129), false),
        ("nbf", json!("0"), false),
        ("iat", json!("whatever"), true),
        ("unknown", json!({"a": [1]}), true),
    ] {
        let outcome = verify(&signed(Algorithm::HS256, &with(name, value.clone())));
        let expected = match (valid, name) {
            (true, _) => Ok(()),
            // What it needs is missing.
            (false, "once") if value == json!(true) => Err(Failure::Claim("jti")),
            (false, _) => Err(Failure::Claim(name)),
        };
        assert_eq!(outcome.map(drop), expected, "{name} {value}");
    }
}

#[test]
fn a_wrong_descriptor_is_refused_for_a_reason() {
    for (create, reason) in [
        (json!({"max_players": 65}), "max_players must be a whole number from 1 to 64"),
        (json!({"x": "y"}), "no descriptor has a field x"),
        (json!({"kind": "y".repeat(512)}), "it is longer than 512 bytes"),
    ] {
        let failure = verify(&signed(Algorithm::HS256, &with("create", create.clone()))).unwrap_err();
        assert_eq!(failure.to_string(), format!("create holds a wrong descriptor: {reason}"), "{create}");
        assert_eq!((failure.code(), failure.index()), (ErrorCode::AuthInvalid, Failure::Claim("create").index()));
    }
}

#[test]
fn a_grant_says_what_the_claims_say() {
    let mut claims = with("room", json!("game-*"));
    claims["name"] = json!("Alice");
    claims["display"] = json!(" Alice A. ");
    claims["role"] = json!("viewer");
    claims["create"] = json!({"max_players": 8});
    claims["info"] = json!({"b": 1, "a": [true]});
    (claims["jti"], claims["once"]) = (json!("t1"), json!(true));
    let grant = verify(&signed(Algorithm::ES256, &claims)).unwrap();
    assert_eq!(grant.check_name("ALICE".parse().unwrap()), Ok(()));
    assert_eq!(grant.check_name("bob".parse().unwrap()), Err(Failure::Name));
    assert_eq!(grant.check_room(room("abc12def")), Err(Failure::Room));
    assert_eq!(grant.display.as_deref(), Some("Alice A."));
    let descriptor = grant.descriptor().unwrap();
    assert_eq!((descriptor.max_players, descriptor.locked), (Some(8), false));
    assert!(grant.info.as_deref().is_some_and(|info| info.contains(r#""a":[true]"#)));
    assert_eq!(grant.once.as_deref(), Some("t1"));
    assert_eq!(grant.seat(room("abc12def")).role, Role::Viewer);
    let plain = verify(&signed(Algorithm::ES256, &with("room", json!("abc*")))).unwrap();
    assert_eq!((plain.seat(room("abc12def")).role, &plain.once, &plain.create), (Role::Member, &None, &None));
    assert_eq!(plain.descriptor(), None);
    assert_eq!([room("abc12def"), room("abd12def")].map(|room| plain.check_room(room)), [Ok(()), Err(Failure::Room)]);
}

#[test]
fn a_room_of_any_id_is_made_by_a_token_for_all_rooms_that_says_so() {
    for (rooms, create, expected) in [
        ("*", json!(true), Ok(())),
        ("*", json!({"max_players": 8}), Ok(())),
        ("*", json!({"expires_at": 101}), Ok(())),
        ("*", json!({"expires_at": 100}), Err(Failure::Create)),
        ("*", json!(false), Err(Failure::Create)),
        ("a*", json!(true), Err(Failure::Create)),
        ("abc12def", json!(true), Err(Failure::Create)),
    ] {
        let mut claims = with("room", json!(rooms));
        claims["create"] = create;
        let grant = verify(&signed(Algorithm::ES256, &claims)).unwrap();
        assert_eq!(grant.check_create(100_000), expected, "{claims}");
    }
    assert_eq!(
        verify(&signed(Algorithm::ES256, &with("room", json!("*")))).unwrap().check_create(0),
        Err(Failure::Create)
    );
}

#[test]
fn a_sub_is_another_one_in_another_room_and_says_nothing_of_itself() {
    let sub = Subject::new(room("abc12def"), "user-1");
    assert_eq!(sub, Subject::new(room("abc12def"), "user-1"));
    assert_ne!(sub, Subject::new(room("abc12dee"), "user-1"));
    assert_ne!(sub, Subject::new(room("abc12def"), "user-2"));
    assert_eq!(sub.to_string().parse(), Ok(sub));
    let seat = SeatAuth { sub, expires: 7, role: Role::Moderator };
    let json = serde_json::to_string(&seat).unwrap();
    assert_eq!(json, format!(r#"{{"sub":"{sub}","exp":7,"role":"moderator"}}"#));
    assert_eq!(serde_json::from_str::<SeatAuth>(&json).unwrap(), seat);
    for wrong in ["", "7", "ABCDEF00ABCDEF00ABCDEF00ABCDEF00", "+bcdef00abcdef00abcdef00abcdef00"] {
        assert!(wrong.parse::<Subject>().is_err(), "{wrong}");
    }
}

#[test]
fn what_is_told_to_the_client_is_no_more_than_four_codes() {
    let mut seen = std::collections::BTreeSet::new();
    let all = [
        Failure::NoKeys,
        Failure::TooLong,
        Failure::Malformed,
        Failure::Algorithm,
        Failure::Critical,
        Failure::UnknownKey,
        Failure::Signature,
        Failure::Claim("sub"),
        Failure::Issuer,
        Failure::Audience,
        Failure::NotYet,
        Failure::Expired,
        Failure::Room,
        Failure::Name,
        Failure::Subject,
        Failure::Role,
        Failure::Create,
        Failure::Once,
    ];
    let indexes: Vec<usize> = all.iter().map(|failure| failure.index()).collect();
    assert_eq!(indexes, (1..Failure::RESULTS.len()).collect::<Vec<_>>());
    for failure in all {
        seen.insert(failure.code().as_str());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["auth_expired", "auth_invalid", "forbidden"]);
}

// ---- keys

fn jwks(keys: &Value) -> Result<KeySet, KeySetError> {
    KeySet::from_jwks(&json!({"keys": keys}).to_string())
}

/// The examples of RFC 8037 (A.2), RFC 7517 (A.1) and RFC 7515 (A.1).
fn jwk(kind: &str) -> Value {
    match kind {
        "ed" => {
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "ed"})
        }
        "ec" => json!({
            "kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "alg": "ES256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        }),
        _ => json!({
            "kty": "oct", "kid": "oct",
            "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        }),
    }
}

#[test]
fn the_example_of_the_rfc_has_a_right_signature() {
    // RFC 7515 A.1: its claims are none of ours, but they are looked at only after the signature.
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                 cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let verifier = |key: Value| Verifier::new(jwks(&json!([key])).unwrap(), None, None);
    assert_eq!(verifier(jwk("oct")).verify(token, NOW), Err(Failure::Claim("sub")));
    let mut other = jwk("oct");
    other["k"] = json!("ByM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    assert_eq!(verifier(other).verify(token, NOW), Err(Failure::Signature));
}

#[test]
fn a_key_set_is_read_and_what_is_not_for_us_left_out() {
    let mut encryption = jwk("ec");
    (encryption["use"], encryption["kid"]) = (json!("enc"), json!("enc"));
    let mut other = jwk("oct");
    (other["alg"], other["kid"]) = (json!("HS512"), json!("512"));
    let unknown = json!({"kty": "EC", "crv": "P-521", "kid": "521", "x": "AA", "y": "AA"});
    let set = jwks(&json!([jwk("ed"), jwk("ec"), jwk("oct"), encryption, other, unknown, {"kty": "new"}])).unwrap();
    assert_eq!(set.count(), 3);
    assert_eq!(format!("{set:?}"), r#"["ed", "ec", "oct"]"#, "no part of a secret");
}

#[test]
fn a_key_set_that_could_not_protect_is_refused() {
    let changed = |kind: &str, name: &str, value: Value| {
        let mut key = jwk(kind);
        key[name] = value;
        json!([key])
    };
    let kid = |kid: &str| kid.to_owned();
    let weak = URL_SAFE_NO_PAD.encode([0xff; 128]);
    let short = URL_SAFE_NO_PAD.encode([7; 31]);
    for (keys, expected) in [
        (json!({}), KeySetError::NotJwks),
        (json!([jwk("ed"), jwk("ed")]), KeySetError::Twice(kid("ed"))),
        (json!([{"kty": "RSA", "kid": "r", "n": weak, "e": "AQAB"}]), KeySetError::Rsa { kid: kid("r"), bits: 1_024 }),
        (json!([{"kty": "RSA", "kid": "r", "n": "AAAA", "e": "AQAB"}]), KeySetError::Rsa { kid: kid("r"), bits: 0 }),
        (changed("oct", "k", json!(short)), KeySetError::Short { kid: kid("oct"), bytes: 31 }),
        (changed("oct", "k", json!("")), KeySetError::Short { kid: kid("oct"), bytes: 0 }),
        (changed("oct", "k", json!("a+b/")), KeySetError::Form { kid: kid("oct") }),
        (changed("ed", "x", json!("AAAA")), KeySetError::Form { kid: kid("ed") }),
        (changed("ec", "y", json!(null)), KeySetError::Form { kid: kid("ec") }),
        (
            changed("ed", "d", json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")),
            KeySetError::Private { kid: kid("ed") },
        ),
        (json!([{"kty": "new"}]), KeySetError::Empty),
    ] {
        assert_eq!(jwks(&keys), Err(expected), "{keys}");
    }
    assert_eq!(jwks(&json!([])).unwrap().check_not_empty(), Err(KeySetError::Empty));
    let many: Vec<Value> = (0..33).map(|number| changed("ed", "kid", json!(number.to_string()))[0].clone()).collect();
    assert_eq!(jwks(&json!(many)), Err(KeySetError::TooMany));
    for text in ["", "{}", "[]", "{\"keys\":7}", ED25519_PUBLIC] {
        assert_eq!(KeySet::from_jwks(text), Err(KeySetError::NotJwks), "{text}");
    }
}

#[test]
fn files_hold_public_keys_and_secrets_by_their_names() {
    let one = |text: &str| KeySet::from_files([("k".to_owned(), text.to_owned())]);
    let kid = || "k".to_owned();
    for public in [ED25519_PUBLIC, P256_PUBLIC, RSA_PUBLIC, SECRET] {
        assert!(one(public).is_ok(), "{public}");
    }
    assert_eq!(one(RSA_1024_PUBLIC), Err(KeySetError::Rsa { kid: kid(), bits: 1_024 }));
    assert_eq!(one(P384_PUBLIC), Err(KeySetError::Kind { kid: kid() }));
    assert_eq!(one(&ED25519_PUBLIC.replace("PUBLIC", "PRIVATE")), Err(KeySetError::Private { kid: kid() }));
    assert_eq!(one(&ED25519_PUBLIC.replace("MCow", "MCox")), Err(KeySetError::Form { kid: kid() }));
    assert_eq!(one("-----BEGIN NOTHING-----"), Err(KeySetError::Form { kid: kid() }));
    assert!(matches!(one("short"), Err(KeySetError::Secret { .. })));
    assert_eq!(KeySet::from_files([]).unwrap().check_not_empty(), Err(KeySetError::Empty));
}

#[test]
fn what_everybody_may_know_is_no_secret() {
    let body = |pem: &str| pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let certificate = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert.der().to_vec();
    let known = [
        body(ED25519_PUBLIC),
        body(P256_PUBLIC),
        body(RSA_PUBLIC),
        STANDARD.encode(ED25519_PUBLIC),
        STANDARD.encode(certificate),
    ];
    for text in known {
        let kid = || "k".to_owned();
        assert_eq!(KeySet::from_files([(kid(), text.clone())]), Err(KeySetError::Known { kid: kid() }), "{text}");
    }
    assert!(KeySet::from_files([("k".to_owned(), STANDARD.encode([0x30; 32]))]).is_ok());
}

#[test]
fn a_token_that_has_ended_costs_one_signature() {
    let mut tokens = JoinTokens::default();
    tokens.set_verifier(Some(std::sync::Arc::new(verifier())));
    let token = signed(Algorithm::EdDSA, &claims());
    for _ in 0..2 {
        assert_eq!(tokens.verify(&token, NOW + 1_000_000), Err(Failure::Expired));
        assert_eq!(tokens.len(), 1, "remembered");
    }
}

#[test]
fn other_keys_make_the_thread_forget_what_it_has_verified() {
    let mut tokens = JoinTokens::default();
    let token = signed(Algorithm::EdDSA, &claims());
    assert_eq!(tokens.verify(&token, NOW), Err(Failure::NoKeys));
    tokens.set_verifier(Some(std::sync::Arc::new(verifier())));
    assert!(tokens.verify(&token, NOW).is_ok() && tokens.verify(&token, NOW).is_ok());
    assert_eq!(tokens.len(), 1);
    let others = KeySet::from_files([("ec".to_owned(), P256_PUBLIC.to_owned())]).unwrap();
    tokens.set_verifier(Some(std::sync::Arc::new(Verifier::new(others, None, None))));
    assert_eq!(tokens.verify(&token, NOW), Err(Failure::UnknownKey));
    assert!(tokens.is_empty(), "what was refused is not remembered");
}

proptest! {
    #[test]
    fn no_text_is_a_token_by_chance(text in "\\PC{0,200}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,40}", 1..5)) {
        prop_assert!(verify(&text).is_err());
        prop_assert!(verify(&parts.join(".")).is_err());
    }

    #[test]
    fn whatever_a_key_has_signed_is_accepted_or_refused_and_never_a_panic(header in "\\PC{0,60}", payload in "\\PC{0,200}") {
        const HEADER: &str = r#"{"alg":"HS256","kid":"secret"}"#;
        let _ = verify(&by_secret(&header, &payload));
        prop_assert!(verify(&by_secret(HEADER, &payload)).is_err());
    }
}
