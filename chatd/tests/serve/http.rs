//! The web port as HTTP: pages, the API, and who may ask.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{Answer, Lines, PATIENCE, http, http_over};
use crate::pod::{Options, Pod};

const SECURITY: [(&str, &str); 3] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
];

#[test]
fn pages_are_served_and_known_ones_are_not_sent_again() {
    let pod = Pod::start(Options::default());
    for (path, kind, words) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/room?room=abcd1234&name=x", "text/html; charset=utf-8", "<!doctype html>"),
        ("/room.js", "text/javascript; charset=utf-8", "import"),
        ("/style.css", "text/css; charset=utf-8", "{"),
        ("/favicon.svg", "image/svg+xml", "<svg"),
    ] {
        let page = http(pod.web, "GET", path, &[]);
        assert_eq!((page.status, page.header("content-type")), (200, Some(kind)), "{path}");
        assert!(page.body.to_ascii_lowercase().contains(words), "{path}");
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        for (name, value) in SECURITY {
            assert_eq!(page.header(name), Some(value), "{path}");
        }
        let head = http(pod.web, "HEAD", path, &[]);
        assert_eq!((head.status, head.header("content-length")), (200, page.header("content-length")));
        let tag = page.header("etag").unwrap();
        let again = http(pod.web, "GET", path, &[&format!("If-None-Match: W/\"x\", {tag}")]);
        assert_eq!((again.status, again.header("etag")), (304, Some(tag)));
        assert_eq!(http(pod.web, "GET", path, &["If-None-Match: \"x\""]).status, 200);
    }
}

/// The addresses of what a page loads, which it names itself.
fn assets(page: &str) -> Vec<String> {
    let named = page.split(['"', '\'']).filter(|text| text.contains("/assets/"));
    named.map(str::to_owned).collect()
}

#[test]
fn assets_are_compressed_and_kept_for_ever_under_the_name_of_their_version() {
    let pod = Pod::start(Options::default());
    let gzip = "Accept-Encoding: br, gzip";
    for (path, least) in [("/", 6), ("/room", 17)] {
        let page = http(pod.web, "GET", path, &[]);
        let compressed = http(pod.web, "GET", path, &[gzip]);
        assert_eq!(compressed.header("content-encoding"), Some("gzip"), "{path}");
        assert_ne!(compressed.header("etag"), page.header("etag"), "one tag for each of the two");
        let assets = assets(&page.body);
        assert!(assets.len() >= least, "{path}: {assets:?}");
        for asset in assets {
            let whole = http(pod.web, "GET", &asset, &["Accept-Encoding: gzip;q=0, br"]);
            assert_eq!((whole.status, whole.header("content-encoding")), (200, None), "{asset}");
            assert_eq!(whole.header("cache-control"), Some("public, max-age=31536000, immutable"), "{asset}");
            assert!(whole.header("vary").is_some_and(|vary| vary.contains("accept-encoding")), "{asset}");
            let small = http(pod.web, "GET", &asset, &[gzip]);
            let length = |answer: &Answer| answer.header("content-length").unwrap().parse::<usize>().unwrap();
            assert_eq!((small.status, small.header("content-encoding")), (200, Some("gzip")), "{asset}");
            assert!(length(&small) < length(&whole), "{asset}");
            let tag = format!("If-None-Match: {}", small.header("etag").unwrap());
            assert_eq!(http(pod.web, "GET", &asset, &[gzip, &tag]).status, 304, "{asset}");
            // Another version's name, and a plain one: what is there, and not for ever.
            let name = asset.splitn(4, '/').nth(3).unwrap();
            for other in [format!("/assets/older/{name}"), format!("/{name}")] {
                let found = http(pod.web, "GET", &other, &[]);
                assert_eq!((found.status, found.header("cache-control")), (200, Some("no-cache")), "{other}");
                assert_eq!(found.body, whole.body);
            }
        }
    }
    for path in ["/assets/older/nothing.js", "/assets/older", "/assets/", "/assets//room.js/x"] {
        assert_eq!(http(pod.web, "GET", path, &[]).status, 404, "{path}");
    }
}

