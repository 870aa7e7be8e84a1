//! Extracts the room from an invitation link and the text around it. Pure: no I/O. The pages parse links in the same way
//! (web/names.js): tests/pages/links.json applies to both.

use crate::protocol::RoomId;

const MARKS: [&str; 4] = ["?room=", "&room=", ";room=", "/room/"];

/// The room that a path, with its query, names; also where the link has lost its form.
pub(super) fn room(link: &str) -> Option<RoomId> {
    let text: String = decode(link).chars().filter(|&letter| !draws_nothing(letter)).collect();
    // ASCII case keeps the positions.
    let text = text.to_ascii_lowercase();
    let begins = |(at, _): (usize, char)| text.get(at..).filter(|rest| MARKS.iter().any(|mark| rest.starts_with(mark)));
    let named = |rest: &str| {
        let id = rest
            .get(MARKS[0].len()..)?
            .trim_start_matches(|letter: char| !letter.is_alphanumeric() && !letter.is_whitespace());
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        let end = id.find(|letter| !is_part(letter)).unwrap_or(id.len());
        // A Latin letter that no room has: this is not the whole of what somebody meant. An equals sign: this is the name of a field.
        let ends = !id[end..].starts_with(|next| matches!(next, '\u{c0}'..='\u{24f}' | '='));
        // What ends a sentence belongs to it.
        id[..end].trim_end_matches(['.', '_', '-']).parse().ok().filter(|_| ends)
    };
    text.char_indices().filter_map(begins).find_map(named)
}

/// Format characters that come along when a link is copied: zero-width ones, joiners, marks of direction.
fn draws_nothing(letter: char) -> bool {
    matches!(letter, '\u{AD}' | '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// Removes percent-encoding.
fn decode(link: &str) -> String {
    let mut bytes = link.as_bytes().iter();
    let mut decoded = Vec::with_capacity(link.len());
    while let Some(&byte) = bytes.next() {
        let hex = bytes.as_slice().first_chunk::<2>().filter(|_| byte == b'%');
        let value = hex.and_then(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?));
        decoded.push(value.unwrap_or(byte));
        if value.is_some() {
            bytes.nth(1);
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_server_reads_links_as_the_pages_do() {
        let table = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pages/links.json"));
        let table: serde_json::Value = serde_json::from_str(table).unwrap();
        for (room_named, links) in table["chosen"].as_object().unwrap() {
            for link in links.as_array().unwrap().iter().map(|link| link.as_str().unwrap()) {
                assert_eq!(room(link).map(|room| room.to_string()).as_ref(), Some(room_named), "{link}");
            }
        }
        let links = |key: &str| table[key].as_array().unwrap().iter().map(|link| link.as_str().unwrap().to_owned());
        let expected: RoomId = table["room"].as_str().unwrap().parse().unwrap();
        for link in links("links") {
            assert_eq!(room(&link), Some(expected), "{link}");
        }
        for link in
            links("opensNothing").chain(links("codes")).chain(["/%".into(), "/room/%".into(), "/room/%ff%".into()])
        {
            assert_eq!(room(&link), None, "{link}");
        }
    }
}
