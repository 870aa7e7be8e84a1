//! The line encoding (raw TCP). Pure: no I/O.

use std::borrow::Cow;

use super::{Command, Custom, ErrorCode, Event, MAX_LINE, OnWrongPod, PlayerView, SeatKey, text};

mod moderating;

pub use moderating::kick;

#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod tests;

/// What one line (without its LF or CRLF) asks for; `None` for an empty line.
///
/// A word ends at a space. A line that starts with a space is never a command. In a room the set of commands is frozen, and
/// whatever is not one of them is chat, as written; programs always use SAY.
pub fn parse(line: &[u8], in_room: bool) -> Option<Result<Command<'_>, ErrorCode>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return None;
    }
    Some(if line.len() >= MAX_LINE {
        Err(ErrorCode::LineTooLong)
    } else if in_room {
        parse_in_room(line)
    } else {
        parse_outside(line)
    })
}

/// Whether no line of this protocol begins with this byte: TLS, STUN and other binary protocols do.
pub fn is_foreign_byte(first: u8) -> bool {
    first.is_ascii_control() && !matches!(first, b'\t' | b'\n' | b'\r')
}

/// What other protocols begin with: methods of HTTP, greetings of SMTP and SSH, a command of Redis.
const FOREIGN: [&[u8]; 13] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"TRACE ",
    b"PATCH ",
    b"EHLO ",
    b"HELO ",
    b"SSH-",
    b"*",
];

/// Whether a connection's first line is of another protocol, so that it is closed at once and without a word: a web page could
/// otherwise use this port.
pub fn is_foreign(first_line: &[u8]) -> bool {
    let line = first_line.strip_suffix(b"\n").unwrap_or(first_line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let last = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t')
        || FOREIGN.iter().any(|start| line.starts_with(start))
        || (last.len() < line.len() && is_version(last))
}

/// `HTTP/1.1`, `RTSP/1.0`, `SIP/2.0` and the like.
fn is_version(word: &[u8]) -> bool {
    let mut parts = word.splitn(2, |byte| *byte == b'/');
    let (Some(name), Some(version)) = (parts.next(), parts.next()) else {
        return false;
    };
    let number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    !name.is_empty() && name.iter().all(u8::is_ascii_uppercase) && !version.is_empty() && version.iter().all(number)
}

/// A connection's first line without what terminals put before it: telnet's negotiation (RFC 854) and a byte order mark.
pub fn without_preamble(first_line: &[u8]) -> &[u8] {
    const INTERPRET: u8 = 255;
    const END: [u8; 2] = [INTERPRET, 240];
    let mut line = first_line;
    loop {
        line = match line {
            // Subnegotiation; an option; another command.
            [INTERPRET, 250, rest @ ..] => match memchr::memmem::find(rest, &END) {
                Some(end) => &rest[end + END.len()..],
                None => return &[],
            },
            [INTERPRET, 251..=254, _, rest @ ..] | [INTERPRET, (..=249), rest @ ..] => rest,
            _ => return line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line),
        };
    }
}

/// What the line of a member whose seat has a join token says, if it is REFRESH. In a room all other lines that are no commands are
/// chat, and the set of commands is frozen; a client that joined with a token is a program that knows this one.
pub fn refresh(line: &[u8]) -> Option<Result<Command<'_>, ErrorCode>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let rest = after_word(line, b"REFRESH")?;
    let auth = words(rest).next().and_then(|word| std::str::from_utf8(word).ok());
    Some(match auth {
        _ if line.len() >= MAX_LINE => Err(ErrorCode::LineTooLong),
        Some(auth) => Ok(Command::Refresh { auth: auth.into() }),
        None => Err(ErrorCode::AuthInvalid),
    })
}

/// What the line of such a member says, if it is LOCK or UNLOCK.
pub fn lock(line: &[u8]) -> Option<Command<'static>> {
    match line.trim_ascii_end() {
        b"LOCK" => Some(Command::Lock { locked: true }),
        b"UNLOCK" => Some(Command::Lock { locked: false }),
        _ => None,
    }
}

