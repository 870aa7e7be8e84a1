//! The raw TCP port: sessions, ends of connections, and what is not ours.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use chatd::hub::HubSettings;

use crate::client::{Lines, PATIENCE, room_of, wait_until};
use crate::pod::{Options, Pod};

#[test]
fn a_session_by_hand() {
    let pod = Pod::start(Options::default());
    let mut alice = Lines::connect(pod.tcp);
    let room = alice.create_room();
    assert_eq!(alice.ask(&format!("JOIN {room} alice")), format!("JOINED {room} alice alice"));
    let mut bob = Lines::connect(pod.tcp);
    assert_eq!(bob.ask(&format!("JOIN {room} bob")), format!("JOINED {room} bob alice,bob"));
    alice.expect("ENTERED bob");
    alice.send("hello there\r\nSAY LEAVE\n");
    for player in [&mut alice, &mut bob] {
        player.expect("MSG alice hello there");
        player.expect("MSG alice LEAVE");
    }
    assert_eq!(bob.ask("WHO"), "PLAYERS alice,bob");
    assert_eq!(bob.ask("LEAVE"), format!("LEFT {room}"));
    alice.expect("EXITED bob left");
    assert_eq!(bob.ask("PING"), "PONG");
    assert_eq!(alice.ask("QUIT"), "BYE quit");
    alice.expect_closed();
    drop(bob);
    wait_until("sessions end with their connections", || pod.sessions() == 0);
}

#[test]
fn rooms_of_every_shard_are_reached_from_every_shard() {
    let pod = Pod::start(Options { shards: 3, ..Options::default() });
    let mut owners: Vec<_> = (0..6).map(|_| Lines::connect(pod.tcp)).collect();
    for (number, owner) in owners.iter_mut().enumerate() {
        let room = owner.create_room();
        owner.join(&room, "owner");
        for guest in 0..3 {
            let mut guest = (Lines::connect(pod.tcp), format!("guest{guest}"));
            // All at once: what follows the JOIN goes along to the other thread.
            guest.0.send(format!("PING\nJOIN {room} {}\nSAY {number}\nQUIT\n", guest.1));
            guest.0.expect("PONG");
            guest.0.expect_start(&format!("JOINED {room} {} owner", guest.1));
            guest.0.expect(&format!("MSG {} {number}", guest.1));
            guest.0.expect("BYE quit");
            guest.0.expect_closed();
            owner.expect(&format!("ENTERED {}", guest.1));
            owner.expect(&format!("MSG {} {number}", guest.1));
            owner.expect(&format!("EXITED {} left", guest.1));
        }
    }
}

#[test]
fn pipelined_lines_are_answered_in_order() {
    let pod = Pod::start(Options::default());
    let (_, mut players) = room_of(pod.tcp, &["alice", "bob", "carol", "dave"]);
    let lines = 5000;
    let text: String = (0..lines).map(|number| format!("SAY number {number}\n")).collect();
    let mut sender = players[0].stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || sender.write_all(text.as_bytes()).unwrap());
    for number in 0..lines {
        for player in &mut players {
            player.expect(&format!("MSG alice number {number}"));
        }
    }
    writer.join().unwrap();
}

#[test]
fn at_the_end_of_input_whole_lines_are_answered() {
    let pod = Pod::start(Options::default());
    let (room, mut players) = room_of(pod.tcp, &["alice"]);
    let mut bob = Lines::connect(pod.tcp);
    bob.send(format!("JOIN {room} bob\nhello\nWHO\nunfinished"));
    bob.end_input();
    bob.expect(&format!("JOINED {room} bob alice,bob"));
    bob.expect("MSG bob hello");
    bob.expect("PLAYERS alice,bob");
    bob.expect_closed();
    players[0].expect("ENTERED bob");
    players[0].expect("MSG bob hello");
    players[0].expect("EXITED bob disconnected");
    wait_until("the session ends", || pod.sessions() == 1);
}

