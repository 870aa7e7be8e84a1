//! The HTTP demo through a port of this machine. Does I/O.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::world::{Forward, LONG, World, until};

/// Status and body; 0 if there was no answer at all.
fn ask(port: u16, method: &str, path: &str, body: &str) -> (u16, String) {
    let attempt = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = attempt().unwrap_or_default();
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// In time: a changed password reaches a pod's files when its kubelet looks at the pod again.
pub fn both_databases_answer(world: &World) {
    let forward = Forward::start(world, "http-demo", 1);
    for path in ["/kv/nothing", "/db"] {
        until(LONG, path, || [200, 404].contains(&ask(forward.ports[0], "GET", path, "").0));
    }
    forward.interrupt();
}

pub fn says_which_database_is_away_and_heals(world: &World) {
    let forward = Forward::start(world, "http-demo", 1);
    let port = forward.ports[0];
    assert_eq!(ask(port, "PUT", "/kv/tea", "green").0 / 100, 2);
    assert_eq!(ask(port, "GET", "/kv/tea", ""), (200, "green".to_owned()));
    let (status, body) = ask(port, "GET", "/db", "");
    assert!(status == 200 && body.contains("server_version"), "{status} {body}");
    let cases = [("redis", "/kv/tea", "/db"), ("postgres", "/db", "/kv/tea")];
    for (database, path, other) in cases {
        let workload = format!("statefulset/{database}");
        world.kubectl(&["scale", &workload, "--namespace=databases", "--replicas=0"]);
        until(LONG, "the database's end", || world.uid("databases", &format!("{database}-0")).is_empty());
        let begun = Instant::now();
        let (status, body) = ask(port, "GET", path, "");
        assert!(begun.elapsed() < Duration::from_secs(5), "it answers, it does not hang: {:?}", begun.elapsed());
        assert!(
            status == 503 && body.contains(&format!("\"{database}\"")) && body.contains("reason"),
            "{status} {body}"
        );
        assert_eq!(ask(port, "GET", other, "").0, 200, "the other one is still there");
        world.kubectl(&["scale", &workload, "--namespace=databases", "--replicas=1"]);
        until(LONG, "it heals by itself", || ask(port, "GET", path, "").0 == 200);
    }
    assert_eq!(ask(port, "GET", "/kv/tea", ""), (200, "green".to_owned()), "Redis has kept its data");
    forward.interrupt();
}
