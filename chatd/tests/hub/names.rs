//! Names of people in any script, and rooms with ids of an application's choice: over relays, moves, takeovers and resumes. No I/O.

use chatd::peer_protocol::Disconnect;
use serde_json::json;

use crate::world::World;

fn code(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn names_of_any_script_are_shown_normalised_and_taken_by_what_looks_the_same() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice\n"));
    let jose = world.open(1);
    let joined = world.ask(jose, &format!("JOIN {room} Jose\u{301} RELAY\n"));
    assert_eq!(joined, format!("JOINED {room} José alice,José\n"));
    assert_eq!(world.hear(alice), "ENTERED José\n");
    for (pod, taken) in [(0, "аlice"), (1, "ALICE"), (1, "Аlice"), (0, "JOSÉ"), (1, "josé"), (0, "ａlice")] {
        let other = world.open(pod);
        assert_eq!(code(&world.ask(other, &format!("JOIN {room} {taken} RELAY\n"))), "name_taken", "{taken}");
    }
    for (pod, wrong) in [(0, "al\u{200d}ice"), (1, "\u{202e}ecila"), (0, "花\u{3000}子"), (1, "a,b")] {
        let other = world.open(pod);
        assert_eq!(code(&world.ask(other, &format!("JOIN {room} {wrong} RELAY\n"))), "bad_name", "{wrong:?}");
    }
    let hanako = world.open_json(1);
    world.send(hanako, &json!({"type": "join", "room": room, "name": "花子"}));
    let joined = world.events(hanako).remove(0);
    assert_eq!((joined["name"].as_str(), joined["players"][1]["name"].as_str()), (Some("花子"), Some("José")));
    assert_eq!(world.ask(jose, "¡hola!\nWHO\n"), "ENTERED 花子\nMSG José ¡hola!\nPLAYERS alice,José,花子\n");
    assert_eq!(world.hear(alice), "ENTERED 花子\nMSG José ¡hola!\n");
}

#[test]
fn tokens_and_keys_of_such_names_take_the_seat_again() {
    let mut world = World::with(2, |settings| settings.open_names = true);
    let (room, key) = (String::from("eu.match-42"), "0123456789abcdefghijkl");
    let anna = world.open(0);
    let token = world.join_resumable(anna, &room, "Анна");
    let time = world.time();
    world.pods[0].disconnected(time, anna.1, Disconnect::Lost);
    let anna = world.open(1);
    let back = world.ask(anna, &format!("RESUME {room} {token} RELAY\n"));
    assert_eq!(back, format!("JOINED {room} Анна Анна\nTOKEN {token}\n"));
    let jose = world.open(1);
    assert!(world.ask(jose, &format!("JOIN {room} José KEY={key} RELAY\n")).starts_with("JOINED "));
    let again = world.open(0);
    assert!(
        world.ask(again, &format!("JOIN {room} JOSE\u{301} KEY={key}\n")).starts_with("JOINED "),
        "by its compared form"
    );
    assert!(world.hear(jose).ends_with("BYE replaced\n"));
    let (other, last) = (world.open(0), world.open(0));
    world.ask(other, "JOIN eu.match-4 Анна\n");
    assert_eq!(code(&world.ask(last, &format!("RESUME eu.match-4 {token}\n"))), "bad_token", "it fits one room");
}

#[test]
fn such_seats_and_rooms_outlive_their_pod_and_move() {
    let mut world = World::with(3, |settings| settings.open_names = true);
    let hanako = world.open(1);
    let anna = world.open(0);
    let room = "lobby_1";
    let token = world.join_resumable(anna, room, "Анна");
    assert_eq!(
        world.ask(hanako, &format!("JOIN {room} 花子 RESUMABLE RELAY\n")).lines().next(),
        Some("JOINED lobby_1 花子 Анна,花子")
    );
    world.drain_to(0, 2);
    world.pass(1_000);
    assert!(world.hear(hanako).contains("MOVED lobby_1\n"));
    world.kill(2);
    world.say(hanako, "誰か\n");
    world.pass(3_000);
    assert!(world.hear(hanako).contains("MSG 花子 誰か\n"));
    let again = world.open(1);
    assert!(world.ask(again, &format!("RESUME {room} {token} RELAY\n")).starts_with("JOINED lobby_1 Анна "));
}
