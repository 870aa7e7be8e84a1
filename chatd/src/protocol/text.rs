//! Cleans chat text, for both encodings, and again at the owner for relayed text. Pure: no I/O.

use std::borrow::Cow;

use super::{ErrorCode, MAX_LINE_FEEDS, MAX_TEXT};

#[cfg(test)]
mod tests;

/// `text` as everyone may see it, with up to [`MAX_LINE_FEEDS`] line feeds. Borrowed where nothing had to be removed.
///
/// # Errors
///
/// `line_too_long` over [`MAX_TEXT`] bytes, counted before anything is removed; `bad_text` for invalid UTF-8, more line
/// feeds, another control character but tab, a line or paragraph separator, or where nothing visible is left.
pub fn clean(text: &[u8]) -> Result<Cow<'_, str>, ErrorCode> {
    if text.len() > MAX_TEXT {
        return Err(ErrorCode::LineTooLong);
    }
    clean_str(std::str::from_utf8(text).map_err(|_| ErrorCode::BadText)?)
}

/// [`clean`] for a text that must be one line.
pub fn clean_line(text: &[u8]) -> Result<Cow<'_, str>, ErrorCode> {
    if text.len() > MAX_TEXT {
        return Err(ErrorCode::LineTooLong);
    }
    clean_lines(std::str::from_utf8(text).map_err(|_| ErrorCode::BadText)?, 0)
}

/// [`clean`] for text that is known to be UTF-8.
pub fn clean_str(text: &str) -> Result<Cow<'_, str>, ErrorCode> {
    clean_lines(text, MAX_LINE_FEEDS)
}

/// `most`: the line feeds that the text may hold.
fn clean_lines(text: &str, most: usize) -> Result<Cow<'_, str>, ErrorCode> {
    if text.len() > MAX_TEXT {
        return Err(ErrorCode::LineTooLong);
    }
    let ascii = look_at_ascii(text.as_bytes());
    if ascii.plain {
        return if ascii.visible { Ok(Cow::Borrowed(text)) } else { Err(ErrorCode::BadText) };
    }
    clean_unicode(text, most)
}

struct AsciiLook {
    /// Nothing but printable ASCII and tabs.
    plain: bool,
    /// Something that is neither space nor tab.
    visible: bool,
}

/// Looks at every byte, without a way out of the loop: so the compiler makes vector instructions of it, and a line of chat is
/// shorter than what an early exit would save.
fn look_at_ascii(text: &[u8]) -> AsciiLook {
    let mut odd = 0_u8;
    let mut visible = 0_u8;
    for &byte in text {
        odd |= u8::from(byte.wrapping_sub(b' ') > b'~' - b' ') & u8::from(byte != b'\t');
        visible |= u8::from(byte > b' ');
    }
    AsciiLook { plain: odd == 0, visible: visible != 0 }
}

fn clean_unicode(text: &str, most_line_feeds: usize) -> Result<Cow<'_, str>, ErrorCode> {
    let mut visible = false;
    let mut removed = 0;
    let mut line_feeds = 0;
    for character in text.chars() {
        if character == '\n' && line_feeds < most_line_feeds {
            line_feeds += 1;
            continue;
        }
        if is_refused(character) {
            return Err(ErrorCode::BadText);
        }
        if is_removed(character) {
            removed += character.len_utf8();
        } else if !visible {
            // Asked only until there is something to see: it is the slow question.
            visible = !character.is_whitespace() && !draws_nothing(character);
        }
    }
    if !visible {
        return Err(ErrorCode::BadText);
    }
    if removed == 0 {
        return Ok(Cow::Borrowed(text));
    }
    let mut cleaned = String::with_capacity(text.len() - removed);
    cleaned.extend(text.chars().filter(|character| !is_removed(*character)));
    Ok(Cow::Owned(cleaned))
}

/// What could end a line or steer a terminal. U+0085, a line end to some, is a control character (C1) too.
fn is_refused(character: char) -> bool {
    (character.is_control() && character != '\t') || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Bidirectional embeddings, overrides and isolates: they would turn the reading order of what stands around the text.
fn is_removed(character: char) -> bool {
    matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Characters that draw nothing by themselves: Unicode's property Default_Ignorable_Code_Point
/// (DerivedCoreProperties.txt, Unicode 16) without those that are removed before this is asked, and the empty braille pattern.
fn draws_nothing(character: char) -> bool {
    matches!(
        character,
        '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2060}'..='\u{206F}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFF8}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}
