//! Redis that does not answer, for each reason, and how it heals.

use std::fs;
use std::io::{Read, Write};

use crate::demo::{Demo, nowhere};
use crate::fake::FakeServer;
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;
use crate::wait_for;

/// Every method that needs Redis.
fn all_say(demo: &Demo, reason: &str) {
    demo.get("/kv/a").is_away("redis", reason);
    demo.put("/kv/a", "text/plain", b"x").is_away("redis", reason);
    demo.delete("/kv/a").is_away("redis", reason);
}

#[test]
fn gone_and_back() {
    let mut redis = RedisServer::start(&[]);
    let demo = Demo::with_redis(&redis.url(), &[]);
    assert_eq!(demo.put("/kv/a", "text/plain", b"x").status, 201);
    for _ in 0..3 {
        redis.kill();
        all_say(&demo, "refused");
        assert_eq!(demo.get("/readyz").status, 200);
        redis.start_again();
        // At once, and without an error for the first who asks.
        demo.get("/kv/a").is_error(404, "no_such_key");
        // A restart that nobody has noticed: the kept connection has ended, and no request sees that.
        redis.kill();
        redis.start_again();
        assert_eq!(demo.put("/kv/a", "text/plain", b"x").status, 201);
    }
    assert!(demo.metric("http_demo_service_errors_total{service=\"redis\",reason=\"refused\"}") >= 9);
    assert_eq!(demo.metric("http_demo_service_connections_total{service=\"redis\"}"), 7);
    let log = demo.log();
    assert_eq!(log.matches("service unavailable").count(), 3, "once for each absence: {log}");
}

#[test]
fn a_request_that_finds_its_connection_ended_is_asked_again() {
    let redis = RedisServer::start(&[]);
    let proxy = Proxy::to(([127, 0, 0, 1], redis.port).into());
    let demo = Demo::with_redis(&format!("redis://{}", proxy.address), &[]);
    assert_eq!(demo.put("/kv/a", "text/plain", b"x").status, 201);
    for made in 2..5 {
        proxy.break_next();
        assert_eq!(demo.get("/kv/a").text(), "x");
        assert_eq!(demo.metric("http_demo_service_connections_total{service=\"redis\"}"), made);
    }
}

#[test]
fn silent_and_back() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::with_redis(&redis.url(), &[]);
    assert_eq!(demo.put("/kv/a", "text/plain", b"x").status, 201);
    redis.freeze();
    // One alone, on the kept connection; then many at once, on new ones.
    demo.get("/kv/a").is_away("redis", "timeout");
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| demo.get("/kv/a").is_away("redis", "timeout"));
        }
        scope.spawn(|| {
            let status = demo.get("/status");
            let told = status.json();
            assert_eq!((&told["redis"]["ok"], &told["redis"]["reason"]), (&false.into(), &"timeout".into()));
            assert_eq!(told["postgres"]["reason"], "refused");
        });
    });
    assert_eq!(demo.get("/livez").status, 200);
    redis.thaw();
    assert_eq!(demo.get("/kv/a").text(), "x");
}

#[test]
fn a_wrong_password_is_said_and_a_corrected_file_is_read() {
    let redis = RedisServer::start(&["--requirepass", "right"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "wrong").unwrap();
    let with_file = ["--redis-password-file", file.to_str().unwrap()];
    let demo = Demo::with_redis(&redis.url(), &with_file);
    all_say(&demo, "auth");
    fs::write(&file, "right\n").unwrap();
    assert_eq!(demo.put("/kv/a", "text/plain", b"x").status, 201);
    assert!(!demo.log().contains("wrong") && !demo.log().contains("right"), "{}", demo.log());

    // A file that is ahead of the server is no harm, and counts as soon as the server is there too.
    fs::write(&file, "newer").unwrap();
    wait_for("the new password was tried", || {
        assert_eq!(demo.get("/kv/a").status, 200);
        demo.log().contains("keeping the old connection").then_some(())
    });
    redis.run_as::<()>(":right@", "CONFIG SET requirepass newer");
    wait_for("the new password is in use", || {
        assert_eq!(demo.get("/kv/a").status, 200);
        demo.log().contains("using a changed password").then_some(())
    });
    fs::remove_file(&file).unwrap();
    redis.run_as::<u64>(":newer@", "CLIENT KILL TYPE normal SKIPME yes");
    demo.get("/kv/a").is_away("redis", "password_file");

    Demo::with_redis(&redis.url(), &[]).get("/kv/a").is_away("redis", "auth");
    let open = RedisServer::start(&[]);
    fs::write(&file, "needless").unwrap();
    Demo::with_redis(&open.url(), &with_file).get("/kv/a").is_away("redis", "auth");
}

#[test]
fn a_user_of_the_access_control_list() {
    // The rights that `make http-demo` gives, but for one.
    let rights = "~http-demo:* resetchannels -@all +@connection +@transaction +@hash +del +expire +pttl -hmget";
    let user: Vec<&str> = ["--user", "demo", "on", ">pass"].into_iter().chain(rights.split(' ')).collect();
    let redis = RedisServer::start(&[&["--requirepass", "other"][..], &user].concat());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "pass").unwrap();
    let arguments = ["--redis-username", "demo", "--redis-password-file", file.to_str().unwrap()];
    let demo = Demo::with_redis(&redis.url(), &arguments);
    assert_eq!(demo.put("/kv/a", "text/plain", b"x").status, 201);
    assert_eq!(demo.get("/status").json()["redis"]["ok"], true);
    demo.get("/kv/a").is_away("redis", "auth");
    assert_eq!(demo.delete("/kv/a").status, 204);
}

