//! Every limit and what goes over it, and what is not the protocol at all; nobody else is harmed by any of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::client::{Client, PATIENCE};
use crate::support::pod::{self, Pod};
use crate::support::wait_for;
use crate::town::{TALKATIVE, Town};

/// A pod without Redis.
fn alone(more: &[&str]) -> Pod {
    let mut pod = Pod::launch("chat-0", None, more);
    pod.ready();
    pod
}

/// A client in a room of its own, to see that it is not harmed.
fn witness(pod: &Pod) -> Client {
    let mut client = Client::connect(pod.tcp);
    let room = client.create_room();
    client.join(&room, "witness", "");
    client
}

#[track_caller]
fn unharmed(witness: &mut Client) {
    assert_eq!(witness.ask("still here"), "MSG witness still here");
}

#[test]
fn netcat_that_ends_its_input() {
    let pod = alone(&[]);
    let mut child = Command::new("nc")
        .args(["-N", "127.0.0.1", &pod.tcp.port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("nc is installed: hack/need nc");
    child.stdin.take().unwrap().write_all(b"CREATE_ROOM\r\nPING\nHELP\nPING\nPI").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("ROOM ") && lines[1] == "PONG", "{text}");
    let help = &lines[2..lines.len() - 1];
    assert!(!help.is_empty() && help.iter().all(|line| line.starts_with("# ")), "{text}");
    assert_eq!(lines.last(), Some(&"PONG"));
    pod.metric_becomes("chatd_connections{kind=\"tcp\"}", 0);
}

#[test]
fn http_and_tls_on_the_tcp_port_are_closed_without_a_word() {
    let pod = alone(&[]);
    let mut witness = witness(&pod);
    let hello: &[u8] = b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03rest of a ClientHello";
    let post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nCREATE_ROOM\n".as_slice();
    for words in [hello, b"GET / HTTP/1.1\r\n\r\n", b"GET http://x/ HTTP/1.0\n", post] {
        let mut stream = TcpStream::connect(pod.tcp).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(words).unwrap();
        let (mut read, asked) = (Vec::new(), Instant::now());
        // Closed with input unread, the connection may be reset.
        let _ = stream.read_to_end(&mut read);
        assert_eq!(read, b"");
        assert!(asked.elapsed() < Duration::from_secs(5), "not at once");
    }
    assert_eq!(pod.metric("chatd_rooms_created_total"), 1, "a page drove the port");
    unharmed(&mut witness);
}

#[test]
fn rubbish_on_the_peer_and_admin_ports() {
    let town = Town::start(2);
    let pod = &town.pods[0];
    let mut witness = witness(pod);
    for address in [pod.peer, pod.admin, pod.web] {
        let long = vec![b'x'; 100_000];
        for words in [&b"\xff\xff\xff\xff"[..], b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\0\0\0\0\0", &long] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let _ = stream.write_all(words);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut read = Vec::new();
            let _ = stream.read_to_end(&mut read);
            assert!(!String::from_utf8_lossy(&read).contains("ROOM"));
        }
    }
    unharmed(&mut witness);
    assert_eq!((pod.probe("/livez"), pod.probe("/readyz")), (200, 200));
    let mut bob = town.client(1);
    let room = town.client(0).create_room();
    bob.join(&room, "bob", "RELAY");
}

#[test]
fn a_reader_who_stands_still_is_ended() {
    let pod = alone(&[&TALKATIVE[..], &["--send-queue", "64KiB"]].concat());
    let mut alice = Client::connect(pod.tcp);
    let room = alice.create_room();
    alice.join(&room, "alice", "");
    let mut bob = Client::connect(pod.tcp);
    bob.join(&room, "bob", "");
    let mut slow = Client::connect(pod.tcp);
    slow.join(&room, "slow", "");
    let text = "x".repeat(3_000);
    let deadline = Instant::now() + Duration::from_mins(1);
    let (mut said, mut gone) = (0, false);
    while !gone {
        assert!(Instant::now() < deadline, "nobody was too slow after {said} lines");
        alice.send(&format!("SAY {said} {text}"));
        for player in [&mut alice, &mut bob] {
            let heard = player.until(&format!("MSG alice {said} "), PATIENCE);
            gone |= heard.contains(&"EXITED slow slow".to_owned());
        }
        said += 1;
    }
    assert_eq!(pod.metric("chatd_slow_consumers_total"), 1);
    let last = slow.rest(PATIENCE);
    assert!(last[last.len() - 2].starts_with("ERR slow_consumer "), "{:?}", last[last.len() - 2]);
    assert_eq!(last.last().unwrap(), "BYE slow_consumer");
    // What it did not read is not kept.
    pod.metric_becomes("chatd_queued_bytes", 0);
}

#[test]
fn what_waits_for_a_client_at_another_pod_counts_where_it_waits() {
    let limits = ["--send-queue", "64MiB", "--buffer-bytes", "1MiB"];
    let town = Town::start_with(2, &[&TALKATIVE[..], &limits].concat());
    let mut alice = town.client(0);
    let room = alice.create_room();
    alice.join(&room, "alice", "");
    let mut slow = town.client(1);
    slow.join(&room, "slow", "RELAY");
    let text = "x".repeat(3_000);
    let deadline = Instant::now() + Duration::from_mins(1);
    let (mut said, mut gone) = (0, false);
    while !gone {
        assert!(Instant::now() < deadline, "nobody went after {said} lines");
        alice.send(&format!("SAY {said} {text}"));
        gone = alice.until(&format!("MSG alice {said} "), PATIENCE).contains(&"EXITED slow slow".to_owned());
        said += 1;
    }
    assert_eq!([0, 1].map(|pod| town.pods[pod].metric("chatd_connections_shed_total")), [1, 0]);
    assert_eq!(slow.rest(PATIENCE).last().unwrap(), "BYE overloaded");
    town.pods[0].metric_becomes("chatd_buffered_bytes", 0);
}

#[test]
fn a_flood_is_limited_and_then_ended() {
    let pod = alone(&[]);
    let mut witness = witness(&pod);
    let mut flood = Client::connect(pod.tcp);
    let room = flood.create_room();
    flood.join(&room, "flood", "");
    let lines = 400;
    let text = "SAY and again\n".repeat(lines);
    let mut writer = flood.writer();
    let sender = std::thread::spawn(move || {
        // It may be closed before it has sent everything.
        let _ = writer.write_all(text.as_bytes());
    });
    let answers = flood.rest(PATIENCE);
    sender.join().unwrap();
    let said = answers.iter().filter(|line| line.starts_with("MSG flood ")).count();
    let limited = answers.iter().filter(|line| line.starts_with("ERR rate_limited ")).count();
    assert!((15..60).contains(&said), "{said} lines got through");
    assert!((90..=101).contains(&limited), "{limited} were limited");
    assert_eq!(answers.last().unwrap(), "BYE rate_limited");
    unharmed(&mut witness);
}

#[test]
fn one_connection_too_many() {
    let pod = alone(&["--max-connections", "3"]);
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(pod.tcp)).collect();
    for client in &mut clients {
        assert_eq!(client.ask("PING"), "PONG");
    }
    let mut fourth = Client::connect(pod.tcp);
    fourth.expect_start("ERR too_many_connections ");
    fourth.expect("BYE too_many_connections");
    fourth.expect_closed();
    assert!(pod.metric("chatd_connections_refused_total") >= 1);
    // The admin port is not for clients, and has places of its own.
    assert_eq!(pod.probe("/livez"), 200);
    assert_eq!(clients[0].ask("QUIT"), "BYE quit");
    wait_for("a place is free", PATIENCE, || {
        let mut client = Client::connect(pod.tcp);
        client.send("PING");
        (client.line() == "PONG").then_some(())
    });
}

