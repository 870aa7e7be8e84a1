//! Who may ask what from where: other origins, proxies, balancers, and what is told of those that are refused.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::client::{Answer, PATIENCE, http};
use crate::pod::{Options, Pod};

const LISTED: &str = "https://chat.example";

fn pod() -> Pod {
    Pod::start(Options { allowed_origins: vec![LISTED.parse().unwrap()], ..Options::default() })
}

/// What a browser needs to see before it shows an answer to a page of [`LISTED`].
#[track_caller]
fn for_listed(answer: &Answer, status: u16) {
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (status, Some(LISTED)),
        "{}",
        answer.body
    );
    assert_eq!(answer.header("vary"), Some("origin"));
    assert_eq!(answer.header("access-control-expose-headers"), Some("location, retry-after"));
}

#[test]
fn pages_of_listed_origins_use_the_api() {
    let pod = pod();
    let origin = format!("Origin: {LISTED}");
    let made = http(pod.web, "POST", "/api/rooms", &[&origin, "Content-Length: 0"]);
    for_listed(&made, 201);
    let room = made.header("location").unwrap().to_owned();
    for_listed(&http(pod.web, "GET", &room, &[&origin]), 200);
    // Errors are for the page to read too.
    for_listed(&http(pod.web, "GET", "/api/rooms/aaaaaaaa", &[&origin]), 404);
    for_listed(&http(pod.web, "DELETE", "/api/rooms", &[&origin]), 405);
    for path in ["/api/rooms", &room] {
        let asks = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type"];
        let preflight = http(pod.web, "OPTIONS", path, &[&origin, asks[0], asks[1]]);
        for_listed(&preflight, 204);
        assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, HEAD, POST"));
        assert_eq!(preflight.header("access-control-allow-headers"), Some("content-type, authorization"));
        assert!(preflight.header("access-control-max-age").is_some());
    }
    // Caches must not give one origin's answer to another.
    let none = http(pod.web, "GET", &room, &[]);
    assert_eq!((none.header("access-control-allow-origin"), none.header("vary")), (None, Some("origin")));
}

#[test]
fn pages_of_other_origins_make_no_room_and_read_nothing() {
    let pod = pod();
    for origin in ["https://evil.example", "http://chat.example", "https://chat.example.evil", "null"] {
        let origin = format!("Origin: {origin}");
        let asks = "Access-Control-Request-Method: POST";
        for answer in [
            http(pod.web, "POST", "/api/rooms", &[&origin, "Content-Length: 0"]),
            http(pod.web, "OPTIONS", "/api/rooms", &[&origin, asks]),
        ] {
            assert_eq!((answer.status, answer.code().as_str()), (403, "bad_origin"), "{origin}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
            assert_eq!(answer.header("vary"), Some("origin"));
        }
    }
    assert_eq!(pod.report().counters.rooms_created, 0);
    assert_eq!(pod.refused(), (0, 8), "they are counted");
}

/// What is answered to exactly these bytes.
fn answer_to(pod: &Pod, request: &str) -> String {
    let mut stream = TcpStream::connect(pod.web).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn balancers_may_ask_without_naming_a_host() {
    let pod = pod();
    for (request, status) in [
        ("GET / HTTP/1.0\r\n\r\n", "200"),
        ("HEAD / HTTP/1.0\r\nUser-Agent: probe\r\n\r\n", "200"),
        ("OPTIONS / HTTP/1.0\r\n\r\n", "204"),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "204"),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "400"),
    ] {
        let answer = answer_to(&pod, request);
        assert_eq!(answer.split(' ').nth(1), Some(status), "{request:?}: {answer}");
    }
    let page = answer_to(&pod, "GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n");
    assert_eq!(page.split(' ').nth(1), Some("421"));
    assert_eq!(pod.refused(), (1, 0));
}

#[test]
fn the_host_that_a_trusted_proxy_names_is_the_pages_own() {
    let ask = |pod: &Pod, origin: &str| {
        let origin = format!("Origin: {origin}");
        let lines = [&origin, "X-Forwarded-Host: chat.example.org", "Content-Length: 0"];
        http(pod.web, "POST", "/api/rooms", &lines).status
    };
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let behind = Pod::start(Options { trusted_proxies, ..Options::default() });
    assert_eq!(ask(&behind, "https://chat.example.org"), 201);
    assert_eq!(ask(&behind, "https://evil.example"), 403);
    assert_eq!(ask(&pod(), "https://chat.example.org"), 403, "anybody can write that header");
}
