//! Any bytes as a line, in a room and outside: no panic, and whatever is accepted as chat is one clean line for the others.
#![no_main]

use chatd::protocol::{Command, Event, MAX_LINE, PlayerName, lines, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let _ = lines::is_foreign(line);
    for in_room in [false, true] {
        match lines::parse(line, in_room) {
            Some(Ok(Command::Say { text })) => {
                assert!(in_room, "chat outside a room");
                assert_eq!(text::clean(text.as_bytes()).as_deref(), Ok(&*text), "cleaning twice is cleaning once");
                let from: PlayerName = "alice".parse().expect("a name");
                let mut out = Vec::new();
                lines::encode(&Event::Message { from, text: &text, seq: 1, at: 1, replay: false }, &mut out);
                assert_eq!(out, format!("MSG alice {text}\n").into_bytes());
                assert_eq!(out.iter().filter(|byte| **byte == b'\n' || **byte == b'\r').count(), 1);
                assert!(out.len() <= MAX_LINE);
            }
            Some(Ok(Command::Resume { token, .. })) => assert!(!token.contains(' ')),
            Some(Err(code)) => assert!(!code.sentence().is_empty()),
            _ => {}
        }
    }
});
