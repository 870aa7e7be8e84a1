//! JOIN with a join token: who comes in, who has which seat, and when that ends. No I/O.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chatd::directory::Key;
use chatd::join_token::{KeySet, RoomAccess, Verifier};
use chatd::peer_protocol::Disconnect;
use chatd::protocol::ErrorCode;
use chatd::record::Record;
use serde_json::{Value, json};

use crate::world::{Client, World};

pub const SECRET: [u8; 32] = [9; 32];

pub fn verifier(secret: [u8; 32]) -> Arc<Verifier> {
    let text = STANDARD.encode(secret);
    Arc::new(Verifier::new(KeySet::from_files([("k".to_owned(), text)]).unwrap(), None, None))
}

pub fn world(pods: usize, access: RoomAccess) -> World {
    let mut world = World::with(pods, |settings| settings.access = access);
    world.pods.iter_mut().for_each(|pod| pod.set_join_keys(Some(verifier(SECRET))));
    world
}

pub fn seconds(world: &World) -> u64 {
    world.time().wall / 1_000
}

pub fn signed(secret: [u8; 32], claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(&secret).unwrap();
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}

/// A token of `sub` for one room, for so many seconds.
pub fn token(world: &World, sub: &str, room: &str, lasts: u64) -> String {
    signed(SECRET, &json!({"sub": sub, "room": room, "exp": seconds(world) + lasts}))
}

/// A room that was made with a token for that.
pub fn create(world: &mut World, host: Client) -> String {
    let auth = signed(SECRET, &json!({"sub": "host", "room": "*", "create": true, "exp": seconds(world) + 60}));
    let answer = world.ask(host, &format!("CREATE_ROOM AUTH={auth}\n"));
    answer.trim().strip_prefix("ROOM ").unwrap().to_owned()
}

/// A room with alice in it by a token.
pub fn seated(world: &mut World, entry: usize, words: &str) -> (String, Client) {
    let host = world.open(0);
    let room = create(world, host);
    let alice = world.open(entry);
    let auth = token(world, "user-1", &room, 3_600);
    let joined = world.ask(alice, &format!("JOIN {room} alice AUTH={auth} RELAY {words}\n"));
    assert!(joined.starts_with(&format!("JOINED {room} alice alice\n")), "{joined}");
    (room, alice)
}

pub fn refused(answer: &str, code: &str) {
    assert!(answer.starts_with(&format!("ERR {code} ")), "{code}: {answer}");
}

#[test]
fn with_a_token_one_comes_in_by_any_pod_and_without_only_where_the_link_is_enough() {
    for access in [RoomAccess::Link, RoomAccess::Token] {
        for entry in [0, 1] {
            let mut world = world(2, access);
            let (room, alice) = seated(&mut world, entry, "");
            assert_eq!(world.ask(alice, "hi\n"), "MSG alice hi\n");
            let bob = world.open(1);
            let answer = world.ask(bob, &format!("JOIN {room} bob RELAY\n"));
            if access == RoomAccess::Link {
                assert_eq!(answer, format!("JOINED {room} bob alice,bob\n"));
            } else {
                refused(&answer, "auth_required");
            }
        }
    }
}

