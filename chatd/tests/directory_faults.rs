//! What the Redis directory answers when Redis does not work, and how it comes back. Does I/O: starts and ends real servers.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chatd::directory::redis::{MOST_REQUESTS, RedisSettings};
use chatd::directory::{ANSWER_TIME, Answer, Directory, NoAnswer, Request};
use futures_util::future::join_all;
use support::certificates::Certificates;
use support::directory::{
    BACK, GRACE, fails_with, file, get, put, resets_beyond, settings, start, timed, works, write,
};
use support::eventually;
use support::fake::FakeServer;
use support::redis::{Server, free_port};

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back() {
    let mut server = Server::start(&[]);
    let directory = start(settings(&server.url()));
    works(&directory).await;
    assert_eq!(directory.resets(), 0);
    server.kill();
    fails_with(&directory, NoAnswer::Refused).await;
    assert_eq!(directory.resets(), 1);
    // Away for long: refused at once, and attempts that fail are no resets.
    eventually("refused at once", BACK, async || {
        let (answer, took) = timed(&directory).await;
        assert_eq!(answer, Err(NoAnswer::Refused));
        (took < Duration::from_millis(100)).then_some(())
    })
    .await;
    assert_eq!(directory.resets(), 1);
    server.restart();
    works(&directory).await;
    assert_eq!(directory.resets(), 1);
}

#[tokio::test]
async fn a_short_absence_fails_no_request_that_comes_in_it() {
    let mut server = Server::start(&[]);
    let directory = start(settings(&server.url()));
    works(&directory).await;
    server.kill();
    resets_beyond(&directory, 0).await;
    let (answer, ()) = tokio::join!(write(&directory), async { server.restart() });
    assert_eq!(answer, Ok(Answer::Done));
}

#[tokio::test]
async fn nobody_listens() {
    let directory = start(settings(&format!("redis://127.0.0.1:{}", free_port())));
    let (answer, took) = timed(&directory).await;
    assert_eq!(answer, Err(NoAnswer::Refused));
    assert!(took < ANSWER_TIME + GRACE, "{took:?}");
}

