//! What every `Directory` promises, run against every implementation of it. Does I/O: starts real servers.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use chatd::directory::memory::MemoryDirectory;
use chatd::directory::redis::{RedisDirectory, RedisSettings};
use chatd::directory::{Answer, Directory, DirectoryConnection, Key, Request};
use futures_util::future::join_all;
use support::certificates::Certificates;
use support::directory::{settings, start};
use support::eventually;
use support::proxy::Proxy;
use support::redis::{ClusterServers, Mode, SentinelServers, Server, valkey};

const LONG: Duration = Duration::from_mins(1);

fn room(name: &str) -> Key {
    Key::Room(name.parse().unwrap())
}

fn pod(name: &str) -> Key {
    Key::Pod(name.to_owned())
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn ask(directory: &impl Directory, request: Request) -> Answer {
    directory.ask(request.clone()).await.unwrap_or_else(|error| panic!("{request:?}: {error}"))
}

async fn get(directory: &impl Directory, key: &Key) -> Option<Bytes> {
    match ask(directory, Request::Get { key: key.clone() }).await {
        Answer::Found(value) => value,
        other => panic!("{other:?} to a get"),
    }
}

async fn swap(directory: &impl Directory, key: &Key, expected: Option<&Bytes>, new: &Bytes, ttl: Duration) -> Answer {
    ask(directory, Request::Swap { key: key.clone(), expected: expected.cloned(), new: new.clone(), ttl }).await
}

async fn renew(directory: &impl Directory, key: &Key, expected: &Bytes, ttl: Duration) -> Answer {
    ask(directory, Request::Renew { key: key.clone(), expected: expected.clone(), ttl }).await
}

async fn delete(directory: &impl Directory, key: &Key, expected: &Bytes) -> Answer {
    ask(directory, Request::Delete { key: key.clone(), expected: expected.clone() }).await
}

async fn pods(directory: &impl Directory) -> Vec<(String, Bytes)> {
    match ask(directory, Request::Pods).await {
        Answer::Pods(mut pods) => {
            pods.sort();
            pods
        }
        other => panic!("{other:?} to a list of pods"),
    }
}

async fn gone(directory: &impl Directory, key: &Key) {
    eventually("a value ends", Duration::from_secs(5), async || get(directory, key).await.is_none().then_some(()))
        .await;
}

/// The whole contract, on an empty directory.
async fn keeps_the_contract(directory: &impl Directory) {
    changes_only_what_was_expected(directory, &room("aaaa0001")).await;
    changes_only_what_was_expected(directory, &pod("pod-a.chat_1")).await;
    keeps_any_bytes(directory).await;
    ends_values_in_time(directory).await;
    lists_living_pods(directory).await;
    lets_one_of_many_win(directory).await;
    assert_eq!(directory.resets(), 0, "no connection was lost");
}

async fn changes_only_what_was_expected(directory: &impl Directory, key: &Key) {
    let (one, two, other) = (bytes("one"), bytes("two"), bytes("other"));
    assert_eq!(get(directory, key).await, None);
    // Nothing is there to be changed.
    assert_eq!(swap(directory, key, Some(&one), &two, LONG).await, Answer::Found(None));
    assert_eq!(renew(directory, key, &one, LONG).await, Answer::Found(None));
    assert_eq!(delete(directory, key, &one).await, Answer::Found(None));
    assert_eq!(get(directory, key).await, None);

    assert_eq!(swap(directory, key, None, &one, LONG).await, Answer::Done);
    assert_eq!(get(directory, key).await, Some(one.clone()));
    // Something else is there.
    let found = Answer::Found(Some(one.clone()));
    assert_eq!(swap(directory, key, None, &two, LONG).await, found);
    assert_eq!(swap(directory, key, Some(&other), &two, LONG).await, found);
    assert_eq!(renew(directory, key, &other, LONG).await, found);
    assert_eq!(delete(directory, key, &other).await, found);
    assert_eq!(get(directory, key).await, Some(one.clone()));

    assert_eq!(swap(directory, key, Some(&one), &two, LONG).await, Answer::Done);
    assert_eq!(renew(directory, key, &two, LONG).await, Answer::Done);
    assert_eq!(get(directory, key).await, Some(two.clone()));
    assert_eq!(delete(directory, key, &two).await, Answer::Done);
    assert_eq!(get(directory, key).await, None);
}

async fn keeps_any_bytes(directory: &impl Directory) {
    let key = room("aaaa0002");
    let all: Bytes = (0..=255).collect();
    let rubbish = ["", "1", "0", "false", "nil", "OK", "$-1\r\n", "-ERR x\r\n", "{\"pod_id\":", " "].map(bytes);
    let large = Bytes::from(vec![b'x'; 300_000]);
    let mut last: Option<Bytes> = None;
    for value in rubbish.into_iter().chain([all, large]) {
        assert_eq!(swap(directory, &key, last.as_ref(), &value, LONG).await, Answer::Done);
        assert_eq!(get(directory, &key).await.as_ref(), Some(&value));
        assert_eq!(swap(directory, &key, None, &bytes("x"), LONG).await, Answer::Found(Some(value.clone())));
        last = Some(value);
    }
    assert_eq!(delete(directory, &key, &last.unwrap()).await, Answer::Done);
}

async fn ends_values_in_time(directory: &impl Directory) {
    let (short, renewed, shortened) = (room("aaaa0003"), room("aaaa0004"), room("aaaa0005"));
    let value = bytes("v");
    let soon = Duration::from_millis(400);
    assert_eq!(swap(directory, &renewed, None, &value, soon).await, Answer::Done);
    assert_eq!(swap(directory, &short, None, &value, soon).await, Answer::Done);
    assert_eq!(swap(directory, &shortened, None, &value, LONG).await, Answer::Done);
    assert_eq!(renew(directory, &renewed, &value, LONG).await, Answer::Done);
    assert_eq!(renew(directory, &shortened, &value, Duration::from_millis(1)).await, Answer::Done);
    assert_eq!(get(directory, &short).await, Some(value.clone()), "ended too soon");
    gone(directory, &short).await;
    gone(directory, &shortened).await;
    assert_eq!(get(directory, &renewed).await, Some(value.clone()));
    // What has ended is as if it had never been.
    assert_eq!(renew(directory, &short, &value, LONG).await, Answer::Found(None));
    assert_eq!(swap(directory, &short, None, &value, Duration::ZERO).await, Answer::Done);
    gone(directory, &short).await;
}

async fn lists_living_pods(directory: &impl Directory) {
    assert_eq!(pods(directory).await, []);
    let lease = |name: &str| bytes(&format!("lease of {name}"));
    for name in ["chat-0", "chat-1", "chat-2"] {
        assert_eq!(swap(directory, &pod(name), None, &lease(name), LONG).await, Answer::Done);
    }
    swap(directory, &room("aaaa0006"), None, &bytes("no pod"), LONG).await;
    let all = ["chat-0", "chat-1", "chat-2"].map(|name| (name.to_owned(), lease(name)));
    assert_eq!(pods(directory).await, all);

    assert_eq!(renew(directory, &pod("chat-1"), &lease("chat-1"), Duration::from_millis(1)).await, Answer::Done);
    gone(directory, &pod("chat-1")).await;
    assert_eq!(delete(directory, &pod("chat-2"), &lease("chat-2")).await, Answer::Done);
    assert_eq!(pods(directory).await, all[..1]);
    assert_eq!(delete(directory, &pod("chat-0"), &lease("chat-0")).await, Answer::Done);
}

/// Many clones at once: each change is made once.
async fn lets_one_of_many_win(directory: &impl Directory) {
    let key = room("aaaa0007");
    let contenders = join_all((0..50).map(|number| {
        let (directory, key) = (directory.clone(), key.clone());
        async move { swap(&directory, &key, None, &bytes(&number.to_string()), LONG).await }
    }))
    .await;
    let winner = get(directory, &key).await;
    assert_eq!(contenders.iter().filter(|answer| **answer == Answer::Done).count(), 1);
    assert!(contenders.iter().all(|answer| *answer == Answer::Done || *answer == Answer::Found(winner.clone())));

    let counter = room("aaaa0008");
    swap(directory, &counter, None, &bytes("0"), LONG).await;
    join_all((0..10).map(|_| async {
        for _ in 0..20 {
            loop {
                let seen = get(directory, &counter).await.unwrap();
                let next: u32 = std::str::from_utf8(&seen).unwrap().parse::<u32>().unwrap() + 1;
                if swap(directory, &counter, Some(&seen), &bytes(&next.to_string()), LONG).await == Answer::Done {
                    break;
                }
            }
        }
    }))
    .await;
    assert_eq!(get(directory, &counter).await, Some(bytes("200")));
}

#[tokio::test]
async fn memory() {
    keeps_the_contract(&MemoryDirectory::new()).await;
}

#[tokio::test]
async fn redis() {
    let server = Server::start(&[]);
    keeps_the_contract(&start(settings(&server.url()))).await;
}

#[tokio::test]
async fn valkey_server() {
    match valkey() {
        Ok(program) => {
            let server = Server::start_as(&program, Mode::Plain, &[], None);
            keeps_the_contract(&start(settings(&server.url()))).await;
        }
        // Not eprintln!, which is not shown when the test passes.
        Err(why) => writeln!(std::io::stderr(), "skipped: the contract on Valkey: no valkey-server ({why})").unwrap(),
    }
}

#[tokio::test]
async fn redis_sentinel() {
    let servers = SentinelServers::start(3, &[]);
    keeps_the_contract(&start(settings(&servers.url()))).await;
}

#[tokio::test]
async fn redis_sentinel_with_its_own_password_and_a_database() {
    let servers = SentinelServers::start(1, &["requirepass watch"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "watch\n").unwrap();
    let directory = start(RedisSettings {
        sentinel_password_file: Some(file.path().to_owned()),
        ..settings(&format!("{}/3", servers.url()))
    });
    keeps_the_contract(&directory).await;
    swap(&directory, &room("bbbb0001"), None, &bytes("v"), LONG).await;
    assert!(servers.master.run::<String>("INFO keyspace").contains("db3:"));
}

#[tokio::test]
async fn redis_cluster() {
    let servers = ClusterServers::start(3);
    keeps_the_contract(&start(settings(&servers.url()))).await;
}

#[tokio::test]
async fn redis_cluster_known_by_its_replica_only() {
    let servers = ClusterServers::start(2);
    keeps_the_contract(&start(settings(&format!("redis+cluster://{}", servers.replica.address())))).await;
}

#[tokio::test]
async fn redis_with_tls_and_a_client_certificate() {
    let certificates = Certificates::new();
    let server = Server::start_tls(&certificates, &[]);
    let (cert, key) = certificates.client();
    let settings = RedisSettings {
        ca_file: Some(certificates.ca()),
        cert_file: Some(cert),
        key_file: Some(key),
        ..settings(&format!("rediss://127.0.0.1:{}", server.tls_port.unwrap()))
    };
    RedisDirectory::check_files(&settings).await.unwrap();
    keeps_the_contract(&start(settings)).await;
}

#[tokio::test]
async fn redis_with_a_password_and_a_database() {
    let server = Server::start(&["--requirepass", "geheim wort"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "geheim wort\n").unwrap();
    let directory = start(RedisSettings {
        password_file: Some(file.path().to_owned()),
        ..settings(&format!("{}/7", server.url()))
    });
    keeps_the_contract(&directory).await;
}

/// The rights that docs/operations.md asks for are enough.
#[tokio::test]
async fn redis_with_a_user_of_few_rights() {
    let server = Server::start(&[]);
    let rights = "+get +set +del +pexpire +eval +evalsha +zadd +zrem +zrange";
    let _: String = server.run(&format!("ACL SETUSER chatd on >pass ~chat:* {rights}"));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "pass").unwrap();
    let directory = start(RedisSettings {
        username: Some("chatd".to_owned()),
        password_file: Some(file.path().to_owned()),
        ..settings(&server.url())
    });
    keeps_the_contract(&directory).await;
}

/// What other readers of the same Redis rely on: names, lives and the index.
#[tokio::test]
async fn redis_keys_are_those_of_the_contract() {
    let server = Server::start(&[]);
    let directory = start(RedisSettings { key_prefix: "two:".to_owned(), ..settings(&server.url()) });
    swap(&directory, &room("abcd1234"), None, &bytes("{}"), Duration::from_hours(1)).await;
    swap(&directory, &pod("chat-0"), None, &bytes("{}"), Duration::from_millis(9_500)).await;
    let mut keys: Vec<String> = server.run("KEYS *");
    keys.sort();
    assert_eq!(keys, ["two:pod:chat-0", "two:pods", "two:room:abcd1234"]);
    let life: i64 = server.run("PTTL two:pod:chat-0");
    assert!((5_000..=9_500).contains(&life), "{life}");
    assert_eq!(server.run::<Vec<String>>("TIME")[0][..8], server.run::<String>("ZSCORE two:pods chat-0")[..8]);

    // The index forgets a pod that died long ago; it keeps one that died just now, and one that lives.
    let _: i64 = server.run("ZADD two:pods 1000 dead-for-long");
    let _: i64 = server.run("ZADD two:pods 9999999999999 dead-just-now");
    let _: i64 = server.run("ZADD two:pods 1000 chat-0");
    assert_eq!(pods(&directory).await, [("chat-0".to_owned(), bytes("{}"))]);
    let mut left: Vec<String> = server.run("ZRANGE two:pods 0 -1");
    left.sort();
    assert_eq!(left, ["chat-0", "dead-just-now"]);
    // A key of another kind under our name is no answer, and does no harm.
    let _: i64 = server.run("LPUSH two:room:wrong000 x");
    assert!(directory.ask(Request::Get { key: room("wrong000") }).await.is_err());
    assert_eq!(get(&directory, &room("abcd1234")).await, Some(bytes("{}")));
    assert_eq!(directory.resets(), 0);
}

/// Each core of chatd has a runtime of its own; they share the connections of one.
#[tokio::test]
async fn redis_is_asked_from_other_runtimes() {
    let servers = ClusterServers::start(2);
    let directory = start(settings(&servers.url()));
    let clone = directory.clone();
    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(keeps_the_contract(&clone));
    });
    eventually("the other thread is done", Duration::from_secs(30), async || other.is_finished().then_some(())).await;
    other.join().unwrap();
}