#[test]
fn a_stranger_gets_one_answer_for_the_rooms_that_exist_and_those_that_do_not() {
    let mut world = world(2, RoomAccess::Token);
    let (room, alice) = seated(&mut world, 0, "RESUMABLE");
    world.hear(alice);
    let now = seconds(&world);
    let other = token(&world, "user-2", "zzzzzzz2", 60);
    let expired = signed(SECRET, &json!({"sub": "user-2", "room": "*", "exp": now - 31}));
    let forged = signed([8; 32], &json!({"sub": "user-2", "room": "*", "exp": now + 60}));
    for (ask, code) in [
        ("JOIN {room} bob".to_owned(), "auth_required"),
        ("JOIN {room} bob REDIRECT".to_owned(), "auth_required"),
        (format!("JOIN {{room}} bob AUTH={other}"), "forbidden"),
        (format!("JOIN {{room}} bob AUTH={expired}"), "auth_expired"),
        (format!("JOIN {{room}} bob AUTH={forged} REDIRECT"), "auth_invalid"),
        ("JOIN {room} bob AUTH=x KEY=0123456789abcdefghijkl".to_owned(), "auth_invalid"),
        ("RESUME {room} AQ7fKxSz0mEAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(), "bad_token"),
    ] {
        for pod in [0, 1] {
            let [there, nowhere] = [room.as_str(), "zzzzzzz3"].map(|room| {
                let stranger = world.open(pod);
                let before = world.requests;
                let answer = world.ask(stranger, &format!("{}\n", ask.replace("{room}", room)));
                (answer, world.requests - before)
            });
            refused(&there.0, code);
            assert_eq!(there, nowhere, "{ask}");
            // Without one the room itself may say that none is needed.
            assert_eq!(there.1, usize::from(code == "auth_required"), "{ask}");
        }
    }
    for pod in [0, 1] {
        for (auth, code) in [
            (None, ErrorCode::AuthRequired),
            (Some(&forged), ErrorCode::AuthInvalid),
            (Some(&expired), ErrorCode::AuthExpired),
            (Some(&other), ErrorCode::Forbidden),
        ] {
            for room in [room.as_str(), "zzzzzzz3"] {
                assert_eq!(world.look_up_with(pod, room, auth.map(String::as_str)), Some(Err(code)));
            }
        }
        let auth = token(&world, "user-9", &room, 60);
        assert_eq!(world.look_up_with(pod, &room, Some(&auth)), Some(Ok(1)));
    }
    // Who is let in learns it.
    let auth = token(&world, "user-2", "zzzzzzz3", 60);
    let bob = world.open(0);
    refused(&world.ask(bob, &format!("JOIN zzzzzzz3 bob AUTH={auth}\n")), "room_not_found");
}

#[test]
fn guesses_end_the_connection_as_those_at_rooms_do() {
    let mut world = world(1, RoomAccess::Token);
    let mallory = world.open(0);
    let mut heard = String::new();
    for _ in 0..10 {
        heard += &world.ask(mallory, "JOIN zzzzzzz3 bob AUTH=a.b.c\n");
    }
    assert!(heard.ends_with("BYE rate_limited\n"), "{heard}");
}

#[test]
fn the_owner_verifies_by_its_own_keys_whatever_the_entry_pod_has_found() {
    for access in [RoomAccess::Link, RoomAccess::Token] {
        let mut world = world(2, access);
        let (room, _) = seated(&mut world, 0, "");
        world.pods[0].set_join_keys(Some(verifier([7; 32])));
        let bob = world.open(1);
        let auth = token(&world, "user-2", &room, 60);
        refused(&world.ask(bob, &format!("JOIN {room} bob AUTH={auth} RELAY\n")), "auth_invalid");
        world.pods[0].set_join_keys(None);
        refused(&world.ask(bob, &format!("JOIN {room} bob AUTH={auth} RELAY\n")), "auth_invalid");
        world.pods[0].set_join_keys(Some(verifier(SECRET)));
        assert!(world.ask(bob, &format!("JOIN {room} bob AUTH={auth} RELAY\n")).starts_with("JOINED "));
    }
}

#[test]
fn one_person_has_one_seat_whatever_the_name_and_the_later_connection_has_it() {
    for (entry, again) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut world = world(2, RoomAccess::Link);
        let (room, old) = seated(&mut world, entry, "RESUMABLE");
        let bob = world.open(0);
        let auth = token(&world, "user-2", &room, 60);
        world.ask(bob, &format!("JOIN {room} bob AUTH={auth}\n"));
        // Neither the name nor somebody else's token is enough.
        let other = token(&world, "user-3", &room, 60);
        let carol = world.open(again);
        refused(&world.ask(carol, &format!("JOIN {room} alice AUTH={other} RELAY\n")), "name_taken");
        refused(&world.ask(carol, &format!("JOIN {room} alice RELAY\n")), "name_taken");
        let new = world.open(again);
        let auth = token(&world, "user-1", &room, 60);
        world.say(new, &format!("JOIN {room} somebody AUTH={auth} RELAY\n"));
        world.pass(1_500);
        let joined = world.hear(new);
        assert!(joined.starts_with(&format!("JOINED {room} alice alice,bob\n")), "{joined}");
        assert!(world.hear(old).ends_with("BYE replaced\n"));
        assert_eq!(world.ask(new, "hi\n").lines().last(), Some("MSG alice hi"));
        let heard = world.hear(bob);
        assert!(!heard.contains("EXITED") && !heard.contains("ENTERED"), "{heard}");
        assert_eq!(world.pods[0].player_count(), 2);
    }
}

