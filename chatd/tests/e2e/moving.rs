//! SIGTERM: every room goes to another pod, and nobody loses or hears twice what was said meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::support::certificates::{Certificates, client_config};
use crate::support::client::{Client, Got, PATIENCE};
use crate::support::wait_for;
use crate::town::{TAKEOVER, TALKATIVE, Town, until_answered};

/// The default deadline, and what ends after it.
const DRAINED: Duration = Duration::from_secs(30);

/// What a talker has lived through.
#[derive(Default)]
struct Told {
    /// Everything heard, in one piece for each connection.
    heard: Vec<Vec<String>>,
    answered: Vec<String>,
    /// Said on a connection that ended before the answer.
    uncertain: Vec<String>,
    moved: usize,
    longest_wait: Duration,
}

struct Talker {
    name: &'static str,
    room: String,
    token: String,
    /// Where a session in RELAY mode comes back to.
    home: std::net::SocketAddr,
    mode: &'static str,
    tls: Option<Arc<ClientConfig>>,
}

impl Talker {
    /// Says one line after another, each when the one before has come back, until `stop`; goes where it is sent.
    fn run(mut self, mut client: Client, stop: Arc<AtomicBool>) -> Told {
        let mut told = Told::default();
        let mut here = Vec::new();
        for number in 0.. {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            // The pace of talking.
            thread::sleep(Duration::from_millis(1));
            let said = format!("{} {number}", self.name);
            let asked = Instant::now();
            client.send(&format!("SAY {said}"));
            let mut next = None;
            loop {
                let line = match client.next(PATIENCE) {
                    Got::Line(line) => line,
                    Got::Closed => {
                        told.uncertain.push(said);
                        told.heard.push(std::mem::take(&mut here));
                        client = self.resume(next.unwrap_or(self.home));
                        break;
                    }
                    Got::Silence => panic!("{said}: no answer within {PATIENCE:?}"),
                };
                if let Some(text) = line.strip_prefix("MSG ") {
                    here.push(text.split_once(' ').unwrap().1.to_owned());
                    if text == format!("{} {said}", self.name) {
                        told.longest_wait = told.longest_wait.max(asked.elapsed());
                        told.answered.push(said);
                        break;
                    }
                } else if let Some(to) = line.strip_prefix("REDIRECT ") {
                    assert_eq!(self.mode, "REDIRECT", "{line}");
                    next = Some(to.split(' ').next().unwrap().parse().unwrap());
                } else if line.starts_with("MOVED ") {
                    told.moved += 1;
                } else {
                    let event = ["ENTERED ", "AWAY ", "BACK ", "BYE moved"].iter().any(|start| line.starts_with(start));
                    assert!(event, "{} got {line}", self.name);
                }
            }
        }
        // Until everyone's last words are here.
        client.send("PING");
        for line in client.until("PONG", PATIENCE) {
            here.extend(line.strip_prefix("MSG ").map(|text| text.split_once(' ').unwrap().1.to_owned()));
        }
        told.heard.push(here);
        told
    }

    fn resume(&mut self, address: std::net::SocketAddr) -> Client {
        let mut client = Client::connect_by(address, self.tls.clone());
        client.send(&format!("RESUME {} {} {}", self.room, self.token, self.mode));
        client.expect_start(&format!("JOINED {} {} ", self.room, self.name));
        let token = client.expect_start("TOKEN ");
        token["TOKEN ".len()..].clone_into(&mut self.token);
        client
    }
}

#[test]
fn a_draining_pod_hands_over_its_room() {
    hands_over_its_room(Town::start(3), None);
}

/// Redirected or not, each client hears all there is to hear before its connection's close_notify.
#[test]
fn a_draining_pod_hands_over_its_room_to_clients_with_tls() {
    let certificates = Certificates::new();
    let (certificate, key) = certificates.server();
    let files = ["--tls-cert-file", certificate.to_str().unwrap(), "--tls-key-file", key.to_str().unwrap()];
    let town = Town::start_with(3, &[&TALKATIVE[..], &files].concat());
    hands_over_its_room(town, Some(Arc::new(client_config(&certificates.ca(), None))));
}

