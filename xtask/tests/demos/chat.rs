//! Players with nc in a pod of the cluster, over three chatd pods. Does I/O.

use std::time::Duration;

use crate::world::{LONG, NAMESPACE, Player, SOON, TAKEOVER, World, until};

/// Made at this pod, so owned by it.
pub fn room_at(world: &World, pod: u32) -> String {
    let mut player = world.player_at(pod);
    player.say("CREATE_ROOM");
    player.read("ROOM ", SOON).split(' ').nth(1).unwrap().to_owned()
}

/// In the room, carried there if it is another pod's.
pub fn join(world: &World, pod: u32, room: &str, name: &str) -> Player {
    let mut player = world.player_at(pod);
    player.say(&format!("JOIN {room} {name} RELAY"));
    player.read(&format!("JOINED {room} {name} "), SOON);
    player
}

/// Both hear what each says.
pub fn talk(one: &mut Player, other: &mut Player, text: &str, limit: Duration) {
    one.say(&format!("SAY {text} one"));
    for player in [&*one, &*other] {
        said(player, &format!("{text} one"), limit);
    }
    other.say(&format!("SAY {text} other"));
    for player in [&*one, &*other] {
        said(player, &format!("{text} other"), limit);
    }
}

pub fn said(player: &Player, text: &str, limit: Duration) {
    let deadline = std::time::Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        if player.read("MSG ", left).ends_with(text) {
            return;
        }
    }
}

pub fn a_room_is_made_and_joined_through_every_pod(world: &World) {
    for owner in 0..3 {
        let room = room_at(world, owner);
        let mut players: Vec<Player> = (0..3).map(|pod| join(world, pod, &room, &format!("at{pod}"))).collect();
        for at in 0..3 {
            players[at].say(&format!("SAY hello from {at}"));
            for player in &players {
                said(player, &format!("hello from {at}"), SOON);
            }
        }
    }
}

/// Under the seccomp profile RuntimeDefault, which the operator asks for.
pub fn client_writes_share_system_calls_in_a_pod(world: &World) {
    let log = world.kubectl(&["logs", "chat-0", "--namespace=chatd", "--container=chatd"]);
    assert!(log.contains("batching client writes with io_submit"), "{log}");
}

pub fn a_redirect_is_followed_by_the_address_that_it_names(world: &World) {
    let room = room_at(world, 2);
    let mut lost = world.player_at(0);
    lost.say(&format!("JOIN {room} bob"));
    let redirect = lost.read("REDIRECT ", SOON);
    let words: Vec<&str> = redirect.split(' ').collect();
    assert_eq!(words, ["REDIRECT", "chat-2.chat-pods.chatd.svc:7654", &room]);
    let mut found = world.player(words[1]);
    found.say(&format!("JOIN {room} bob"));
    found.read(&format!("JOINED {room} bob bob"), SOON);
}

pub fn the_owner_is_deleted_and_the_room_goes_on(world: &World) {
    world.await_chatd();
    let room = room_at(world, 1);
    let (mut ana, mut bob) = (join(world, 0, &room, "ana"), join(world, 2, &room, "bob"));
    talk(&mut ana, &mut bob, "before", SOON);
    let uid = world.uid("chatd", "chat-1");
    world.kubectl(&["delete", "pod", "chat-1", "--namespace=chatd", "--wait=false"]);
    for player in [&ana, &bob] {
        player.read(&format!("MOVED {room}"), SOON);
    }
    talk(&mut ana, &mut bob, "after", SOON);
    world.await_successor("chatd", "chat-1", &uid);
    let carl = join(world, 1, &room, "carl");
    ana.say("SAY welcome");
    said(&carl, "welcome", SOON);
}

pub fn the_owner_crashes_and_the_room_goes_on(world: &World) {
    world.await_chatd();
    let room = room_at(world, 1);
    let (mut ana, mut bob) = (join(world, 0, &room, "ana"), join(world, 2, &room, "bob"));
    talk(&mut ana, &mut bob, "before", SOON);
    world.kill("chatd", "chat-1", "chatd");
    for player in [&ana, &bob] {
        player.read(&format!("MOVED {room}"), TAKEOVER);
    }
    talk(&mut ana, &mut bob, "after", SOON);
    world.await_chatd();
}

