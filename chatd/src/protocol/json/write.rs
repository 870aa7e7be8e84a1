//! Events as whole WebSocket frames (RFC 6455 section 5.2), written by hand: no value tree, no allocation. Pure: no I/O.

use super::super::{
    Custom, ErrorCode, Event, PlayerName, PlayerView, Profile, Role, StateView, StateViews, push_number,
};

/// FIN and opcode 1: a whole text message.
const TEXT_FRAME: u8 = 0x81;
/// FIN and opcode 8.
const CLOSE_FRAME: u8 = 0x88;
/// A header with a length of two bytes: what a message of more than 125 bytes has.
const HEADER: usize = 4;
/// The longest reason of a close frame: 125 bytes of a control frame without the code.
const MAX_REASON: usize = 123;

/// Appends `event` as one whole unmasked WebSocket text frame (RFC 6455 section 5.2). `id` is that of the message that it
/// answers.
pub fn encode_frame(event: &Event<'_>, id: Option<u64>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[TEXT_FRAME, 0, 0, 0]);
    push_event(event, out);
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        push_number(id, out);
    }
    out.push(b'}');
    finish_frame(start, out);
}

/// Appends a whole unmasked WebSocket close frame. `reason` is an error's code or empty; what is over 123 bytes of it has no
/// place in the frame and is left out.
pub fn encode_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
    out.extend_from_slice(&[CLOSE_FRAME, 2 + reason.len() as u8]);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Writes the length of the frame that starts at `start`, whose payload stands after [`HEADER`] bytes.
fn finish_frame(start: usize, out: &mut Vec<u8>) {
    let payload = start + HEADER;
    let length = out.len() - payload;
    if length <= 125 {
        out[start + 1] = length as u8;
        out.copy_within(payload.., start + 2);
        out.truncate(start + 2 + length);
    } else if let Ok(length) = u16::try_from(length) {
        out[start + 1] = 126;
        out[start + 2..payload].copy_from_slice(&length.to_be_bytes());
    } else {
        out[start + 1] = 127;
        out.splice(start + 2..payload, (length as u64).to_be_bytes());
    }
}