fn hands_over_its_room(mut town: Town, tls: Option<Arc<ClientConfig>>) {
    let client = |pod: usize| Client::connect_by(town.pods[pod].tcp, tls.clone());
    let room = client(0).create_room();
    let stop = Arc::new(AtomicBool::new(false));
    let players =
        [("alice", 0, "RELAY", 1), ("bob", 1, "RELAY", 1), ("carol", 2, "RELAY", 2), ("dave", 0, "REDIRECT", 1)];
    let clients = players.map(|(name, pod, mode, home)| {
        let mut client = client(pod);
        let token = client.join_resumable(&room, name, mode);
        (Talker { name, room: room.clone(), token, home: town.pods[home].tcp, mode, tls: tls.clone() }, client)
    });
    let talkers = clients.map(|(talker, client)| {
        let stop = stop.clone();
        thread::spawn(move || talker.run(client, stop))
    });
    let before = town.epoch(&room);
    town.pods[0].terminate();
    let told_to_end = Instant::now();
    wait_for("the room is another pod's", PATIENCE, || (town.owner(&room) != "chat-0").then_some(()));
    let handed_over = told_to_end.elapsed();
    assert!(town.epoch(&room) > before);
    assert_eq!(town.pods[0].exit_code(DRAINED), 0);
    let ended = told_to_end.elapsed();
    let lease: bool = town.redis.run("EXISTS chat:pod:chat-0");
    assert!(!lease, "the lease outlives its pod");
    stop.store(true, Ordering::SeqCst);
    let [alice, bob, carol, dave] = talkers.map(|talker| talker.join().unwrap());

    let longest = [&alice, &bob, &carol, &dave].map(|told| told.longest_wait).into_iter().max().unwrap();
    println!("SIGTERM: handed over after {handed_over:?}, ended after {ended:?}, longest answer {longest:?}");
    assert!(longest < Duration::from_secs(3), "{longest:?}");

    // Who stayed connected heard every line once, in one order. Both may have been joined by others at their start or end.
    assert_eq!((bob.heard.len(), carol.heard.len()), (1, 1), "their pods did not end");
    assert_eq!((bob.moved, carol.moved), (1, 1));
    assert!(bob.uncertain.is_empty() && carol.uncertain.is_empty());
    assert_eq!((alice.heard.len(), dave.heard.len()), (2, 2));
    let order = &bob.heard[0];
    let mut place: HashMap<&str, usize> = HashMap::new();
    for (index, text) in order.iter().enumerate() {
        assert!(place.insert(text, index).is_none(), "bob heard {text:?} twice");
    }
    for (name, told) in [("alice", &alice), ("bob", &bob), ("carol", &carol), ("dave", &dave)] {
        for piece in &told.heard {
            let places: Vec<usize> = piece.iter().filter_map(|text| place.get(text.as_str()).copied()).collect();
            assert!(places.windows(2).all(|pair| pair[1] == pair[0] + 1), "{name} missed, or heard in another order");
            // Only what was said before bob came, or after he asked for the end, may be unknown to him.
            assert!(places.len() + 400 >= piece.len(), "{name} heard what bob did not");
        }
        let known = told.answered.iter().filter(|text| place.contains_key(text.as_str())).count();
        let first = told.answered.iter().position(|text| place.contains_key(text.as_str())).unwrap();
        let last = told.answered.iter().rposition(|text| place.contains_key(text.as_str())).unwrap();
        assert_eq!(known, last - first + 1, "a line of {name} was answered and not delivered");
        assert!(known > 10, "{name} hardly talked: {known} lines");
    }
    assert_eq!(
        town.pods[1].metric("chatd_incoming_migrations_total") + town.pods[2].metric("chatd_incoming_migrations_total"),
        1
    );
    assert_eq!(town.record(&room)["players"].as_array().unwrap().len(), 4);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut town = Town::start(2);
    let mut alice = town.client(0);
    let room = alice.create_room();
    alice.join(&room, "alice", "");
    town.pods[0].terminate();
    wait_for("it drains", PATIENCE, || (town.pods[0].status()["draining"] == true).then_some(()));
    let again = Instant::now();
    // Of any kind.
    town.pods[0].interrupt();
    assert_eq!(town.pods[0].exit_code(Duration::from_secs(3)), 1);
    println!("a second signal: ended after {:?}", again.elapsed());
    // Who takes its rooms over need not wait for the lease to run out.
    let lease: bool = town.redis.run("EXISTS chat:pod:chat-0");
    assert!(!lease, "the lease outlives its pod");
    let mut bob = town.client(1);
    bob.send(&format!("JOIN {room} bob RELAY"));
    bob.expect_start(&format!("JOINED {room} bob "));
}

#[test]
fn a_second_signal_waits_for_no_redis() {
    let mut town = Town::start(1);
    town.redis.freeze();
    town.pods[0].terminate();
    wait_for("it drains", PATIENCE, || (town.pods[0].status()["draining"] == true).then_some(()));
    town.pods[0].terminate();
    assert_eq!(town.pods[0].exit_code(Duration::from_secs(3)), 1);
    town.redis.thaw();
}