/// Until the pod can use Redis.
fn await_directory(world: &World, pod: u32) {
    until(LONG, "a room can be made again", || {
        let mut player = world.player_at(pod);
        player.say("CREATE_ROOM");
        player.read("", SOON).starts_with("ROOM ")
    });
}

pub fn redis_is_away_and_back_and_rooms_go_on(world: &World) {
    world.await_chatd();
    let room = room_at(world, 0);
    let (mut ana, mut bob) = (join(world, 0, &room, "ana"), join(world, 1, &room, "bob"));
    talk(&mut ana, &mut bob, "before", SOON);
    world.kubectl(&["scale", "statefulset/redis", "--namespace=databases", "--replicas=0"]);
    until(LONG, "Redis to be gone", || world.uid("databases", "redis-0").is_empty());
    let mut visitor = world.player_at(2);
    visitor.say("CREATE_ROOM");
    visitor.read("ERR unavailable", SOON);
    talk(&mut ana, &mut bob, "while it is away", SOON);
    world.kubectl(&["scale", "statefulset/redis", "--namespace=databases", "--replicas=1"]);
    world.await_rollout("databases", "statefulset/redis");
    await_directory(world, 2);
    talk(&mut ana, &mut bob, "after", SOON);
    // From a pod that has not met the room: by its record.
    let _carl = join(world, 2, &room, "carl");
}

pub fn a_node_is_drained_and_rooms_go_on(world: &World) {
    world.await_chatd();
    // Where the players' nc is.
    let stays = world.node_of(NAMESPACE, "toolbox");
    let nodes = world.get(&["nodes"]);
    let names = nodes["items"].as_array().unwrap().iter().map(|node| node["metadata"]["name"].as_str().unwrap());
    let drained = names.into_iter().find(|name| *name != stays).expect("there are two nodes").to_owned();
    let on_it: Vec<u32> = (0..3).filter(|pod| world.node_of("chatd", &format!("chat-{pod}")) == drained).collect();
    let on_other: Vec<u32> = (0..3).filter(|pod| !on_it.contains(pod)).collect();
    assert!(!on_it.is_empty() && !on_other.is_empty(), "chat pods are spread over both nodes: {on_it:?} {on_other:?}");
    let _back = Uncordon(world, &drained);
    world.kubectl(&["cordon", &drained]);
    // If Redis ends in the instant in which a room is offered to another pod, its players get `unavailable`.
    if world.node_of("databases", "redis-0") == drained {
        world.kubectl(&["delete", "pod", "redis-0", "--namespace=databases"]);
        world.await_rollout("databases", "statefulset/redis");
    }
    for pod in 0..3 {
        await_directory(world, pod);
    }
    let room = room_at(world, on_it[0]);
    let (mut ana, mut bob) = (join(world, on_other[0], &room, "ana"), join(world, on_other[0], &room, "bob"));
    talk(&mut ana, &mut bob, "before", SOON);
    let flags = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s"];
    world.kubectl(&[&["drain", &drained][..], &flags[..]].concat());
    ana.read(&format!("MOVED {room}"), LONG);
    talk(&mut ana, &mut bob, "after", SOON);
    world.await_chatd();
    for pod in 0..3 {
        assert_eq!(world.node_of("chatd", &format!("chat-{pod}")), stays);
    }
    for database in ["statefulset/redis", "statefulset/postgres"] {
        world.await_rollout("databases", database);
    }
    world.await_rollout("http-demo", "deployment/http-demo");
    world.await_rollout("chatd-operator", "deployment/chatd-operator");
}

/// Whatever became of the test, the next one has two nodes.
struct Uncordon<'a>(&'a World, &'a str);

impl Drop for Uncordon<'_> {
    fn drop(&mut self) {
        self.0.try_kubectl(&["uncordon", self.1]);
    }
}
