//! Valid and invalid names.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

#[test]
fn a_room_is_up_to_64_of_its_alphabet_with_a_letter_or_digit_at_both_ends() {
    let longest = format!("a{}z", "-._".repeat(20) + "xy");
    for good in ["abc12def", "00000000", "a", "7", "match-42", "eu.lobby_1", "a..b", longest.as_str()] {
        assert_eq!(good.parse::<RoomId>().unwrap().as_str(), good);
        assert_eq!(good.parse::<RoomId>().unwrap().has_made_form(), good.len() == 8 && !good.contains('-'), "{good}");
    }
    let too_long = format!("{longest}z");
    let bad = [
        "",
        "ABC12DEF",
        "abc1 def",
        "abc12dé",
        "äöüß",
        "abc12de\n",
        "-a",
        "a-",
        ".",
        "a/b",
        "{a}",
        "a:b",
        too_long.as_str(),
    ];
    for bad in bad {
        assert_eq!(bad.parse::<RoomId>(), Err(NameError::Room), "{bad:?}");
    }
}

#[test]
fn rooms_stand_in_the_order_of_their_texts_and_have_the_hash_of_their_text() {
    use std::hash::BuildHasher;
    let room = |text: &str| text.parse::<RoomId>().unwrap();
    let mut texts = ["b", "a", "aa", "a.b", "abc12def", "abc12de", "abc12def0", "9"];
    let mut rooms = texts.map(room);
    texts.sort_unstable();
    rooms.sort_unstable();
    assert_eq!(rooms.map(|room| room.to_string()), texts);
    let state = std::hash::RandomState::new();
    assert_eq!(state.hash_one(room("a.b")), state.hash_one("a.b".parse::<RoomId>().unwrap()));
    assert_eq!(std::mem::size_of::<RoomId>(), 65);
}

#[test]
fn what_is_hashed_of_a_chosen_room_and_a_name_does_not_run_together() {
    let key =
        |room: &str, name: &str| SeatKey::new(room.parse().unwrap(), name.parse().unwrap(), "0123456789abcdefghijkl");
    assert_ne!(key("abc12def", "xy"), key("abc12defx", "y"));
    assert_ne!(key("ab", "cd"), key("abc", "d"));
}