/// The event without its closing brace.
fn push_event(event: &Event<'_>, out: &mut Vec<u8>) {
    match *event {
        Event::Message { from, text, seq, at, replay } => {
            // What surrounds name and text: under 160 bytes. One request for memory, since this is sent most.
            out.reserve(160 + from.as_bytes().len() + text.len());
            out.extend_from_slice(b"{\"type\":\"message\",\"from\":\"");
            out.extend_from_slice(from.as_system().map_or(from.as_bytes(), str::as_bytes));
            out.extend_from_slice(b"\",\"text\":\"");
            push_escaped(text, out);
            out.extend_from_slice(b"\",\"seq\":");
            push_number(seq, out);
            out.extend_from_slice(b",\"at\":");
            push_number(at, out);
            if from.as_system().is_some() {
                out.extend_from_slice(b",\"system\":true");
            }
            if replay {
                out.extend_from_slice(b",\"replay\":true");
            }
        }
        Event::Custom(custom) => push_custom(&custom, out),
        Event::Room { room } => {
            push_type("room", out);
            push_string("room", room.as_str(), out);
        }
        Event::Joined(joined) => {
            push_type("joined", out);
            push_string("room", joined.room.as_str(), out);
            push_string("name", joined.name.as_str(), out);
            push_players(joined.players, joined.max_players, out);
            push_true("locked", joined.locked, out);
            push_hex("timeline", joined.timeline.0, out);
            push_integer("seq", Some(joined.seq), out);
            push_key("resumed", out);
            push_bool(joined.resumed, out);
            push_integer("missed", joined.missed, out);
            if let Some(token) = joined.token {
                push_string("token", token, out);
            }
            if joined.hold_ms.is_some() {
                push_integer("hold_ms", joined.hold_ms, out);
            }
            if let Some(state) = &joined.state {
                push_key("state", out);
                out.push(b'{');
                push_state(state, out);
                out.push(b'}');
            }
        }
        Event::Left { room } => {
            push_type("left", out);
            push_string("room", room.as_str(), out);
        }
        Event::Entered { name, role, profile } => {
            push_type("entered", out);
            push_string("name", name.as_str(), out);
            push_role(role, out);
            push_profile(profile, out);
        }
        Event::Exited { name, reason } => {
            push_type("exited", out);
            push_string("name", name.as_str(), out);
            push_string("reason", reason.as_str(), out);
        }
        Event::Away { name } => {
            push_type("away", out);
            push_string("name", name.as_str(), out);
        }
        Event::Back { name } => {
            push_type("back", out);
            push_string("name", name.as_str(), out);
        }
        Event::Player { name, presence } => {
            push_type("player", out);
            push_string("name", name.as_str(), out);
            push_key("data", out);
            out.extend_from_slice(presence.unwrap_or("null").as_bytes());
        }
        Event::State(ref view) => {
            push_type("state", out);
            out.push(b',');
            push_state_view(view, out);
        }
        Event::StateAll(ref state) => {
            push_type("state_all", out);
            out.push(b',');
            push_state(state, out);
        }
        Event::StateLost => push_type("state_lost", out),
        Event::VersionConflict { version } => {
            push_error(ErrorCode::VersionConflict, out);
            push_integer("version", Some(version), out);
        }
        Event::Players { players, max_players } => {
            push_type("players", out);
            push_players(players, max_players, out);
        }
        Event::Moved { room, timeline, seq, locked } => {
            push_type("moved", out);
            push_string("room", room.as_str(), out);
            push_hex("timeline", timeline.0, out);
            push_integer("seq", Some(seq), out);
            push_true("locked", locked, out);
        }
        Event::Missed { count, locked } => {
            push_type("missed", out);
            push_integer("count", count, out);
            push_true("locked", locked, out);
        }
        Event::Redirect { room, tcp, web } => {
            push_type("redirect", out);
            push_string("room", room.as_str(), out);
            push_string("tcp", tcp, out);
            push_string("web", web, out);
        }
        Event::Expiring { seconds } => {
            push_type("expiring", out);
            push_integer("seconds", Some(seconds), out);
        }
        Event::Refreshed { seconds } => {
            push_type("refreshed", out);
            push_integer("seconds", Some(seconds), out);
        }
        Event::Kicked { name } => {
            push_type("kicked", out);
            push_string("name", name.as_str(), out);
        }
        Event::Locked { by, locked } => {
            push_type(if locked { "locked" } else { "unlocked" }, out);
            push_string("by", by.as_str(), out);
        }
        Event::Pong => push_type("pong", out),
        Event::Help => push_type("help", out),
        Event::Error { code, retry_after_ms } => {
            push_error(code, out);
            if retry_after_ms.is_some() {
                push_integer("retry_after_ms", retry_after_ms, out);
            }
        }
        Event::Bye { code } => {
            push_type("bye", out);
            push_string("code", code.map_or("quit", ErrorCode::as_str), out);
        }
    }
}

fn push_error(code: ErrorCode, out: &mut Vec<u8>) {
    push_type("error", out);
    push_string("code", code.as_str(), out);
    push_string("message", code.sentence(), out);
}

/// The fields of a key, without a comma before them.
fn push_state_view(view: &StateView<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"key\":\"");
    out.extend_from_slice(view.key.as_str().as_bytes());
    out.extend_from_slice(b"\",\"value\":");
    out.extend_from_slice(view.value.unwrap_or("null").as_bytes());
    push_integer("version", Some(view.version), out);
    push_string("from", view.from.as_str(), out);
}

/// The same for all of the state.
fn push_state(state: &StateViews<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"version\":");
    push_number(state.version, out);
    push_key("entries", out);
    out.push(b'[');
    for (index, view) in state.entries.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        push_state_view(view, out);
        out.push(b'}');
    }
    out.push(b']');
}

