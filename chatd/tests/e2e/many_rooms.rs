//! Many rooms at once: taken over by pods that race for them, moved while a pod dies, carried through a rolling restart.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::client::{Client, Got, PATIENCE};
use crate::support::wait_for;
use crate::town::{TAKEOVER, Town, until_answered};

const ROOMS: usize = 60;

/// Rooms of chat-0, each with a player who has dropped out and can come back by the token.
fn rooms_with_tokens(town: &Town) -> Vec<(String, String)> {
    (0..ROOMS)
        .map(|_| {
            let mut client = town.client(0);
            let room = client.create_room();
            let token = client.join_resumable(&room, "alice", "RELAY");
            (room, token)
        })
        .collect()
}

/// A takeover for each room, though two pods are asked for all of them at the same time.
#[test]
fn two_pods_take_over_at_once() {
    let mut town = Town::start(3);
    let rooms = rooms_with_tokens(&town);
    let before: Vec<u64> = rooms.iter().map(|(room, _)| town.epoch(room)).collect();
    town.pods[0].kill();
    let killed = Instant::now();
    // Not before the lease has run out, so that both decide in the same moment.
    wait_for("the lease has run out", PATIENCE, || (!town.redis.run::<bool>("EXISTS chat:pod:chat-0")).then_some(()));
    let ask = |pod: usize, name: &'static str| {
        let clients: Vec<(Client, String)> = rooms
            .iter()
            .map(|(room, token)| {
                let mut client = town.client(pod);
                let command = match name {
                    "alice" => format!("RESUME {room} {token} RELAY"),
                    _ => format!("JOIN {room} {name} RELAY"),
                };
                client.send(&command);
                (client, format!("JOINED {room} {name} "))
            })
            .collect();
        thread::spawn(move || {
            clients
                .into_iter()
                .map(|(mut client, joined)| {
                    client.expect_start(&joined);
                    client
                })
                .collect::<Vec<_>>()
        })
    };
    let [alices, bobs] = [ask(1, "alice"), ask(2, "bob")].map(|clients| clients.join().unwrap());
    println!("{ROOMS} rooms taken over and joined by two pods, {:?} after the kill", killed.elapsed());
    for ((((room, _), mut alice), mut bob), before) in rooms.iter().zip(alices).zip(bobs).zip(before) {
        bob.send("SAY here");
        alice.until("MSG bob here", PATIENCE);
        bob.until("MSG bob here", PATIENCE);
        assert!(town.epoch(room) > before);
    }
    let taken: u64 = town.pods[1..].iter().map(|pod| pod.metric("chatd_takeovers_total")).sum();
    let owned: u64 = town.pods[1..].iter().map(|pod| pod.metric("chatd_rooms")).sum();
    assert_eq!(owned, ROOMS as u64, "two owners of a room");
    assert!(taken >= ROOMS as u64);
}

#[test]
fn a_pod_dies_while_rooms_are_moved_to_it() {
    let mut town = Town::start(3);
    let rooms = rooms_with_tokens(&town);
    town.pods[0].terminate();
    let [_, target, _] = &mut town.pods[..] else { panic!() };
    let process = target.process_id();
    target.kill();
    assert_eq!(town.pods[0].exit_code(Duration::from_secs(30)), 0, "with {process} killed");
    for (room, token) in &rooms {
        let (_alice, joined) = until_answered(
            town.pods[2].tcp,
            &format!("RESUME {room} {token} RELAY"),
            "JOINED ",
            TAKEOVER + Duration::from_secs(5),
        );
        assert_eq!(joined, format!("JOINED {room} alice alice"));
    }
}

/// Joined again wherever a pod takes it; how a balancer would do it.
fn resume(addresses: &[std::net::SocketAddr], room: &str, token: &mut String) -> Client {
    let deadline = Instant::now() + TAKEOVER;
    for address in addresses.iter().cycle() {
        assert!(Instant::now() < deadline, "nobody takes {room}");
        thread::sleep(Duration::from_millis(10));
        if std::net::TcpStream::connect(address).is_err() {
            continue;
        }
        let mut client = Client::connect(*address);
        client.send(&format!("RESUME {room} {token} RELAY"));
        if matches!(client.next(PATIENCE), Got::Line(line) if line.starts_with("JOINED ")) {
            client.expect_start("TOKEN ")["TOKEN ".len()..].clone_into(token);
            return client;
        }
    }
    unreachable!()
}

#[test]
fn a_rolling_restart_loses_nothing() {
    const TALKERS: usize = 6;
    let mut town = Town::start(3);
    let addresses: Vec<_> = town.pods.iter().map(|pod| pod.tcp).collect();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let talkers: Vec<_> = (0..TALKERS)
        .map(|number| {
            let mut client = town.client(number % 3);
            let room = client.create_room();
            let mut token = client.join_resumable(&room, "alice", "RELAY");
            let (addresses, stop) = (addresses.clone(), stop.clone());
            thread::spawn(move || {
                let mut moves = 0;
                let mut longest = Duration::ZERO;
                let mut heard: HashMap<String, usize> = HashMap::new();
                let mut answered = 0;
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    // The pace of talking.
                    thread::sleep(Duration::from_millis(3));
                    let said = format!("MSG alice {answered} {moves}");
                    let asked = Instant::now();
                    client.send(&format!("SAY {answered} {moves}"));
                    loop {
                        match client.next(PATIENCE) {
                            Got::Line(line) if line == said => {
                                *heard.entry(line).or_default() += 1;
                                longest = longest.max(asked.elapsed());
                                answered += 1;
                                break;
                            }
                            Got::Line(line) => {
                                let known = ["MOVED ", "BYE moved", "AWAY", "BACK"];
                                assert!(known.iter().any(|start| line.starts_with(start)), "{line}");
                            }
                            Got::Closed => {
                                client = resume(&addresses, &room, &mut token);
                                moves += 1;
                                break;
                            }
                            Got::Silence => panic!("{said}: no answer"),
                        }
                    }
                }
                assert!(heard.values().all(|count| *count == 1), "a line came twice");
                (answered, moves, longest)
            })
        })
        .collect();
    for index in 0..3 {
        town.pods[index].terminate();
        assert_eq!(town.pods[index].exit_code(Duration::from_secs(30)), 0);
        town.pods[index].start_again();
        town.pods[index].ready();
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    for talker in talkers {
        let (answered, moves, longest) = talker.join().unwrap();
        println!("rolling restart: {answered} lines, {moves} times moved, longest answer {longest:?}");
        assert!(answered > 100 && moves >= 1);
        assert!(longest < Duration::from_secs(3), "{longest:?}");
    }
    let takeovers: u64 = town.pods.iter().map(|pod| pod.metric("chatd_takeovers_total")).sum();
    assert_eq!(takeovers, 0, "a room was taken over, not moved");
}