fn parse_in_room(line: &[u8]) -> Result<Command<'_>, ErrorCode> {
    if let Some(text) = after_word(line, b"SAY") {
        say(text)
    } else if let Some(rest) = after_word(line, b"JOIN") {
        // In a room JOIN is refused whatever its arguments are.
        join(rest).map_err(|_| ErrorCode::AlreadyInRoom)
    } else if let Some(rest) = after_word(line, b"RESUME") {
        resume(rest).map_err(|_| ErrorCode::AlreadyInRoom)
    } else {
        let spaces = line.iter().rev().take_while(|byte| **byte == b' ').count();
        bare_command(&line[..line.len() - spaces]).map_or_else(|| say(line), Ok)
    }
}

fn parse_outside(line: &[u8]) -> Result<Command<'_>, ErrorCode> {
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    match word {
        b"SAY" | b"REFRESH" | b"KICK" | b"LOCK" | b"UNLOCK" => Err(ErrorCode::NotInRoom),
        b"JOIN" => join(rest),
        b"RESUME" => resume(rest),
        b"CREATE_ROOM" => create_room(rest),
        _ => bare_command(word).ok_or(ErrorCode::BadCommand),
    }
}

/// What follows `word` and one space, if that is the line's first word.
fn after_word<'a>(line: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(word)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b" ") }
}

/// The commands that are one word.
fn bare_command(word: &[u8]) -> Option<Command<'static>> {
    Some(match word {
        b"LEAVE" => Command::Leave,
        b"WHO" => Command::Who,
        b"PING" => Command::Ping,
        b"HELP" => Command::Help,
        b"QUIT" => Command::Quit,
        b"CREATE_ROOM" => Command::CreateRoom { auth: None },
        _ => return None,
    })
}

fn say(text: &[u8]) -> Result<Command<'_>, ErrorCode> {
    text::clean_line(text).map(|text| Command::Say { text })
}

fn create_room(rest: &[u8]) -> Result<Command<'_>, ErrorCode> {
    let auth = words(rest).find_map(|word| word.strip_prefix(AUTH)).map(auth_word).transpose()?;
    Ok(Command::CreateRoom { auth })
}

/// The option of JOIN and CREATE_ROOM with a join token.
const AUTH: &[u8] = b"AUTH=";

fn auth_word(word: &[u8]) -> Result<Cow<'_, str>, ErrorCode> {
    std::str::from_utf8(word).map(Cow::Borrowed).map_err(|_| ErrorCode::AuthInvalid)
}

/// The option of JOIN and RESUME with which a client gets the events of applications.
const EVENTS: &[u8] = b"EVENTS";

fn join(rest: &[u8]) -> Result<Command<'_>, ErrorCode> {
    let mut words = words(rest);
    let room = words.next().and_then(parsed).ok_or(ErrorCode::BadRoom)?;
    let name = words.next().and_then(parsed).ok_or(ErrorCode::BadName)?;
    let mut resumable = false;
    let mut key = None;
    let mut auth = None;
    let mut on_wrong_pod = None;
    let mut events = false;
    for word in words {
        if word == b"RESUMABLE" {
            resumable = true;
        } else if word == EVENTS {
            events = true;
        } else if let Some(word) = word.strip_prefix(b"KEY=") {
            let word = std::str::from_utf8(word).map_err(|_| ErrorCode::BadCommand)?;
            key = Some(SeatKey::new(room, name, word).map_err(|_| ErrorCode::BadCommand)?);
        } else if let Some(word) = word.strip_prefix(AUTH) {
            auth = Some(auth_word(word)?);
        } else {
            on_wrong_pod = on_wrong_pod.or(wrong_pod_word(word));
        }
    }
    Ok(Command::Join { room, name, resumable, key, auth, on_wrong_pod, events })
}

fn resume(rest: &[u8]) -> Result<Command<'_>, ErrorCode> {
    let mut words = words(rest);
    let room = words.next().and_then(parsed).ok_or(ErrorCode::BadRoom)?;
    let token = words.next().and_then(|word| std::str::from_utf8(word).ok()).ok_or(ErrorCode::BadToken)?;
    let mut on_wrong_pod = None;
    let mut events = false;
    for word in words {
        events |= word == EVENTS;
        on_wrong_pod = on_wrong_pod.or(wrong_pod_word(word));
    }
    Ok(Command::Resume { room, token: token.into(), heard: None, on_wrong_pod, events })
}

