//! A Redis with pods around it, and what tests ask of them.

use std::time::Duration;

use serde_json::Value;

use crate::support::client::Client;
use crate::support::pod::Pod;
use crate::support::redis::Server;

/// Limits of talking that no test reaches by accident.
pub const TALKATIVE: [&str; 4] = ["--rate", "1000000", "--burst", "1000000"];
/// From the death of an owner to the room's next one.
pub const TAKEOVER: Duration = Duration::from_secs(13);

pub struct Town {
    // In this order: pods end before what they use.
    pub pods: Vec<Pod>,
    pub redis: Server,
}

impl Town {
    /// chat-0, chat-1, ... ready, on a Redis of their own. They may talk as much as they like.
    pub fn start(pods: usize) -> Self {
        Self::start_with(pods, &TALKATIVE)
    }

    pub fn start_with(pods: usize, more: &[&str]) -> Self {
        Self::start_on(Server::start(&[]), pods, more)
    }

    pub fn start_on(redis: Server, pods: usize, more: &[&str]) -> Self {
        let url = redis.url();
        // Rooms are where the test makes them, unless it is about that.
        let fixed: &[&str] = if more.contains(&"--balance") { &[] } else { &["--balance", "off"] };
        let more = [more, fixed].concat();
        let mut pods: Vec<Pod> =
            (0..pods).map(|index| Pod::launch(&format!("chat-{index}"), Some(&url), &more)).collect();
        for pod in &mut pods {
            pod.ready();
        }
        Self { pods, redis }
    }

    /// A client of the pod with this index.
    pub fn client(&self, index: usize) -> Client {
        Client::connect(self.pods[index].tcp)
    }

    /// A room of chat-0 with alice, who is connected there, and bob, who is relayed by chat-1.
    pub fn room_of_two(&self) -> (String, Client, Client) {
        let mut alice = self.client(0);
        let room = alice.create_room();
        alice.join(&room, "alice", "");
        let mut bob = self.client(1);
        bob.join(&room, "bob", "RELAY");
        alice.expect("ENTERED bob");
        (room, alice, bob)
    }

    /// A room's record, as another program would read it.
    pub fn record(&self, room: &str) -> Value {
        let text: Option<String> = self.redis.run(&format!("GET chat:room:{room}"));
        text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }

    pub fn epoch(&self, room: &str) -> u64 {
        self.record(room)["epoch"].as_u64().unwrap_or_else(|| panic!("no epoch in {}", self.record(room)))
    }

    pub fn owner(&self, room: &str) -> String {
        self.record(room)["pod_id"].as_str().unwrap_or_default().to_owned()
    }
}

/// Follows a REDIRECT: the client there, joined or resumed by `command` (`{}` is the room).
pub fn redirected(answer: &str, room: &str) -> Client {
    let (address, named) = answer.strip_prefix("REDIRECT ").and_then(|rest| rest.split_once(' ')).unwrap();
    assert_eq!(named, room);
    Client::connect(address.parse().unwrap())
}

/// Asks one connection after another until one gets the wanted answer; the client and its first line.
#[track_caller]
pub fn until_answered(address: std::net::SocketAddr, command: &str, start: &str, limit: Duration) -> (Client, String) {
    let mut others = Vec::new();
    let deadline = std::time::Instant::now() + limit;
    while std::time::Instant::now() < deadline {
        let mut client = Client::connect(address);
        let answer = client.ask(command);
        if answer.starts_with(start) {
            return (client, answer);
        }
        if others.last() != Some(&answer) {
            others.push(answer);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{command}: no {start} within {limit:?}, but {others:#?}")
}
