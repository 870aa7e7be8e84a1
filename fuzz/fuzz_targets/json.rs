//! Any text as a JSON message: no panic, ids within their range, and whatever is accepted as chat comes back unchanged when it
//! is written to the others and read again.
#![no_main]

use chatd::protocol::{Command, Event, PlayerName, json, lines, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &str| {
    let (id, command) = json::parse(message);
    assert!(id.is_none_or(|id| id <= json::MAX_ID));
    let Ok(Command::Say { text }) = command else {
        return;
    };
    assert_eq!(text::clean(text.as_bytes()).as_deref(), Ok(&*text), "cleaning twice is cleaning once");
    let from: PlayerName = "alice".parse().expect("a name");
    let event = Event::Message { from, text: &text, seq: 1, at: 1, replay: false };

    let mut frame = Vec::new();
    json::encode_frame(&event, id, &mut frame);
    let header = if frame[1] < 126 { 2 } else { 4 };
    let payload = std::str::from_utf8(&frame[header..]).expect("UTF-8");
    // A message has the fields of `say` but for its type, so the parser reads it back.
    let again = payload.replacen("\"message\"", "\"say\"", 1);
    assert_eq!(json::parse(&again), (id, Ok(Command::Say { text: text.clone() })));

    let mut line = Vec::new();
    lines::encode(&event, &mut line);
    assert_eq!(line.iter().filter(|byte| **byte == b'\n' || **byte == b'\r').count(), 1, "JSON text forged a line");
});
