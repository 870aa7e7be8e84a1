//! A real Chromium behind one port-forward, in rooms of whichever pod. Does I/O.

use std::process::Command;
use std::time::Duration;

use crate::chat::{join, room_at, said};
use crate::world::{Forward, Player, SOON, TAKEOVER, World, repository};

/// A browser that does what it is told by lines, and answers each.
struct Page(Player);

impl Page {
    fn open(port: u16, room: &str, name: &str) -> Self {
        let pages = repository().join("chatd/tests/pages");
        if !pages.join("node_modules").exists() {
            let installed = Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
                .current_dir(&pages)
                .status();
            assert!(installed.unwrap().success(), "npm ci");
        }
        let mut command = Command::new("node");
        command.arg(repository().join("xtask/tests/demos/page.mjs"));
        command.args([&format!("http://localhost:{port}"), room, name]);
        let page = Self(Player::start(command));
        page.0.read("ok seated", TAKEOVER);
        page
    }

    fn say(&mut self, text: &str) {
        self.0.say(&serde_json::json!({"say": text}).to_string());
        self.0.read("ok", SOON);
    }

    fn hears(&mut self, line: &str, limit: Duration) {
        self.0.say(&serde_json::json!({"hear": line, "ms": limit.as_millis()}).to_string());
        self.0.read("ok", limit + SOON);
    }

    fn close(self) {
        assert!(self.0.ends(SOON), "the browser ends");
    }
}

/// One of the pods that a forward does not go to.
fn other_than(pod: &str) -> u32 {
    (0..3).find(|number| format!("chat-{number}") != pod).unwrap()
}

pub fn shares_a_room_of_another_pod(world: &World) {
    let forward = Forward::start(world, "chatd", 2);
    let owner = other_than(&forward.pod());
    let room = room_at(world, owner);
    let mut bob = join(world, owner, &room, "bob");
    let mut page = Page::open(forward.ports[1], &room, "ana");
    page.say("hello from the page");
    said(&bob, "hello from the page", SOON);
    bob.say("SAY hello from nc");
    page.hears("bob: hello from nc", SOON);
    page.close();
    forward.interrupt();
}

pub fn goes_on_when_its_pod_and_the_owner_are_deleted(world: &World) {
    world.await_chatd();
    let forward = Forward::start(world, "chatd", 2);
    let entry = forward.pod();
    let owner = other_than(&entry);
    let third = (0..3).find(|number| *number != owner && format!("chat-{number}") != entry).unwrap();
    let room = room_at(world, owner);
    let mut bob = join(world, third, &room, "bob");
    let mut page = Page::open(forward.ports[1], &room, "ana");
    for pod in [format!("chat-{owner}"), entry.clone()] {
        let uid = world.uid("chatd", &pod);
        world.kubectl(&["delete", "pod", &pod, "--namespace=chatd", "--wait=false"]);
        world.await_successor("chatd", &pod, &uid);
        bob.say(&format!("SAY after {pod}"));
        page.hears(&format!("bob: after {pod}"), TAKEOVER);
        page.say(&format!("still here after {pod}"));
        said(&bob, &format!("still here after {pod}"), TAKEOVER);
    }
    assert_ne!(forward.pod(), entry, "the port leads to a pod that lives");
    page.close();
    forward.interrupt();
}
