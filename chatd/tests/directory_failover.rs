//! How the Redis directory follows Sentinels and clusters to other masters. Does I/O: starts and ends real servers.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chatd::directory::redis::{Names, RedisDirectory};
use chatd::directory::{Answer, Directory, Key, NoAnswer, Request};
use chatd::files::ReloadFailures;
use support::directory::{get, resets_beyond, settings, start, works, write};
use support::eventually;
use support::redis::{ClusterServers, SentinelServers, Server};

#[tokio::test]
async fn a_failover_by_sentinel() {
    let mut servers = SentinelServers::start(3, &[]);
    servers.wait();
    let directory = start(settings(&servers.url()));
    works(&directory).await;
    servers.master.kill();
    eventually("the new master is written to", Duration::from_secs(30), async || {
        (write(&directory).await == Ok(Answer::Done)).then_some(())
    })
    .await;
    assert!(directory.resets() >= 1);
    assert!(servers.replica.run::<String>("INFO replication").contains("role:master"));
    // One Sentinel less is none less.
    servers.sentinels.remove(0);
    works(&directory).await;
}

#[tokio::test]
async fn a_master_that_sentinels_replace_while_it_lives() {
    let servers = SentinelServers::start(1, &[]);
    servers.wait();
    let directory = start(settings(&servers.url()));
    works(&directory).await;
    let before = directory.resets();
    // Refused until the Sentinel has seen that the replica follows.
    eventually("a failover begins", Duration::from_secs(30), async || {
        servers.sentinels[0].try_run::<String>("SENTINEL FAILOVER mymaster").ok()
    })
    .await;
    eventually("the other is master", Duration::from_secs(30), async || {
        // A Sentinel that makes a server the master cuts off the clients that it has.
        let role = servers.replica.try_run::<String>("INFO replication").ok()?;
        role.contains("role:master").then_some(())
    })
    .await;
    resets_beyond(&directory, before).await;
    works(&directory).await;
    assert!(servers.replica.run::<i64>("DBSIZE") >= 1, "the new master has what was written");
}

#[tokio::test]
async fn sentinels_that_do_not_know_the_master() {
    let servers = SentinelServers::start(1, &[]);
    let directory = start(settings(&servers.url().replace("mymaster", "other")));
    assert_eq!(write(&directory).await, Err(NoAnswer::ReadOnly));
}

