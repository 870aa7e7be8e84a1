//! Rooms that are locked and unlocked: who comes in, who may, and when it is answered. No I/O.

use chatd::join_token::RoomAccess;
use chatd::peer_protocol::Disconnect;
use chatd::room_call::{DescriptorPatch, RoomCall};
use serde_json::{Value, json};

use crate::descriptors::{ROOM, described, join, made, maker, record};
use crate::join_tokens::{refused, world};
use crate::world::{Client, World};

/// Everything that the client is told.
fn told(world: &mut World, client: Client, json: bool) -> String {
    if json { Value::from(world.events(client)).to_string() } else { world.hear(client) }
}

/// The link breaks meanwhile: by lines nobody could tell that this is not the reply, and that what follows is none to the next command.
#[test]
fn a_lock_that_was_late_is_answered_once_where_the_reply_was_lost_with_a_link() {
    for (json, lost) in [(false, true), (false, false), (true, true), (true, false)] {
        let mut world = world(2, RoomAccess::Link);
        made(&mut world, 0, &json!({}));
        let auth = maker(&world, "mia", "moderator", &json!({}));
        let mia = if json { world.open_json(1) } else { world.open(1) };
        let say = |world: &mut World, message: &Value, line: &str| {
            if json { world.send(mia, message) } else { world.say(mia, line) }
        };
        let join = json!({"type": "join", "room": ROOM, "name": "mia", "auth": auth});
        say(&mut world, &join, &format!("JOIN {ROOM} mia AUTH={auth} RELAY\n"));
        world.pass(1_500);
        assert!(told(&mut world, mia, json).to_lowercase().contains("joined"));
        world.away = true;
        say(&mut world, &json!({"type": "lock", "id": 7}), "LOCK\n");
        world.mute = lost.then_some(0);
        world.pass(2_100);
        assert_eq!(told(&mut world, mia, json).contains("unavailable"), !lost);
        world.mute = Some(0);
        world.away = false;
        world.pass(2_000);
        world.mute = None;
        world.break_link(0, 1);
        world.pass(500);
        say(&mut world, &json!({"type": "ping"}), "PING\n");
        world.pass(100);
        let expected =
            if json { r#"[{"by":"mia","id":7,"type":"locked"},{"type":"pong"}]"# } else { "LOCKED mia\nPONG\n" };
        assert_eq!(told(&mut world, mia, json), expected, "lost: {lost}");
    }
}

#[test]
fn into_a_locked_room_nobody_new_comes_and_held_seats_come_back() {
    for planned in [true, false] {
        for entry in [0, 1] {
            let mut world = world(3, RoomAccess::Link);
            let mia = made(&mut world, 0, &json!({}));
            let bob = world.open(entry);
            let key = "KEY=0123456789abcdefghijkl";
            let joined = world.ask(bob, &format!("JOIN {ROOM} bob RELAY RESUMABLE {key}\n"));
            let seat = joined.lines().nth(1).unwrap().strip_prefix("TOKEN ").unwrap().to_owned();
            world.hear(mia);
            assert_eq!(world.ask(mia, "LOCK\n"), "LOCKED mia\n");
            assert_eq!(world.hear(bob), "LOCKED mia\n");
            assert_eq!(described(&world), json!({"locked": true}));
            refused(&join(&mut world, entry, "new").1, "room_locked");
            let time = world.time();
            world.pods[entry].disconnected(time, bob.1, Disconnect::Lost);
            world.leave_pod(0, 2, planned);
            refused(&join(&mut world, 2, "new").1, "room_locked");
            let again = world.open(2);
            world.say(again, &format!("RESUME {ROOM} {seat} RELAY\n"));
            world.pass(1_500);
            let heard = world.hear(again);
            assert!(heard.starts_with(&format!("JOINED {ROOM} bob ")), "planned: {planned}: {heard}");
            assert_eq!((heard.lines().nth(2), heard.matches("LOCKED").count()), (Some("LOCKED *"), 1), "{heard}");
            let by_key = world.open(2);
            world.say(by_key, &format!("JOIN {ROOM} bob RELAY RESUMABLE {key}\n"));
            world.pass(1_500);
            let heard = world.hear(by_key);
            assert!(heard.starts_with(&format!("JOINED {ROOM} bob ")), "planned: {planned}: {heard}");
            let who = world.open_json(2);
            let auth = maker(&world, "mia", "moderator", &json!({}));
            world.send(who, &json!({"type": "join", "room": ROOM, "name": "mia", "auth": auth}));
            world.pass(1_500);
            assert_eq!(world.events(who)[0]["locked"], true);
            world.send(who, &json!({"type": "unlock", "id": 7}));
            assert_eq!(world.events(who), [json!({"type": "unlocked", "by": "mia", "id": 7})]);
            assert_eq!(described(&world), Value::Null);
            assert!(join(&mut world, 2, "new").1.starts_with("JOINED "));
        }
    }
}

#[test]
fn who_goes_along_to_the_next_owner_knows_whether_the_room_is_locked() {
    for (planned, locked) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = world(3, RoomAccess::Link);
        let mia = made(&mut world, 0, &json!({}));
        let ann = world.open(1);
        world.ask(ann, &format!("JOIN {ROOM} ann RELAY\n"));
        let eve = world.open_json(1);
        world.send(eve, &json!({"type": "join", "room": ROOM, "name": "eve"}));
        world.ask(mia, if locked { "LOCK\n" } else { "LOCK\nUNLOCK\n" });
        world.hear(ann);
        world.events(eve);
        world.leave_pod(0, 2, planned);
        world.pass(1_500);
        let moved = world.events(eve).into_iter().find(|event| event["type"] == "moved").unwrap();
        assert_eq!(moved.get("locked"), locked.then_some(&json!(true)), "planned: {planned}: {moved}");
        // By lines only who may have missed it is told.
        let heard = world.hear(ann);
        let is_told = heard.starts_with(&format!("MOVED {ROOM}\nMISSED ?\nLOCKED *\n"));
        assert_eq!((is_told, heard.contains("LOCKED")), (locked && !planned, locked && !planned), "{heard}");
    }
}