#[test]
fn one_room_too_many() {
    let pod = alone(&["--max-rooms", "6"]);
    let mut created = 0;
    let mut refused = 0;
    while refused < 8 {
        let answer = Client::connect(pod.tcp).ask("CREATE_ROOM");
        if answer.starts_with("ROOM ") {
            created += 1;
            assert!(created <= 6, "{created} rooms");
        } else {
            assert!(answer.starts_with("ERR too_many_rooms "), "{answer}");
            refused += 1;
        }
    }
    assert_eq!(created, 6, "the limit is not reached");
    assert_eq!(pod.metric("chatd_rooms"), 6);
}

#[test]
fn what_a_room_refuses_wherever_it_is_asked() {
    let town = Town::start(2);
    let mut alice = town.client(0);
    let room = alice.create_room();
    let token = alice.join_resumable(&room, "alice", "");
    assert!(alice.ask(&format!("JOIN {room} alice")).starts_with("ERR already_in_room "));
    assert!(alice.ask(&format!("JOIN {room} alice")).starts_with("ERR already_in_room "));
    let mut others: Vec<Client> = ["bob", "carol"]
        .map(|name| {
            let mut client = town.client(1);
            client.join(&room, name, "RELAY");
            client
        })
        .into();
    for pod in 0..2 {
        let mut client = town.client(pod);
        let mut refused = |command: String, code: &str| {
            let answer = client.ask(&command);
            assert!(answer.starts_with(&format!("ERR {code} ")), "{command} by chat-{pod}: {answer}");
        };
        refused(format!("JOIN {room} ALICE RELAY"), "name_taken");
        refused(format!("JOIN {room} a/b RELAY"), "bad_name");
        refused("JOIN -nothing alice".to_owned(), "bad_room");
        refused("JOIN zzzzzzzz dave RELAY".to_owned(), "room_not_found");
        refused(format!("RESUME {room} {}x RELAY", &token[..token.len() - 1]), "bad_token");
        refused(format!("RESUME {room} nonsense RELAY"), "bad_token");
        refused(format!("RESUME zzzzzzzz {token} RELAY"), "room_not_found");
        refused("SAY outside".to_owned(), "not_in_room");
    }
    let mut dave = town.client(1);
    dave.join(&room, "dave", "RELAY");
    others.push(dave);
    for pod in 0..2 {
        let answer = town.client(pod).ask(&format!("JOIN {room} erin RELAY"));
        assert!(answer.starts_with("ERR room_full "), "{answer}");
    }
    assert!(others[0].ask("CREATE_ROOM").starts_with("ENTERED carol"));
    let text = others[0].until("ERR ", PATIENCE);
    assert!(text.last().unwrap().starts_with("ERR already_in_room "), "{text:?}");
    for line in ["SAY \u{1b}[31mred", "SAY \u{7f}", "SAY \u{85}", "SAY \u{2028}x", "SAY \u{202e}"] {
        let answer = others[0].ask(line);
        assert!(answer.starts_with("ERR bad_text "), "{line:?}: {answer}");
    }
    others[0].send_bytes(b"SAY \xff\xfe\n");
    others[0].expect_start("ERR bad_text ");
    assert_eq!(alice.until("ENTERED dave", PATIENCE).len(), 3, "refusals are nobody else's business");
}

