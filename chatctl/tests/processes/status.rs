//! `chatctl status`. Does I/O.

use std::io::Write;
use std::net::TcpListener;

use serde_json::Value;

use super::stage::{Stage, run, wait_for};

#[test]
fn a_process_that_is_well_and_one_without_redis() {
    let mut stage = Stage::new(1);
    let admin = stage.pods[0].admin.clone();
    let (code, table) = run(&["status", "--admin", &admin]);
    assert!(code == 0 && table.contains("serving") && table.contains("Nothing is wrong."), "{table}");
    let (_, wide) = run(&["status", "--admin", &admin, "--output", "wide"]);
    assert!(wide.contains("MEMORY") && wide.contains("MiB"), "{wide}");

    let (code, json) = run(&["--admin", &admin, "status", "-o", "json"]);
    let entries: Value = serde_json::from_str(&json).unwrap();
    let report = &entries[0]["pods"][0]["answer"]["report"];
    assert_eq!((code, &report["directory"]["state"]), (0, &"ok".into()), "{json}");
    assert!(report["figures"]["places"].as_u64() > Some(0) && report["figures"]["memory"].as_u64() > Some(1 << 20));

    stage.stop_redis();
    wait_for("the outage is a finding", || {
        let (code, table) = run(&["status", "--admin", &admin]);
        code == 1 && table.contains("ERROR") && table.contains("Redis: refused")
    });
    let (code, yaml) = run(&["status", "--admin", &admin, "-o", "yaml"]);
    assert!(code == 1 && yaml.contains("severity: error"), "{yaml}");
}

#[test]
fn what_cannot_be_asked_is_no_verdict() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // Each connection gets one of these.
    let answers = ["", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "SSH-2.0-OpenSSH\r\n"];
    let server = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    for _ in answers {
        assert_eq!(run(&["status", "--admin", &address]), (3, String::new()));
    }
    server.join().unwrap();
    assert_eq!(run(&["status", "--admin", &address]).0, 3, "nothing listens there any more");
    assert_eq!(run(&["status", "--admin", "no such host:1"]).0, 3);
    assert_eq!(run(&["status", "--output", "xml"]).0, 2);
}