fn words(rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    rest.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

fn parsed<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn wrong_pod_word(word: &[u8]) -> Option<OnWrongPod> {
    match word {
        b"RELAY" => Some(OnWrongPod::Relay),
        b"REDIRECT" => Some(OnWrongPod::Redirect),
        _ => None,
    }
}

/// A line without meaning, as a keep-alive for load balancers.
pub const KEEP_ALIVE: &[u8] = b"# \n";

/// What HELP answers.
const HELP: &str = "\
# One command a line, in upper case:
# CREATE_ROOM                  makes a room: ROOM <room>
# JOIN <room> <name>           enters it: JOINED <room> <name> <player,player,...>
# JOIN ... RESUMABLE           gives a TOKEN as well, which keeps your seat when the connection drops
# JOIN ... KEY=<key>           finds your seat again when you say the same JOIN once more: 22 to 64 random characters
# JOIN ... EVENTS              lets you hear applications too: EVENT <name> <kind> <json>
# JOIN ... AUTH=<token>        shows a join token, where the room needs one; REFRESH <token> shows a later one
# LOCK, UNLOCK                 for moderators: nobody new comes in, or somebody may again
# JOIN ... RELAY or REDIRECT   says what to do where another pod has the room
# RESUME <room> <token>        takes your seat again
# SAY <text>                   says it to everyone in the room; there any other line is said too
# KICK <name> [seconds]        ends a player's seat, for moderators; the player stays out for so long
# WHO                          who is in the room: PLAYERS <player,...>
# LEAVE                        leaves the room: LEFT <room>
# PING                         answers PONG
# HELP                         shows this
# QUIT                         ends the connection
";

/// Appends `event` as one line, or several, each with its LF and at most [`MAX_LINE`] bytes long; those that list more than 60 players may be
/// a little longer.
///
/// A message's text must have been through [`text::clean`]. Addresses and tokens need not have been checked: what could not
/// stand in a word is written as `?`.
pub fn encode(event: &Event<'_>, out: &mut Vec<u8>) {
    match *event {
        Event::Message { from, text, .. } => {
            debug_assert!(!text.contains('\r') && text.len() <= super::MAX_TEXT, "text must be clean");
            let from = from.as_bytes();
            out.reserve("MSG  \n".len() + from.len() + text.len());
            out.extend_from_slice(b"MSG ");
            out.extend_from_slice(from);
            out.push(b' ');
            push_text(from, text.as_bytes(), out);
            out.push(b'\n');
        }
        // The first is for clients that know of it, `encode_with_events`; for the others lines have no word.
        Event::Custom(_) | Event::Player { .. } | Event::State(_) | Event::StateAll(_) | Event::StateLost => {}
        Event::Room { room } => line(out, &["ROOM", room.as_str()]),
        Event::Joined(joined) => {
            out.extend_from_slice(b"JOINED ");
            out.extend_from_slice(joined.room.as_bytes());
            out.push(b' ');
            out.extend_from_slice(joined.name.as_bytes());
            push_players(joined.players, out);
            if let Some(token) = joined.token {
                out.extend_from_slice(b"TOKEN ");
                push_word(token, out);
                out.push(b'\n');
            }
            push_locked(joined.locked, out);
        }
        Event::Left { room } => line(out, &["LEFT", room.as_str()]),
        Event::Entered { name, .. } => line(out, &["ENTERED", name.as_str()]),
        Event::Exited { name, reason } => line(out, &["EXITED", name.as_str(), reason.as_str()]),
        Event::Away { name } => line(out, &["AWAY", name.as_str()]),
        Event::Back { name } => line(out, &["BACK", name.as_str()]),
        Event::Players { players, .. } => {
            out.extend_from_slice(b"PLAYERS");
            push_players(players, out);
        }
        Event::Moved { room, .. } => line(out, &["MOVED", room.as_str()]),
        Event::Missed { count, locked } => {
            out.extend_from_slice(b"MISSED ");
            match count {
                Some(count) => super::push_number(count, out),
                None => out.push(b'?'),
            }
            out.push(b'\n');
            push_locked(locked, out);
        }
        Event::Redirect { room, tcp, .. } => {
            out.extend_from_slice(b"REDIRECT ");
            push_word(tcp, out);
            line(out, &["", room.as_str()]);
        }
        Event::Expiring { seconds } => number(out, b"EXPIRING ", seconds),
        Event::Refreshed { seconds } => number(out, b"REFRESHED ", seconds),
        Event::Kicked { name } => line(out, &["KICKED", name.as_str()]),
        Event::Locked { by, locked } => line(out, &[if locked { "LOCKED" } else { "UNLOCKED" }, by.as_str()]),
        Event::Pong => line(out, &["PONG"]),
        Event::Help => out.extend_from_slice(HELP.as_bytes()),
        Event::Error { code, .. } => line(out, &["ERR", code.as_str(), code.sentence()]),
        Event::VersionConflict { .. } => {
            line(out, &["ERR", ErrorCode::VersionConflict.as_str(), ErrorCode::VersionConflict.sentence()]);
        }
        Event::Bye { code } => line(out, &["BYE", code.map_or("quit", ErrorCode::as_str)]),
    }
}

/// [`encode`] for a client that has joined with EVENTS. Data of characters that an escape makes longer takes a line of up to three times
/// [`super::MAX_DATA`] bytes.
pub fn encode_with_events(event: &Event<'_>, out: &mut Vec<u8>) {
    let Event::Custom(Custom { from, kind, data, .. }) = *event else {
        return encode(event, out);
    };
    for word in [b"EVENT", from.as_bytes(), kind.as_bytes()] {
        out.extend_from_slice(word);
        out.push(b' ');
    }
    push_json(data, out);
    out.push(b'\n');
}

/// JSON in one line. What could end a line or steer a terminal can only stand in a string, where an escape means the same, but for white
/// space between the values.
fn push_json(data: &str, out: &mut Vec<u8>) {
    for character in data.chars() {
        match character {
            '\n' | '\r' | '\t' => out.push(b' '),
            '\u{80}'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// The words with a space between each two, and the line's end.
fn line(out: &mut Vec<u8>, words: &[&str]) {
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
    out.push(b'\n');
}

/// The text in one line: with U+2424 (symbol for newline) for each line feed, or a space where that would make the line too long.
fn push_text(from: &[u8], text: &[u8], out: &mut Vec<u8>) {
    const SYMBOL: &[u8] = "\u{2424}".as_bytes();
    let Some(first) = memchr::memchr(b'\n', text) else {
        return out.extend_from_slice(text);
    };
    let (before, rest) = text.split_at(first);
    let line_feeds = memchr::memchr_iter(b'\n', rest).count();
    let length = "MSG  \n".len() + from.len() + text.len() + line_feeds * (SYMBOL.len() - 1);
    let instead = if length <= MAX_LINE { SYMBOL } else { b" " };
    out.extend_from_slice(before);
    for part in rest[1..].split(|byte| *byte == b'\n') {
        out.extend_from_slice(instead);
        out.extend_from_slice(part);
    }
}

fn number(out: &mut Vec<u8>, word: &[u8], number: u64) {
    out.extend_from_slice(word);
    super::push_number(number, out);
    out.push(b'\n');
}

/// That the room is locked, for who may not have heard it: nobody says by whom.
fn push_locked(locked: bool, out: &mut Vec<u8>) {
    if locked {
        line(out, &["LOCKED", "*"]);
    }
}

/// ` alice,bob` and the line's end; held seats are in it.
fn push_players(players: &[PlayerView], out: &mut Vec<u8>) {
    for (index, player) in players.iter().enumerate() {
        out.push(if index == 0 { b' ' } else { b',' });
        out.extend_from_slice(player.name.as_bytes());
    }
    out.push(b'\n');
}

/// A word that comes from outside of this process's types: it must not be able to end the line or start another word.
fn push_word(word: &str, out: &mut Vec<u8>) {
    out.extend(word.bytes().map(|byte| if byte.is_ascii_graphic() { byte } else { b'?' }));
}