/// Writes until keys of every master have been written to, without a failure.
async fn all_slots_work(directory: &RedisDirectory) {
    eventually("40 writes in a row are done", Duration::from_secs(30), async || {
        for _ in 0..40 {
            if write(directory).await != Ok(Answer::Done) {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_cluster_that_loses_a_master_and_one_that_has_a_replica() {
    let mut servers = ClusterServers::start(3);
    let directory = start(settings(&servers.url()));
    all_slots_work(&directory).await;
    assert_eq!(directory.resets(), 0);

    // The first has a replica, which takes over.
    servers.masters[0].kill();
    all_slots_work(&directory).await;
    assert!(directory.resets() >= 1);
    assert!(servers.replica.run::<String>("INFO replication").contains("role:master"));
}

#[tokio::test]
async fn a_slot_that_moves_to_another_node_of_the_cluster() {
    let servers = ClusterServers::start(2);
    let directory = start(settings(&servers.url()));
    all_slots_work(&directory).await;
    let (from, to) = (&servers.masters[0], &servers.masters[1]);
    let slots = |key: &str| from.run::<u16>(&format!("CLUSTER KEYSLOT {key}"));
    let names = || (0..).map(|number| format!("m{number:07}"));
    let there = names().find(|name| slots(&format!("chat:room:{name}")) < 8_192).unwrap();
    let slot = slots(&format!("chat:room:{there}"));
    let room = |name: &str| Key::Room(name.parse().unwrap());
    let value = |text: &'static str| Bytes::from_static(text.as_bytes());
    let swap = |expected: Option<&'static str>, new: &'static str| Request::Swap {
        key: room(&there),
        expected: expected.map(value),
        new: value(new),
        ttl: Duration::from_mins(1),
    };
    assert_eq!(directory.ask(swap(None, "one")).await, Ok(Answer::Done));

    // Half way: the key has gone ahead, the slot has not. ASK.
    let (from_id, to_id) = (from.run::<String>("CLUSTER MYID"), to.run::<String>("CLUSTER MYID"));
    let _: String = to.run(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"));
    let _: String = from.run(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
    let _: String = from.run(&format!("MIGRATE 127.0.0.1 {} chat:room:{there} 0 5000", to.port));
    assert_eq!(directory.ask(swap(Some("one"), "two")).await, Ok(Answer::Done));
    assert_eq!(directory.ask(swap(Some("one"), "three")).await, Ok(Answer::Found(Some(value("two")))));
    assert_eq!(directory.resets(), 0);

    // All the way: MOVED.
    for node in [to, from] {
        let _: String = node.run(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
    }
    assert_eq!(directory.ask(swap(Some("two"), "three")).await, Ok(Answer::Done));
    resets_beyond(&directory, 0).await;
    assert_eq!(directory.ask(get(&there)).await, Ok(Answer::Found(Some(value("three")))));
    assert_eq!(directory.resets(), 1);
}

/// A directory behind the name `redis`, which leads to what is in the list.
fn start_named(url: &str, leads_to: &Arc<Mutex<Vec<SocketAddr>>>) -> RedisDirectory {
    let leads_to = leads_to.clone();
    let names = Names::given(
        move |address| match address.host.as_str() {
            "redis" => leads_to.lock().unwrap().clone(),
            other => vec![format!("{other}:{}", address.port).parse().unwrap()],
        },
        Duration::from_millis(200),
    );
    RedisDirectory::start_with(settings(url), names, ReloadFailures::default()).unwrap()
}

fn address(server: &Server) -> SocketAddr {
    server.address().parse().unwrap()
}

#[tokio::test]
async fn a_server_that_lives_on_is_left_when_its_name_leads_to_another() {
    let (old, new) = (Server::start(&[]), Server::start(&[]));
    let leads_to = Arc::new(Mutex::new(vec![address(&old)]));
    let directory = start_named("redis://redis:6379", &leads_to);
    works(&directory).await;
    // One more address, or none for a moment, is no move.
    for still in [vec![address(&new), address(&old)], vec![]] {
        *leads_to.lock().unwrap() = still;
        tokio::time::sleep(Duration::from_secs(1)).await;
        works(&directory).await;
        assert_eq!(directory.resets(), 0);
    }
    assert_eq!(new.run::<i64>("DBSIZE"), 0);
    *leads_to.lock().unwrap() = vec![address(&new)];
    eventually("the new one is written to", Duration::from_secs(30), async || {
        let _ = write(&directory).await;
        (new.run::<i64>("DBSIZE") > 0).then_some(())
    })
    .await;
    assert_eq!(directory.resets(), 1);
    let before = old.run::<i64>("DBSIZE");
    works(&directory).await;
    assert_eq!(old.run::<i64>("DBSIZE"), before);
}

#[tokio::test]
async fn sentinels_and_clusters_that_live_on_are_left_when_their_name_leads_to_others() {
    let (old, new) = (ClusterServers::start(1), ClusterServers::start(1));
    let leads_to = Arc::new(Mutex::new(vec![address(&old.masters[0])]));
    let directory = start_named("redis+cluster://redis:6379", &leads_to);
    all_slots_work(&directory).await;
    *leads_to.lock().unwrap() = vec![address(&new.masters[0])];
    eventually("the new cluster is written to", Duration::from_secs(30), async || {
        let _ = write(&directory).await;
        (new.masters[0].run::<i64>("DBSIZE") > 0).then_some(())
    })
    .await;

    let (old, new) = (SentinelServers::start(1, &[]), SentinelServers::start(1, &[]));
    let leads_to = Arc::new(Mutex::new(vec![address(&old.sentinels[0])]));
    let directory = start_named("redis+sentinel://redis:26379/mymaster", &leads_to);
    works(&directory).await;
    *leads_to.lock().unwrap() = vec![address(&new.sentinels[0])];
    eventually("the new master is written to", Duration::from_secs(30), async || {
        let _ = write(&directory).await;
        (new.master.run::<i64>("DBSIZE") > 0).then_some(())
    })
    .await;
}
