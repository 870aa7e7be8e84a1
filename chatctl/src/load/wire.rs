//! The client's side of docs/protocol.md, in both encodings: commands to bytes, bytes to events. Pure: no I/O.

use serde_json::{Value, json};

/// How a player speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoding {
    /// Lines over TCP
    Lines,
    /// JSON over WebSocket
    Web,
}

/// What a player sends.
#[derive(Clone, Copy, Debug)]
pub enum Command<'a> {
    Create,
    Join { room: &'a str, name: &'a str, relay: bool },
    Resume { room: &'a str, seat: &'a Seat, relay: bool },
    Say(&'a str),
    Quit,
}

/// What it takes to come back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seat {
    pub token: String,
    /// Of JSON clients: where they are in the room's messages.
    pub position: Option<(String, u64)>,
}

/// The server messages that matter to a load; all others are skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Room(String),
    /// In JSON with the token, the room's position, and what a resumed seat has missed.
    Joined(Option<Box<Welcome>>),
    Token(String),
    Message {
        from: String,
        text: String,
        seq: Option<u64>,
    },
    /// So many, or nobody knows how many.
    Missed(Option<u64>),
    /// The room's owner has changed; in JSON with its position.
    Moved(Option<(String, u64)>),
    /// The owner's address for this encoding; it has none for JSON if it says none.
    Redirect(String),
    Error(String),
    Bye(String),
}

/// What JOINED has in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    pub seat: Seat,
    /// Lines that could not be replayed, if their number is known.
    pub missed: Option<u64>,
}

/// A line without its end.
pub fn line(command: Command) -> String {
    let relay = |relay| if relay { " RELAY" } else { "" };
    match command {
        Command::Create => "CREATE_ROOM".to_owned(),
        Command::Join { room, name, relay: how } => format!("JOIN {room} {name} RESUMABLE{}", relay(how)),
        Command::Resume { room, seat, relay: how } => format!("RESUME {room} {}{}", seat.token, relay(how)),
        Command::Say(text) => format!("SAY {text}"),
        Command::Quit => "QUIT".to_owned(),
    }
}

/// A text frame.
pub fn frame(command: Command) -> String {
    let wrong_pod = |relay| if relay { "relay" } else { "redirect" };
    let frame = match command {
        Command::Create => json!({"type": "create_room"}),
        Command::Join { room, name, relay } => {
            json!({"type": "join", "room": room, "name": name, "resumable": true, "on_wrong_pod": wrong_pod(relay)})
        }
        Command::Resume { room, seat, relay } => {
            let mut frame =
                json!({"type": "resume", "room": room, "token": seat.token, "on_wrong_pod": wrong_pod(relay)});
            if let Some((timeline, seq)) = &seat.position {
                frame["timeline"] = timeline.as_str().into();
                frame["last_seq"] = (*seq).into();
            }
            frame
        }
        Command::Say(text) => json!({"type": "say", "text": text}),
        Command::Quit => json!({"type": "quit"}),
    };
    frame.to_string()
}

/// What a line tells.
pub fn from_line(line: &str) -> Option<Event> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let first = || rest.split(' ').next().unwrap_or_default().to_owned();
    Some(match word {
        "ROOM" => Event::Room(first()),
        "JOINED" => Event::Joined(None),
        "TOKEN" => Event::Token(first()),
        "MSG" => {
            let (from, text) = rest.split_once(' ')?;
            Event::Message { from: from.to_owned(), text: text.to_owned(), seq: None }
        }
        "MISSED" => Event::Missed(first().parse().ok()),
        "MOVED" => Event::Moved(None),
        "REDIRECT" => Event::Redirect(first()),
        "ERR" => Event::Error(first()),
        "BYE" => Event::Bye(first()),
        _ => return None,
    })
}