#[test]
fn a_seat_with_a_token_is_not_to_be_had_by_its_key_alone() {
    let mut world = world(1, RoomAccess::Link);
    let (room, alice) = seated(&mut world, 0, "KEY=0123456789abcdefghijkl");
    let again = world.open(0);
    refused(&world.ask(again, &format!("JOIN {room} alice KEY=0123456789abcdefghijkl\n")), "name_taken");
    assert_eq!(world.ask(alice, "hi\n"), "MSG alice hi\n");
}

#[test]
fn a_person_is_known_at_the_next_owner_after_a_takeover_and_after_a_move() {
    for planned in [true, false] {
        let mut world = world(2, RoomAccess::Token);
        let (room, _) = seated(&mut world, 0, "RESUMABLE");
        let bob = world.open(1);
        let auth = token(&world, "user-2", &room, 600);
        world.ask(bob, &format!("JOIN {room} bob AUTH={auth} RELAY\n"));
        world.leave_pod(0, 1, planned);
        let again = world.open(1);
        let auth = token(&world, "user-1", &room, 600);
        world.say(again, &format!("JOIN {room} other AUTH={auth} RESUMABLE\n"));
        world.pass(1_500);
        let joined = world.hear(again);
        assert!(joined.starts_with(&format!("JOINED {room} alice alice,bob\n")), "planned: {planned}: {joined}");
        assert_eq!(world.pods[1].player_count(), 2);
        world.hear(bob);
        assert_eq!(world.ask(bob, "hi\n"), "MSG bob hi\n", "planned: {planned}");
    }
}

#[test]
fn the_record_tells_nobody_who_that_is() {
    let mut world = world(1, RoomAccess::Token);
    let (room, _) = seated(&mut world, 0, "RESUMABLE");
    world.pass(200);
    let stored = world.store[&Key::Room(room.parse().unwrap())].clone();
    let text = String::from_utf8(stored.to_vec()).unwrap();
    assert!(!text.contains("user-1"), "{text}");
    let auth = Record::parse(&stored).unwrap().seats["alice"].auth.unwrap();
    assert_eq!(auth.expires, 1_001 + 3_600);
}

#[test]
fn the_end_of_a_token_is_announced_and_then_comes() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Token);
        let (room, alice) = seated(&mut world, entry, "RESUMABLE");
        let bob = world.open_json(entry);
        let auth = token(&world, "user-2", &room, 90);
        world.send(bob, &json!({"type": "join", "room": room, "name": "bob", "auth": auth, "resumable": true}));
        let seat = world.events(bob)[0]["token"].clone();
        world.pass(29_000);
        assert_eq!(world.events(bob), [] as [Value; 0], "not before its time");
        world.pass(2_000);
        assert_eq!(world.events(bob), [json!({"type": "expiring", "seconds": 60})]);
        world.pass(88_000);
        assert_eq!(world.events(bob), [] as [Value; 0], "said once; the leeway is not over");
        world.pass(2_000);
        let end = world.events(bob);
        assert_eq!(
            (&end[0]["code"], &end[1]),
            (&json!("auth_expired"), &json!({"type": "bye", "code": "auth_expired"}))
        );
        assert_eq!(world.hear(alice), "ENTERED bob\nAWAY bob\n");
        // What the seat was given for is over: its own token is worth nothing more.
        let again = world.open_json(entry);
        world.send(again, &json!({"type": "resume", "room": room, "token": seat}));
        assert_eq!(world.events(again)[0]["code"], "auth_expired");
        let auth = token(&world, "user-2", &room, 600);
        world.send(again, &json!({"type": "join", "room": room, "name": "bob", "auth": auth}));
        assert_eq!(world.events(again)[0]["resumed"], true);
        assert_eq!(world.hear(alice), "BACK bob\n");
    }
}

