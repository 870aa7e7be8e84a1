//! What a client makes of the bytes that it gets: lines, or JSON in WebSocket frames. Written from docs/protocol.md, not from the
//! server's code. No I/O.

use serde_json::Value;

use crate::held::{Change, Held};

/// One thing that a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Room(String),
    Joined(Joined),
    Token(String),
    Left,
    /// Its join token ends soon.
    Expiring,
    Refreshed,
    Message {
        from: String,
        text: String,
        seq: Option<u64>,
        replay: bool,
    },
    /// An application's event without a number; one with a number is a message like others.
    Event {
        from: String,
        text: String,
        /// JSON only.
        to: Option<Vec<String>>,
        reached: Option<Vec<String>>,
    },
    /// What a player says of itself.
    Player(String, Option<String>),
    /// A key of the room's state.
    State(Change),
    StateAll(Held),
    StateLost,
    /// AWAY, BACK, and ENTERED by lines.
    Presence(String),
    /// JSON only.
    Entered(Shown),
    /// The room is locked now, or is not, by whom.
    Locked {
        by: String,
        locked: bool,
    },
    Exited(String),
    /// The answer to a kick.
    Kicked(String),
    Players(Vec<String>, Box<[Shown]>),
    /// `locked`: JSON only.
    Moved {
        place: Option<(String, u64)>,
        locked: bool,
    },
    Missed {
        count: Option<u64>,
        locked: bool,
    },
    /// Where to go: the address for this client.
    Redirect(String),
    Pong,
    Help,
    Error(String),
    Bye(String),
    Unknown(String),
}

impl Received {
    /// Only who is in a room gets it.
    pub fn is_of_room(&self) -> bool {
        matches!(
            self,
            Self::Message { .. }
                | Self::Expiring
                | Self::Refreshed
                | Self::Event { .. }
                | Self::Player(..)
                | Self::State(_)
                | Self::StateAll(_)
                | Self::StateLost
                | Self::Presence(_)
                | Self::Entered(_)
                | Self::Locked { .. }
                | Self::Exited(_)
                | Self::Kicked(_)
                | Self::Players(..)
                | Self::Moved { .. }
                | Self::Missed { .. }
        )
    }
}

/// A player as the others are shown it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    pub name: String,
    /// What its join token says.
    pub display: Option<String>,
    pub info: Option<Value>,
}

