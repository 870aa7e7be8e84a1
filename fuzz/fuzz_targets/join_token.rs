//! Any bytes as a join token, and as header and claims that a key has signed: no panic, and what is accepted keeps to its limits.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatd::join_token::{KeySet, Verifier};
use chatd::protocol::MAX_JOIN_TOKEN;
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

const SECRET: [u8; 32] = [7; 32];
const NOW: u64 = 1_800_000_000;

fn signed(header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(&SECRET).expect("any length").chain_update(&message);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = KeySet::from_jwks(text);
        let _ = KeySet::from_files([("k".to_owned(), text.to_owned())]);
    }
    let keys = KeySet::from_files([("k".to_owned(), "07".repeat(32))]).expect("a secret");
    let verifier = Verifier::new(keys, None, None);
    let text = String::from_utf8_lossy(input);
    assert!(verifier.verify(&text, NOW).is_err(), "nobody has signed it");
    // A line feed parts the header from the claims.
    let cut = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (header, claims) = input.split_at(cut);
    for header in [header, br#"{"alg":"HS256"}"#] {
        let token = signed(header, claims.get(1..).unwrap_or_default());
        if let Ok(grant) = verifier.verify(&token, NOW) {
            assert!(token.len() <= MAX_JOIN_TOKEN);
            let room = "abc12def".parse().expect("a room");
            let seat = grant.seat(room);
            assert!(seat.ends_at() / 1_000 > NOW);
            assert!(grant.display.is_none_or(|display| (1..=64).contains(&display.len())));
            assert!(grant.info.is_none_or(|info| info.len() <= 512));
            assert!(verifier.verify(&token, seat.ends_at() / 1_000).is_err(), "it ends");
        }
    }
});