#[test]
fn who_comes_late_with_a_token_is_warned_at_once() {
    let mut world = world(1, RoomAccess::Token);
    let host = world.open(0);
    let room = create(&mut world, host);
    let bob = world.open(0);
    let auth = token(&world, "user-2", &room, 20);
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob AUTH={auth}\n")), format!("JOINED {room} bob bob\n"));
    world.pass(100);
    assert_eq!(world.hear(bob), "EXPIRING 20\n");
    world.pass(51_000);
    assert!(world.hear(bob).ends_with("BYE auth_expired\n"));
}

#[test]
fn a_later_token_of_the_same_person_goes_on_and_no_other() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Token);
        let (room, alice) = seated(&mut world, 0, "");
        let bob = world.open(entry);
        let auth = token(&world, "user-2", &room, 90);
        world.ask(bob, &format!("JOIN {room} bob AUTH={auth} RELAY\n"));
        world.pass(40_000);
        assert_eq!(world.hear(bob), "EXPIRING 60\n");
        let others = [
            (token(&world, "user-1", &room, 600), "forbidden"),
            (token(&world, "user-2", "zzzzzzz3", 600), "forbidden"),
            (signed([8; 32], &json!({"sub": "user-2", "room": "*", "exp": 9_999_999_999_u64})), "auth_invalid"),
            ("nonsense".to_owned(), "auth_invalid"),
        ];
        for (auth, code) in others {
            refused(&world.ask(bob, &format!("REFRESH {auth}\n")), code);
        }
        let later = token(&world, "user-2", "*", 300);
        assert_eq!(world.ask(bob, &format!("REFRESH {later}\n")), "REFRESHED 300\n");
        world.pass(200_000);
        assert_eq!(world.hear(bob), "", "the first one would have ended");
        world.pass(41_000);
        assert_eq!(world.hear(bob), "EXPIRING 60\n");
        world.pass(91_000);
        assert!(world.hear(bob).ends_with("BYE auth_expired\n"));
        let heard = world.hear(alice);
        assert_eq!(heard, "ENTERED bob\nEXITED bob disconnected\n", "nobody has heard a token");
    }
}

#[test]
fn refresh_is_chat_for_those_who_have_no_token() {
    let mut world = world(2, RoomAccess::Link);
    let (room, _) = seated(&mut world, 0, "");
    for entry in [0, 1] {
        let bob = world.open(entry);
        world.ask(bob, &format!("JOIN {room} bob{entry} RELAY\n"));
        assert_eq!(world.ask(bob, "REFRESH the page\n"), format!("MSG bob{entry} REFRESH the page\n"));
        let carol = world.open_json(entry);
        world.send(carol, &json!({"type": "join", "room": room, "name": format!("carol{entry}")}));
        world.events(carol);
        let auth = token(&world, "user-3", &room, 600);
        world.send(carol, &json!({"type": "refresh", "auth": auth, "id": 7}));
        let answer = &world.events(carol)[0];
        assert_eq!((&answer["code"], &answer["id"]), (&json!("forbidden"), &json!(7)));
        world.send(carol, &json!({"type": "leave"}));
        world.ask(bob, "LEAVE\n");
    }
}

#[test]
fn the_later_end_is_known_at_the_next_owner() {
    for planned in [true, false] {
        let mut world = world(2, RoomAccess::Token);
        let (room, _) = seated(&mut world, 0, "RESUMABLE");
        let bob = world.open(1);
        let auth = token(&world, "user-2", &room, 90);
        world.ask(bob, &format!("JOIN {room} bob AUTH={auth} RELAY\n"));
        let later = token(&world, "user-2", &room, 600);
        assert_eq!(world.ask(bob, &format!("REFRESH {later}\n")), "REFRESHED 600\n");
        world.leave_pod(0, 1, planned);
        world.pass(130_000);
        let heard = world.hear(bob);
        assert!(!heard.contains("EXPIRING") && !heard.contains("BYE"), "planned: {planned}: {heard}");
        world.pass(420_000);
        let heard = world.hear(bob);
        assert!(heard.contains("EXPIRING "), "planned: {planned}: {heard}");
    }
}