#[test]
fn everything_works_under_a_path_whether_a_proxy_takes_it_away_or_not() {
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let pod = Pod::start(Options { base_path: "/chat".parse().unwrap(), trusted_proxies, ..Options::default() });
    let untrusted = Pod::start(Options::default());
    let forwarded = "X-Forwarded-Prefix: /a/b/";
    // Where it is asked, with which header, and under which path the client sees it.
    for (asked, header, seen) in
        [("/chat", "X: y", "/chat"), ("", "X: y", "/chat"), ("", forwarded, "/a/b"), ("/a/b", forwarded, "/a/b")]
    {
        let get = |path: &str| http(pod.web, "GET", &format!("{asked}{path}"), &[header]);
        for path in ["/", "/room?room=abcd1234"] {
            let page = get(path);
            assert_eq!(page.status, 200, "{asked} {path}");
            assert!(page.body.contains(&format!("name=\"base\" content=\"{seen}/\"")), "{asked} {path}");
            let assets = assets(&page.body);
            assert!(assets.len() > 5 && assets.iter().all(|asset| asset.starts_with(&format!("{seen}/assets/"))));
            assert_eq!(get(assets[0].strip_prefix(seen).unwrap()).status, 200);
        }
        let made = http(pod.web, "POST", &format!("{asked}/api/rooms"), &["Content-Length: 0", header]);
        assert_eq!(made.status, 201);
        let place = made.header("location").unwrap();
        assert!(place.starts_with(&format!("{seen}/api/rooms/")), "{place}");
        assert_eq!(get(place.strip_prefix(seen).unwrap()).status, 200);
        assert_eq!(get("/room/abcd1234").header("location"), Some(format!("{seen}/room?room=abcd1234").as_str()));
        let error = http(pod.web, "GET", &format!("{asked}/nothing"), &[header, "Accept: text/html"]);
        assert!(error.body.contains(&format!("href=\"{seen}/\"")), "{asked}");
    }
    assert_eq!(http(pod.web, "GET", "/chat", &[]).header("location"), Some("/chat/"));
    assert_eq!(http(pod.web, "GET", "/chatter", &[]).status, 404);
    for wrong in ["X-Forwarded-Prefix: //evil.example", "X-Forwarded-Prefix: /\"><script>", "X-Forwarded-Prefix: evil"]
    {
        assert!(http(pod.web, "GET", "/", &[wrong]).body.contains("content=\"/chat/\""), "{wrong}");
    }
    assert!(http(untrusted.web, "GET", "/", &[forwarded]).body.contains("content=\"/\""), "nobody is trusted here");
}

