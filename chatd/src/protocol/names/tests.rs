//! Valid and invalid names.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

#[test]
fn a_room_is_eight_of_its_alphabet() {
    for good in ["abc12def", "00000000", "zzzzzzzz"] {
        assert_eq!(good.parse::<RoomId>().unwrap().as_str(), good);
    }
    for bad in ["", "abc12de", "abc12defg", "ABC12DEF", "abc-2def", "abc1 def", "abc12dé", "äöüß", "abc12de\n"] {
        assert_eq!(bad.parse::<RoomId>(), Err(NameError::Room), "{bad:?}");
    }
}

#[test]
fn a_name_is_one_to_24_of_its_alphabet_and_keeps_its_case() {
    let longest = "x".repeat(24);
    for good in ["a", "Alice", "A-Za-z0-9_-", "-", "42", longest.as_str()] {
        assert_eq!(good.parse::<PlayerName>().unwrap().as_str(), good);
    }
    let too_long = "x".repeat(25);
    for bad in ["", "a b", "a,b", "älice", "a\n", "аlice", "a\0", too_long.as_str()] {
        assert_eq!(bad.parse::<PlayerName>().map(|_| ()), Err(NameError::Player), "{bad:?}");
    }
}

#[test]
fn names_are_equal_whatever_their_case() {
    let name = |text: &str| text.parse::<PlayerName>().unwrap();
    assert_eq!(name("Alice"), name("aLICE"));
    assert_ne!(name("alice"), name("alice_"));
    assert_ne!(name("a_"), name("a-"));
}

#[test]
fn numbers_have_sixteen_digits_and_come_back() {
    assert_eq!(Timeline(0xab).to_string(), "00000000000000ab");
    assert_eq!("00000000000000ab".parse(), Ok(Timeline(0xab)));
    for bad in ["", "ab", "00000000000000AB", "+0000000000000ab", "00000000000000abc", "0x000000000000ab"] {
        assert_eq!(bad.parse::<Timeline>(), Err(NameError::Timeline), "{bad:?}");
    }
}

#[test]
fn random_rooms_use_every_clear_character_and_every_shard() {
    let seed = 7;
    let mut random = StdRng::seed_from_u64(seed);
    let rooms: Vec<RoomId> = (0..1000).map(|_| RoomId::random(&mut random)).collect();
    let letters: std::collections::BTreeSet<u8> = rooms.iter().flat_map(|room| *room.as_bytes()).collect();
    let clear: std::collections::BTreeSet<u8> = "abcdefghijkmnpqrstuvwxyz23456789".bytes().collect();
    assert_eq!(letters, clear, "seed {seed}: no 0, o, 1 and l");
    assert!("0o1l0o1l".parse::<RoomId>().is_ok(), "ids that were made before are good");
    for shards in [1, 2, 3, 8] {
        let mut counts = vec![0; shards];
        for room in &rooms {
            counts[room.shard(shards)] += 1;
        }
        assert!(counts.iter().all(|count| *count > 500 / shards), "seed {seed}: {counts:?}");
    }
    assert_eq!(rooms[0].shard(0), 0, "no division by zero");
}

proptest! {
    #[test]
    fn parsing_any_text_never_panics_and_shows_what_it_read(text in "\\PC{0,30}|[A-Za-z0-9_-]{0,30}") {
        if let Ok(room) = text.parse::<RoomId>() {
            prop_assert_eq!(room.to_string(), text.clone());
        }
        if let Ok(name) = text.parse::<PlayerName>() {
            prop_assert_eq!(name.to_string(), text.clone());
            prop_assert_eq!(name.as_bytes(), text.as_bytes());
        }
        if let Ok(timeline) = text.parse::<Timeline>() {
            prop_assert_eq!(timeline.to_string(), text);
        }
    }

    #[test]
    fn serde_gives_names_back(number: u64) {
        let seat = SeatId(number);
        let text = serde_json::to_string(&seat).unwrap();
        prop_assert_eq!(serde_json::from_str::<SeatId>(&text).unwrap(), seat);
    }
}