#[test]
fn a_room_that_begins_locked_lets_moderators_in_who_unlock_it() {
    let mut world = world(2, RoomAccess::Link);
    let mia = made(&mut world, 1, &json!({"locked": true}));
    refused(&join(&mut world, 1, "bob").1, "room_locked");
    world.ask(mia, "LEAVE\n");
    let mia = world.open(0);
    let auth = maker(&world, "mia", "moderator", &json!({}));
    assert!(world.ask(mia, &format!("JOIN {ROOM} mia AUTH={auth} RELAY\n")).starts_with("JOINED "));
    assert_eq!(world.ask(mia, "UNLOCK\n"), "UNLOCKED mia\n");
    assert!(join(&mut world, 1, "bob").1.starts_with("JOINED "));
}

#[test]
fn a_join_whose_answer_was_lost_finds_its_seat_though_the_room_was_locked_since() {
    let mut world = world(2, RoomAccess::Link);
    let mia = made(&mut world, 0, &json!({}));
    // JOINED is lost with the link, over which the JOIN is sent again.
    world.mute = Some(0);
    let (bob, _) = join(&mut world, 1, "bob");
    assert_eq!(world.hear(mia), "ENTERED bob\n");
    assert_eq!(world.ask(mia, "LOCK\n"), "LOCKED mia\n");
    world.mute = None;
    world.break_link(0, 1);
    world.pass(1_500);
    let heard = world.hear(bob);
    assert!(heard.starts_with(&format!("JOINED {ROOM} bob mia,bob\n")), "{heard}");
}

#[test]
fn only_moderators_lock() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Link);
        made(&mut world, 0, &json!({}));
        let (ann, _) = join(&mut world, entry, "ann");
        refused(&world.ask(ann, "LOCK\n"), "forbidden");
        // In a room all is chat but what clients know: without a token this is a word like any other.
        let bob = world.open(entry);
        world.ask(bob, &format!("JOIN {ROOM} bob RELAY\n"));
        assert_eq!(world.ask(bob, "LOCK\n"), "MSG bob LOCK\n");
        let eve = world.open_json(entry);
        world.send(eve, &json!({"type": "join", "room": ROOM, "name": "eve"}));
        world.events(eve);
        world.send(eve, &json!({"type": "lock"}));
        assert_eq!(world.events(eve)[0]["code"], "forbidden");
        assert_eq!(described(&world), Value::Null);
        world.ask(bob, "LEAVE\n");
        refused(&world.ask(bob, "LOCK\n"), "not_in_room");
    }
}