/// What a text frame tells.
pub fn from_frame(frame: &str) -> Option<Event> {
    let frame: Value = serde_json::from_str(frame).ok()?;
    let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
    let position = || Some((frame["timeline"].as_str()?.to_owned(), frame["seq"].as_u64()?));
    Some(match frame["type"].as_str()? {
        "room" => Event::Room(text("room")),
        "joined" => Event::Joined(Some(Box::new(Welcome {
            seat: Seat { token: text("token"), position: position() },
            missed: if frame["resumed"].as_bool()? { frame["missed"].as_u64() } else { Some(0) },
        }))),
        "message" => Event::Message { from: text("from"), text: text("text"), seq: frame["seq"].as_u64() },
        "moved" => Event::Moved(position()),
        "redirect" => Event::Redirect(text("web")),
        "error" => Event::Error(text("code")),
        "bye" => Event::Bye(text("code")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_the_protocol_has_them() {
        let seat = Seat { token: "t0k".into(), position: Some(("tl".into(), 7)) };
        let join = Command::Join { room: "abc12def", name: "p1", relay: true };
        let resume = Command::Resume { room: "abc12def", seat: &seat, relay: false };
        let lines = [Command::Create, join, resume, Command::Say("a b"), Command::Quit].map(line);
        assert_eq!(
            lines,
            ["CREATE_ROOM", "JOIN abc12def p1 RESUMABLE RELAY", "RESUME abc12def t0k", "SAY a b", "QUIT"]
        );
        let resume: Value = serde_json::from_str(&frame(resume)).unwrap_or_default();
        let expected = json!({"type": "resume", "room": "abc12def", "token": "t0k", "on_wrong_pod": "redirect",
            "timeline": "tl", "last_seq": 7});
        assert_eq!(resume, expected);
    }

    #[test]
    fn both_encodings_tell_the_same() {
        let message = |seq| Event::Message { from: "p0".into(), text: "0 1".into(), seq };
        for (line, frame, of_line, of_frame) in [
            ("MSG p0 0 1", r#"{"type":"message","from":"p0","text":"0 1","seq":4}"#, message(None), message(Some(4))),
            (
                "REDIRECT [::1]:7654 abc12def",
                r#"{"type":"redirect","room":"abc12def","tcp":"x:1","web":"y:2"}"#,
                Event::Redirect("[::1]:7654".into()),
                Event::Redirect("y:2".into()),
            ),
            (
                "ERR name_taken Someone has it.",
                r#"{"type":"error","code":"name_taken","message":"Someone has it."}"#,
                Event::Error("name_taken".into()),
                Event::Error("name_taken".into()),
            ),
            (
                "MOVED abc12def",
                r#"{"type":"moved","room":"abc12def","timeline":"b","seq":3}"#,
                Event::Moved(None),
                Event::Moved(Some(("b".into(), 3))),
            ),
            ("BYE moved", r#"{"type":"bye","code":"moved"}"#, Event::Bye("moved".into()), Event::Bye("moved".into())),
        ] {
            assert_eq!((from_line(line), from_frame(frame)), (Some(of_line), Some(of_frame)));
        }
        assert_eq!(
            (from_line("MISSED 3"), from_line("MISSED ?")),
            (Some(Event::Missed(Some(3))), Some(Event::Missed(None)))
        );
        let joined = r#"{"type":"joined","room":"r","resumed":true,"missed":null,"timeline":"a","seq":2,"token":"t"}"#;
        let seat = Seat { token: "t".into(), position: Some(("a".into(), 2)) };
        assert_eq!(from_frame(joined), Some(Event::Joined(Some(Box::new(Welcome { seat, missed: None })))));
    }

    #[test]
    fn what_is_unknown_is_ignored() {
        for line in ["", "# hello", "NEW thing", "MSG", "MSG alice"] {
            assert_eq!(from_line(line), None, "{line}");
        }
        for frame in ["", "{", "[]", r#"{"type":"new"}"#, r#"{"type":5}"#] {
            assert_eq!(from_frame(frame), None, "{frame}");
        }
    }
}
