//! Calls of the server API at the hub: by any pod, once, and what they leave at the next owner. No I/O.

use chatd::descriptor::Descriptor;
use chatd::protocol::{ErrorCode, PlayerName, RoomId};
use chatd::room_call::{CallKey, DescriptorPatch, RoomCall};
use serde_json::{Value, json};

use crate::world::{Client, World};

const ROOM: &str = "duel.1";

fn system(name: &str) -> PlayerName {
    PlayerName::system(name).unwrap()
}

fn create(descriptor: &Value) -> RoomCall {
    let descriptor = Descriptor::parse(&descriptor.to_string()).unwrap();
    RoomCall::Create { descriptor: Some(Box::new(descriptor)), made: false }
}

fn say(text: &str, key: Option<u128>) -> RoomCall {
    RoomCall::Say { from: system(""), text: text.into(), key: key.map(CallKey) }
}

fn send(kind: &str, to: Option<&str>, volatile: bool, key: Option<u128>) -> RoomCall {
    let to = to.map(|name| vec![name.parse().unwrap()]);
    let (from, kind, data) = (system("Referee"), kind.parse().unwrap(), json!({"n": 1}).to_string().into());
    RoomCall::Send { from, kind, data, to, volatile, key: key.map(CallKey) }
}

fn kick(name: &str, ban_s: Option<u32>) -> RoomCall {
    RoomCall::Kick { name: name.parse().unwrap(), ban_s }
}

/// A room that the application has made at the first pod, with alice in it by way of pod `entry`.
fn seated(pods: usize, entry: usize, descriptor: &Value) -> (World, Client) {
    let mut world = World::new(pods);
    let made = world.call(0, ROOM, create(descriptor)).unwrap();
    assert_eq!((&made["pod"], &made["created"]), (&json!("chat-0"), &json!(true)));
    let alice = world.open_json(entry);
    world.send(alice, &json!({"type": "join", "room": ROOM, "name": "alice"}));
    assert_eq!(world.events(alice)[0]["type"], "joined");
    (world, alice)
}