#[test]
fn a_reset_connection_is_a_drop() {
    let pod = Pod::start(Options::default());
    let (_, mut players) = room_of(pod.tcp, &["alice", "bob"]);
    let bob = players.pop().unwrap();
    socket2::SockRef::from(&bob.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(bob);
    players[0].expect("EXITED bob disconnected");
}

/// Sends these parts, one packet each, and reads to the end.
fn all_that_is_said_to(pod: &Pod, parts: &[&[u8]]) -> Vec<u8> {
    let mut stream = TcpStream::connect(pod.tcp).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for part in parts {
        // It may be closed before all of it is sent.
        let _ = stream.write_all(part);
        std::thread::yield_now();
    }
    let mut read = Vec::new();
    // Closed with input unread, the connection may be reset.
    if let Err(error) = stream.read_to_end(&mut read) {
        let start = parts[0].escape_ascii().take(60).collect::<Vec<_>>();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{:?}", String::from_utf8_lossy(&start));
    }
    read
}

#[test]
fn the_first_words_of_other_protocols_are_closed_at_once_and_without_a_word() {
    let pod = Pod::start(Options::default());
    let table: &[&[u8]] = &[
        b"\x16\x03\x01",
        b"\0\x03\0\x08\x21\x12\xa4\x42",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /x HTTP/1.0\n",
        b"JOIN /x HTTP/1.1\r\n",
        b"GET /\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\n",
        b"INVITE sip:a@b SIP/2.0\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"EHLO a.example\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"PI\x07NG\r\n",
    ];
    for words in table {
        let said = all_that_is_said_to(&pod, &[words, b"\r\n\r\nCREATE_ROOM\r\n"]);
        assert_eq!(said, b"", "{:?}", words.escape_ascii().to_string());
    }
    wait_until("the sessions end", || pod.sessions() == 0);
    // What a person types wrongly at first is answered, and names of other protocols may be said in a room.
    let mut client = Lines::connect(pod.tcp);
    assert!(client.ask("hello").starts_with("ERR bad_command "));
    let room = client.create_room();
    client.join(&room, "alice");
    assert_eq!(client.ask("GET / HTTP/1.1"), "MSG alice GET / HTTP/1.1");
}

#[test]
fn a_web_page_cannot_cut_its_request_so_that_the_rest_is_taken_for_commands() {
    let pod = Pod::start(Options::default());
    let rest = b"TP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nCREATE_ROOM\n";
    // The path fills what is sent first, whatever that holds, and the limit of a line.
    for length in [1_448 - 6, 4_096 - 6, 4_096, 8_192, 14_600 - 6, 60_000] {
        let path = [b"GET /", &b"a".repeat(length)[..], b" HT"].concat();
        assert_eq!(all_that_is_said_to(&pod, &[&path, rest]), b"", "{length}");
        assert_eq!(all_that_is_said_to(&pod, &[&[&path[..], rest].concat()]), b"", "{length}");
    }
    let nothing_known = [&b"x".repeat(5_000)[..], b"\nCREATE_ROOM\n"].concat();
    assert_eq!(all_that_is_said_to(&pod, &[&nothing_known]), b"");
    assert_eq!(pod.report().gauges.rooms, 0);
}

#[test]
fn terminals_may_negotiate_mark_their_encoding_and_end_lines_with_nul() {
    let pod = Pod::start(Options::default());
    let table: &[&[u8]] = &[
        b"\xff\xfb\x1f\xff\xfd\x03\xff\xfa\x1f\0\x50\0\x18\xff\xf0PING\r\n",
        b"\xff\xf1PING\r\0",
        b"\xef\xbb\xbfPING\n",
        b"\xff\xfd\x01\xef\xbb\xbfPING\r\n",
        b"PING\r\0",
        b"\r\0PING\r\0",
    ];
    for bytes in table {
        let mut whole = Lines::connect(pod.tcp);
        whole.send(bytes);
        whole.expect("PONG");
        let mut pieces = Lines::connect(pod.tcp);
        for byte in *bytes {
            pieces.send([*byte]);
            std::thread::yield_now();
        }
        pieces.expect("PONG");
        pieces.send(b"PING\r\0PING\r\0");
        pieces.expect("PONG");
        pieces.expect("PONG");
    }
    // Only as they are meant: elsewhere both are no text.
    let mut client = Lines::connect(pod.tcp);
    let room = client.create_room();
    client.join(&room, "alice");
    assert!(client.ask("a\0b").starts_with("ERR bad_text "));
    client.send(b"a\xff\xfdb\n");
    client.expect_start("ERR bad_text ");
    client.send(b"hello\r\0there\r\0");
    client.expect("MSG alice hello");
    client.expect("MSG alice there");
}

#[test]
fn an_overlong_line_is_skipped_and_an_endless_one_closes() {
    let pod = Pod::start(Options::default());
    let mut client = Lines::connect(pod.tcp);
    let longest = format!("PING {}", "x".repeat(4096 - 6));
    client.send(format!("{longest}\n"));
    client.expect("PONG");
    client.send(format!("{longest}x\nPING\n"));
    client.expect_start("ERR line_too_long ");
    client.expect("PONG");
    for _ in 0..17 {
        // It may be closed before all of it is sent.
        let _ = client.stream.write_all("y".repeat(4096).as_bytes());
    }
    client.expect_start("ERR line_too_long ");
    client.expect("BYE line_too_long");
    client.expect_closed();
}

#[test]
fn silence_is_ended_before_the_first_line_and_outside_a_room() {
    let hub = HubSettings { first_line_timeout: 200, idle_timeout: 400, ..Options::default().hub };
    let pod = Pod::start(Options { hub, ..Options::default() });
    let (_, mut players) = room_of(pod.tcp, &["alice"]);
    let started = Instant::now();
    let mut silent = Lines::connect(pod.tcp);
    silent.expect_start("ERR timeout ");
    silent.expect("BYE timeout");
    silent.expect_closed();
    assert!(started.elapsed() >= Duration::from_millis(200));
    let mut idle = Lines::connect(pod.tcp);
    assert_eq!(idle.ask("PING"), "PONG");
    let started = Instant::now();
    idle.expect_start("ERR timeout ");
    idle.expect("BYE timeout");
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(players[0].ask("WHO"), "PLAYERS alice");
}

#[test]
fn a_slow_consumer_gets_an_error_and_delays_no_other_client() {
    let hub = HubSettings { send_queue: 64 * 1024, ..Options::default().hub };
    let pod = Pod::start(Options { hub, ..Options::default() });
    let (_, mut players) = room_of(pod.tcp, &["alice", "bob", "slow"]);
    let mut slow = players.pop().unwrap();
    let text = "x".repeat(3000);
    let mut sent = 0;
    let deadline = Instant::now() + crate::client::PATIENCE;
    'talking: loop {
        assert!(Instant::now() < deadline, "nobody was too slow after {sent} messages");
        players[0].send(format!("SAY {text}\n"));
        sent += 1;
        for player in &mut players {
            let line = player.line();
            if line.starts_with("EXITED") {
                assert_eq!(line, "EXITED slow slow");
                break 'talking;
            }
            assert_eq!(line, format!("MSG alice {text}"));
        }
    }
    // It gets whole lines, and its last words if it reads them in time.
    let mut last = String::new();
    while let Some(line) = slow.try_line() {
        last = line;
    }
    assert_eq!(last, "BYE slow_consumer");
    assert_eq!(pod.report().counters.slow_consumers, 1);
    wait_until("the session ends", || pod.sessions() == 2);
}

#[test]
fn a_silent_line_is_kept_alive_where_that_is_wanted() {
    let pod = Pod::start(Options { line_keep_alive: Some(150), shards: 3, ..Options::default() });
    let started = Instant::now();
    let (_, mut players) = room_of(pod.tcp, &["alice"]);
    let mut outside = Lines::connect(pod.tcp);
    for client in [&mut players[0], &mut outside] {
        client.expect("# ");
        client.expect("# ");
        assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
        client.send("PING\n");
        while client.line() != "PONG" {}
    }
    // Browsers are pinged, and elsewhere silence is silence.
    let pod = Pod::start(Options::default());
    let mut client = Lines::connect(pod.tcp);
    client.stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    assert!(client.stream.read(&mut [0]).is_err());
}