#[tokio::test]
async fn a_host_that_does_not_exist() {
    let directory = start(settings("redis://no-such-host.invalid:6379"));
    let (answer, took) = timed(&directory).await;
    assert_eq!(answer, Err(NoAnswer::UnknownHost));
    assert!(took < ANSWER_TIME + GRACE, "{took:?}");
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers() {
    let server = FakeServer::silent();
    for url in [server.url(), server.url().replace("redis://", "redis+cluster://")] {
        let directory = start(settings(&url));
        let (answer, took) = timed(&directory).await;
        assert_eq!(answer, Err(NoAnswer::Timeout), "{url}");
        assert!(took < ANSWER_TIME + GRACE, "{url}: {took:?}");
    }
    let directory = start(settings(&format!("{}/mymaster", server.url().replace("redis://", "redis+sentinel://"))));
    assert_eq!(timed(&directory).await.0, Err(NoAnswer::Timeout));
}

#[tokio::test]
async fn a_server_that_freezes_is_left_and_found_again() {
    let server = Server::start(&[]);
    let directory = start(settings(&server.url()));
    works(&directory).await;
    server.freeze();
    let (answer, took) = timed(&directory).await;
    assert_eq!(answer, Err(NoAnswer::Timeout));
    assert!(took < ANSWER_TIME + GRACE, "{took:?}");
    // The half-open connection is given up.
    resets_beyond(&directory, 0).await;
    server.thaw();
    works(&directory).await;
}

#[tokio::test]
async fn an_idle_connection_that_freezes_is_noticed() {
    let server = Server::start(&[]);
    let directory = start(settings(&server.url()));
    works(&directory).await;
    server.freeze();
    resets_beyond(&directory, 0).await;
    server.thaw();
    works(&directory).await;
}

#[tokio::test]
async fn error_replies_are_no_answers() {
    for (line, reason) in [
        ("-LOADING Redis is loading the dataset in memory", NoAnswer::ReadOnly),
        ("-MASTERDOWN Link with MASTER is down", NoAnswer::ReadOnly),
        ("-NOAUTH Authentication required.", NoAnswer::Auth),
        ("-OOM command not allowed when used memory > 'maxmemory'.", NoAnswer::Full),
        ("-ERR unknown command", NoAnswer::Auth),
        ("+OK", NoAnswer::Refused),
        ("HTTP/1.1 400 Bad Request", NoAnswer::Refused),
        ("-MOVED 1 127.0.0.1:1", NoAnswer::Refused),
    ] {
        let server = FakeServer::saying(line);
        let directory = start(settings(&server.url()));
        let (answer, took) = timed(&directory).await;
        assert_eq!(answer, Err(reason), "{line}");
        assert!(took < ANSWER_TIME + GRACE, "{line}: {took:?}");
    }
}

#[tokio::test]
async fn a_master_that_becomes_a_replica_and_a_master_again() {
    let server = Server::start(&[]);
    let master = Server::start(&[]);
    let directory = start(settings(&server.url()));
    works(&directory).await;
    let _: String = server.run(&format!("REPLICAOF 127.0.0.1 {}", master.port));
    fails_with(&directory, NoAnswer::ReadOnly).await;
    resets_beyond(&directory, 0).await;
    // Nor is it read from: it may be behind.
    assert_eq!(directory.ask(get("abcd1234")).await, Err(NoAnswer::ReadOnly));
    let _: String = server.run("REPLICAOF NO ONE");
    works(&directory).await;
}

#[tokio::test]
async fn a_full_memory() {
    let server = Server::start(&[]);
    let directory = start(settings(&server.url()));
    works(&directory).await;
    let _: String = server.run("CONFIG SET maxmemory 1");
    assert_eq!(write(&directory).await, Err(NoAnswer::Full));
    assert!(directory.ask(get("abcd1234")).await.is_ok(), "reading goes on");
    let _: String = server.run("CONFIG SET maxmemory 0");
    assert_eq!(write(&directory).await, Ok(Answer::Done));
    assert_eq!(directory.resets(), 0);
}

#[tokio::test]
async fn a_wrong_user_or_password() {
    let server = Server::start(&["--requirepass", "right"]);
    let (_file, wrong) = file("wrong");
    let (_file, right) = file("right");
    let missing = PathBuf::from("/nonexistent/password");
    let base = || settings(&server.url());
    for settings in [
        base(),
        RedisSettings { password_file: Some(wrong), ..base() },
        RedisSettings { password_file: Some(missing), ..base() },
        RedisSettings { password_file: Some(right.clone()), username: Some("nobody".to_owned()), ..base() },
    ] {
        let directory = start(settings.clone());
        let (answer, took) = timed(&directory).await;
        assert_eq!(answer, Err(NoAnswer::Auth), "{settings:?}");
        assert!(took < ANSWER_TIME, "{took:?}");
    }
    // A password where the server has none.
    let open = Server::start(&[]);
    let directory = start(RedisSettings { password_file: Some(right), ..settings(&open.url()) });
    assert_eq!(write(&directory).await, Err(NoAnswer::Auth));
}

#[tokio::test]
async fn a_user_that_may_not() {
    let server = Server::start(&[]);
    let _: String = server.run("ACL SETUSER chatd on >pass ~chat:* +get +eval +evalsha");
    let (_file, password) = file("pass");
    let directory = start(RedisSettings {
        username: Some("chatd".to_owned()),
        password_file: Some(password),
        ..settings(&server.url())
    });
    assert_eq!(write(&directory).await, Err(NoAnswer::Auth));
    assert_eq!(directory.ask(get("abcd1234")).await, Ok(Answer::Found(None)));
    assert_eq!(directory.resets(), 0);
}

#[tokio::test]
async fn a_value_that_cannot_be_ours_is_read_in_part_and_can_be_written_over() {
    let server = Server::start(&[]);
    let _: usize = server.run("SETRANGE chat:room:abcd1234 67108863 x");
    let directory = start(settings(&server.url()));
    let Ok(Answer::Found(Some(part))) = directory.ask(get("abcd1234")).await else { panic!("it is there") };
    assert_eq!(part.len(), (1 << 20) + 1);
    let Request::Get { key } = get("abcd1234") else { unreachable!() };
    let new = Bytes::from_static(b"ours");
    let swap = Request::Swap { key, expected: Some(part), new: new.clone(), ttl: Duration::from_mins(1) };
    assert_eq!(directory.ask(swap).await, Ok(Answer::Done));
    assert_eq!(directory.ask(get("abcd1234")).await, Ok(Answer::Found(Some(new))));
}

#[tokio::test]
async fn a_password_that_changes_while_all_goes_on() {
    let server = Server::start(&[]);
    let _: String = server.run("ACL SETUSER chatd on >first ~chat:* +@all");
    let (_file, password) = file("first");
    let directory = start(RedisSettings {
        username: Some("chatd".to_owned()),
        password_file: Some(password.clone()),
        ..settings(&server.url())
    });
    works(&directory).await;
    // The server takes both for a while, as a rotation does. No request notices.
    let _: String = server.run("ACL SETUSER chatd >second");
    fs::write(&password, "second\n").unwrap();
    eventually("a connection with the new password", BACK, async || {
        assert_eq!(write(&directory).await, Ok(Answer::Done));
        (directory.resets() == 1).then_some(())
    })
    .await;
    let _: String = server.run("ACL SETUSER chatd <first");
    let _: i64 = server.run("CLIENT KILL USER chatd SKIPME no");
    works(&directory).await;
    assert_eq!(directory.resets(), 2);
}

#[tokio::test]
async fn a_file_that_is_ahead_of_the_server_harms_nobody() {
    let mut server = Server::start(&["--requirepass", "first"]);
    let (_file, password) = file("first");
    let directory = start(RedisSettings { password_file: Some(password.clone()), ..settings(&server.url()) });
    works(&directory).await;
    fs::write(&password, "second").unwrap();
    let watched = Instant::now();
    eventually("time for the files to be read again", BACK, async || {
        assert_eq!(write(&directory).await, Ok(Answer::Done));
        (watched.elapsed() > Duration::from_secs(8)).then_some(())
    })
    .await;
    assert_eq!(directory.resets(), 0);
    server.restart_with(&["--requirepass", "second"]);
    works(&directory).await;
    // And a server that is ahead of the file.
    server.restart_with(&["--requirepass", "third"]);
    fails_with(&directory, NoAnswer::Auth).await;
    fs::write(&password, "third").unwrap();
    works(&directory).await;
}

#[tokio::test]
async fn tls_that_cannot_be() {
    let certificates = Certificates::new();
    let server = Server::start_tls(&certificates, &[]);
    let stranger = Certificates::new();
    let url = format!("rediss://127.0.0.1:{}", server.tls_port.unwrap());
    let (cert, key) = certificates.client();
    let right = RedisSettings {
        ca_file: Some(certificates.ca()),
        cert_file: Some(cert),
        key_file: Some(key),
        ..settings(&url)
    };
    let (_file, rubbish) = file("no certificate");
    for (what, settings) in [
        ("another authority", RedisSettings { ca_file: Some(stranger.ca()), ..right.clone() }),
        ("no client certificate", RedisSettings { cert_file: None, key_file: None, ..right.clone() }),
        (
            "a stranger's certificate",
            RedisSettings {
                cert_file: Some(stranger.client().0),
                key_file: Some(stranger.client().1),
                ..right.clone()
            },
        ),
        ("a key of another certificate", RedisSettings { key_file: Some(stranger.client().1), ..right.clone() }),
        ("no certificates in the file", RedisSettings { ca_file: Some(rubbish), ..right.clone() }),
        (
            "another name",
            RedisSettings { url: url.replace("127.0.0.1", "localhost").parse().unwrap(), ..right.clone() },
        ),
    ] {
        assert_eq!(write(&start(settings)).await, Err(NoAnswer::Tls), "{what}");
    }
    works(&start(right)).await;
}

#[tokio::test]
async fn more_requests_than_may_be_under_way() {
    let server = FakeServer::silent();
    let directory = start(settings(&server.url()));
    let waiting = join_all((0..MOST_REQUESTS as u64).map(|number| directory.ask(put(number))));
    let one_more = async {
        let (answer, took) = timed(&directory).await;
        assert_eq!(answer, Err(NoAnswer::Timeout));
        assert!(took < Duration::from_millis(200), "{took:?}");
    };
    let (answers, ()) = tokio::join!(waiting, one_more);
    assert!(answers.iter().all(|answer| *answer == Err(NoAnswer::Timeout)));
    // They have made room again.
    let (_, took) = timed(&directory).await;
    assert!(took < ANSWER_TIME + GRACE, "{took:?}");
}

#[tokio::test]
async fn attempts_to_connect_do_not_grow_with_the_requests() {
    let server = FakeServer::start(drop);
    let directory = start(settings(&server.url()));
    let end = Instant::now() + Duration::from_secs(3);
    join_all((0..200).map(|_| async {
        while Instant::now() < end {
            assert!(write(&directory).await.is_err());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }))
    .await;
    // 50, 100, 200, ... ms, half of each at least: 8 fit into 3 s, and the first.
    let attempts = server.accepted.load(Ordering::Relaxed);
    assert!((2..=9).contains(&attempts), "{attempts} attempts");
}

/// Not a test of correctness: prints how many swaps a second one connection carries. The server takes a core of its own.
#[tokio::test]
#[ignore = "a measurement: cargo test --release --test directory_faults -- --ignored --nocapture"]
async fn swaps_a_second() {
    const WRITERS: u64 = 256;
    const EACH: u64 = 1_000;
    let server = Server::start(&[]);
    let directory = start(settings(&server.url()));
    works(&directory).await;
    let start = Instant::now();
    join_all((0..WRITERS).map(|writer| {
        let directory = directory.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                assert_eq!(directory.ask(put(10_000_000 + writer * EACH + number)).await, Ok(Answer::Done));
            }
        })
    }))
    .await;
    let seconds = start.elapsed().as_secs_f64();
    println!("{} swaps in {seconds:.2} s", WRITERS * EACH);
    assert_eq!(directory.resets(), 0);
}
