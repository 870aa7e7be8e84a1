//! What all answers have in common, the page, limits of connections, and the end.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::demo::{Answer, Demo, nowhere};
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;
use crate::wait_for;

const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                           form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

fn alone() -> Demo {
    Demo::with_redis(&format!("redis://{}", nowhere()), &[])
}

#[test]
fn pages_and_probes_and_what_there_is_not() {
    let demo = alone();
    for (path, kind, words) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/app.js", "text/javascript; charset=utf-8", "fetch"),
        ("/style.css", "text/css; charset=utf-8", "prefers-color-scheme: dark"),
        ("/favicon.svg", "image/svg+xml", "<svg"),
        ("/livez", "text/plain; charset=utf-8", "ok"),
        ("/readyz", "text/plain; charset=utf-8", "ok"),
        ("/metrics", "application/openmetrics-text; version=1.0.0; charset=utf-8", "# EOF"),
        ("/status", "application/json", "\"refused\""),
    ] {
        let answer = demo.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}");
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
        for (name, value) in [
            ("content-security-policy", PAGE_POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        let head = demo.ask("HEAD", path, &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        let posted = demo.ask("POST", path, &[], b"x");
        posted.is_error(405, "method_not_allowed");
        assert_eq!(posted.header("allow").map(|allow| allow.replace(' ', "")).as_deref(), Some("GET,HEAD"), "{path}");
    }
    for path in ["/nothing", "/kvs", "/index.html", "/../etc/passwd", "/db/"] {
        demo.get(path).is_error(404, "not_found");
    }
    let counted = demo.metric("http_demo_requests_total{route=\"other\",method=\"GET\",status=\"404\"}");
    assert_eq!(counted, 5);
    demo.ask("BREW", "/style.css", &[], b"").is_error(405, "method_not_allowed");
    assert_eq!(demo.metric("http_demo_requests_total{route=\"page\",method=\"other\",status=\"405\"}"), 1);
    assert!(!demo.get("/metrics").text().contains("passwd"));
}

#[test]
fn logs_hold_neither_keys_nor_values() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::with_redis(&redis.url(), &[]);
    demo.put("/kv/secret-key?ttl=17", "text/secret", b"secret-value");
    demo.get("/secret-path?secret-query");
    let log = wait_for("it is logged", || Some(demo.log()).filter(|log| log.contains("\"status\":404")));
    assert!(!log.contains("secret"), "{log}");
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["message"].is_string() && event["level"].is_string(), "{line}");
    }
    assert!(log.contains("\"route\":\"/kv/{key}\",\"method\":\"PUT\",\"status\":201"), "{log}");
}

#[test]
fn a_full_process_says_so_and_still_answers_probes() {
    let demo = Demo::with_redis(&format!("redis://{}", nowhere()), &["--max-connections", "2"]);
    let gauge = "http_demo_client_connections";
    // The connections of the start have to be gone first. One that asks counts itself.
    wait_for("only this one is open", || (demo.metric(gauge) == 1).then_some(()));
    let idle = [demo.connect(), demo.connect()];
    wait_for("both are counted", || {
        // Over the limit now: metrics and probes are still answered.
        (demo.metric(gauge) == 2).then_some(())
    });
    assert_eq!((demo.get("/livez").status, demo.get("/readyz").status), (200, 200));
    for path in ["/db", "/kv/a", "/"] {
        demo.get(path).is_error(503, "too_many_connections");
    }
    assert!(demo.metric("http_demo_client_connections_refused_total") >= 5);
    drop(idle);
    wait_for("there is a place again", || (demo.get("/").status == 200).then_some(()));
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let demo = alone();
    let request = format!("GET / HTTP/1.1\r\nHost: demo\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let mut stream = demo.connect();
    // It may have its answer before it has written everything.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}

#[test]
fn requests_under_way_finish_at_the_end_and_nothing_new_is_taken() {
    let redis = RedisServer::start(&[]);
    let mut demo = Demo::with_redis(&redis.url(), &[]);
    demo.put("/kv/a", "text/plain", b"x");
    // One waits for its next request, one for Redis, and one is still sending.
    let mut idle = demo.connect();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: demo\r\n\r\n").unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    redis.freeze();
    let mut waiting = demo.connect();
    waiting.write_all(b"GET /kv/a HTTP/1.1\r\nHost: demo\r\n\r\n").unwrap();
    let mut sending = demo.connect();
    sending.write_all(b"PUT /kv/b HTTP/1.1\r\nHost: demo\r\nContent-Length: 4\r\n\r\nab").unwrap();
    wait_for("all three are open", || (demo.metric("http_demo_client_connections") == 4).then_some(()));
    demo.terminate();
    wait_for("it has heard", || demo.log().contains("draining: finishing current requests").then_some(()));
    wait_for("nothing listens", || std::net::TcpStream::connect(demo.address).is_err().then_some(()));
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    redis.thaw();
    let answer = Answer::read(&mut waiting);
    assert_eq!((answer.status, answer.text().as_str()), (200, "x"));
    sending.write_all(b"cd").unwrap();
    assert_eq!(Answer::read(&mut sending).status, 201);
    assert_eq!(demo.exit_code(), 0);
    assert!(demo.log().contains("\"drained\":true"), "{}", demo.log());
}

#[test]
fn the_end_is_bounded() {
    let mut demo = Demo::with_redis(&format!("redis://{}", nowhere()), &["--drain-deadline", "1"]);
    let mut sending = demo.connect();
    sending.write_all(b"PUT /kv/b HTTP/1.1\r\nHost: demo\r\nContent-Length: 4\r\n\r\nab").unwrap();
    wait_for("it is open", || (demo.metric("http_demo_client_connections") == 2).then_some(()));
    let started = Instant::now();
    demo.terminate();
    assert_eq!(demo.exit_code(), 1);
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");

    // A second signal does not wait.
    let mut demo = Demo::with_redis(&format!("redis://{}", nowhere()), &["--drain-deadline", "300"]);
    let mut sending = demo.connect();
    sending.write_all(b"PUT /kv/b HTTP/1.1\r\nHost: demo\r\nContent-Length: 4\r\n\r\nab").unwrap();
    wait_for("it is open", || (demo.metric("http_demo_client_connections") == 2).then_some(()));
    demo.terminate();
    wait_for("it has heard", || demo.log().contains("draining: finishing current requests").then_some(()));
    demo.terminate();
    assert_eq!(demo.exit_code(), 1);
}

#[test]
fn a_connection_that_answers_late_is_not_used_again() {
    let redis = RedisServer::start(&[]);
    let proxy = Proxy::to(([127, 0, 0, 1], redis.port).into());
    let demo = Demo::with_redis(&format!("redis://{}", proxy.address), &[]);
    demo.put("/kv/a", "text/plain", b"a");
    demo.put("/kv/b", "text/plain", b"b");
    proxy.hold();
    demo.get("/kv/a").is_away("redis", "timeout");
    proxy.flow();
    // The answer to the first question would come first on the old connection.
    assert_eq!(demo.get("/kv/b").text(), "b");
    assert_eq!(demo.metric("http_demo_service_connections_total{service=\"redis\"}"), 2);
}