fn push_custom(custom: &Custom<'_>, out: &mut Vec<u8>) {
    // What surrounds kind and data, without names.
    out.reserve(200 + custom.data.len());
    push_type("event", out);
    push_string("from", custom.from.as_system().unwrap_or(custom.from.as_str()), out);
    push_string("kind", custom.kind, out);
    push_key("data", out);
    out.extend_from_slice(custom.data.as_bytes());
    if custom.seq.is_some() {
        push_integer("seq", custom.seq, out);
    }
    push_integer("at", Some(custom.at), out);
    if let Some(to) = custom.to {
        push_names("to", to, out);
    }
    if let Some(reached) = custom.reached {
        push_names("reached", reached, out);
    }
    push_true("system", custom.from.as_system().is_some(), out);
    push_true("replay", custom.replay, out);
}

fn push_names(key: &str, names: &[PlayerName], out: &mut Vec<u8>) {
    push_key(key, out);
    out.push(b'[');
    for (index, name) in names.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
        push_escaped(name.as_str(), out);
        out.push(b'"');
    }
    out.push(b']');
}

fn push_type(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
}

fn push_key(key: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn push_string(key: &str, value: &str, out: &mut Vec<u8>) {
    push_key(key, out);
    out.push(b'"');
    push_escaped(value, out);
    out.push(b'"');
}

fn push_integer(key: &str, value: Option<u64>, out: &mut Vec<u8>) {
    push_key(key, out);
    match value {
        Some(number) => push_number(number, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// A number of 64 bits as text: JavaScript's numbers would lose some of it.
fn push_hex(key: &str, value: u64, out: &mut Vec<u8>) {
    push_key(key, out);
    out.push(b'"');
    out.extend((0..16).rev().map(|digit| hex_digit((value >> (4 * digit)) as u8)));
    out.push(b'"');
}

fn hex_digit(value: u8) -> u8 {
    b"0123456789abcdef"[usize::from(value & 15)]
}

fn push_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// A field that is there only where it is so.
fn push_true(key: &str, value: bool, out: &mut Vec<u8>) {
    if value {
        push_key(key, out);
        push_bool(true, out);
    }
}

/// The role of who is no player like most.
fn push_role(role: Role, out: &mut Vec<u8>) {
    if role != Role::Member {
        push_string("role", role.as_str(), out);
    }
}

fn push_players(players: &[PlayerView], max_players: u32, out: &mut Vec<u8>) {
    push_key("players", out);
    out.push(b'[');
    for (index, player) in players.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{\"name\":\"" } else { b",{\"name\":\"" });
        out.extend_from_slice(player.name.as_bytes());
        out.extend_from_slice(b"\",\"away\":");
        push_bool(player.away, out);
        push_role(player.role, out);
        if let Some(presence) = &player.presence {
            push_key("data", out);
            out.extend_from_slice(presence.as_bytes());
        }
        push_profile(player.profile.as_ref(), out);
        out.push(b'}');
    }
    out.push(b']');
    push_integer("max_players", Some(u64::from(max_players)), out);
}

fn push_profile(profile: Option<&Profile>, out: &mut Vec<u8>) {
    let Some(Profile { display, info }) = profile else {
        return;
    };
    if let Some(display) = display {
        push_string("display", display, out);
    }
    if let Some(info) = info {
        push_key("info", out);
        out.extend_from_slice(info.as_bytes());
    }
}

/// What stands between the quotes of a JSON string (RFC 8259 section 7).
fn push_escaped(text: &str, out: &mut Vec<u8>) {
    // A loop without a way out, for the sake of vector instructions: nearly all text needs no escape.
    let escapes = text.bytes().fold(0_u8, |found, byte| found | u8::from(needs_escape(byte)));
    if escapes == 0 {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            byte if needs_escape(byte) => {
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex_digit(byte >> 4), hex_digit(byte)]);
            }
            byte => out.push(byte),
        }
    }
}

const fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}
