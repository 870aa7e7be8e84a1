//! Valid and invalid chat text.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn cleaned(text: &str) -> Result<String, ErrorCode> {
    clean(text.as_bytes()).map(Cow::into_owned)
}

#[test]
fn plain_text_stays_as_it_is_and_is_not_copied() {
    for text in ["hi", "a\tb", "  leading and trailing  ", "~", "Grüße, 世界 👩‍👩‍👧", "שלום عالم", "e\u{301}"]
    {
        assert!(matches!(clean(text.as_bytes()), Ok(Cow::Borrowed(same)) if same == text), "{text:?}");
    }
}

#[test]
fn every_control_character_but_tab_is_refused() {
    for code in (0..0x20).chain(0x7f..0xa0) {
        let character = char::from_u32(code).unwrap();
        let expected =
            if matches!(character, '\t' | '\n') { Ok(format!("a{character}b")) } else { Err(ErrorCode::BadText) };
        assert_eq!(cleaned(&format!("a{character}b")), expected, "U+{code:04X}");
    }
}

#[test]
fn line_and_paragraph_separators_are_refused() {
    for text in ["a\u{2028}b", "a\u{2029}b", "a\u{85}b", "a\rb", "a\r\nb", "\u{1b}[2J"] {
        assert_eq!(cleaned(text), Err(ErrorCode::BadText), "{text:?}");
    }
}

#[test]
fn a_text_may_have_thirty_line_feeds_and_a_line_none() {
    let feeds = |count: usize| format!("a{}b", "\n".repeat(count));
    assert_eq!(cleaned(&feeds(MAX_LINE_FEEDS)), Ok(feeds(MAX_LINE_FEEDS)));
    assert_eq!(cleaned(&feeds(MAX_LINE_FEEDS + 1)), Err(ErrorCode::BadText));
    assert_eq!(cleaned("\n \n"), Err(ErrorCode::BadText), "nothing to see");
    assert_eq!(clean_line(b"a\nMSG eve b"), Err(ErrorCode::BadText));
    assert_eq!(clean_line(b"a b"), Ok(Cow::Borrowed("a b")));
    assert_eq!(clean_line("a".repeat(MAX_TEXT + 1).as_bytes()), Err(ErrorCode::LineTooLong));
}

#[test]
fn bidirectional_overrides_and_isolates_are_removed() {
    for code in (0x202a..=0x202e).chain(0x2066..=0x2069) {
        let character = char::from_u32(code).unwrap();
        assert_eq!(cleaned(&format!("{character}a{character}ü{character}")), Ok("aü".to_owned()), "U+{code:04X}");
        assert_eq!(cleaned(&format!("{character} {character}")), Err(ErrorCode::BadText), "U+{code:04X} alone");
    }
    let neighbours = "\u{2065}x\u{206a}\u{200e}\u{200f}\u{2030}";
    assert_eq!(cleaned(neighbours), Ok(neighbours.to_owned()));
}

#[test]
fn text_without_anything_to_see_is_refused() {
    for text in ["", " ", " \t ", "\u{a0}", "\u{3000}", "\u{200b}", "\u{feff}", "\u{3164}", "\u{2800} \u{ad}"] {
        assert_eq!(cleaned(text), Err(ErrorCode::BadText), "{text:?}");
    }
}

#[test]
fn invalid_utf8_is_refused() {
    for text in [&b"\xff"[..], b"a\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        assert_eq!(clean(text), Err(ErrorCode::BadText), "{text:?}");
    }
}

#[test]
fn the_longest_text_passes_and_one_byte_more_does_not() {
    assert!(clean("a".repeat(MAX_TEXT).as_bytes()).is_ok());
    assert_eq!(clean("a".repeat(MAX_TEXT + 1).as_bytes()), Err(ErrorCode::LineTooLong));
    let wide = "世".repeat(MAX_TEXT / 3 + 1);
    assert_eq!(cleaned(&wide), Err(ErrorCode::LineTooLong), "bytes are counted, not characters");
}

proptest! {
    #[test]
    fn cleaning_never_panics_and_twice_is_once(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(once) = clean(&text) {
            prop_assert_eq!(clean(once.as_bytes()), Ok(once.clone()));
        }
    }

    #[test]
    fn clean_text_holds_nothing_that_moves_or_ends_a_line(text in "(\\PC|[\u{1}-\u{a0}\u{2028}-\u{202f}\u{2064}-\u{206a}]){1,40}") {
        if let Ok(once) = cleaned(&text) {
            let separates = |c| ('\u{2028}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
            let gone = |c: char| separates(c) || (c.is_control() && !matches!(c, '\t' | '\n'));
            prop_assert!(!once.contains(gone));
            prop_assert_eq!(clean(once.as_bytes()), Ok(Cow::Borrowed(once.as_str())));
        }
    }

    #[test]
    fn the_fast_look_agrees_with_the_slow_one(text in "[\u{0}-\u{80}]{0,80}") {
        prop_assert_eq!(clean(text.as_bytes()), clean_unicode(&text, MAX_LINE_FEEDS));
    }
}
