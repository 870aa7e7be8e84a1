//! KICK by a moderator: the seat's end, its ban, and that both are in force at every owner once they were answered. No I/O.

use chatd::join_token::RoomAccess;
use chatd::peer_protocol::{Disconnect, Frame};
use chatd::protocol::{Ownership, RoomId};
use chatd::record::{Owner, Record};
use serde_json::{Value, json};

use crate::join_tokens::{SECRET, refused, seated, seconds, signed, token, world};
use crate::world::{Client, World};

const KEY: &str = "0123456789abcdefghijkl";

/// A room of the first pod with alice in it, and a moderator by way of pod `entry`.
fn moderated(pods: usize, entry: usize) -> (World, String, Client, Client) {
    let mut world = world(pods, RoomAccess::Link);
    let (room, alice) = seated(&mut world, 0, "");
    let moderator = world.open(entry);
    let auth = as_moderator(&world);
    let joined = world.ask(moderator, &format!("JOIN {room} mod AUTH={auth} RELAY\n"));
    assert!(joined.starts_with("JOINED "), "{joined}");
    world.hear(alice);
    (world, room, alice, moderator)
}

fn as_moderator(world: &World) -> String {
    let claims = json!({"sub": "mod", "room": "*", "exp": seconds(world) + 7_200, "role": "moderator"});
    signed(SECRET, &claims)
}

fn bans(world: &World, room: &str) -> usize {
    let room: RoomId = room.parse().unwrap();
    Record::parse(&world.store[&chatd::directory::Key::Room(room)]).unwrap().bans.len()
}

#[test]
fn a_moderator_ends_a_seat_and_its_token_and_key_bring_nothing_back() {
    for (entry, victim) in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)] {
        let (mut world, room, alice, moderator) = moderated(3, entry);
        let bob = world.open(victim);
        let join = format!("JOIN {room} bob RESUMABLE KEY={KEY} RELAY\n");
        let joined = world.ask(bob, &join);
        let seat = joined.lines().nth(1).unwrap().strip_prefix("TOKEN ").unwrap().to_owned();
        world.hear(alice);
        world.hear(moderator);
        assert_eq!(world.ask(moderator, "KICK bob\nhi\n"), "EXITED bob kicked\nKICKED bob\nMSG mod hi\n");
        assert!(world.hear(alice).starts_with("EXITED bob kicked\n"));
        let end = world.hear(bob);
        assert!(end.starts_with("ERR kicked ") && end.ends_with("BYE kicked\n"), "{end}");
        assert_eq!(bans(&world, &room), 1, "its seat is remembered");
        let again = world.open(victim);
        refused(&world.ask(again, &format!("RESUME {room} {seat} RELAY\n")), "bad_token");
        assert!(world.ask(again, &join).starts_with("JOINED "), "a kick alone is no ban");
        assert!(world.hear(alice).ends_with("ENTERED bob\n"), "as somebody new");
    }
}

#[test]
fn none_but_moderators_kick_and_none_themselves() {
    for entry in [0, 1] {
        let (mut world, room, alice, moderator) = moderated(2, entry);
        let bob = world.open(entry);
        world.ask(bob, &format!("JOIN {room} bob RELAY\n"));
        let viewer = world.open(entry);
        let claims = json!({"sub": "v", "room": "*", "exp": seconds(&world) + 60, "role": "viewer"});
        world.ask(viewer, &format!("JOIN {room} viewer AUTH={} RELAY\n", signed(SECRET, &claims)));
        for client in [alice, viewer, moderator] {
            world.hear(client);
        }
        refused(&world.ask(alice, "KICK bob\n"), "forbidden");
        refused(&world.ask(viewer, "KICK bob\n"), "forbidden");
        refused(&world.ask(moderator, "KICK MOD\n"), "forbidden");
        refused(&world.ask(moderator, "KICK carol\n"), "player_not_found");
        refused(&world.ask(moderator, "KICK bob 2592001\n"), "bad_command");
        world.hear(bob);
        assert_eq!(world.ask(bob, "KICK alice\n"), "MSG bob KICK alice\n", "chat, as ever, without a join token");
        let outside = world.open(entry);
        refused(&world.ask(outside, "KICK bob\n"), "not_in_room");
    }
}

#[test]
fn by_json_it_is_answered_with_its_number() {
    let (mut world, room, alice, _) = moderated(2, 0);
    let moderator = world.open_json(1);
    let auth = as_moderator(&world);
    world.send(moderator, &json!({"type": "join", "room": room, "name": "mod", "auth": auth}));
    world.events(moderator);
    world.send(moderator, &json!({"type": "kick", "name": "alice", "ban_s": 60, "id": 7}));
    let events: Vec<Value> = world.events(moderator);
    assert_eq!(
        events,
        [
            json!({"type": "exited", "name": "alice", "reason": "kicked"}),
            json!({"type": "kicked", "name": "alice", "id": 7})
        ]
    );
    assert!(world.hear(alice).ends_with("BYE kicked\n"));
}

