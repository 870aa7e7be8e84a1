//! Any text as a JSON message: no panic, ids within their range, and what is accepted as chat or as an event comes back unchanged when it
//! is written to the others and read again.
#![no_main]

use chatd::protocol::{Command, Custom, Event, MAX_DATA, Outgoing, PlayerName, check_data, json, lines, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &str| {
    let (id, command) = json::parse(message);
    assert!(id.is_none_or(|id| id <= json::MAX_ID));
    let text = match command {
        Ok(Command::Say { text }) => text,
        Ok(Command::Send(event)) => return comes_back(&event),
        _ => return,
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

/// What the others get of an event is the same event, in one frame and in one line.
fn comes_back(event: &Outgoing<'_>) {
    assert_eq!(event.check(), Ok(()));
    let (kind, to) = (event.kind.as_str(), event.to.as_deref());
    let from: PlayerName = "alice".parse().expect("a name");
    let custom = Custom { from, kind, data: &event.data, seq: None, at: 1, replay: false, to, reached: to };
    let mut frame = Vec::new();
    json::encode_frame(&Event::Custom(custom), None, &mut frame);
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let payload = std::str::from_utf8(&frame[header..]).expect("UTF-8");
    // An event has the fields of `send` but for its type, and those that are not read.
    let again = payload.replacen("\"event\"", "\"send\"", 1);
    match json::parse(&again) {
        (None, Ok(Command::Send(again))) => assert_eq!(Outgoing { volatile: event.volatile, ..*again }, *event),
        other => panic!("{other:?}"),
    }
    let mut line = Vec::new();
    lines::encode_with_events(&Event::Custom(custom), &mut line);
    let line = String::from_utf8(line).expect("UTF-8");
    assert_eq!(line.chars().filter(|character| character.is_control() && *character != '\u{7f}').count(), 1);
    let data = line.trim_end_matches('\n').splitn(4, ' ').nth(3).expect("data");
    assert!(data.len() <= 3 * event.data.len() && (data.len() > MAX_DATA || check_data(data).is_ok()));
}
