//! Redis in its other forms, and Redis that loses acknowledged writes: Sentinel with a failover, Cluster, TLS, a store rolled back.

use std::time::Duration;

use crate::support::certificates::Certificates;
use crate::support::client::{Client, Got, PATIENCE};
use crate::support::pod::Pod;
use crate::support::redis::{ClusterServers, SentinelServers, Server};
use crate::support::wait_for;
use crate::town::{TALKATIVE, Town, until_answered};

const WRITTEN_AGAIN: Duration = Duration::from_secs(35);

fn three(url: &str, more: &[&str]) -> Vec<Pod> {
    let arguments: Vec<&str> = TALKATIVE.iter().chain(more).copied().collect();
    (0..3).map(|index| Pod::start(&format!("chat-{index}"), url, &arguments)).collect()
}

/// A room of the first pod, joined by way of each; all hear each other.
fn one_room_by_all(pods: &[Pod]) -> (String, Vec<Client>) {
    let room = Client::connect(pods[0].tcp).create_room();
    let mut players: Vec<Client> = pods
        .iter()
        .enumerate()
        .map(|(number, pod)| {
            let mut client = Client::connect(pod.tcp);
            client.join(&room, &format!("player{number}"), "RELAY");
            client
        })
        .collect();
    all_hear(&mut players, "first");
    (room, players)
}

fn all_hear(players: &mut [Client], text: &str) {
    players[1].send(&format!("SAY {text}"));
    for player in players {
        player.until(&format!("MSG player1 {text}"), PATIENCE);
    }
}

#[test]
fn a_failover_by_sentinels() {
    let mut servers = SentinelServers::start(3, &[]);
    servers.wait();
    let pods = three(&servers.url(), &[]);
    let (room, mut players) = one_room_by_all(&pods);
    servers.master.kill();
    all_hear(&mut players, "without a master");
    for pod in &pods {
        let (_, created) = until_answered(pod.tcp, "CREATE_ROOM", "ROOM ", WRITTEN_AGAIN);
        assert!(created.starts_with("ROOM "));
        let (mut late, _) = until_answered(pod.tcp, &format!("JOIN {room} late RELAY"), "JOINED ", WRITTEN_AGAIN);
        assert_eq!(late.ask("LEAVE"), format!("LEFT {room}"));
    }
    let record: String = servers.replica.run(&format!("GET chat:room:{room}"));
    assert!(record.contains("player2"), "{record}");
    all_hear(&mut players, "with the new master");
}

/// A frozen master still takes itself for one when it goes on, until a Sentinel makes it a replica.
#[test]
fn a_master_that_freezes_and_comes_back_stale() {
    let servers = SentinelServers::start(3, &[]);
    servers.wait();
    let pods = three(&servers.url(), &[]);
    let (room, mut players) = one_room_by_all(&pods);
    servers.master.freeze();
    all_hear(&mut players, "without a master");
    // Each pod has created a room: all of them have left the frozen master.
    for pod in &pods {
        until_answered(pod.tcp, "CREATE_ROOM", "ROOM ", WRITTEN_AGAIN);
    }
    servers.master.thaw();
    // Written while the former master is stale or, later, a replica: only the new one may have it first.
    let created: Vec<String> = pods.iter().map(|pod| Client::connect(pod.tcp).create_room()).collect();
    for room in &created {
        let record: Option<String> = servers.replica.run(&format!("GET chat:room:{room}"));
        assert!(record.is_some(), "{room} is not at the new master");
    }
    wait_for("the former master follows", WRITTEN_AGAIN, || {
        let replication: String = servers.master.try_run("INFO replication").ok()?;
        (replication.contains("role:slave") && replication.contains("master_link_status:up")).then_some(())
    });
    for pod in &pods {
        let (mut late, _) = until_answered(pod.tcp, &format!("JOIN {room} late RELAY"), "JOINED ", WRITTEN_AGAIN);
        assert_eq!(late.ask("LEAVE"), format!("LEFT {room}"));
    }
    all_hear(&mut players, "with the new master");
}