#[test]
fn read_only_full_and_loading() {
    // A replica is not made to wait for others.
    let master = RedisServer::start(&["--repl-diskless-sync-delay", "0"]);
    let replica = RedisServer::start(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    let demo = Demo::with_redis(&replica.url(), &[]);
    wait_for("the replica follows", || {
        replica.run::<String>("INFO replication").contains("master_link_status:up").then_some(())
    });
    demo.put("/kv/a", "text/plain", b"x").is_away("redis", "read_only");
    demo.get("/kv/a").is_error(404, "no_such_key");
    assert_eq!(demo.get("/status").json()["redis"]["reason"], "read_only");
    // A planned move: the next request finds the new master.
    replica.run::<()>("REPLICAOF NO ONE");
    assert_eq!(demo.put("/kv/a", "text/plain", b"x").status, 201);
    replica.run::<()>("CONFIG SET maxmemory 1");
    demo.put("/kv/b", "text/plain", b"x").is_away("redis", "full");
    assert_eq!(demo.get("/kv/a").text(), "x");
    replica.run::<()>("CONFIG SET maxmemory 0");
    replica.run::<()>("CONFIG SET min-replicas-to-write 1");
    demo.put("/kv/b", "text/plain", b"x").is_away("redis", "read_only");
    replica.run::<()>("CONFIG SET min-replicas-to-write 0");
    assert_eq!(demo.put("/kv/b", "text/plain", b"x").status, 201);
}

#[test]
fn requests_that_fail_take_no_others_with_them() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::with_redis(&redis.url(), &[]);
    assert_eq!(demo.put("/kv/a", "text/plain", b"x").status, 201);
    redis.run::<()>("CONFIG SET maxmemory 1");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| (0..100).for_each(|_| demo.put("/kv/b", "text/plain", b"x").is_away("redis", "full")));
            scope.spawn(|| (0..100).for_each(|_| assert_eq!(demo.get("/kv/a").text(), "x")));
        }
    });
}

#[test]
fn nobody_there_and_no_such_host_or_database() {
    all_say(&Demo::with_redis(&format!("redis://{}", nowhere()), &[]), "refused");
    let answer = Demo::with_redis("redis://no-such-host.invalid", &[]).get("/kv/a");
    let reason = answer.json()["error"]["reason"].as_str().unwrap().to_owned();
    // A machine without a name server does not know in time that there is no such host.
    assert!(["unknown_host", "timeout"].contains(&reason.as_str()), "{reason}");
    answer.is_away("redis", &reason);
    let redis = RedisServer::start(&["--databases", "2"]);
    Demo::with_redis(&format!("{}/2", redis.url()), &[]).get("/kv/a").is_away("redis", "no_database");
    let second = Demo::with_redis(&format!("{}/1", redis.url()), &[]);
    assert_eq!(second.put("/kv/a", "text/plain", b"x").status, 201);
    assert_eq!(redis.run::<u64>("DBSIZE"), 0);
}

#[test]
fn without_its_master() {
    let nobody = format!("127.0.0.1 {}", nowhere().port());
    let replica = RedisServer::start(&["--replicaof", &nobody, "--replica-serve-stale-data", "no"]);
    Demo::with_redis(&replica.url(), &[]).get("/kv/a").is_away("redis", "read_only");
}

#[test]
fn something_else_that_answers() {
    let saying = |answer: &'static str| {
        FakeServer::start(move |mut socket| {
            let _ = (socket.read(&mut [0; 512]), socket.write_all(answer.as_bytes()));
        })
    };
    let stranger = saying("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let host = format!("127.0.0.1:{}", stranger.port);
    let demo = Demo::start(&["--redis-url", &stranger.url(), "--postgres-host", &host]);
    // The clients say no more than that the connection has ended.
    demo.get("/kv/a").is_away("redis", "closed");
    demo.get("/db").is_away("postgres", "closed");
    // A real server answers so for moments only.
    let loading = saying("-LOADING Redis is loading the dataset in memory\r\n");
    Demo::with_redis(&loading.url(), &[]).get("/kv/a").is_away("redis", "starting");
}
