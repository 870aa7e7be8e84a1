//! Memory that rooms took goes back to the system.

use std::time::Duration;

use crate::support::client::{Client, PATIENCE};
use crate::support::pod::Pod;
use crate::support::wait_for;
use crate::town::TALKATIVE;

const RESIDENT: &str = "process_resident_memory_bytes";
/// As many rooms as one connection may make at once.
const ROOMS: usize = 20;
const LINES: usize = 20;

/// Makes rooms, fills what they keep for those who come back, and leaves them.
fn fill_rooms(pod: &Pod) {
    let mut client = Client::connect(pod.tcp);
    let text = "x".repeat(3_000);
    for _ in 0..ROOMS {
        let room = client.create_room();
        client.join(&room, "alice", "");
        for line in 0..LINES {
            client.send(&format!("SAY {line} {text}"));
        }
        client.until(&format!("MSG alice {} ", LINES - 1), PATIENCE);
        assert_eq!(client.ask("LEAVE"), format!("LEFT {room}"));
    }
}

#[test]
fn what_rooms_took_goes_back_to_the_system_once_they_are_gone() {
    let replays = ["--replay-bytes", "64KiB", "--replay-pod-bytes", "256MiB", "--empty-ttl", "20"];
    let mut pod = Pod::launch("chat-0", None, &[&TALKATIVE[..], &replays].concat());
    pod.ready();
    fill_rooms(&pod);
    let start = pod.metric(RESIDENT);
    (0..60).for_each(|_| fill_rooms(&pod));
    let grown = pod.metric(RESIDENT).checked_sub(start).unwrap();
    assert!(grown > 40 << 20, "{grown} bytes are little to look at");
    wait_for("the rooms are gone", Duration::from_mins(1), || (pod.metric("chatd_rooms") == 0).then_some(()));
    wait_for("all but 1 MiB of it is given back", Duration::from_mins(1), || {
        (pod.metric(RESIDENT).saturating_sub(start) < 1 << 20).then_some(())
    });
}
