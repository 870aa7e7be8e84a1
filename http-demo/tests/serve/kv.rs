//! Values by key: what is put comes back, and what is wrong is said.

use std::io::Write;

use crate::demo::{Answer, Demo};
use crate::redis_server::RedisServer;

#[test]
fn a_value_is_put_read_replaced_and_deleted() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::with_redis(&redis.url(), &[]);
    demo.get("/kv/a").is_error(404, "no_such_key");
    let put = demo.put("/kv/a?ttl=100", "text/plain; charset=utf-8", b"one");
    assert_eq!((put.status, put.header("ttl"), put.body.len()), (201, Some("100"), 0));
    let got = demo.get("/kv/a");
    assert_eq!((got.status, got.text().as_str()), (200, "one"));
    assert_eq!(got.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(got.header("content-length"), Some("3"));
    assert_eq!(got.header("cache-control"), Some("no-store"));
    let left: u64 = got.header("ttl").unwrap().parse().unwrap();
    assert!((90..=100).contains(&left), "{left}");

    assert_eq!(demo.put("/kv/a", "image/png", b"two").status, 204);
    let got = demo.get("/kv/a");
    assert_eq!((got.text().as_str(), got.header("content-type")), ("two", Some("image/png")));
    let left: u64 = got.header("ttl").unwrap().parse().unwrap();
    assert!((3590..=3600).contains(&left), "the default: {left}");

    let head = demo.ask("HEAD", "/kv/a", &[], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("3"), 0));
    let deleted = demo.delete("/kv/a");
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    demo.delete("/kv/a").is_error(404, "no_such_key");
    assert_eq!(demo.ask("HEAD", "/kv/a", &[], b"").status, 404);
    for (series, count) in [
        ("http_demo_requests_total{route=\"/kv/{key}\",method=\"PUT\",status=\"201\"}", 1),
        ("http_demo_requests_total{route=\"/kv/{key}\",method=\"GET\",status=\"404\"}", 1),
        ("http_demo_service_request_seconds_count{service=\"redis\"}", 9),
        ("http_demo_service_connections_total{service=\"redis\"}", 1),
        ("http_demo_service_errors_total{service=\"redis\",reason=\"refused\"}", 0),
    ] {
        assert_eq!(demo.metric(series), count, "{series}");
    }
}

#[test]
fn values_are_bytes_and_keys_are_names_of_any_kind() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::with_redis(&redis.url(), &["--redis-key-prefix", "mine:", "--max-value", "1MiB"]);
    let every_byte: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    for value in [b"".as_slice(), b"\r\n\0", &every_byte] {
        assert!(demo.ask("PUT", "/kv/bytes", &[], value).status < 300);
        let got = demo.get("/kv/bytes");
        assert!(got.body == value, "{} bytes", value.len());
        assert_eq!(got.header("content-type"), Some("application/octet-stream"));
    }
    for (path, key) in
        [("a%2Fb", "a/b"), ("c/d", "c/d"), ("%C3%A9%20%F0%9F%8C%B2", "é 🌲"), ("x?", "x"), ("..%2F", "../")]
    {
        assert_eq!(demo.put(&format!("/kv/{path}"), "text/plain", key.as_bytes()).status, 201, "{path}");
        let found: Vec<String> = redis::cmd("HVALS")
            .arg(format!("mine:{key}"))
            .query(&mut redis::Client::open(redis.url()).unwrap().get_connection().unwrap())
            .unwrap();
        assert_eq!(found, ["text/plain", key]);
    }
    let all: Vec<String> = redis.run("KEYS *");
    assert!(all.len() == 6 && all.iter().all(|key| key.starts_with("mine:")), "{all:?}");
}

#[test]
fn a_value_ends_with_its_time() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::with_redis(&redis.url(), &[]);
    assert_eq!(demo.put("/kv/short?ttl=1", "text/plain", b"x").status, 201);
    assert_eq!(demo.get("/kv/short").header("ttl"), Some("1"));
    crate::wait_for("it is gone", || (demo.get("/kv/short").status == 404).then_some(()));
    // A new TTL counts, also a shorter one.
    demo.put("/kv/again?ttl=1000", "text/plain", b"x");
    demo.put("/kv/again?ttl=10", "text/plain", b"x");
    let left: u32 = demo.get("/kv/again").header("ttl").unwrap().parse().unwrap();
    assert!(left <= 10, "{left}");
}