#[test]
fn a_cluster() {
    let servers = ClusterServers::start(3);
    let pods = three(&servers.url(), &[]);
    for _ in 0..4 {
        one_room_by_all(&pods);
    }
}

#[test]
fn redis_with_tls_and_client_certificates() {
    let certificates = Certificates::new();
    let server = Server::start_tls(&certificates, &[]);
    let (certificate, key) = certificates.client();
    let files = [certificates.ca(), certificate, key].map(|path| path.to_str().unwrap().to_owned());
    let url = format!("rediss://127.0.0.1:{}", server.tls_port.unwrap());
    let flags = ["--redis-ca-file", &files[0], "--redis-cert-file", &files[1], "--redis-key-file", &files[2]];
    let pods = three(&url, &flags);
    one_room_by_all(&pods);
    // Without them it is not let in, and says why.
    let stranger = Pod::launch("chat-9", Some(&url), &[]);
    wait_for("it says why", PATIENCE, || (stranger.try_directory_state()? == "tls").then_some(()));
    assert_eq!(stranger.probe("/readyz"), 503);
}

/// As a failover that loses writes leaves it: the record is an earlier owner's.
fn rolled_back(reset: bool) {
    let mut town = Town::start(3);
    let mut alice = town.client(2);
    let room = town.client(0).create_room();
    let token = alice.join_resumable(&room, "alice", "RELAY");
    let mut bob = town.client(0);
    bob.join(&room, "bob", "RELAY");
    let key = format!("chat:room:{room}");
    let old: String = town.redis.run(&format!("GET {key}"));
    town.pods[0].terminate();
    wait_for("the room is another pod's", PATIENCE, || (town.owner(&room) != "chat-0").then_some(()));
    let (owner, epoch) = (town.owner(&room), town.epoch(&room));
    assert_eq!(town.pods[0].exit_code(Duration::from_secs(30)), 0);
    town.pods[0].start_again();
    town.pods[0].ready();
    alice.until("MOVED ", PATIENCE);

    let _: () = redis::cmd("SET").arg(&key).arg(&old).query(&mut town.redis.connection()).unwrap();
    if reset {
        let _: i64 = town.redis.run("CLIENT KILL TYPE normal SKIPME yes");
    }
    assert_eq!(alice.ask("SAY on we go"), "EXITED bob moved");
    alice.until("MSG alice on we go", PATIENCE);
    // The restarted pod knows only the record.
    let (mut carol, _) =
        until_answered(town.pods[0].tcp, &format!("JOIN {room} carol RELAY"), "JOINED ", WRITTEN_AGAIN);
    wait_for("the record is the latest owner's", WRITTEN_AGAIN, || (town.epoch(&room) >= epoch).then_some(()));
    // Two may own it until both have looked at the record.
    let heard = |alice: &mut Client, carol: &mut Client| {
        carol.send("SAY the same room");
        carol.until("MSG carol the same room", PATIENCE);
        while let Got::Line(line) = alice.next(Duration::from_millis(200)) {
            if line == "MSG carol the same room" {
                return Some(());
            }
        }
        None
    };
    let limit = if reset { Duration::from_secs(10) } else { WRITTEN_AGAIN };
    wait_for("both are in one room", limit, || heard(&mut alice, &mut carol));
    let owned: u64 = town.pods.iter().map(|pod| pod.metric("chatd_rooms")).sum();
    assert_eq!(owned, 1, "two owners: {owner} had it");
    let (_, joined) = until_answered(town.pods[1].tcp, &format!("RESUME {room} {token} RELAY"), "JOINED ", PATIENCE);
    assert!(joined.starts_with(&format!("JOINED {room} alice ")), "{joined}");
}

#[test]
fn a_record_that_is_rolled_back() {
    rolled_back(false);
}

#[test]
fn a_record_that_is_rolled_back_with_a_reset() {
    rolled_back(true);
}
