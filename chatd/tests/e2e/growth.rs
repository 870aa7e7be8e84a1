//! Three processes become six under load: rooms are spread over all of them, and no line is lost.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::client::{Client, PATIENCE};
use crate::support::pod::Pod;
use crate::town::{TALKATIVE, Town};

/// Rooms of each of the first three.
const ROOMS: usize = 40;
/// New rooms that these are asked for meanwhile. With them the mean is 28, and 40 are more than 1.3 times that: some have to move.
const NEW: usize = 48;
const PODS: usize = 6;
/// How far from the mean each process may be in the end, in per cent.
const LEVEL: u64 = 15;
/// A process is overloaded for 5 s here, and then moves a room every 2 to 3 s.
const LIMIT: Duration = Duration::from_secs(90);

/// Alice is connected to the room's owner, and would follow a redirect; bob, who speaks, is connected by way of another process.
struct Room {
    alice: Client,
    bob: Client,
    moved: bool,
}

impl Room {
    fn open(town: &Town, owner: usize) -> Self {
        let mut alice = town.client(owner);
        let room = alice.create_room();
        alice.join(&room, "alice", "");
        let mut bob = town.client((owner + 1) % 3);
        bob.join(&room, "bob", "RELAY");
        alice.expect("ENTERED bob");
        Self { alice, bob, moved: false }
    }

    /// Both hear the next line, and nothing else but that the room has moved.
    fn hear(&mut self, said: &str) {
        for client in [&mut self.alice, &mut self.bob] {
            let mut lines = client.until("MSG ", PATIENCE);
            assert_eq!(lines.pop().unwrap(), format!("MSG bob {said}"));
            assert!(lines.iter().all(|line| line.starts_with("MOVED ")), "{lines:?}");
            self.moved |= !lines.is_empty();
        }
    }
}

fn rooms(town: &Town) -> Vec<u64> {
    town.pods.iter().map(|pod| pod.metric("chatd_rooms")).collect()
}

fn sum(town: &Town, series: &str) -> u64 {
    town.pods.iter().map(|pod| pod.metric(series)).sum()
}

#[test]
fn six_processes_share_the_rooms_of_three_and_no_line_is_lost() {
    let more = [&TALKATIVE[..], &["--balance", "on", "--balance-after", "5"]].concat();
    let mut town = Town::start_with(3, &more);
    let mut all: Vec<Room> = (0..3 * ROOMS).map(|index| Room::open(&town, index % 3)).collect();
    let url = town.redis.url();
    let new: Vec<Pod> = (3..PODS).map(|index| Pod::launch(&format!("chat-{index}"), Some(&url), &more)).collect();
    town.pods.extend(new);
    for pod in &mut town.pods {
        pod.ready();
    }
    let started = Instant::now();
    let mut made = Vec::new();
    for number in 0.. {
        let said = number.to_string();
        for room in &mut all {
            room.bob.send(&format!("SAY {said}"));
        }
        for room in &mut all {
            room.hear(&said);
        }
        // Leases say every 2 s how many rooms there are: not all at once.
        if number % 4 == 0 && made.len() < NEW {
            let mut client = town.client(made.len() % 3);
            made.push((client.create_room(), client));
        }
        let rooms = rooms(&town);
        let sum: u64 = rooms.iter().sum();
        let is_level = rooms.iter().all(|own| (own * PODS as u64).abs_diff(sum) * 100 <= sum * LEVEL);
        // A room that is moving may be counted by both pods, or by neither.
        if is_level && made.len() == NEW && sum as usize == 3 * ROOMS + NEW {
            println!("{rooms:?} after {:?}, {number} lines in each", started.elapsed());
            break;
        }
        assert!(started.elapsed() < LIMIT, "{rooms:?} of {} rooms", 3 * ROOMS + NEW);
        // The pace of talking.
        thread::sleep(Duration::from_millis(50));
    }
    let moved = all.iter().filter(|room| room.moved).count() as u64;
    assert!(moved > 0 && sum(&town, "chatd_balance_migrations_total") >= moved, "{moved} rooms have moved");
    assert_eq!(sum(&town, "chatd_outgoing_migrations_failed_total"), 0);
    let elsewhere = sum(&town, "chatd_balance_creations_total");
    assert!(elsewhere >= NEW as u64 / 3, "{elsewhere} of {NEW} rooms were created elsewhere");
    for (index, (room, client)) in made.iter_mut().enumerate() {
        client.join(room, "carol", "RELAY");
        assert!(client.ask("SAY here").starts_with("MSG carol here"), "new room {index}");
    }
}
