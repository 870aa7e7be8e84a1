//! What a player's name may be made of: the profile UsernameCasePreserved of RFC 8265, narrowed to letters, digits, marks and four signs.
//! Pure: no I/O.
//!
//! Written out here since the crate precis-profiles knows the characters of Unicode 6.3 only, which lacks scripts that people write today, and
//! refuses Arabic and Hebrew names with marks between their letters. A property test holds this against that crate.

use unicode_bidi::BidiClass;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_segmentation::UnicodeSegmentation;

/// The most characters of a name, as people count them.
const MOST_CHARACTERS: usize = 24;
/// The most marks in a row (Unicode TS 39, section 5.4): more of them cover the lines above and below.
const MOST_MARKS: usize = 4;

/// Whether a text of ASCII is a name. The path of most names: no allocation, no table.
pub(super) fn is_ascii_name(text: &str) -> bool {
    let sign = |byte: u8| matches!(byte, b'_' | b'-' | b'.' | b'\'');
    (1..=MOST_CHARACTERS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || sign(byte))
        && !is_dots(text)
}

/// `.` and `..` would be steps in a URL's path, not names.
fn is_dots(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'.')
}

/// The name that `text` stands for, as it is shown. `None`: it is none.
pub(super) fn enforce(text: &str) -> Option<String> {
    // Normalisation never makes a text so much shorter that a longer one could fit.
    if text.len() > 1_024 {
        return None;
    }
    let narrow: String = text.chars().map(without_width).collect();
    if !narrow.chars().all(may_stand) || mixes_digits(&narrow) {
        return None;
    }
    let name: String = narrow.nfc().collect();
    if name.is_ascii() {
        return is_ascii_name(&name).then_some(name);
    }
    let begins = name.chars().next().is_some_and(|first| !is_mark(first));
    let is_name = begins
        && (1..=MOST_CHARACTERS).contains(&name.graphemes(true).count())
        && !has_too_many_marks(&name)
        && reads_in_one_direction(&name);
    is_name.then_some(name)
}

/// The form in which names are compared: lower case, and normalised again.
pub(super) fn without_case(name: &str) -> String {
    name.to_lowercase().nfc().collect()
}

/// A letter of half or full width as the ordinary one (RFC 8265, rule 1).
fn without_width(letter: char) -> char {
    let has_width = matches!(letter, '\u{3000}' | '\u{ff01}'..='\u{ffee}');
    if has_width { std::iter::once(letter).nfkd().next().unwrap_or(letter) } else { letter }
}

/// The letters and digits of RFC 8264's IdentifierClass, without those that need a look at their neighbours to be seen, and the signs.
fn may_stand(letter: char) -> bool {
    use GeneralCategory::{
        DecimalNumber, LowercaseLetter, ModifierLetter, NonspacingMark, OtherLetter, SpacingMark, UppercaseLetter,
    };
    if letter.is_ascii() {
        return letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '\'');
    }
    // The Chinese zero is a numeral, not a digit, by its category: an exception of RFC 8264.
    let has_category = letter == '\u{3007}'
        || matches!(
            letter.general_category(),
            LowercaseLetter
                | UppercaseLetter
                | OtherLetter
                | DecimalNumber
                | ModifierLetter
                | NonspacingMark
                | SpacingMark
        );
    has_category && !draws_nothing(letter) && !is_excluded(letter) && std::iter::once(letter).nfkc().eq([letter])
}

/// Letters and marks that are default-ignorable: nobody sees them. (Controls and joiners are neither letters nor marks.)
fn draws_nothing(letter: char) -> bool {
    matches!(
        letter,
        '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Exceptions of RFC 8264 (section 9.6), and parts of Hangul syllables (9.9).
fn is_excluded(letter: char) -> bool {
    matches!(
        letter,
        '\u{640}'
            | '\u{7fa}'
            | '\u{302e}'..='\u{302f}'
            | '\u{3031}'..='\u{3035}'
            | '\u{303b}'
            | '\u{1100}'..='\u{11ff}'
            | '\u{a960}'..='\u{a97c}'
            | '\u{d7b0}'..='\u{d7c6}'
            | '\u{d7cb}'..='\u{d7fb}'
    )
}

/// Digits of Arabic and of Persian look the same in part: a name has those of one.
fn mixes_digits(name: &str) -> bool {
    name.contains(|letter| matches!(letter, '\u{660}'..='\u{669}'))
        && name.contains(|letter| matches!(letter, '\u{6f0}'..='\u{6f9}'))
}

pub(super) fn is_mark(letter: char) -> bool {
    matches!(letter.general_category(), GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark)
}

fn has_too_many_marks(name: &str) -> bool {
    let mut row = 0;
    name.chars().any(|letter| {
        row = if letter.general_category() == GeneralCategory::NonspacingMark { row + 1 } else { 0 };
        row > MOST_MARKS
    })
}

/// The Bidi Rule (RFC 5893, section 2), for names with letters that run from right to left.
fn reads_in_one_direction(name: &str) -> bool {
    use BidiClass::{AL, AN, BN, CS, EN, ES, ET, NSM, ON, R};
    let classes: Vec<BidiClass> = name.chars().map(unicode_bidi::bidi_class).collect();
    if !classes.iter().any(|class| matches!(class, R | AL | AN)) {
        return true;
    }
    let last = classes.iter().rev().find(|class| **class != NSM);
    let has = |class: BidiClass| classes.contains(&class);
    // A name that begins from left to right has nothing of the other direction.
    matches!(classes.first(), Some(R | AL))
        && classes.iter().all(|class| matches!(class, R | AL | AN | EN | ES | CS | ET | ON | BN | NSM))
        && matches!(last, Some(R | AL | EN | AN))
        && !(has(EN) && has(AN))
}

/// Whether this program alone refuses the name, not RFC 8265: for the test that compares them.
#[cfg(test)]
pub(super) fn is_refused_beyond(name: &str) -> bool {
    let sign = |letter: char| letter.is_ascii() && !letter.is_ascii_alphanumeric() && !"_-.'".contains(letter);
    let other = |letter: char| !letter.is_ascii() && (draws_nothing(letter) || !may_stand(letter));
    name.starts_with(is_mark)
        || has_too_many_marks(name)
        || is_dots(name)
        || name.contains(|letter| sign(letter) || other(letter))
}