#[test]
fn a_ban_is_in_force_at_the_next_owner_until_it_ends() {
    for planned in [true, false] {
        let (mut world, room, alice, moderator) = moderated(2, 1);
        let bob = world.open(1);
        world.ask(bob, &format!("JOIN {room} bob RESUMABLE RELAY\n"));
        world.hear(moderator);
        assert_eq!(world.ask(moderator, "KICK alice 600\n"), "EXITED alice kicked\nKICKED alice\n");
        assert_eq!(world.ask(moderator, "KICK bob 600\n"), "EXITED bob kicked\nKICKED bob\n");
        assert!(world.hear(alice).ends_with("BYE kicked\n"));
        world.leave_pod(0, 1, planned);
        let tries = |world: &mut World| {
            let auth = token(world, "user-1", &room, 60);
            ["JOIN {room} other AUTH={auth}\n", "JOIN {room} BOB\n", "JOIN {room} alice\n"].map(|line| {
                let client = world.open(1);
                world.say(client, &line.replace("{room}", &room).replace("{auth}", &auth));
                world.pass(1_000);
                world.hear(client)
            })
        };
        let [by_sub, by_name, her_name] = tries(&mut world);
        refused(&by_sub, "banned");
        refused(&by_name, "banned");
        assert!(her_name.starts_with("JOINED "), "planned: {planned}: her name is free: {her_name}");
        world.pass(600_000);
        let [by_sub, ..] = tries(&mut world);
        assert!(by_sub.starts_with("JOINED "), "planned: {planned}: {by_sub}");
    }
}

#[test]
fn a_seat_whose_player_is_away_or_whose_link_is_broken_ends_too() {
    for broken in [false, true] {
        let (mut world, room, _, moderator) = moderated(2, 0);
        let bob = world.open(1);
        let joined = world.ask(bob, &format!("JOIN {room} bob RESUMABLE RELAY\n"));
        let seat = joined.lines().nth(1).unwrap().strip_prefix("TOKEN ").unwrap().to_owned();
        if broken {
            // The owner has its seat without a connection, and the session comes back a moment later.
            let time = world.time();
            world.pods[0].peer_down(time, crate::world::boot(1));
            world.say(moderator, "KICK bob\n");
            world.pods[1].peer_down(time, crate::world::boot(0));
            world.run();
            world.pass(1_000);
            let end = world.hear(bob);
            assert!(end.starts_with("ERR bad_token ") && end.ends_with(&format!("LEFT {room}\n")), "{end}");
        } else {
            let time = world.time();
            world.pods[1].disconnected(time, bob.1, Disconnect::Lost);
            world.run();
            world.say(moderator, "KICK bob\n");
        }
        assert!(world.hear(moderator).ends_with("EXITED bob kicked\nKICKED bob\n"));
        let again = world.open(1);
        refused(&world.ask(again, &format!("RESUME {room} {seat} RELAY\n")), "bad_token");
    }
}

#[test]
fn a_session_that_has_heard_nothing_of_it_gets_no_seat_at_the_next_owner() {
    let (mut world, room, _, moderator) = moderated(2, 1);
    let bob = world.open(1);
    world.ask(bob, &format!("JOIN {room} bob RELAY\n"));
    world.pass(200);
    world.hear(moderator);
    // What the owner says to bob is lost with it; the record has what it answered to the moderator.
    world.mute = Some(0);
    world.say(moderator, "KICK bob\n");
    world.pass(100);
    world.kill_at_once(0);
    world.pass(10_000);
    let end = world.hear(bob);
    assert!(end.starts_with("ERR bad_token ") && end.ends_with(&format!("LEFT {room}\n")), "{end}");
    assert!(!world.hear(moderator).contains("ENTERED bob"));
}

#[test]
fn without_the_directory_nobody_knows_whether_it_stays() {
    for entry in [0, 1] {
        let (mut world, room, _, moderator) = moderated(2, entry);
        let bob = world.open(0);
        world.ask(bob, &format!("JOIN {room} bob\n"));
        world.pass(200);
        world.hear(moderator);
        world.slow = true;
        world.say(moderator, "KICK bob 60\nhi\n");
        world.pass(1_900);
        assert_eq!(world.hear(moderator), "", "the answers are in order");
        assert!(world.hear(bob).ends_with("BYE kicked\n"), "the seat has ended all the same");
        world.pass(200);
        let heard = world.hear(moderator);
        let mut lines = heard.lines();
        assert_eq!(lines.next(), Some("EXITED bob kicked"), "{heard}");
        refused(lines.next().unwrap(), "unavailable");
        assert_eq!(lines.next(), Some("MSG mod hi"));
        let again = world.open(0);
        refused(&world.ask(again, &format!("JOIN {room} bob\n")), "banned");
    }
}

#[test]
fn a_join_that_is_not_answered_yet_ends_with_it() {
    let (mut world, room, alice, moderator) = moderated(1, 0);
    world.slow = true;
    let bob = world.open(0);
    world.say(bob, &format!("JOIN {room} bob\n"));
    world.say(moderator, "KICK bob 60\n");
    world.pass(2_500);
    let end = world.hear(bob);
    assert!(end.starts_with("ERR kicked ") && end.ends_with("BYE kicked\n"), "{end}");
    assert!(!world.hear(alice).contains("bob"), "the others have never heard of bob");
}

#[test]
fn what_came_of_a_kick_nobody_knows_where_the_room_has_gone_to_another_owner() {
    let (mut world, room, _, moderator) = moderated(2, 0);
    let bob = world.open(0);
    world.ask(bob, &format!("JOIN {room} bob\n"));
    world.pass(200);
    world.hear(moderator);
    world.slow = true;
    world.say(moderator, "KICK bob 60\n");
    // Another pod has taken the room over: its record has neither.
    let ownership = Ownership { epoch: 1 << 50, boot: crate::world::boot(1) };
    let [tcp, web, peer] = ["pod1:7654", "pod1:8081", "1"].map(String::from);
    let owner = Owner { ownership, pod_id: "chat-1".into(), tcp, web, peer };
    let time = world.time();
    world.pods[0].peer_up(time, crate::world::boot(1));
    world.pods[0].frame(time, crate::world::boot(1), Frame::OwnerChanged { room: room.parse().unwrap(), owner });
    let heard = world.hear(moderator);
    refused(&heard, "unavailable");
}