#[test]
fn what_is_wrong_is_said_with_what_is_right() {
    let redis = RedisServer::start(&[]);
    let limits = ["--max-key", "8", "--max-value", "16", "--max-ttl", "60", "--default-ttl", "30"];
    let demo = Demo::with_redis(&redis.url(), &limits);
    let put = |path: &str| demo.put(path, "text/plain", b"x");
    assert_eq!(put("/kv/12345678").status, 201);
    for path in ["/kv/123456789", "/kv/", "/kv", "/kv/%00", "/kv/%0a", "/kv/%ff", "/kv/%F0%9F%8C%B2%F0%9F%8C%B2x"] {
        put(path).is_error(400, "bad_key");
        demo.get(path).is_error(400, "bad_key");
        demo.delete(path).is_error(400, "bad_key");
    }
    for ttl in ["61", "0", "-1", "", "1.5", "+5", "4294967297"] {
        put(&format!("/kv/a?ttl={ttl}")).is_error(400, "bad_ttl");
    }
    assert!(put("/kv/a?ttl=61").json()["error"]["message"].as_str().unwrap().contains("1 to 60"));
    put("/kv/a?tll=5").is_error(400, "bad_query");
    put("/kv/a?ttl=1&ttl=2").is_error(400, "bad_query");
    demo.get("/kv/a?ttl=5").is_error(400, "bad_query");
    let long = format!("a/{}", "b".repeat(255));
    for wrong in
        ["not a type", "", "text", "/plain", "text/", "te xt/plain", "text/pl ain", &long, "a/b\r\nContent-Type: a/b"]
    {
        demo.put("/kv/a", wrong, b"x").is_error(400, "bad_content_type");
    }
    demo.ask("POST", "/kv/a", &[], b"x").is_error(405, "method_not_allowed");
    let allow = demo.ask("POST", "/kv/a", &[], b"x");
    let allow: Vec<&str> = allow.header("allow").unwrap().split(',').map(str::trim).collect();
    assert_eq!(allow, ["GET", "HEAD", "PUT", "DELETE"]);

    assert_eq!(demo.put("/kv/a", "text/plain", &[b'x'; 16]).status, 201);
    demo.put("/kv/b", "text/plain", &[b'x'; 17]).is_error(413, "too_large");
    // Refused with an answer, though a client writes far more than it should.
    demo.put("/kv/b", "text/plain", &vec![b'x'; 3 << 20]).is_error(413, "too_large");
    // One that does not say beforehand how long its body is.
    let chunked = "PUT /kv/b HTTP/1.1\r\nHost: demo\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                   9\r\n123456789\r\n9\r\n123456789\r\n0\r\n\r\n";
    demo.exchange(chunked.as_bytes()).is_error(413, "too_large");
    demo.get("/kv/b").is_error(404, "no_such_key");
    // One that asks first writes nothing.
    let expect = "PUT /kv/b HTTP/1.1\r\nHost: demo\r\nExpect: 100-continue\r\nContent-Length: 999999999\r\n\r\n";
    let mut stream = demo.connect();
    stream.write_all(expect.as_bytes()).unwrap();
    Answer::read(&mut stream).is_error(413, "too_large");
    assert_eq!(redis.run::<u64>("DBSIZE"), 2);
}

#[test]
fn what_others_put_under_our_prefix_is_not_shown_as_a_value() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::with_redis(&redis.url(), &[]);
    for foreign in ["SET http-demo:a text", "HSET http-demo:a other field"] {
        redis.run::<redis::Value>(foreign);
        demo.get("/kv/a").is_error(409, "foreign_key");
        assert_eq!(demo.put("/kv/a", "text/plain", b"ours").status, 204);
        assert_eq!(demo.get("/kv/a").text(), "ours");
        assert_eq!(demo.delete("/kv/a").status, 204);
    }
}

#[test]
fn a_value_cannot_run_as_part_of_the_page() {
    let redis = RedisServer::start(&[]);
    let demo = Demo::with_redis(&redis.url(), &[]);
    demo.put("/kv/evil", "text/html", b"<script>fetch('/kv/a',{method:'DELETE'})</script>");
    let got = demo.get("/kv/evil");
    assert_eq!(got.header("content-type"), Some("text/html"));
    assert_eq!(got.header("content-security-policy"), Some("default-src 'none'; sandbox; frame-ancestors 'none'"));
    assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
    // Nothing of another origin may write: a browser asks first, and is not allowed.
    let asks = ["Origin: https://evil.example", "Access-Control-Request-Method: PUT"];
    let preflight = demo.ask("OPTIONS", "/kv/a", &asks, b"");
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (405, None));
}