#[test]
fn the_last_pod_keeps_the_seats_for_the_next() {
    let mut town = Town::start_with(1, &["--drain-deadline", "7"]);
    let mut alice = town.client(0);
    let room = alice.create_room();
    let token = alice.join_resumable(&room, "alice", "");
    town.pods[0].terminate();
    let words = alice.rest(DRAINED);
    assert_eq!(words.last().unwrap(), "BYE shutting_down", "{words:?}");
    assert_eq!(town.pods[0].exit_code(DRAINED), 0);
    town.pods[0].start_again();
    town.pods[0].ready();
    let mut alice = town.client(0);
    assert_eq!(alice.ask(&format!("RESUME {room} {token}")), format!("JOINED {room} alice alice"));
}

#[test]
fn a_pod_that_ends_takes_no_new_rooms_and_still_relays() {
    let mut town = Town::start(2);
    let mut alice = town.client(1);
    let room = alice.create_room();
    alice.join(&room, "alice", "");
    town.pods[0].terminate();
    wait_for("it drains", PATIENCE, || (town.pods[0].status()["draining"] == true).then_some(()));
    let mut bob = town.client(0);
    let refused = bob.ask("CREATE_ROOM");
    assert!(refused.starts_with("ERR shutting_down "), "{refused}");
    bob.join(&room, "bob", "RELAY");
    assert_eq!(bob.ask("SAY through the one that ends"), "MSG bob through the one that ends");
    assert_eq!(town.pods[0].probe("/readyz"), 200);
    let words = bob.rest(DRAINED);
    assert_eq!(words.last().unwrap(), "BYE moved", "{words:?}");
    assert_eq!(town.pods[0].exit_code(DRAINED), 0);
}

#[test]
fn everyone_ends_at_once_and_starts_again() {
    let mut town = Town::start_with(3, &["--drain-deadline", "7"]);
    let mut alice = town.client(0);
    let room = alice.create_room();
    let token = alice.join_resumable(&room, "alice", "");
    let mut bob = town.client(1);
    let bobs = bob.join_resumable(&room, "bob", "RELAY");
    for pod in &town.pods {
        pod.terminate();
    }
    for client in [&mut alice, &mut bob] {
        let words = client.rest(DRAINED);
        assert!(words.last().unwrap().starts_with("BYE "), "{words:?}");
    }
    for pod in &mut town.pods {
        assert_eq!(pod.exit_code(DRAINED), 0);
        pod.start_again();
    }
    for pod in &mut town.pods {
        pod.ready();
    }
    for (pod, name, token) in [(1, "alice", token), (2, "bob", bobs)] {
        let (_client, joined) =
            until_answered(town.pods[pod].tcp, &format!("RESUME {room} {token} RELAY"), "JOINED ", PATIENCE);
        assert_eq!(joined, format!("JOINED {room} {name} alice,bob"));
    }
}

#[test]
fn a_room_is_handed_over_once_redis_is_back() {
    let mut town = Town::start(2);
    let (mut alice, mut bob) = (town.client(1), town.client(0));
    let room = bob.create_room();
    alice.join(&room, "alice", "RELAY");
    bob.join(&room, "bob", "RELAY");
    alice.expect("ENTERED bob");
    town.redis.freeze();
    town.pods[0].terminate();
    // As one node that is drained ends both: longer than anything else waits for Redis.
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_secs(6) {
        alice.send("SAY still here");
        for player in [&mut alice, &mut bob] {
            player.expect("MSG alice still here");
        }
        thread::sleep(Duration::from_millis(200));
    }
    // What an alert sees of a drain that does not go on.
    let ages = [0, 1].map(|pod: usize| town.pods[pod].metric("chatd_drain_age_seconds"));
    assert!((5..60).contains(&ages[0]) && ages[1] == 0, "{ages:?}");
    town.redis.thaw();
    alice.expect(&format!("MOVED {room}"));
    alice.send("SAY and here");
    alice.until("MSG alice and here", PATIENCE);
    assert_eq!(town.owner(&room), "chat-1");
    assert_eq!(town.pods[0].exit_code(DRAINED), 0);
}

#[test]
fn a_pod_ends_in_time_without_redis() {
    let mut town = Town::start_with(2, &["--drain-deadline", "7"]);
    let mut alice = town.client(0);
    let room = alice.create_room();
    let token = alice.join_resumable(&room, "alice", "");
    town.redis.freeze();
    town.pods[0].terminate();
    let words = alice.rest(DRAINED);
    assert!(words.last().unwrap().starts_with("BYE "), "{words:?}");
    assert_eq!(town.pods[0].exit_code(Duration::from_secs(14)), 0);
    town.redis.thaw();
    let (_alice, joined) = until_answered(
        town.pods[1].tcp,
        &format!("RESUME {room} {token} RELAY"),
        "JOINED ",
        TAKEOVER + Duration::from_secs(10),
    );
    assert_eq!(joined, format!("JOINED {room} alice alice"));
}