impl Shown {
    fn from_json(player: &Value) -> Option<Self> {
        let display = player["display"].as_str().map(str::to_owned);
        Some(Self { name: player["name"].as_str()?.to_owned(), display, info: player.get("info").cloned() })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Joined {
    pub room: String,
    pub name: String,
    pub players: Vec<String>,
    /// JSON only.
    pub place: Option<(String, u64)>,
    pub resumed: bool,
    /// JSON only: `Some(None)` is `null`.
    pub missed: Option<Option<u64>>,
    pub token: Option<String>,
    pub state: Box<Held>,
    /// What players have said of themselves.
    pub presence: Box<[(String, String)]>,
    /// JSON only: the players, with what their join tokens say.
    pub shown: Box<[Shown]>,
    /// JSON only.
    pub locked: bool,
}

/// Takes the first whole message off `bytes`: what it says, with its `id`.
pub fn take(json: bool, bytes: &mut Vec<u8>) -> Option<(Received, Option<u64>)> {
    if json {
        let payload = take_frame(bytes)?;
        Some(match serde_json::from_slice::<Value>(&payload) {
            Ok(value) => (from_json(&value), value["id"].as_u64()),
            Err(_) => (Received::Unknown(String::from_utf8_lossy(&payload).into_owned()), None),
        })
    } else {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = bytes.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line[..end]).into_owned();
        // Help is several lines, of which the first stands for all; the others may come later.
        if line.starts_with("# ") {
            return if line.starts_with("# One command ") { Some((Received::Help, None)) } else { take(json, bytes) };
        }
        Some((from_line(&line), None))
    }
}

/// Where rooms may need a token, a JOIN without one is told so of those that do not exist.
fn of_no_room(code: &str) -> String {
    if code == "auth_required" { "room_not_found" } else { code }.to_owned()
}

/// One unmasked text frame (RFC 6455 section 5.2); anything else is what a server must not send here.
fn take_frame(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (first, short) = (*bytes.first()?, usize::from(*bytes.get(1)?));
    let (start, length) = match short {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        short => (2, short),
    };
    if first != 0x81 || short > 127 {
        let rubbish = std::mem::take(bytes);
        return Some(rubbish);
    }
    if bytes.len() < start + length {
        return None;
    }
    let frame: Vec<u8> = bytes.drain(..start + length).collect();
    Some(frame[start..].to_vec())
}

fn from_line(line: &str) -> Received {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let words: Vec<&str> = rest.split(' ').collect();
    let list = |text: &str| text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    match (word, &words[..]) {
        ("ROOM", [room]) => Received::Room((*room).to_owned()),
        ("JOINED", [room, name, players]) => Received::Joined(Joined {
            room: (*room).to_owned(),
            name: (*name).to_owned(),
            players: list(players),
            ..Joined::default()
        }),
        ("TOKEN", [token]) => Received::Token((*token).to_owned()),
        ("LEFT", [_]) => Received::Left,
        ("EXPIRING", [_]) => Received::Expiring,
        ("REFRESHED", [_]) => Received::Refreshed,
        ("MSG", [from, ..]) => Received::Message {
            from: (*from).to_owned(),
            text: rest[(from.len() + 1).min(rest.len())..].replace('\u{2424}', "\n"),
            seq: None,
            replay: false,
        },
        ("EVENT", [from, kind, _, ..]) => {
            let data = &rest[from.len() + kind.len() + 2..];
            match serde_json::from_str::<Value>(data) {
                Ok(data) => event(from, kind, &data, None, false),
                Err(_) => Received::Unknown(line.to_owned()),
            }
        }
        ("ENTERED" | "AWAY" | "BACK", [name]) => Received::Presence((*name).to_owned()),
        ("EXITED", [name, _]) => Received::Exited((*name).to_owned()),
        ("KICKED", [name]) => Received::Kicked((*name).to_owned()),
        ("LOCKED" | "UNLOCKED", [by]) => Received::Locked { by: (*by).to_owned(), locked: word == "LOCKED" },
        ("PLAYERS", [players]) => Received::Players(list(players), Box::default()),
        ("MOVED", [_]) => Received::Moved { place: None, locked: false },
        ("MISSED", [count]) => Received::Missed { count: count.parse().ok(), locked: false },
        ("REDIRECT", [address, _]) => Received::Redirect((*address).to_owned()),
        ("PONG", _) => Received::Pong,
        ("ERR", [code, ..]) => Received::Error(of_no_room(code)),
        ("BYE", [code]) => Received::Bye((*code).to_owned()),
        _ => Received::Unknown(line.to_owned()),
    }
}

/// Kind and data are as the simulated clients write them: the kind says whether the event has a number.
fn event(from: &str, kind: &str, data: &Value, seq: Option<u64>, replay: bool) -> Received {
    let (from, text) = (from.to_owned(), data["text"].as_str().unwrap_or_default().to_owned());
    if kind == ALL {
        Received::Message { from, text, seq, replay }
    } else if seq.is_none() && !replay {
        Received::Event { from, text, to: None, reached: None }
    } else {
        Received::Unknown(format!("{text} has number {seq:?}, or is replayed"))
    }
}

/// The kind of the events that everyone hears and that have a number.
pub const ALL: &str = "for.all";

fn from_json(value: &Value) -> Received {
    let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let names = || {
        let players = value["players"].as_array().map(Vec::as_slice).unwrap_or_default();
        players.iter().filter_map(|player| player["name"].as_str()).map(str::to_owned).collect::<Vec<_>>()
    };
    let presence = || {
        let players = value["players"].as_array().map(Vec::as_slice).unwrap_or_default();
        let said = |player: &Value| Some((player["name"].as_str()?.to_owned(), player["data"].as_str()?.to_owned()));
        players.iter().filter_map(said).collect()
    };
    let shown = || value["players"].as_array().into_iter().flatten().filter_map(Shown::from_json).collect();
    let locked = || value["locked"].as_bool().unwrap_or_default();
    let place = || Some((value["timeline"].as_str()?.to_owned(), value["seq"].as_u64()?));
    match value["type"].as_str().unwrap_or_default() {
        "room" => Received::Room(text("room")),
        "joined" => Received::Joined(Joined {
            room: text("room"),
            name: text("name"),
            players: names(),
            place: place(),
            resumed: value["resumed"].as_bool().unwrap_or_default(),
            missed: Some(value["missed"].as_u64()),
            token: value["token"].as_str().map(str::to_owned),
            state: Box::new(Held::from_json(&value["state"])),
            presence: presence(),
            shown: shown(),
            locked: locked(),
        }),
        "left" => Received::Left,
        "expiring" => Received::Expiring,
        "refreshed" => Received::Refreshed,
        "message" => Received::Message {
            from: text("from"),
            text: text("text"),
            seq: value["seq"].as_u64(),
            replay: value["replay"].as_bool().unwrap_or_default(),
        },
        "event" => {
            let replay = value["replay"].as_bool().unwrap_or_default();
            let list = |field: &str| serde_json::from_value(value[field].clone()).ok();
            match event(&text("from"), &text("kind"), &value["data"], value["seq"].as_u64(), replay) {
                Received::Event { from, text, .. } => {
                    Received::Event { from, text, to: list("to"), reached: list("reached") }
                }
                other => other,
            }
        }
        "player" => Received::Player(text("name"), value["data"].as_str().map(str::to_owned)),
        "state" => Received::State(Change::from_json(value)),
        "state_all" => Received::StateAll(Held::from_json(value)),
        "state_lost" => Received::StateLost,
        "entered" => Received::Entered(Shown::from_json(value).unwrap_or_default()),
        "away" | "back" => Received::Presence(text("name")),
        "locked" | "unlocked" => Received::Locked { by: text("by"), locked: value["type"] == "locked" },
        "exited" => Received::Exited(text("name")),
        "kicked" => Received::Kicked(text("name")),
        "players" => Received::Players(names(), shown()),
        "moved" => Received::Moved { place: place(), locked: locked() },
        "missed" => Received::Missed { count: value["count"].as_u64(), locked: locked() },
        "redirect" => Received::Redirect(text("web")),
        "pong" => Received::Pong,
        "help" => Received::Help,
        "error" => Received::Error(of_no_room(&text("code"))),
        "bye" => Received::Bye(text("code")),
        _ => Received::Unknown(value.to_string()),
    }
}
