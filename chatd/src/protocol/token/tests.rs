//! Tokens of other seats, and invalid keys.
#![allow(clippy::unwrap_used)]

use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::protocol::testing::{any_name, any_room};

fn ring(keys: &[(&str, u8)], signs: &str) -> Keyring {
    Keyring::new(keys.iter().map(|(id, fill)| ((*id).to_owned(), vec![*fill; 32])).collect(), signs).unwrap()
}

fn room(text: &str) -> RoomId {
    text.parse().unwrap()
}

fn name(text: &str) -> PlayerName {
    text.parse().unwrap()
}

#[test]
fn a_token_gives_back_its_name_as_typed_and_its_seat() {
    let ring = ring(&[("a", 1)], "a");
    let token = ring.sign(room("abc12def"), name("Alice"), SeatId(7));
    let (who, seat) = ring.verify(room("abc12def"), &token).unwrap();
    assert_eq!((who.as_str(), seat), ("Alice", SeatId(7)));
}

#[test]
fn a_token_of_another_room_key_or_ring_is_refused() {
    let first = ring(&[("a", 1)], "a");
    let token = first.sign(room("abc12def"), name("alice"), SeatId(7));
    assert_eq!(first.verify(room("abc12dee"), &token), Err(ErrorCode::BadToken));
    assert_eq!(ring(&[("a", 2)], "a").verify(room("abc12def"), &token), Err(ErrorCode::BadToken));
}

#[test]
fn seat_name_case_version_and_key_are_all_covered() {
    let ring = ring(&[("a", 1)], "a");
    let token = ring.sign(room("abc12def"), name("alice"), SeatId(7));
    let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
    for index in 0..bytes.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut forged = bytes.clone();
            forged[index] ^= flip;
            let forged = URL_SAFE_NO_PAD.encode(forged);
            assert_eq!(ring.verify(room("abc12def"), &forged), Err(ErrorCode::BadToken), "byte {index} ^ {flip:#x}");
        }
    }
}

#[test]
fn the_names_start_cannot_be_moved_into_another_field() {
    let ring = ring(&[("a", 1)], "a");
    let token = ring.sign(room("abc12def"), name("alice"), SeatId(7));
    let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    bytes.push(b'x');
    assert_eq!(ring.verify(room("abc12def"), &URL_SAFE_NO_PAD.encode(&bytes)), Err(ErrorCode::BadToken));
}

#[test]
fn the_rooms_end_cannot_be_moved_into_the_seat() {
    let ring = ring(&[("a", 1)], "a");
    // The seat's first byte is a letter that a room may have.
    let token = ring.sign(room("match-1"), name("alice"), SeatId(u64::from_be_bytes(*b"abcdefgh")));
    let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    bytes[3..11].copy_from_slice(b"bcdefgha");
    bytes.remove(27);
    assert!(ring.verify(room("match-1a"), &URL_SAFE_NO_PAD.encode(&bytes)).is_err());
}

#[test]
fn a_cut_padded_or_overlong_token_is_refused() {
    let ring = ring(&[("a", 1)], "a");
    let token = ring.sign(room("abc12def"), name("alice"), SeatId(7));
    for length in 0..token.len() {
        assert!(ring.verify(room("abc12def"), &token[..length]).is_err(), "cut to {length}");
    }
    for odd in [format!("{token}="), format!("{token} "), format!("{token}A"), token.repeat(2), "A".repeat(5000)] {
        assert!(ring.verify(room("abc12def"), &odd).is_err(), "{odd}");
    }
}

#[test]
fn every_key_of_the_ring_verifies_and_the_named_one_signs() {
    let old = ring(&[("2026-01", 1)], "2026-01");
    let both = ring(&[("2026-01", 1), ("2026-02", 2)], "2026-02");
    let new = ring(&[("renamed", 2)], "renamed");
    let (room, name, seat) = (room("abc12def"), name("bob"), SeatId(u64::MAX));
    assert_eq!(both.verify(room, &old.sign(room, name, seat)), Ok((name, seat)));
    assert_eq!(new.verify(room, &both.sign(room, name, seat)), Ok((name, seat)), "the id is only a name");
    assert_eq!(old.verify(room, &both.sign(room, name, seat)), Err(ErrorCode::BadToken));
    assert!(both.verify_mac("peer", b"hello", &old.mac("peer", b"hello")).is_some());
    assert_eq!(old.verify_mac("peer", b"hello", &both.mac("peer", b"hello")), None);
    assert_eq!(both.signing_id(), "2026-02");
}

#[test]
fn a_mac_is_good_for_its_own_purpose_and_message_only() {
    let ring = ring(&[("a", 1)], "a");
    let mac = ring.mac("peer dial", b"hello");
    assert!(ring.verify_mac("peer dial", b"hello", &mac).is_some());
    assert_eq!(ring.verify_mac("peer accept", b"hello", &mac), None);
    assert_eq!(ring.verify_mac("peer dial", b"hellp", &mac), None);
    assert_eq!(ring.verify_mac("peer dia", b"lhello", &mac), None, "purpose and message must not run into each other");
    assert_eq!(ring.verify_mac("peer dial", b"hello", &mac[..16]), None);
    assert_eq!(ring.verify_mac("peer dial", b"hello", &[]), None);
}