#[test]
fn a_connection_that_was_replaced_does_not_take_the_seat_back_at_the_next_owner() {
    let mut world = world(3, RoomAccess::Token);
    let (room, old) = seated(&mut world, 1, "");
    // The owner ends and its record knows nothing of her: she may come again with a new seat, unless she has one by then.
    let key = Key::Room(room.parse().unwrap());
    let mut record = Record::parse(&world.store[&key]).unwrap();
    record.seats.clear();
    world.store.insert(key, record.to_bytes());
    world.kill_at_once(0);
    let new = world.open(2);
    let auth = token(&world, "user-1", &room, 600);
    world.say(new, &format!("JOIN {room} alice AUTH={auth} RELAY\n"));
    world.pass(8_000);
    let (heard_old, heard_new) = (world.hear(old), world.hear(new));
    assert!(heard_new.starts_with("JOINED "), "{heard_new}");
    let lives = |heard: &str| !heard.contains("BYE");
    assert!(lives(&heard_old) != lives(&heard_new), "one of them: {heard_old} {heard_new}");
    assert_eq!(world.pods[1].player_count() + world.pods[2].player_count(), 1);
}

#[test]
fn a_name_in_the_token_is_the_only_one_that_it_lets_in() {
    let mut world = world(1, RoomAccess::Token);
    let host = world.open(0);
    let room = create(&mut world, host);
    let now = seconds(&world);
    let auth = signed(SECRET, &json!({"sub": "u", "room": &room[..3].to_owned(), "exp": now + 60, "name": "Bob"}));
    refused(&world.ask(host, &format!("JOIN {room} bob AUTH={auth}\n")), "forbidden");
    let room_prefix = format!("{}*", &room[..3]);
    let auth = signed(SECRET, &json!({"sub": "u", "room": room_prefix, "exp": now + 60, "name": "Bob"}));
    refused(&world.ask(host, &format!("JOIN {room} alice AUTH={auth}\n")), "forbidden");
    assert!(world.ask(host, &format!("JOIN {room} bob AUTH={auth}\n")).starts_with("JOINED "));
}

#[test]
fn a_dropped_connection_keeps_its_seat_until_the_token_ends() {
    let mut world = world(1, RoomAccess::Token);
    let host = world.open(0);
    let room = create(&mut world, host);
    let bob = world.open(0);
    let auth = token(&world, "user-2", &room, 600);
    let joined = world.ask(bob, &format!("JOIN {room} bob AUTH={auth} RESUMABLE\n"));
    let seat = joined.lines().nth(1).unwrap().strip_prefix("TOKEN ").unwrap().to_owned();
    let time = world.time();
    world.pods[0].disconnected(time, bob.1, Disconnect::Lost);
    world.pass(5_000);
    let again = world.open(0);
    assert!(world.ask(again, &format!("RESUME {room} {seat}\n")).starts_with("JOINED "), "without the join token");
    // By lines, too, REFRESH is a command of who came back to such a seat.
    let later = token(&world, "user-2", &room, 900);
    assert_eq!(world.ask(again, &format!("REFRESH {later}\n")), "REFRESHED 900\n");
}