#[test]
fn rooms_are_made_and_looked_up() {
    let pod = Pod::start(Options { shards: 3, ..Options::default() });
    for _ in 0..6 {
        let made = http(pod.web, "POST", "/api/rooms", &["Content-Length: 0"]);
        assert_eq!(made.status, 201);
        let body: serde_json::Value = serde_json::from_str(&made.body).unwrap();
        let room = body["room"].as_str().unwrap();
        let path = format!("/api/rooms/{room}");
        assert_eq!(made.header("location"), Some(path.as_str()));
        let expect = |names: &[&str]| {
            let found = http(pod.web, "GET", &path, &[]);
            assert_eq!((found.status, found.header("cache-control")), (200, Some("no-store")));
            let body: serde_json::Value = serde_json::from_str(&found.body).unwrap();
            let expected = serde_json::json!({"room": room, "players": names.len(), "max_players": 4, "names": names});
            assert_eq!(body, expected);
        };
        expect(&[]);
        let mut alice = Lines::connect(pod.tcp);
        alice.join(room, "alice");
        expect(&["alice"]);
    }
    // Who makes a room for a few people has not asked for it to be seen.
    let listed = http(pod.web, "GET", "/api/rooms", &[]);
    assert_eq!((listed.status, listed.body.as_str()), (200, r#"{"rooms":[],"incomplete":[]}"#));
    assert_eq!(
        (listed.header("content-type"), listed.header("cache-control")),
        (Some("application/json"), Some("no-store"))
    );
    assert_eq!(http(pod.web, "HEAD", "/api/rooms", &[]).status, 200);
}

#[test]
fn errors_are_json_with_their_codes() {
    let pod = Pod::start(Options::default());
    let table: &[(&str, &str, &[&str], u16, &str)] = &[
        ("GET", "/nothing", &[], 404, "not_found"),
        ("GET", "/api", &[], 404, "not_found"),
        ("GET", "/package.json", &[], 404, "not_found"),
        ("GET", "/../Cargo.toml", &[], 404, "not_found"),
        ("GET", "/api/rooms/abcd1234", &[], 404, "room_not_found"),
        ("GET", "/api/rooms/ABCD1234", &[], 400, "bad_room"),
        ("GET", "/api/rooms/", &[], 400, "bad_room"),
        ("GET", "/api/rooms/abcd1234/x", &[], 400, "bad_room"),
        ("DELETE", "/api/rooms", &[], 405, "method_not_allowed"),
        ("DELETE", "/api/rooms/abcd1234", &[], 405, "method_not_allowed"),
        ("POST", "/", &["Content-Length: 0"], 405, "method_not_allowed"),
        ("POST", "/ws", &["Content-Length: 0"], 405, "method_not_allowed"),
        ("GET", "/ws", &[], 400, "bad_request"),
        ("GET", "/", &["Host: evil.example"], 421, "bad_host"),
        ("GET", "/", &["Host: localhost", "Host: localhost"], 400, "bad_request"),
        ("POST", "/api/rooms", &["Content-Length: 0", "Origin: null"], 403, "bad_origin"),
        ("POST", "/api/rooms", &["Content-Length: 0", "Origin: http://evil.example"], 403, "bad_origin"),
        ("GET", "/ws", &["Origin: http://evil.example"], 403, "bad_origin"),
    ];
    for (method, path, lines, status, code) in table {
        let answer = http(pod.web, method, path, lines);
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{method} {path} {lines:?}");
        assert_eq!(answer.header("allow").is_some(), *status == 405);
        for (name, value) in SECURITY {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn people_get_a_page_where_nothing_is_and_a_link_to_a_room_leads_there_whatever_came_along() {
    let pod = Pod::start(Options::default());
    let browser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";
    for (path, status, words) in
        [("/nothing", 404, "There is nothing here."), ("/room/", 404, "lobby"), ("/Room)", 404, "lobby")]
    {
        let page = http(pod.web, "GET", path, &[browser]);
        assert_eq!((page.status, page.header("content-type")), (status, Some("text/html; charset=utf-8")), "{path}");
        assert!(page.body.starts_with("<!doctype html>") && page.body.contains(words), "{path}");
        assert!(!page.body.contains("{{"), "{path}");
        for (name, value) in SECURITY {
            assert_eq!(page.header(name), Some(value), "{path}");
        }
    }
    assert_eq!(
        http(pod.web, "GET", "/", &[browser, "Host: evil.example"]).header("content-type"),
        Some("text/html; charset=utf-8")
    );
    for path in ["/api/rooms/abcd1234", "/ws", "/api/rooms/"] {
        assert_eq!(http(pod.web, "GET", path, &[browser]).header("content-type"), Some("application/json"), "{path}");
    }
    for path in [
        "/room/?room=abcd1234",
        "/room/abcd1234",
        "/room/ABCD1234%E3%80%82",
        "/room.?room=abcd1234)",
        "/chat/room?room=abcd1234",
    ] {
        let moved = http(pod.web, "GET", path, &[]);
        assert_eq!((moved.status, moved.header("location")), (307, Some("/room?room=abcd1234")), "{path}");
        assert_eq!(http(pod.web, "POST", path, &["Content-Length: 0"]).status, 404, "{path}");
    }
    assert_eq!(http(pod.web, "GET", "/room?room=abcd1234.", &[browser]).status, 200);
}

#[test]
fn bodies_and_headers_have_their_limits() {
    let pod = Pod::start(Options::default());
    let post = |length: usize| {
        let request = format!(
            "POST /api/rooms HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n{}",
            pod.web,
            "x".repeat(length)
        );
        http_over(&mut TcpStream::connect(pod.web).unwrap(), &request)
    };
    assert_eq!(post(4096).status, 201);
    let refused = post(4097);
    assert_eq!((refused.status, refused.code().as_str()), (413, "too_large"));
    assert_eq!(http(pod.web, "GET", "/", &[&format!("X: {}", "x".repeat(14 * 1024))]).status, 200);
    assert_eq!(http(pod.web, "GET", "/", &[&format!("X: {}", "x".repeat(20 * 1024))]).status, 431);
}

#[test]
fn own_and_listed_origins_may_make_rooms() {
    let allowed_origins = vec!["https://chat.example".parse().unwrap()];
    let pod = Pod::start(Options { allowed_origins, ..Options::default() });
    let own = format!("Origin: http://{}", pod.web);
    for lines in [&[own.as_str()][..], &["Origin: https://chat.example"], &["Host: chat.example"], &[]] {
        let lines: Vec<_> = lines.iter().copied().chain(["Content-Length: 0"]).collect();
        assert_eq!(http(pod.web, "POST", "/api/rooms", &lines).status, 201, "{lines:?}");
    }
    for lines in [["Origin: http://chat.example"], ["Origin: https://chat.example:444"]] {
        let lines: Vec<_> = lines.iter().copied().chain(["Content-Length: 0"]).collect();
        assert_eq!(http(pod.web, "POST", "/api/rooms", &lines).status, 403, "{lines:?}");
    }
}

#[test]
fn a_connection_is_used_again_and_many_requests_may_come_at_once() {
    let pod = Pod::start(Options::default());
    let mut stream = TcpStream::connect(pod.web).unwrap();
    for _ in 0..3 {
        assert_eq!(http_over(&mut stream, &format!("GET /room.js HTTP/1.1\r\nHost: {}\r\n\r\n", pod.web)).status, 200);
    }
    let one = format!("GET /favicon.svg HTTP/1.1\r\nHost: {}\r\n\r\n", pod.web);
    let last = format!("GET /favicon.svg HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", pod.web);
    stream.write_all(format!("{one}{one}{last}").as_bytes()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 3);
}

#[test]
fn a_connection_that_was_answered_may_be_silent_for_longer_than_one_that_asked_nothing() {
    let hub = chatd::hub::HubSettings { first_line_timeout: 200, ..Options::default().hub };
    let pod = Pod::start(Options { hub, keep_alive: Duration::from_secs(2), ..Options::default() });
    let mut stream = TcpStream::connect(pod.web).unwrap();
    let request = format!("GET /favicon.svg HTTP/1.1\r\nHost: {}\r\n\r\n", pod.web);
    for _ in 0..3 {
        let answer = http_over(&mut stream, &request);
        assert_eq!((answer.status, answer.header("connection")), (200, None));
        // Silence is what is tried here.
        std::thread::sleep(Duration::from_millis(600));
    }
    assert_eq!(http_over(&mut stream, &request).status, 200);
    let silent = Instant::now();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it is closed");
    assert!(silent.elapsed() >= Duration::from_millis(1_900), "{:?}", silent.elapsed());
}

#[test]
fn the_last_answer_of_a_pod_that_ends_says_so() {
    let pod = Pod::start(Options::default());
    let mut stream = TcpStream::connect(pod.web).unwrap();
    let request = format!("GET /favicon.svg HTTP/1.1\r\nHost: {}\r\n\r\n", pod.web);
    assert_eq!(http_over(&mut stream, &request).header("connection"), None);
    pod.drains();
    assert_eq!(http_over(&mut stream, &request).header("connection"), Some("close"));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it is closed");
}

#[test]
fn a_header_that_does_not_come_ends_the_connection() {
    let hub = chatd::hub::HubSettings { first_line_timeout: 200, ..Options::default().hub };
    let pod = Pod::start(Options { hub, ..Options::default() });
    for words in ["", "GET / HTTP/1.1\r\nHost:"] {
        let mut stream = TcpStream::connect(pod.web).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(words.as_bytes()).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert!(all.is_empty() || all.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&all));
    }
}