#[test]
fn no_mac_made_for_a_purpose_makes_a_token() {
    let ring = ring(&[("a", 1)], "a");
    let token = ring.sign(room("abc12def"), name("alice"), SeatId(7));
    let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    let covered = [&[VERSION][..], b"abc12def", &7_u64.to_be_bytes(), b"alice"].concat();
    let mac = bytes[11..27].to_vec();
    for purpose in ["", "\0", "token"] {
        let other = ring.mac(purpose, &covered);
        assert_ne!(other[..16], mac);
        bytes[11..27].copy_from_slice(&other[..16]);
        assert!(ring.verify(room("abc12def"), &URL_SAFE_NO_PAD.encode(&bytes)).is_err());
    }
}

#[test]
fn debug_shows_ids_and_no_key() {
    let ring = Keyring::new(vec![("2026-01".to_owned(), b"0123456789abcdef0123456789abcdef".to_vec())], "2026-01");
    let shown = format!("{:?}", ring.unwrap());
    assert_eq!(shown, r#"Keyring { ids: ["2026-01"], signs: "2026-01" }"#);
}

#[test]
fn a_wrong_ring_says_what_is_wrong() {
    let key = |id: &str, length: usize| (id.to_owned(), vec![7; length]);
    assert_eq!(Keyring::new(vec![key("a", 31)], "a").unwrap_err(), KeyError::TooShort { bytes: 31 });
    assert_eq!(
        Keyring::new(vec![key("a", 32), key("a", 33)], "a").unwrap_err(),
        KeyError::Twice { id: "a".to_owned() }
    );
    assert_eq!(Keyring::new(vec![key("a", 32)], "b").unwrap_err(), KeyError::Missing { id: "b".to_owned() });
    assert_eq!(Keyring::new(vec![], "b").unwrap_err(), KeyError::Missing { id: "b".to_owned() });
    let many = (0..=MAX_KEYS).map(|number| key(&number.to_string(), 32)).collect();
    assert_eq!(Keyring::new(many, "0").unwrap_err(), KeyError::TooMany { count: MAX_KEYS + 1 });
    assert!(Keyring::new(vec![key("a", 32), key("b", 200)], "b").is_ok());
}

#[test]
fn generated_rings_differ_and_follow_their_seed() {
    let make = |seed| Keyring::generate(&mut StdRng::seed_from_u64(seed));
    assert_eq!(make(1).mac("p", b""), make(1).mac("p", b""));
    assert_ne!(make(1).mac("p", b""), make(2).mac("p", b""));
}

#[test]
fn keys_are_read_from_hex_and_base64() {
    let key: Vec<u8> = (0..48).map(|byte| 255 - byte).collect();
    let mut hex = String::new();
    for byte in &key {
        std::fmt::Write::write_fmt(&mut hex, format_args!("{byte:02x}")).unwrap();
    }
    let base64 = STANDARD.encode(&key[..40]);
    assert!(base64.ends_with('=') && base64.contains(['+', '/']), "the sample must cover padding and the alphabets");
    assert_eq!(parse_key(&format!("  {hex}\r\n")), Ok(key.clone()));
    assert_eq!(parse_key(&hex.to_uppercase()), Ok(key.clone()));
    assert_eq!(parse_key(&format!("{base64}\n")), Ok(key[..40].to_vec()));
    assert_eq!(parse_key(&format!("{}\n{}", &base64[..20], &base64[20..])), Ok(key[..40].to_vec()));
    assert_eq!(parse_key(&STANDARD_NO_PAD.encode(&key[..40])), Ok(key[..40].to_vec()));
    assert_eq!(parse_key(&URL_SAFE_NO_PAD.encode(&key)), Ok(key));
}

#[test]
fn text_that_is_no_key_gets_a_message_that_helps_and_shows_nothing_of_it() {
    assert_eq!(parse_key(" \n"), Err(KeyError::Empty));
    assert_eq!(parse_key("0badc0de"), Err(KeyError::TooShort { bytes: 4 }));
    assert_eq!(parse_key("c2VjcmV0"), Err(KeyError::TooShort { bytes: 6 }));
    assert_eq!(parse_key(&"a".repeat(63)), Err(KeyError::OddHex));
    assert_eq!(parse_key("my secret passphrase, which is long enough!"), Err(KeyError::NotText));
    for text in ["hunter2hunter2", "hunter2!hunter2!hunter2!hunter2!"] {
        let message = parse_key(text).unwrap_err().to_string();
        assert!(message.contains("head -c 32 /dev/urandom | base64") && !message.contains("hunter2"), "{message}");
    }
}

proptest! {
    #[test]
    fn every_seat_has_a_token_of_one_word(room in any_room(), name in any_name(), seat: u64, fill: u8) {
        let ring = ring(&[("a", fill)], "a");
        let token = ring.sign(room, name, SeatId(seat));
        prop_assert!((38..=LONGEST).contains(&token.len()), "{}", token.len());
        prop_assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        let (who, number) = ring.verify(room, &token).unwrap();
        prop_assert_eq!((who.as_str(), number), (name.as_str(), SeatId(seat)));
    }

    #[test]
    fn whatever_is_sent_as_a_token_is_refused_without_a_panic(token in ".{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let ring = ring(&[("a", 1)], "a");
        prop_assert!(ring.verify(room("abc12def"), &token).is_err());
        prop_assert!(ring.verify(room("abc12def"), &URL_SAFE_NO_PAD.encode(bytes)).is_err());
    }

    #[test]
    fn parsing_a_key_never_panics(text in "\\PC{0,100}") {
        let _ = parse_key(&text);
    }
}