#[test]
fn a_guesser_is_ended() {
    let pod = alone(&[]);
    let mut guesser = Client::connect(pod.tcp);
    for guess in 0..10 {
        assert!(guesser.ask(&format!("JOIN guess{guess:03} x")).starts_with("ERR room_not_found "));
    }
    let words = guesser.rest(PATIENCE);
    assert_eq!(words.last().unwrap(), "BYE rate_limited", "{words:?}");
    let mut clumsy = Client::connect(pod.tcp);
    for _ in 0..10 {
        assert!(clumsy.ask("WHAT").starts_with("ERR bad_command "));
    }
    clumsy.expect("BYE bad_command");
    clumsy.expect_closed();
}

#[test]
fn lines_that_are_too_long() {
    let pod = alone(&[]);
    let mut witness = witness(&pod);
    let mut first = Client::connect(pod.tcp);
    first.send(&"x".repeat(5_000));
    first.expect_closed();
    let mut client = Client::connect(pod.tcp);
    assert_eq!(client.ask("PING"), "PONG");
    client.send(&"x".repeat(5_000));
    client.expect_start("ERR line_too_long ");
    assert_eq!(client.ask("PING"), "PONG");
    let room = client.create_room();
    client.join(&room, "long", "");
    client.send(&format!("SAY {}", "x".repeat(4_000)));
    client.expect(&format!("MSG long {}", "x".repeat(4_000)));
    client.send(&format!("SAY {}", "x".repeat(4_001)));
    client.expect_start("ERR line_too_long ");
    // It may be closed before all of it is sent.
    let _ = client.stream.write_all("x".repeat(70_000).as_bytes());
    client.expect_start("ERR line_too_long ");
    client.expect("BYE line_too_long");
    unharmed(&mut witness);
}