#[test]
fn a_name_is_one_to_24_of_its_alphabet_and_keeps_its_case() {
    let longest = "x".repeat(24);
    for good in ["a", "Alice", "A-Za-z0-9_-", "-", "42", "O'Neil", "j.r", longest.as_str()] {
        assert_eq!(good.parse::<PlayerName>().unwrap().as_str(), good);
    }
    let too_long = "x".repeat(25);
    for bad in ["", "a b", "a,b", "a\n", "a\0", "a*", ".", "..", too_long.as_str()] {
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
fn a_name_has_letters_digits_and_marks_of_any_script() {
    let table = [
        ("José", "José"),
        ("Jose\u{301}", "José"),
        ("花子", "花子"),
        ("Анна", "Анна"),
        ("Ｈａｎａ", "Hana"),
        ("ﾊﾅｺ", "ハナコ"),
        ("김영희", "김영희"),
        ("أحمد", "أحمد"),
        ("שרה-2", "שרה-2"),
        ("नेहा", "नेहा"),
        ("ثابت٣", "ثابت٣"),
        ("Ægir_Þór", "Ægir_Þór"),
        ("𞤀𞤣𞤢𞤥", "𞤀𞤣𞤢𞤥"),
        ("二〇", "二〇"),
    ];
    for (typed, shown) in table {
        let name: PlayerName = typed.parse().unwrap_or_else(|_| panic!("{typed:?}"));
        assert_eq!(name.as_str(), shown);
    }
}

#[test]
fn a_name_has_nothing_that_hides_or_reorders_or_piles_up() {
    let many = "é".repeat(25);
    let piled = format!("a{}", "\u{316}".repeat(5));
    let bytes = "花".repeat(22);
    let table = [
        ("a zero width joiner", "al\u{200d}ice"),
        ("a zero width space", "al\u{200b}ice"),
        ("a soft hyphen", "al\u{ad}icé"),
        ("a direction mark", "\u{200f}alicé"),
        ("an override", "\u{202e}alicé"),
        ("a variation selector", "花\u{fe00}"),
        ("a Hangul filler", "\u{3164}"),
        ("a grapheme joiner", "a\u{34f}é"),
        ("an ideographic space", "花\u{3000}子"),
        ("a no-break space", "a\u{a0}b"),
        ("an emoji", "a😀"),
        ("a ligature", "\u{fb01}n"),
        ("a fullwidth sign", "ａ＠"),
        ("a mark first", "\u{301}a"),
        ("both directions", "aא"),
        ("a Hebrew name that ends with a sign", "שרה-"),
        ("digits of two kinds", "ثابت٣۳"),
        ("a part of a syllable", "\u{1100}"),
        ("a currency sign", "€uro"),
        ("unassigned", "\u{378}"),
        ("private", "\u{e000}"),
        ("25 characters", many.as_str()),
        ("66 bytes", bytes.as_str()),
        ("five marks on one letter", piled.as_str()),
    ];
    for (what, name) in table {
        assert!(name.parse::<PlayerName>().is_err(), "{what}: {name:?}");
    }
    assert!("e\u{301}".repeat(24).parse::<PlayerName>().is_ok(), "24 characters as people count them");
    assert!("花".repeat(21).parse::<PlayerName>().is_ok());
}

#[test]
fn names_without_case_are_equal_in_any_script() {
    let name = |text: &str| text.parse::<PlayerName>().unwrap();
    for (one, two) in [("JOSÉ", "josé"), ("Анна", "АННА"), ("ΝΊΚΟΣ", "νίκος"), ("Ｈana", "hANA")] {
        assert_eq!(name(one), name(two));
        assert_eq!(name(one).compared(), name(two).compared());
    }
    assert_ne!(name("José"), name("Jose"), "an accent is seen");
    assert_ne!(name("花子"), name("花"));
    assert_eq!(name("Alice").compared(), "alice");
}

#[test]
fn names_of_other_letters_that_look_the_same_resemble_each_other() {
    let name = |text: &str| text.parse::<PlayerName>().unwrap();
    for (one, two) in
        [("alice", "аlice"), ("Alice", "Аlice"), ("alice", "АLICE"), ("ANNA", "ΑΝΝΑ"), ("Анна", "АННА"), ("bob", "BOB")]
    {
        assert!(name(one).resembles(&name(two)) && name(two).resembles(&name(one)), "{one} {two}");
    }
    for (one, two) in [("alice", "alicé"), ("modern", "rnodern"), ("l1", "11"), ("花子", "太郎"), ("Анна", "Инна")]
    {
        assert!(!name(one).resembles(&name(two)) && !name(two).resembles(&name(one)), "{one} {two}");
    }
    assert_ne!(name("alice"), name("аlice"), "they are two names all the same");
}

#[test]
fn keys_of_ascii_names_have_the_hash_that_stands_in_records() {
    let key = SeatKey::new("abc12def".parse().unwrap(), "Alice".parse().unwrap(), "0123456789abcdefghijkl").unwrap();
    assert_eq!(key.to_string(), "5429f2a83e3fb317fb9cb38094511a66");
    let of = |name: &str| SeatKey::new("abc12def".parse().unwrap(), name.parse().unwrap(), "0123456789abcdefghijkl");
    assert_eq!(of("JOSÉ"), of("Jose\u{301}"));
    assert_ne!(of("José"), of("Jose"));
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
    let letters: std::collections::BTreeSet<u8> = rooms.iter().flat_map(|room| room.as_bytes().to_vec()).collect();
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
            let again: PlayerName = name.as_str().parse().unwrap();
            prop_assert_eq!(again.as_bytes(), name.as_bytes(), "what is shown is read again as it is");
            prop_assert!(name == again && name.resembles(&again) && !name.as_str().contains(char::is_whitespace));
            prop_assert!(!text.is_ascii() || name.as_str() == text);
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

    /// Where its tables, of Unicode 6.3, know the letters, and apart from what is refused beyond RFC 8265.
    #[test]
    fn the_profile_is_that_of_a_crate_made_for_it(text in r"[\p{L}\p{M}\p{Nd}_.'-]{1,8}|[a-z\u{590}-\u{6ff}0-9'-]{1,6}") {
        use precis_profiles::precis_core::profile::PrecisFastInvocation;
        let theirs = precis_profiles::UsernameCasePreserved::enforce(text.as_str());
        match (text.parse::<PlayerName>(), theirs) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours.as_str(), &*theirs),
            (Ok(ours), Err(error)) => {
                let error = format!("{error:?}");
                // Its Bidi Rule takes a mark for the end of a name.
                let is_marked = error == "Invalid" && ours.as_str().contains(profile::is_mark);
                prop_assert!(is_marked || error.contains("Unassigned"), "{} {}", ours, error);
            }
            (Err(_), Ok(theirs)) => prop_assert!(profile::is_refused_beyond(&theirs), "{text:?} {theirs:?}"),
            (Err(_), Err(_)) => {}
        }
    }
}