#[test]
fn every_pod_makes_a_room_once_and_shows_it() {
    let like = json!({"max_players": 2, "kind": "duel", "labels": ["eu"]});
    for pods in [[0, 0], [0, 1], [1, 0]] {
        let mut world = World::new(2);
        assert_eq!(world.call(pods[0], ROOM, RoomCall::Get), Err(ErrorCode::RoomNotFound));
        let made = world.call(pods[0], ROOM, create(&like)).unwrap();
        let pod = format!("chat-{}", pods[0]);
        assert_eq!(
            made,
            json!({"room": ROOM, "pod": pod, "max_players": 2, "players": [], "descriptor": like, "created": true})
        );
        let again = world.call(pods[1], ROOM, create(&like)).unwrap();
        assert_eq!(again.get("created"), None, "it was there");
        let other = world.call(pods[1], ROOM, create(&json!({"max_players": 3})));
        assert_eq!(other, Err(ErrorCode::RoomExists));
        let lock = DescriptorPatch::parse(r#"{"locked":true}"#).unwrap();
        world.call(pods[1], ROOM, RoomCall::Patch(lock)).unwrap();
        assert!(world.call(pods[1], ROOM, create(&like)).is_ok(), "it is the same room, whoever has locked it");
        let unlock = DescriptorPatch::parse(r#"{"locked":null}"#).unwrap();
        world.call(pods[1], ROOM, RoomCall::Patch(unlock)).unwrap();
        let guest = world.open(pods[1]);
        assert!(world.ask(guest, &format!("JOIN {ROOM} bob RELAY\n")).starts_with("JOINED "));
        let seen = world.call(pods[1], ROOM, RoomCall::Get).unwrap();
        assert_eq!(seen["players"], json!([{"name": "bob", "role": "member"}]));
    }
}

#[test]
fn two_pods_that_make_a_room_at_once_make_one() {
    let mut world = World::new(2);
    let time = world.time();
    let room: RoomId = ROOM.parse().unwrap();
    let calls = [0, 1].map(|pod| (pod, world.pods[pod].call(time, room, create(&json!({"kind": "a"})))));
    world.run();
    world.pass(500);
    let owners = calls.map(|call| world.answer_to(call).unwrap()["pod"].clone());
    assert_eq!(owners[0], owners[1]);
}

#[test]
fn what_the_application_says_is_in_order_with_what_players_say_and_seen_to_be_its_own() {
    for (pod, entry) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (mut world, alice) = seated(2, entry, &json!({}));
        assert_eq!(world.call(pod, ROOM, say("Welcome!", None)), Ok(json!({"seq": 1})));
        assert_eq!(world.call(pod, ROOM, send("round", None, false, None)), Ok(json!({"seq": 2})));
        assert_eq!(world.call(pod, ROOM, send("hint", Some("alice"), false, None)), Ok(json!({"reached": ["alice"]})));
        assert_eq!(world.call(pod, ROOM, send("hint", Some("bob"), true, None)), Ok(json!({"reached": []})));
        let heard = world.events(alice);
        let parts = |event: &Value| {
            ["type", "from", "system", "seq", "text", "kind"].map(|key| event.get(key).cloned().unwrap_or_default())
        };
        assert_eq!(
            heard.iter().map(parts).collect::<Vec<_>>(),
            [
                [json!("message"), json!("*"), json!(true), json!(1), json!("Welcome!"), Value::Null],
                [json!("event"), json!("Referee"), json!(true), json!(2), Value::Null, json!("round")],
                [json!("event"), json!("Referee"), json!(true), Value::Null, Value::Null, json!("hint")],
            ]
        );
    }
}

#[test]
fn lines_clients_see_a_star_that_no_name_has() {
    let (mut world, _) = seated(1, 0, &json!({}));
    let bob = world.open(0);
    assert!(world.ask(bob, &format!("JOIN {ROOM} bob\n")).starts_with("JOINED "));
    let spoken = RoomCall::Say { from: system("Referee"), text: "go".into(), key: None };
    world.call(0, ROOM, spoken).unwrap();
    world.call(0, ROOM, say("stop", None)).unwrap();
    assert_eq!(world.hear(bob), "MSG *Referee go\nMSG * stop\n");
    let eve = world.open(0);
    assert!(world.ask(eve, &format!("JOIN {ROOM} *Referee\n")).starts_with("ERR bad_name "));
}

#[test]
fn a_call_with_a_key_is_carried_out_once_also_after_a_planned_move() {
    let (mut world, alice) = seated(2, 1, &json!({}));
    for pod in [0, 1] {
        assert_eq!(world.call(pod, ROOM, say("once", Some(7))), Ok(json!({"seq": 1})));
        assert_eq!(world.call(pod, ROOM, send("once", None, false, Some(8))), Ok(json!({"seq": 2})));
    }
    world.leave_pod(0, 1, true);
    assert_eq!(world.call(1, ROOM, say("once", Some(7))), Ok(json!({"seq": 1})));
    assert_eq!(world.call(1, ROOM, say("twice", Some(9))), Ok(json!({"seq": 3})));
    let said = world.events(alice).into_iter().filter(|event| event.get("seq").is_some() && event["type"] != "moved");
    assert_eq!(said.map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_call_with_a_key_is_carried_out_once_whatever_the_room_keeps_for_replay() {
    let (mut world, alice) = seated(2, 1, &json!({"replay_messages": 0}));
    let calls = [
        (say("once", Some(7)), json!({"seq": 1})),
        (send("once", None, false, Some(8)), json!({"seq": 2})),
        (send("whisper", Some("alice"), false, Some(9)), json!({"reached": ["alice"]})),
        (send("cursor", None, true, Some(10)), json!({"reached": ["alice"]})),
    ];
    for pod in [0, 1] {
        for (call, answer) in &calls {
            assert_eq!(world.call(pod, ROOM, call.clone()).as_ref(), Ok(answer));
        }
    }
    world.leave_pod(0, 1, true);
    for (call, answer) in calls {
        assert_eq!(world.call(1, ROOM, call), Ok(answer));
    }
    let heard = world.events(alice);
    assert_eq!(heard.iter().filter(|event| event["type"] == "message" || event["type"] == "event").count(), 4);
}

#[test]
fn an_owner_that_dies_in_the_middle_leaves_a_doubt_where_a_call_must_not_come_twice() {
    for (call, expected) in [
        (say("hello", None), Err(ErrorCode::Unavailable)),
        (say("hello", Some(3)), Ok("seq")),
        (RoomCall::Get, Ok("pod")),
        (kick("alice", None), Err(ErrorCode::PlayerNotFound)),
        (RoomCall::End, Err(ErrorCode::RoomNotFound)),
    ] {
        let (mut world, _) = seated(2, 0, &json!({}));
        world.pass(200);
        world.mute = Some(0);
        let session = world.begin_call(1, ROOM, call.clone());
        world.pass(100);
        assert_eq!(world.answers_to(session), None, "{call:?}: what the owner answers is lost");
        world.kill_at_once(0);
        world.pass(10_000);
        let answer = world.answer_to(session);
        assert_eq!(answer.as_ref().err(), expected.as_ref().err(), "{call:?}: {answer:?}");
        if let Ok(key) = expected {
            assert!(answer.unwrap().get(key).is_some(), "{call:?}");
        }
    }
}

#[test]
fn a_room_that_was_ended_does_not_come_back() {
    for (pod, planned) in [(0, None), (1, None), (0, Some(false)), (1, Some(false))] {
        let (mut world, alice) = seated(2, 1, &json!({"kind": "duel"}));
        assert_eq!(world.call(pod, ROOM, RoomCall::End), Ok(json!({"closed": ROOM})));
        let end = world.events(alice).pop().unwrap();
        assert_eq!((&end["type"], &end["code"]), (&json!("bye"), &json!("closed")));
        if planned.is_some() {
            world.kill_at_once(0);
        }
        world.pass(3_000);
        let other = world.open(1);
        world.say(other, &format!("JOIN {ROOM} alice RELAY\n"));
        world.pass(1_000);
        assert!(world.hear(other).starts_with("ERR room_not_found "));
        assert_eq!(world.call(1, ROOM, RoomCall::Get), Err(ErrorCode::RoomNotFound));
        world.pass(10_000);
        let made = world.call(1, ROOM, create(&json!({"kind": "other"}))).unwrap();
        assert_eq!(made["created"], true, "another one may have its name");
    }
}

#[test]
fn a_kick_and_a_patch_are_in_force_at_the_next_owner_once_they_are_answered() {
    for (pod, planned) in [(0, true), (1, true), (0, false), (1, false)] {
        let (mut world, alice) = seated(2, 1, &json!({"kind": "duel"}));
        assert_eq!(world.call(pod, ROOM, kick("bob", None)), Err(ErrorCode::PlayerNotFound));
        assert_eq!(world.call(pod, ROOM, kick("alice", Some(600))), Ok(json!({"kicked": "alice"})));
        assert_eq!(world.events(alice).pop().unwrap()["code"], "kicked");
        let patch = DescriptorPatch::parse(r#"{"max_players":7,"kind":null}"#).unwrap();
        let patched = world.call(pod, ROOM, RoomCall::Patch(patch)).unwrap();
        assert_eq!((&patched["max_players"], &patched["descriptor"]), (&json!(7), &json!({"max_players": 7})));
        world.leave_pod(0, 1, planned);
        let again = world.open(1);
        world.say(again, &format!("JOIN {ROOM} alice\n"));
        world.pass(3_000);
        assert!(world.hear(again).starts_with("ERR banned "));
        assert_eq!(world.call(1, ROOM, RoomCall::Get).unwrap()["max_players"], 7);
    }
}

#[test]
fn a_state_that_is_too_long_to_be_kept_is_not_silently_lost() {
    let keep = || RoomCall::Patch(DescriptorPatch::parse(r#"{"state":"kept"}"#).unwrap());
    for pod in [0, 1] {
        let (mut world, alice) = seated(2, 1, &json!({}));
        let set = |value: &str| json!({"type": "state_set", "id": 1, "key": "board", "value": value});
        world.send(alice, &set(&"x".repeat(3_000)));
        assert_eq!(world.call(pod, ROOM, keep()), Err(ErrorCode::StateFull));
        assert_eq!(world.call(pod, ROOM, RoomCall::Get).unwrap()["descriptor"], json!({}));
        world.send(alice, &set("short"));
        assert_eq!(world.call(pod, ROOM, keep()).unwrap()["descriptor"], json!({"state": "kept"}));
        world.kill(0);
        world.pass(20_000);
        let heard = world.events(alice);
        assert!(heard.iter().any(|event| event["entries"][0]["value"] == "short"), "{heard:?}");
    }
}

#[test]
fn the_application_locks_and_everyone_hears_it() {
    let (mut world, alice) = seated(2, 1, &json!({}));
    for locked in [true, false] {
        let patch = DescriptorPatch::parse(&json!({"locked": locked}).to_string()).unwrap();
        world.call(1, ROOM, RoomCall::Patch(patch.clone())).unwrap();
        let heard = world.events(alice);
        assert_eq!(heard.len(), 1, "{heard:?}");
        let expected = if locked { "locked" } else { "unlocked" };
        assert_eq!((&heard[0]["type"], &heard[0]["by"]), (&json!(expected), &json!("*")));
        world.call(1, ROOM, RoomCall::Patch(patch)).unwrap();
        assert!(world.events(alice).is_empty(), "nothing has changed");
    }
}

#[test]
fn without_the_directory_what_only_the_owner_needs_is_done_and_the_rest_is_in_doubt() {
    let (mut world, alice) = seated(2, 0, &json!({}));
    world.pass(200);
    world.slow = true;
    assert_eq!(world.call(1, ROOM, say("hi", None)), Ok(json!({"seq": 1})));
    assert!(world.call(0, ROOM, RoomCall::Get).is_ok());
    let patch = DescriptorPatch::parse(r#"{"max_players":3}"#).unwrap();
    let sessions =
        [RoomCall::Patch(patch), kick("alice", None), RoomCall::End].map(|call| world.begin_call(0, ROOM, call));
    world.pass(2_100);
    for session in sessions {
        assert_eq!(world.answer_to(session), Err(ErrorCode::Unavailable));
    }
    assert!(!world.events(alice).is_empty());
}

#[test]
fn a_call_waits_for_no_longer_than_a_join() {
    let (mut world, _) = seated(2, 0, &json!({}));
    world.pass(200);
    world.mute = Some(0);
    let session = world.begin_call(1, ROOM, RoomCall::Get);
    world.pass(5_000);
    assert_eq!(world.answer_to(session), Err(ErrorCode::Unavailable));
    assert!(world.pods[1].drained() || world.pods[1].gauges().connections_web == 0, "nothing is left of it");
}

#[test]
fn a_room_is_made_anew_right_after_its_end() {
    for pods in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (mut world, _) = seated(2, 1, &json!({"kind": "duel"}));
        // The directory answers late: the dead room is still there.
        world.waits_for_answers = Some(0);
        let end = world.begin_call(pods.0, ROOM, RoomCall::End);
        let made = world.begin_call(pods.1, ROOM, create(&json!({"kind": "other"})));
        for _ in 0..5 {
            world.hand_over_answers(0);
        }
        world.waits_for_answers = None;
        world.hand_over_answers(0);
        world.pass(1_000);
        assert_eq!(world.answer_to(end), Ok(json!({"closed": ROOM})), "{pods:?}");
        let made = world.answer_to(made).unwrap();
        assert_eq!((&made["created"], &made["descriptor"]["kind"]), (&json!(true), &json!("other")), "{pods:?}");
    }
}