#[test]
fn viewers_hear_and_may_not_say_and_take_no_place() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Link);
        let (room, alice) = seated(&mut world, 0, "");
        for name in ["bob", "carol", "dora"] {
            let other = world.open(0);
            world.ask(other, &format!("JOIN {room} {name}\n"));
        }
        let late = world.open(0);
        refused(&world.ask(late, &format!("JOIN {room} late\n")), "room_full");
        let now = seconds(&world);
        let by_role =
            |sub: &str, role: &str| signed(SECRET, &json!({"sub": sub, "room": "*", "exp": now + 600, "role": role}));
        let mut viewers = Vec::new();
        for number in 0..64 {
            let viewer = world.open(entry);
            let auth = by_role(&format!("v{number}"), "viewer");
            let joined = world.ask(viewer, &format!("JOIN {room} viewer{number} AUTH={auth} RELAY\n"));
            assert!(joined.starts_with("JOINED "), "{joined}");
            viewers.push(viewer);
        }
        let auth = by_role("v64", "viewer");
        refused(&world.ask(late, &format!("JOIN {room} late AUTH={auth}\n")), "room_full");
        let viewer = viewers[0];
        world.hear(viewer);
        refused(&world.ask(viewer, "hi\n"), "forbidden");
        world.ask(alice, "hello\n");
        assert!(world.hear(viewer).ends_with("MSG alice hello\n"));
        assert_eq!(world.look_up_with(entry, &room, Some(&by_role("v0", "viewer"))), Some(Ok(4)), "players alone");
        // A player who would only hear now finds no place for that, and stays a player.
        let auth = by_role("user-1", "viewer");
        let again = world.open(entry);
        refused(&world.ask(again, &format!("JOIN {room} alice AUTH={auth} RELAY\n")), "room_full");
        assert_eq!(world.ask(alice, "still here\n"), "MSG alice still here\n");
        world.hear(viewer);
        // Nor does another token make a player of a viewer where there is no place.
        let auth = by_role("v0", "member");
        refused(&world.ask(viewer, &format!("REFRESH {auth}\n")), "forbidden");
        let again = world.open(entry);
        refused(&world.ask(again, &format!("JOIN {room} viewer0 AUTH={auth} RELAY\n")), "room_full");
        assert!(world.pods.iter().all(|pod| pod.over_bounds().is_none()));
    }
}

#[test]
fn where_rooms_need_a_token_so_does_whoever_makes_one() {
    let mut world = world(1, RoomAccess::Token);
    let mallory = world.open(0);
    refused(&world.ask(mallory, "CREATE_ROOM\n"), "auth_required");
    let soon = seconds(&world) + 60;
    for (claims, code) in [
        (json!({"room": "*", "exp": soon}), "forbidden"),
        (json!({"room": "game-7", "create": true, "exp": soon}), "forbidden"),
        (json!({"room": "*", "create": true, "exp": soon - 600}), "auth_expired"),
        (json!({"room": "*", "create": true, "exp": soon, "jti": "t1", "once": true}), "auth_invalid"),
    ] {
        let mut claims = claims;
        claims["sub"] = json!("user-1");
        let auth = signed(SECRET, &claims);
        refused(&world.ask(mallory, &format!("CREATE_ROOM AUTH={auth}\n")), code);
    }
    let host = world.open(0);
    create(&mut world, host);
    let time = world.time();
    world.pods[0].create_room(time, 7, None);
    world.run();
    assert_eq!(world.made, [Err(ErrorCode::AuthRequired)]);
}

#[test]
fn a_token_with_create_makes_its_room_and_no_other_does() {
    for create in [json!(true), json!({"max_players": 8})] {
        let mut world = world(2, RoomAccess::Token);
        let now = seconds(&world);
        let alice = world.open(1);
        let auth = token(&world, "user-1", "game-7", 60);
        refused(&world.ask(alice, &format!("JOIN game-7 alice AUTH={auth}\n")), "room_not_found");
        let claims = json!({"sub": "user-1", "room": "game-*", "exp": now + 600, "create": create});
        let auth = signed(SECRET, &claims);
        world.say(alice, &format!("JOIN game-7 alice AUTH={auth}\n"));
        world.pass(1_000);
        assert_eq!(world.hear(alice), "JOINED game-7 alice alice\n");
        let bob = world.open(0);
        let auth = token(&world, "user-2", "game-7", 60);
        assert_eq!(world.ask(bob, &format!("JOIN game-7 bob AUTH={auth} RELAY\n")), "JOINED game-7 bob alice,bob\n");
    }
}

#[test]
fn a_viewer_is_called_so_has_the_state_and_may_not_change_it() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Link);
        let (room, _) = seated(&mut world, 0, "");
        let exp = seconds(&world) + 600;
        let [ana, viewer] = [("ana", "member"), ("eve", "viewer")].map(|(name, role)| {
            let auth = signed(SECRET, &json!({"sub": name, "room": "*", "exp": exp, "role": role}));
            let client = world.open_json(entry);
            world.send(
                client,
                &json!({"type": "join", "room": room, "name": name, "auth": auth, "on_wrong_pod": "relay"}),
            );
            assert_eq!(world.events(client)[0]["type"], "joined");
            client
        });
        assert_eq!(world.events(ana)[0], json!({"type": "entered", "name": "eve", "role": "viewer"}));
        world.send(ana, &json!({"type": "who"}));
        let roles: Vec<_> =
            world.events(ana)[0]["players"].as_array().unwrap().iter().map(|it| it["role"].clone()).collect();
        assert_eq!(roles, [json!(null), json!(null), json!("viewer")]);
        world.send(viewer, &json!({"type": "state_set", "key": "a", "value": 1}));
        assert_eq!(world.events(viewer)[0]["code"], "forbidden");
        world.send(ana, &json!({"type": "state_set", "key": "a", "value": 1}));
        assert_eq!((&world.events(ana)[0]["version"], &world.events(viewer)[0]["version"]), (&json!(1), &json!(1)));
    }
}

