//! The server API beside a model: what calls and players do in any order, through either of two processes, is answered and heard as
//! the model says.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use super::api::{BACKEND, Caller, key, pod, write_keys};
use crate::support::client::{Client, PATIENCE};
use crate::support::pod::Pod;
use crate::support::redis::Server;
use crate::support::wait_for;

const ROOMS: usize = 3;
const NAMES: [&str; 3] = ["Ana", "Ben", "Cid"];
/// `--max-players`, where the descriptor does not say.
const PLACES: u64 = 4;
const DESCRIPTORS: [&str; 4] =
    ["{}", r#"{"kind":"duel","max_players":2}"#, r#"{"listed":true,"labels":["eu","beta"]}"#, r#"{"locked":true}"#];
const PATCHES: [&str; 6] = [
    r#"{"locked":true}"#,
    r#"{"locked":null}"#,
    r#"{"kind":"duel","labels":["eu"]}"#,
    r#"{"kind":null,"listed":true}"#,
    r#"{"max_players":1}"#,
    r#"{"max_players":null,"listed":null,"labels":null}"#,
];
/// What a quick join asks for.
const WISHES: [&str; 3] = ["{}", r#"{"kind":"duel"}"#, r#"{"labels":["eu"]}"#];
const FILTERS: [&str; 4] = ["", "&kind=duel", "&label=eu", "&listed=true"];

/// What is done in one of the rooms.
#[derive(Debug, Clone)]
enum Deed {
    Make(&'static str),
    Look,
    Patch(&'static str),
    End,
    Say,
    Send,
    SendTo(usize),
    Kick { player: usize, bars: bool },
    List(&'static str),
    QuickJoin { player: usize, wish: &'static str },
    Join(usize),
    Leave(usize),
}

/// A deed, in which room, through which process.
type Step = (usize, bool, Deed);

fn step() -> impl Strategy<Value = Step> {
    let player = || 0..NAMES.len();
    let deed = prop_oneof![
        3 => proptest::sample::select(&DESCRIPTORS[..]).prop_map(Deed::Make),
        2 => Just(Deed::Look),
        3 => proptest::sample::select(&PATCHES[..]).prop_map(Deed::Patch),
        1 => Just(Deed::End),
        2 => Just(Deed::Say),
        1 => Just(Deed::Send),
        1 => player().prop_map(Deed::SendTo),
        2 => (player(), any::<bool>()).prop_map(|(player, bars)| Deed::Kick { player, bars }),
        2 => proptest::sample::select(&FILTERS[..]).prop_map(Deed::List),
        2 => (player(), proptest::sample::select(&WISHES[..]))
            .prop_map(|(player, wish)| Deed::QuickJoin { player, wish }),
        6 => player().prop_map(Deed::Join),
        1 => player().prop_map(Deed::Leave),
    ];
    (0..ROOMS, any::<bool>(), deed)
}

/// A room as it should be.
#[derive(Debug, Default)]
struct Expected {
    descriptor: Map<String, Value>,
    /// In the order in which they came.
    players: Vec<usize>,
    barred: Vec<usize>,
    seq: u64,
}

impl Expected {
    fn has(&self, field: &str) -> bool {
        self.descriptor.get(field) == Some(&Value::Bool(true))
    }

    fn places(&self) -> u64 {
        self.descriptor.get("max_players").and_then(Value::as_u64).unwrap_or(PLACES)
    }

    fn patch(&mut self, patch: &str) {
        for (field, value) in object(patch) {
            if value.is_null() {
                self.descriptor.remove(&field);
            } else {
                self.descriptor.insert(field, value);
            }
        }
    }

    /// Each reason why `player` is not let in; empty: it is.
    fn refusals(&self, player: usize) -> Vec<&'static str> {
        let full = self.players.len() as u64 >= self.places();
        [(self.barred.contains(&player), "banned"), (self.has("locked"), "room_locked"), (full, "room_full")]
            .into_iter()
            .filter_map(|(holds, code)| holds.then_some(code))
            .collect()
    }

    /// For a quick join of `player`, who is not among its players.
    fn suits(&self, player: usize, wish: &str) -> bool {
        let filter = match wish {
            "{}" => "",
            r#"{"kind":"duel"}"# => "&kind=duel",
            _ => "&label=eu",
        };
        self.has("listed")
            && self.matches(filter)
            && self.refusals(player).is_empty()
            && !self.players.contains(&player)
    }

    fn matches(&self, filter: &str) -> bool {
        match filter {
            "&kind=duel" => self.descriptor.get("kind").is_some_and(|kind| kind == "duel"),
            "&label=eu" => {
                self.descriptor.get("labels").and_then(Value::as_array).is_some_and(|all| all.contains(&"eu".into()))
            }
            "&listed=true" => self.has("listed"),
            _ => true,
        }
    }
}

fn object(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap()
}

/// What is compared of a descriptor where a room is made again.
fn but_locks(descriptor: &Map<String, Value>) -> Map<String, Value> {
    descriptor
        .iter()
        .filter(|(field, _)| *field != "locked")
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect()
}

/// One case: its rooms have names of their own.
struct Case<'a> {
    number: usize,
    calls: [Caller<'a>; 2],
    pods: [&'a Pod; 2],
    rooms: BTreeMap<usize, Expected>,
    clients: BTreeMap<(usize, usize), Client>,
}

impl Case<'_> {
    fn id(&self, room: usize) -> String {
        format!("case-{}.room-{room}", self.number)
    }

    fn run(mut self, steps: Vec<Step>) {
        for (room, second, deed) in steps {
            self.step(room, usize::from(second), deed);
        }
        for room in self.rooms.keys().copied().collect::<Vec<_>>() {
            self.step(room, 0, Deed::Look);
            self.step(room, 1, Deed::End);
        }
    }

    fn step(&mut self, room: usize, process: usize, deed: Deed) {
        let (caller, id) = (self.calls[process], self.id(room));
        let (call, body) = match &deed {
            Deed::Join(player) => return self.join(room, process, *player),
            Deed::Leave(player) => return self.leave(room, *player),
            Deed::List(filter) => return self.list(caller, filter),
            Deed::QuickJoin { player, wish } => return self.quick_join(caller, *player, wish),
            Deed::Make(descriptor) => {
                ("POST /v1/rooms".to_owned(), json!({ "room": id, "descriptor": object(descriptor) }))
            }
            Deed::Look => (format!("GET /v1/rooms/{id}"), Value::Null),
            Deed::Patch(patch) => (format!("PATCH /v1/rooms/{id}"), object(patch).into()),
            Deed::End => (format!("DELETE /v1/rooms/{id}"), Value::Null),
            Deed::Say => (format!("POST /v1/rooms/{id}/messages"), json!({ "text": "hello" })),
            Deed::Send => (format!("POST /v1/rooms/{id}/events"), json!({ "kind": "go", "data": 1 })),
            Deed::SendTo(player) => {
                (format!("POST /v1/rooms/{id}/events"), json!({ "kind": "psst", "data": 1, "to": [NAMES[*player]] }))
            }
            Deed::Kick { player, bars } => {
                let ban = if *bars { "?ban_s=600" } else { "" };
                (format!("DELETE /v1/rooms/{id}/players/{}{ban}", NAMES[*player]), Value::Null)
            }
        };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = caller.call(&call, body);
        self.compare(room, deed, status, &answer);
    }

    /// An answer beside the model, and what it makes of the model.
    fn compare(&mut self, room: usize, deed: Deed, status: u16, answer: &Value) {
        if let Deed::Make(descriptor) = deed {
            let same =
                self.rooms.get(&room).map(|found| but_locks(&found.descriptor) == but_locks(&object(descriptor)));
            assert_eq!(status, same.map_or(201, |same| if same { 200 } else { 409 }), "{answer}");
            if same.is_none() {
                self.rooms.insert(room, Expected { descriptor: object(descriptor), ..Expected::default() });
            }
            return;
        }
        let Some(found) = self.rooms.get_mut(&room) else {
            assert_eq!((status, &answer["error"]["code"]), (404, &"room_not_found".into()), "{deed:?}: {answer}");
            return;
        };
        if let Deed::Kick { player, bars } = deed {
            let Some(at) = found.players.iter().position(|one| *one == player) else {
                assert_eq!((status, &answer["error"]["code"]), (404, &"player_not_found".into()), "{answer}");
                return;
            };
            assert_eq!((status, &answer["kicked"]), (200, &NAMES[player].into()), "{answer}");
            found.players.remove(at);
            if bars {
                found.barred.push(player);
            }
            self.clients.remove(&(room, player)).unwrap().until("BYE kicked", PATIENCE);
            return;
        }
        assert_eq!(status, 200, "{deed:?}: {answer}");
        match deed {
            Deed::Look => look(found, answer),
            Deed::Patch(patch) => {
                found.patch(patch);
                look(found, answer);
            }
            Deed::End => {
                self.rooms.remove(&room);
                self.ended(room);
            }
            Deed::Say | Deed::Send => {
                found.seq += 1;
                assert_eq!(answer["seq"], found.seq, "{answer}");
                let line = if matches!(deed, Deed::Say) { "MSG * hello" } else { "EVENT * go 1" };
                for player in found.players.clone() {
                    self.clients.get_mut(&(room, player)).unwrap().until(line, PATIENCE);
                }
            }
            Deed::SendTo(player) => {
                let reached: Vec<_> =
                    found.players.iter().filter(|one| **one == player).map(|one| NAMES[*one]).collect();
                assert_eq!(answer["reached"], json!(reached), "{answer}");
                if !reached.is_empty() {
                    self.clients.get_mut(&(room, player)).unwrap().until("EVENT * psst 1", PATIENCE);
                }
            }
            deed => unreachable!("{deed:?}"),
        }
    }

    /// Everyone is told, and each process says that the room is not there.
    fn ended(&mut self, room: usize) {
        for player in 0..NAMES.len() {
            if let Some(mut client) = self.clients.remove(&(room, player)) {
                client.until("BYE closed", PATIENCE);
            }
        }
        let call = format!("GET /v1/rooms/{}", self.id(room));
        for caller in self.calls {
            wait_for("the room has ended", PATIENCE, || (caller.call(&call, "").0 == 404).then_some(()));
        }
    }

    fn list(&self, caller: Caller, filter: &str) {
        let (status, answer) = caller.call(&format!("GET /v1/rooms?limit=100{filter}"), "");
        assert_eq!((status, &answer["incomplete"]), (200, &json!([])), "{answer}");
        let prefix = format!("case-{}.", self.number);
        let listed = answer["rooms"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|room| room["room"].as_str().unwrap().starts_with(&prefix));
        let listed = listed.map(|room| json!([room["room"], room["players"], room["max_players"], room["locked"]]));
        let expected = self
            .rooms
            .iter()
            .filter(|(_, room)| room.matches(filter))
            .map(|(number, room)| json!([self.id(*number), room.players.len(), room.places(), room.has("locked")]));
        assert_eq!(listed.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{filter}: {answer}");
    }

    /// A room of this case that suits, where there is one; else a new one, which is looked at and ended.
    fn quick_join(&self, caller: Caller, player: usize, wish: &str) {
        let mut body = object(wish);
        body.extend([("sub".to_owned(), "somebody".into()), ("name".to_owned(), NAMES[player].into())]);
        let (status, answer) = caller.call("POST /v1/join", Value::from(body).to_string());
        let room = answer["room"].as_str().unwrap_or_default();
        let suits = |number: &usize| self.rooms.get(number).is_some_and(|found| found.suits(player, wish));
        let suitable: Vec<_> = (0..ROOMS).filter(suits).map(|number| self.id(number)).collect();
        if !suitable.is_empty() {
            assert!(status == 200 && suitable.iter().any(|id| id == room), "{answer}, not one of {suitable:?}");
            return;
        }
        assert_eq!(status, 201, "{answer}");
        let mut descriptor = object(wish);
        descriptor.insert("listed".to_owned(), true.into());
        let (status, made) = caller.call(&format!("GET /v1/rooms/{room}"), "");
        assert_eq!((status, &made["descriptor"]), (200, &Value::from(descriptor)), "{made}");
        assert_eq!(caller.call(&format!("DELETE /v1/rooms/{room}"), "").0, 200);
    }

    fn join(&mut self, room: usize, process: usize, player: usize) {
        if self.clients.contains_key(&(room, player)) {
            return;
        }
        let mut client = Client::connect(self.pods[process].tcp);
        let answer = client.ask(&format!("JOIN {} {} EVENTS RELAY", self.id(room), NAMES[player]));
        let Some(found) = self.rooms.get_mut(&room) else {
            assert!(answer.starts_with("ERR room_not_found"), "{answer}");
            return;
        };
        let refusals = found.refusals(player);
        if refusals.is_empty() {
            assert!(answer.starts_with("JOINED "), "{answer}, not a JOIN of {found:?}");
            found.players.push(player);
            self.clients.insert((room, player), client);
        } else {
            let code = answer.split(' ').nth(1).unwrap_or_default();
            assert!(answer.starts_with("ERR ") && refusals.contains(&code), "{answer}, not one of {refusals:?}");
        }
    }

    fn leave(&mut self, room: usize, player: usize) {
        if let Some(mut client) = self.clients.remove(&(room, player)) {
            client.send("LEAVE");
            client.until("LEFT ", PATIENCE);
            self.rooms.get_mut(&room).unwrap().players.retain(|one| *one != player);
        }
    }
}

fn look(found: &Expected, answer: &Value) {
    assert_eq!(answer["descriptor"], Value::from(found.descriptor.clone()), "{answer}");
    let names: Vec<_> = answer["players"].as_array().unwrap().iter().map(|player| &player["name"]).collect();
    assert_eq!(names, found.players.iter().map(|player| NAMES[*player]).collect::<Vec<_>>(), "{answer}");
}

#[test]
fn calls_and_players_are_answered_as_a_model_says() {
    let redis = Server::start(&[]);
    let files = tempfile::tempdir().unwrap();
    let keys = files.path().join("keys.json");
    write_keys(&keys, &[key("backend", BACKEND, &["read", "write"])]);
    let (first, first_api) = pod("chat-0", Some(&redis.url()), &keys);
    let (second, second_api) = pod("chat-1", Some(&redis.url()), &keys);
    let calls = [first_api, second_api].map(|at| Caller { at, secret: Some(BACKEND), header: "" });
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let number = std::cell::Cell::new(0);
    let steps = proptest::collection::vec(step(), 10..60);
    let result = runner.run(&steps, |steps| {
        number.set(number.get() + 1);
        let pods = [&first, &second];
        Case { number: number.get(), calls, pods, rooms: BTreeMap::new(), clients: BTreeMap::new() }.run(steps);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}\nchat-0:\n{}", first.log());
    }
}
