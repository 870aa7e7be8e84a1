//! `chatctl rooms` and `chatctl room`, on rooms that players are in. Does I/O.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::stage::{Stage, run, wait_for};

/// A player by lines, who stays until dropped.
struct Player(BufReader<TcpStream>);

impl Player {
    fn new(address: &str) -> Self {
        Self(BufReader::new(TcpStream::connect(address).unwrap()))
    }

    /// The rest of the first answer that begins with `word`.
    fn ask(&mut self, line: &str, word: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
        loop {
            let mut answer = String::new();
            assert_ne!(self.0.read_line(&mut answer).unwrap(), 0, "{line}");
            if let Some(rest) = answer.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }
}

fn json(arguments: &[&str]) -> (i32, Value) {
    let (code, text) = run(&[arguments, &["-o", "json"]].concat());
    (code, serde_json::from_str(&text).unwrap())
}

#[test]
fn rooms_are_listed_and_a_room_is_told_of() {
    let mut stage = Stage::new(2);
    let admins = [stage.pods[0].admin.clone(), stage.pods[1].admin.clone()];
    let mut alice = Player::new(&stage.pods[0].lines);
    let room = alice.ask("CREATE_ROOM", "ROOM ");
    alice.ask(&format!("JOIN {room} alice RESUMABLE"), "JOINED ");
    let mut bob = Player::new(&stage.pods[1].lines);
    bob.ask(&format!("JOIN {room} bob RELAY"), "JOINED ");
    alice.ask("hello", "MSG ");
    let empty = empty_room(&stage);

    let (code, table) = run(&["rooms", "--admin", &admins[0], "-o", "wide"]);
    assert!(code == 0 && table.contains("alice,bob") && table.contains(&empty), "{table}");
    let (_, listed) = json(&["rooms", "--admin", &admins[0], "--player", "BOB"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["room"]), (1, &room.as_str().into()));
    assert_eq!((&listed[0]["seq"], &listed[0]["players"][1]["relayed"]), (&1.into(), &true.into()), "{listed}");
    assert_eq!(json(&["rooms", "--admin", &admins[1]]).1, Value::Array(Vec::new()));

    wait_for("the record has both seats", || {
        let (code, known) = json(&["room", &room, "--admin", &admins[0]]);
        code == 0 && known["findings"] == Value::Array(Vec::new())
    });
    let (code, text) = run(&["room", &room, "--admin", &admins[0]]);
    for part in ["owner   chat-0, serving", "record  chat-0, epoch", "2 seats", "another pod", "Nothing is wrong."] {
        assert!(code == 0 && text.contains(part), "{part}: {text}");
    }
    let (_, yaml) = run(&["room", &room, "--admin", &admins[1], "-o", "yaml"]);
    assert!(yaml.contains("here: null") && yaml.contains("severity: notice"), "{yaml}");

    drop(alice);
    wait_for("a seat is held", || run(&["room", &room, "--admin", &admins[0]]).1.contains("away"));
    let (code, text) = run(&["room", "zzzzzzzz", "--admin", &admins[0]]);
    assert!(code == 1 && text.contains("does not exist"), "{text}");
    assert_eq!(run(&["room", "../status", "--admin", &admins[0]]).0, 3);

    stage.stop_redis();
    wait_for("Redis is a finding", || {
        let (code, text) = run(&["room", &room, "--admin", &admins[0]]);
        code == 1 && text.contains("the record cannot be read: refused") && text.contains("owner   chat-0")
    });
}

fn empty_room(stage: &Stage) -> String {
    Player::new(&stage.pods[0].lines).ask("CREATE_ROOM", "ROOM ")
}