#[test]
fn lock_is_answered_once_the_record_has_it_and_what_follows_is_answered_after_it() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Link);
        let owner = made(&mut world, 0, &json!({}));
        let (bob, _) = join(&mut world, 0, "bob");
        let mia = if entry == 0 {
            owner
        } else {
            let again = world.open(1);
            let auth = maker(&world, "mia", "moderator", &json!({}));
            world.say(again, &format!("JOIN {ROOM} mia AUTH={auth} RELAY\n"));
            world.pass(1_500);
            again
        };
        world.pass(200);
        for client in [mia, bob] {
            world.hear(client);
        }
        world.waits_for_answers = Some(0);
        world.say(mia, "LOCK\nfirst\nPING\nUNLOCK\nsecond\n");
        world.ask(bob, "meanwhile\n");
        world.pass(300);
        assert_eq!(world.hear(mia), "MSG bob meanwhile\n", "entry {entry}");
        world.waits_for_answers = None;
        world.hand_over_answers(0);
        world.pass(300);
        let expected = "LOCKED mia\nMSG mia first\nPONG\nUNLOCKED mia\nMSG mia second\n";
        assert_eq!(world.hear(mia), expected, "entry {entry}");
        assert_eq!(world.hear(bob), expected.replace("PONG\n", ""), "entry {entry}");
    }
}

#[test]
fn what_follows_a_lock_is_answered_after_it_also_where_the_room_has_come_to_its_own_pod() {
    let mut world = world(2, RoomAccess::Link);
    made(&mut world, 0, &json!({}));
    let mia = world.open(1);
    let auth = maker(&world, "mia", "moderator", &json!({}));
    world.say(mia, &format!("JOIN {ROOM} mia AUTH={auth} RELAY\n"));
    world.pass(1_500);
    world.hear(mia);
    world.kill_at_once(0);
    world.say(mia, "LOCK\nfirst\nUNLOCK\nsecond\n");
    world.pass(15_000);
    let heard = world.hear(mia);
    assert!(heard.ends_with("LOCKED mia\nMSG mia first\nUNLOCKED mia\nMSG mia second\n"), "{heard}");
}

#[test]
fn while_the_directory_is_away_lock_holds_here_and_is_answered_after_two_seconds() {
    let mut world = world(1, RoomAccess::Link);
    let mia = made(&mut world, 0, &json!({}));
    world.away = true;
    world.say(mia, "LOCK\n");
    refused(&join(&mut world, 0, "new").1, "room_locked");
    world.pass(1_500);
    assert_eq!(world.hear(mia), "");
    world.pass(600);
    refused(&world.hear(mia), "unavailable");
    world.away = false;
    world.pass(2_000);
    assert_eq!(world.hear(mia), "LOCKED mia\n", "now it is known");
    assert_eq!(described(&world), json!({"locked": true}));
}

/// A moderator's LOCK waits for the directory when the application unlocks the room.
#[test]
fn what_is_told_last_of_the_lock_is_how_it_is_and_by_whom() {
    for (away, told) in [(1_000, "LOCKED mia\nUNLOCKED *\n"), (2_100, "UNLOCKED *\n")] {
        let mut world = world(1, RoomAccess::Link);
        let mia = made(&mut world, 0, &json!({}));
        world.away = true;
        world.say(mia, "LOCK\n");
        let time = world.time();
        let patch = DescriptorPatch::parse(r#"{"locked":false}"#).unwrap();
        let _ = world.pods[0].call(time, ROOM.parse().unwrap(), RoomCall::Patch(patch));
        world.pass(away);
        let heard = world.hear(mia);
        assert_eq!(heard.starts_with("ERR unavailable "), away > 2_000, "{heard}");
        world.away = false;
        world.pass(2_000);
        assert_eq!(world.hear(mia), told);
    }
}

/// The pod loses its lease before the record has either, and the record is written before the lease is there again.
#[test]
fn a_lock_is_told_by_whom_it_is_also_where_the_lease_lapsed_before_the_record_had_it() {
    for (unlocks, told) in [(true, "UNLOCKED mia\n"), (false, "LOCKED *\n")] {
        for leased in [true, false] {
            let mut world = world(1, RoomAccess::Link);
            let mia = made(&mut world, 0, &json!({}));
            world.away = true;
            let time = world.time();
            let patch = DescriptorPatch::parse(r#"{"locked":true}"#).unwrap();
            let _ = world.pods[0].call(time, ROOM.parse().unwrap(), RoomCall::Patch(patch));
            if unlocks {
                world.say(mia, "UNLOCK\n");
            }
            world.run();
            world.now += 20_000;
            let time = world.time();
            world.pods[0].tick(time);
            world.away = false;
            world.now += 1_000;
            let time = world.time();
            world.pods[0].tick(time);
            world.run();
            let is_locked = record(&world).descriptor.is_some_and(|descriptor| descriptor.locked);
            assert_eq!(is_locked, !unlocks);
            assert_eq!(world.hear(mia), "", "the room waits for the lease");
            if leased {
                world.pass(500);
            } else {
                world.now += 1_500;
                let time = world.time();
                world.pods[0].tick(time);
            }
            assert_eq!(world.hear(mia), told, "with the lease: {leased}");
        }
    }
}
