//! The pod's limit on connections, shared by both ports.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use chatd::peer_protocol::Frame;

use crate::client::{Lines, PATIENCE, http, http_over, wait_until};
use crate::pod::{Options, Pod};
use crate::websocket::Browser;

#[test]
fn one_connection_too_many_gets_an_error_and_a_closed_one_frees_its_place() {
    let pod = Pod::start(Options { max_connections: 2, ..Options::default() });
    let mut first = Lines::connect(pod.tcp);
    assert_eq!(first.ask("PING"), "PONG");
    let mut browser = Browser::connect(&pod);
    assert_eq!(browser.ask(r#"{"type":"ping"}"#), r#"{"type":"pong"}"#);
    // It may have sent something already: the words must not be lost for that.
    let mut second = Lines::connect(pod.tcp);
    second.send("PING\n");
    second.expect_start("ERR too_many_connections ");
    second.expect("BYE too_many_connections");
    second.expect_closed();
    let refused = http(pod.web, "GET", "/", &[]);
    assert_eq!((refused.status, refused.code().as_str()), (503, "too_many_connections"));
    assert!(refused.header("retry-after").is_some());
    drop(browser);
    wait_until("a place on the web port", || http(pod.web, "GET", "/", &[]).status == 200);
    drop(first);
    wait_until("a place on the TCP port", || Lines::connect(pod.tcp).ask("PING") == "PONG");
}

#[test]
fn a_connection_that_asks_for_too_many_wrong_rooms_is_closed() {
    let hub = chatd::hub::HubSettings { max_misses: 3, ..Options::default().hub };
    let pod = Pod::start(Options { hub, ..Options::default() });
    let room = Lines::connect(pod.tcp).create_room();
    let mut stream = TcpStream::connect(pod.web).unwrap();
    let mut look_up = |room: &str| {
        let answer = http_over(&mut stream, &format!("GET /api/rooms/{room} HTTP/1.1\r\nHost: {}\r\n\r\n", pod.web));
        (answer.status, answer.header("connection") == Some("close"))
    };
    assert_eq!(look_up("aaaaaaaa"), (404, false));
    assert_eq!(look_up("aaaaaaab"), (404, false));
    assert_eq!(look_up(&room), (200, false));
    assert_eq!(look_up("aaaaaaac"), (429, true));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it is closed");
    assert_eq!(http(pod.web, "GET", "/api/rooms/aaaaaaaa", &[]).status, 404, "another one is not");
}

#[test]
fn misses_and_creations_of_one_address_are_limited_on_all_its_connections() {
    let pod = Pod::start(Options { per_ip_limits: true, ..Options::default() });
    let mut bystander = Lines::connect(pod.tcp);
    assert_eq!(bystander.ask("PING"), "PONG");
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(Lines::connect(pod.tcp).create_room());
        assert_eq!(http(pod.web, "POST", "/api/rooms", &["Content-Length: 0"]).status, 201);
        assert_eq!(http(pod.web, "GET", "/api/rooms/aaaaaaaa", &[]).status, 404);
    }
    for round in 0..15 {
        let room = ["aaaaaaaa", "aaaaaaab", "aaaaaaac"][round % 3];
        let answer = Lines::connect(pod.tcp).ask(&format!("JOIN {room} alice"));
        assert!(answer.starts_with("ERR room_not_found"), "{round}: {answer}");
    }
    for line in ["CREATE_ROOM".to_owned(), format!("JOIN {} bob", made[0])] {
        let mut new = Lines::connect(pod.tcp);
        let answer = new.ask(&line);
        assert!(answer.starts_with("ERR rate_limited"), "{answer}");
        assert_eq!(new.ask("PING"), "PONG");
    }
    for path in ["/api/rooms/aaaaaaaa", &format!("/api/rooms/{}", made[0])] {
        let refused = http(pod.web, "GET", path, &[]);
        assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
        assert!(refused.header("retry-after").is_some());
    }
    // Pages are not rooms.
    assert_eq!(http(pod.web, "GET", "/", &[]).status, 200);
}

#[test]
fn who_leaves_right_after_a_guess_is_charged_all_the_same() {
    let pod = Pod::start(Options { per_ip_limits: true, ..Options::default() });
    let start = std::time::Instant::now();
    let guess = || {
        let mut guesser = Lines::connect(pod.tcp);
        guesser.send("JOIN aaaaaaaa alice\nQUIT\n");
        guesser.line()
    };
    let answers: Vec<String> = (0..60).map(|_| guess()).collect();
    let found = answers.iter().filter(|answer| answer.starts_with("ERR room_not_found")).count();
    // One more is forgiven each two seconds.
    let most = 31 + usize::try_from(start.elapsed().as_secs()).unwrap() / 2;
    assert!((30..=most).contains(&found), "{found} guesses: {:?}", answers.last());
}

#[test]
fn rooms_cost_a_connection_the_same_by_each_door() {
    let hub = chatd::hub::HubSettings { rate: 1_000, burst: 1_000, ..Options::default().hub };
    let pod = Pod::start(Options { hub, ..Options::default() });
    let post = format!("POST /api/rooms HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", pod.web);
    let made_by = |make: &mut dyn FnMut() -> bool| {
        let start = std::time::Instant::now();
        let made = (0..60).take_while(|_| make()).count();
        let most = 20 + usize::try_from(start.elapsed().as_secs()).unwrap() + 1;
        assert!((20..=most).contains(&made), "{made} rooms in {:?}", start.elapsed());
    };
    let mut lines = Lines::connect(pod.tcp);
    made_by(&mut || lines.ask("CREATE_ROOM").starts_with("ROOM "));
    assert_eq!(lines.ask("PING"), "PONG", "everything else goes on");
    let mut browser = Browser::connect(&pod);
    let mut last = String::new();
    made_by(&mut || {
        last = browser.ask(r#"{"type":"create_room"}"#);
        last.contains(r#""type":"room""#)
    });
    assert!(last.contains(r#""code":"rate_limited""#) && last.contains(r#""retry_after_ms":"#), "{last}");
    let mut stream = TcpStream::connect(pod.web).unwrap();
    let mut last = None;
    made_by(&mut || last.insert(http_over(&mut stream, &post)).status == 201);
    let last = last.unwrap();
    assert_eq!((last.status, last.code().as_str(), last.header("retry-after")), (429, "rate_limited", Some("1")));
    assert_eq!(http_over(&mut TcpStream::connect(pod.web).unwrap(), &post).status, 201, "another connection may");
}

#[test]
fn floods_of_what_costs_little_are_ended_and_hold_up_nobody() {
    let hub = chatd::hub::HubSettings { rate: 10, burst: 20, ..Options::default().hub };
    let pod = Pod::start(Options { shards: 1, hub, ..Options::default() });
    let mut bystander = Lines::connect(pod.tcp);
    assert_eq!(bystander.ask("PING"), "PONG");
    let floods: Vec<_> = (0..40)
        .map(|_| {
            let mut client = Lines::connect(pod.tcp);
            std::thread::spawn(move || {
                let lines = vec![b'\n'; 64 * 1024];
                (0..128).all(|_| client.stream.write_all(&lines).is_ok())
            })
        })
        .collect();
    for flood in floods {
        assert!(!flood.join().unwrap(), "all of it was taken");
    }
    assert_eq!(bystander.ask("PING"), "PONG");
    wait_until("the sessions end", || pod.sessions() == 1);
    assert!(pod.report().counters.commands_in < 40 * 150);
}

#[test]
fn frames_of_other_pods_leave_clients_their_turns() {
    let pod = Pod::start(Options { shards: 1, ..Options::default() });
    let mut client = Lines::connect(pod.tcp);
    assert_eq!(client.ask("PING"), "PONG");
    // What one read of a link may hold at most.
    let mut bytes = Vec::new();
    while bytes.len() < 60_000 {
        Frame::Ask { room: "aaaaaaaa".parse().unwrap(), ticket: 1, dead: None }.encode(&mut bytes);
    }
    let mut handled = pod.frames(200, &bytes);
    let mut answers = 0;
    while handled.try_recv().is_err() {
        assert_eq!(client.ask("PING"), "PONG");
        answers += 1;
    }
    assert!(answers > 3, "{answers} answers meanwhile");
}

#[test]
fn requests_on_one_connection_have_their_pace_and_others_do_not_wait() {
    let pod = Pod::start(Options::default());
    let mut stream = TcpStream::connect(pod.web).unwrap();
    let started = Instant::now();
    let many = format!("GET /favicon.svg HTTP/1.1\r\nHost: {}\r\n\r\n", pod.web).repeat(149);
    let last = format!("GET /favicon.svg HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", pod.web);
    stream.write_all(many.as_bytes()).unwrap();
    stream.write_all(last.as_bytes()).unwrap();
    assert_eq!(http(pod.web, "GET", "/", &[]).status, 200);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 150);
    // A hundred at once, and fifty a second after that.
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
}

/// The status of an upgrade that comes through a proxy of the client with this address.
fn upgrade_for(pod: &Pod, client: &str) -> (TcpStream, u16, String) {
    let mut stream = TcpStream::connect(pod.web).unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Forwarded-For: {client}\r\n\r\n",
        pod.web
    );
    let answer = http_over(&mut stream, &request);
    let code = if answer.status == 101 { String::new() } else { answer.code() };
    (stream, answer.status, code)
}

#[test]
fn one_address_has_a_part_of_the_places_and_others_have_the_rest() {
    let pod = Pod::start(Options { per_ip_limits: true, max_connections_per_ip: 3, ..Options::default() });
    let mut own: Vec<Lines> = (0..3).map(|_| Lines::connect(pod.tcp)).collect();
    for client in &mut own {
        assert_eq!(client.ask("PING"), "PONG");
    }
    let mut fourth = Lines::connect(pod.tcp);
    fourth.expect_start("ERR too_many_from_address ");
    fourth.expect("BYE too_many_from_address");
    fourth.expect_closed();
    let refused = http(pod.web, "GET", "/", &[]);
    assert_eq!((refused.status, refused.code().as_str()), (429, "too_many_from_address"));
    own.pop();
    wait_until("a place of the address is free", || http(pod.web, "GET", "/", &[]).status == 200);
    assert_eq!(own[0].ask("PING"), "PONG");

    // Behind a proxy it is the client's address that counts, and the proxy's own connections are not one client's.
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let pod =
        Pod::start(Options { per_ip_limits: true, max_connections_per_ip: 2, trusted_proxies, ..Options::default() });
    let held: Vec<_> = (0..2).map(|_| upgrade_for(&pod, "192.0.2.1")).collect();
    assert!(held.iter().all(|(_, status, _)| *status == 101));
    let (_, status, code) = upgrade_for(&pod, "192.0.2.1");
    assert_eq!((status, code.as_str()), (429, "too_many_from_address"));
    assert_eq!(upgrade_for(&pod, "192.0.2.2").1, 101);
    let pages: Vec<_> = (0..5).map(|_| TcpStream::connect(pod.web).unwrap()).collect();
    assert_eq!(http(pod.web, "GET", "/", &[]).status, 200);
    drop(pages);

    let options =
        Options { per_ip_limits: true, max_connections_per_ip: 1, proxy_protocol: true, ..Options::default() };
    let pod = Pod::start(options);
    let come = |client: &str| {
        let mut lines = Lines::connect(pod.tcp);
        lines.send(format!("PROXY TCP4 {client} 192.0.2.9 4711 7654\r\nPING\r\n"));
        let line = lines.line();
        (lines, line)
    };
    let first = come("192.0.2.1");
    assert_eq!(first.1, "PONG");
    assert!(come("192.0.2.1").1.starts_with("ERR too_many_from_address "));
    assert_eq!(come("192.0.2.2").1, "PONG");
}
