//! LOCK and UNLOCK where the directory does not answer in time, and a link breaks as well. No I/O.

use chatd::join_token::RoomAccess;
use serde_json::{Value, json};

use crate::descriptors::{ROOM, made, maker};
use crate::join_tokens::world;
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