#[tokio::test]
async fn redis_connections_end_with_the_directory() {
    let server = Server::start(&[]);
    let clients = || server.run::<String>("CLIENT LIST").lines().count();
    let directory = start(settings(&server.url()));
    let clone = directory.clone();
    assert_eq!(get(&directory, &room("abcd1234")).await, None);
    drop(directory);
    assert_eq!(get(&clone, &room("abcd1234")).await, None);
    assert_eq!(clients(), 2, "the directory and this test");
    drop(clone);
    eventually("the connection ends", Duration::from_secs(5), async || (clients() == 1).then_some(())).await;
}

/// Whether the server has this connection, as another client of it hears.
async fn has(directory: &RedisDirectory, connection: &DirectoryConnection) -> Option<bool> {
    match ask(directory, Request::Connected { key: pod("chat-0"), connection: connection.clone() }).await {
        Answer::Connected(connected) => connected,
        other => panic!("{other:?} to a question for a connection"),
    }
}

/// The connection to the server that has a lease, another one than `before`.
async fn connected(directory: &RedisDirectory, before: Option<&DirectoryConnection>) -> DirectoryConnection {
    let another = async || directory.connection(&pod("chat-0")).filter(|now| Some(now) != before);
    eventually("a connection", Duration::from_secs(10), another).await
}

#[tokio::test]
async fn a_server_says_which_connections_it_has() {
    let mut server = Server::start(&[]);
    let (one, other) = (start(settings(&server.url())), start(settings(&server.url())));
    let (first, second) = (connected(&one, None).await, connected(&other, None).await);
    assert!(first.run == second.run && first.client != second.client);
    assert_eq!((has(&other, &first).await, has(&other, &second).await), (Some(true), Some(true)));

    // It is closed by the server: it never comes back, and the client has another one.
    let _: i64 = server.run(&format!("CLIENT KILL ID {}", first.client));
    let new = connected(&one, Some(&first)).await;
    assert_eq!((has(&other, &first).await, has(&other, &new).await), (Some(false), Some(true)));

    // Another run of the server cannot know.
    server.restart();
    let third = connected(&other, Some(&second)).await;
    assert_ne!(third.run, second.run);
    assert_eq!(has(&other, &new).await, None);
}

#[tokio::test]
async fn a_connection_through_a_proxy_has_no_name() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.address().parse().unwrap());
    let directory = start(settings(&format!("redis://{}", proxy.address)));
    assert_eq!(get(&directory, &room("aaaa0001")).await, None);
    assert_eq!(directory.connection(&pod("chat-0")), None);
}