#[test]
fn what_a_token_says_for_others_to_see_is_told_and_moves_with_the_seat() {
    for planned in [true, false] {
        let mut world = world(2, RoomAccess::Token);
        let (room, alice) = seated(&mut world, 0, "RESUMABLE");
        let carol = world.open_json(0);
        let auth = token(&world, "user-3", &room, 3_600);
        world.send(carol, &json!({"type": "join", "room": room, "name": "carol", "auth": auth, "resumable": true}));
        world.events(carol);
        world.hear(alice);
        let bob = world.open(1);
        let info = json!({"rank": ["\u{2028}", 7]});
        let exp = seconds(&world) + 3_600;
        let claims = json!({"sub": "user-2", "room": room, "exp": exp, "role": "moderator", "display": "Bob \"B\" Ö", "info": info});
        let joined = world.ask(bob, &format!("JOIN {room} bob AUTH={} RESUMABLE RELAY\n", signed(SECRET, &claims)));
        assert!(joined.starts_with(&format!("JOINED {room} bob alice,carol,bob\n")), "{joined}");
        assert_eq!(world.hear(alice), "ENTERED bob\n", "lines have no place for it");
        let entered =
            json!({"type": "entered", "name": "bob", "role": "moderator", "display": "Bob \"B\" Ö", "info": info});
        assert_eq!(world.events(carol), [entered]);
        world.leave_pod(0, 1, planned);
        let late = world.open_json(1);
        let auth = token(&world, "user-4", &room, 60);
        world.send(late, &json!({"type": "join", "room": room, "name": "late", "auth": auth}));
        world.pass(1_500);
        let joined = world.events(late).remove(0);
        let players = joined["players"].as_array().unwrap();
        let bob = players.iter().find(|player| player["name"] == "bob").unwrap();
        assert_eq!((&bob["display"], &bob["info"]), (&json!("Bob \"B\" Ö"), &info), "planned: {planned}");
        assert_eq!(bob["role"], "moderator", "planned: {planned}");
        let alice = players.iter().find(|player| player["name"] == "alice").unwrap();
        assert_eq!(*alice, json!({"name": "alice", "away": !planned || alice["away"] == true}));
    }
}

#[test]
fn refused_refreshes_are_guesses_and_too_many_end_the_connection() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Token);
        let (_, alice) = seated(&mut world, entry, "");
        for _ in 0..9 {
            world.pass(1_000);
            refused(&world.ask(alice, "REFRESH nonsense\n"), "auth_invalid");
        }
        world.pass(1_000);
        let end = world.ask(alice, "REFRESH nonsense\n");
        assert!(end.starts_with("ERR auth_invalid ") && end.ends_with("BYE rate_limited\n"), "{end}");
    }
}

#[test]
fn refreshed_is_said_once_the_record_has_it_and_before_what_follows() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Token);
        let (room, alice) = seated(&mut world, entry, "");
        world.pass(200);
        let (later, ends) = (token(&world, "user-1", &room, 7_200), seconds(&world) + 7_200);
        world.slow = true;
        world.say(alice, &format!("REFRESH {later}\nhi\n"));
        assert_eq!(world.hear(alice), "");
        world.slow = false;
        world.pass(1_000);
        assert_eq!(world.hear(alice).lines().last(), Some("MSG alice hi"));
        let stored = world.store[&Key::Room(room.parse().unwrap())].clone();
        assert_eq!(Record::parse(&stored).unwrap().seats["alice"].auth.unwrap().expires, ends);
    }
}