#[test]
fn silence_is_ended() {
    let pod = alone(&["--first-line-timeout", "1", "--idle-timeout", "2"]);
    let mut witness = witness(&pod);
    let started = Instant::now();
    let mut silent = Client::connect(pod.tcp);
    let mut dripping = Client::connect(pod.tcp);
    dripping.send_bytes("PIN");
    for client in [&mut silent, &mut dripping] {
        client.expect_start("ERR timeout ");
        client.expect("BYE timeout");
        client.expect_closed();
    }
    // Its clock counts whole milliseconds.
    assert!(started.elapsed() >= Duration::from_millis(990));
    let mut idle = Client::connect(pod.tcp);
    assert_eq!(idle.ask("PING"), "PONG");
    idle.expect_start("ERR timeout ");
    idle.expect("BYE timeout");
    // In a room nobody is ended for being silent.
    unharmed(&mut witness);
    // The web port waits no longer for a header.
    let mut web = TcpStream::connect(pod.web).unwrap();
    web.set_read_timeout(Some(PATIENCE)).unwrap();
    web.write_all(b"GET / HT").unwrap();
    let mut read = Vec::new();
    let _ = web.read_to_end(&mut read);
    assert!(pod::get(pod.web, "/").is_some_and(|answer| answer.status == 200));
}

/// Lets this process have so many connections.
fn allow_open_files(connections: usize) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let enough = limit.maximum.is_none_or(|most| most >= connections as u64 + 1_000);
    assert!(enough, "this machine allows too few open files: {limit:?}");
}

#[test]
fn all_who_come_at_once_are_let_in_without_being_asked_again() {
    const MANY: usize = 1_500;
    allow_open_files(4 * MANY);
    let town = Town::start(1);
    let pod = &town.pods[0];
    // New connections wait in the system's queue meanwhile.
    pod.freeze();
    let second = Duration::from_secs(1);
    for port in [pod.tcp, pod.web, pod.peer, pod.admin] {
        let come =
            |number| TcpStream::connect_timeout(&port, second).unwrap_or_else(|error| panic!("{number}: {error}"));
        let all: Vec<TcpStream> = (0..MANY).map(come).collect();
        assert_eq!(all.len(), MANY);
    }
    pod.thaw();
    assert_eq!(town.client(0).ask("PING"), "PONG");
}

#[test]
fn where_the_system_allows_few_open_files_there_are_fewer_places_and_all_else_goes_on() {
    let mut pod = Pod::launch_with_open_files("chat-0", 400, &[]);
    pod.ready();
    assert_eq!(pod.metric("chatd_connection_places"), 200);
    let mut clients: Vec<Client> = (0..200).map(|_| Client::connect(pod.tcp)).collect();
    for client in &mut clients {
        assert_eq!(client.ask("PING"), "PONG");
    }
    let mut more: Vec<Client> = (0..300).map(|_| Client::connect(pod.tcp)).collect();
    more[0].expect_start("ERR too_many_connections ");
    more[0].expect("BYE too_many_connections");
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(pod.probe(path), 200);
    }
    let room = clients[0].create_room();
    clients[199].join(&room, "alice", "");
    assert!(pod.log().contains("too few open files"), "{}", pod.log());
    drop(more);
    drop(clients);
    wait_for("the places are free", PATIENCE, || {
        let mut client = Client::connect(pod.tcp);
        client.send("PING");
        (client.line() == "PONG").then_some(())
    });
}

#[test]
fn ten_thousand_connections_and_one_more() {
    const MANY: usize = 10_000;
    allow_open_files(MANY);
    let pod = alone(&["--first-line-timeout", "300", "--idle-timeout", "300"]);
    let started = Instant::now();
    // In lots, so that the queue of connections to accept does not run over.
    let mut clients: Vec<Client> = Vec::with_capacity(MANY);
    while clients.len() < MANY {
        let lot = clients.len();
        clients.extend((0..100).map(|_| Client::connect(pod.tcp)));
        for client in &mut clients[lot..] {
            client.send("PING");
        }
        for client in &mut clients[lot..] {
            client.expect("PONG");
        }
    }
    println!("{MANY} connections after {:?}", started.elapsed());
    let mut one_more = Client::connect(pod.tcp);
    one_more.expect_start("ERR too_many_connections ");
    one_more.expect("BYE too_many_connections");
    // All of them are served.
    let room = clients[0].create_room();
    let (first, rest) = clients.split_at_mut(1);
    first[0].join(&room, "first", "");
    rest[MANY - 2].join(&room, "last", "");
    first[0].expect("ENTERED last");
    assert_eq!(pod.metric("chatd_connections{kind=\"tcp\"}"), MANY as u64);
    let memory = pod.metric("process_resident_memory_bytes");
    println!("memory of the process: {} MB", memory / 1_000_000);
    drop(clients);
    pod.metric_becomes("chatd_connections{kind=\"tcp\"}", 0);
}
