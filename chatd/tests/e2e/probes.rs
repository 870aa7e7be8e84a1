//! When the kernel probes silent clients: not all who came in one moment in one moment.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpStream};

use crate::support::client::PATIENCE;
use crate::support::pod::Pod;
use crate::support::wait_for;

const CLIENTS: usize = 90;

/// In how many hundredths of a second the keepalive timers of the connections that `server` has accepted run out.
fn timers(server: SocketAddr) -> Vec<u64> {
    let port = format!(":{:04X}", server.port());
    let timer = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        // Of an established connection (01) the timer for keepalive (02).
        let is_ours = fields.get(1)?.ends_with(&port) && *fields.get(3)? == "01";
        let when = fields.get(5)?.strip_prefix("02:")?;
        is_ours.then(|| u64::from_str_radix(when, 16).ok()).flatten()
    };
    fs::read_to_string("/proc/net/tcp").unwrap().lines().filter_map(timer).collect()
}

#[test]
fn clients_that_come_at_once_are_not_probed_at_once() {
    let mut pod = Pod::launch("chat-0", None, &[]);
    pod.ready();
    for server in [pod.tcp, pod.web] {
        let _clients: Vec<TcpStream> = (0..CLIENTS).map(|_| TcpStream::connect(server).unwrap()).collect();
        // Until a connection is accepted it has the times of its listener.
        wait_for("no second has a quarter of the probes", PATIENCE, || {
            let timers = timers(server);
            let mut by_second = BTreeMap::<u64, usize>::new();
            for timer in &timers {
                assert!(*timer <= 3_000, "a dead client is found too late: {timer}");
                *by_second.entry(timer / 100).or_default() += 1;
            }
            let most = by_second.values().max()?;
            (timers.len() == CLIENTS && *most <= CLIENTS / 4).then_some(())
        });
    }
}
