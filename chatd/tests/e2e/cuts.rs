//! Pods that cannot reach each other for a while: relayed sessions wait and go on, each line answered once.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::client::PATIENCE;
use crate::support::pod::Pod;
use crate::support::ports::free_port;
use crate::support::proxy::Proxy;
use crate::support::redis::Server;
use crate::town::{TALKATIVE, Town};

/// Two pods that reach each other only through proxies.
fn apart() -> (Town, [Proxy; 2]) {
    let redis = Server::start(&[]);
    let url = redis.url();
    let [first, second] = [0, 1].map(|index| {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let text = address.to_string();
        let arguments: Vec<&str> = TALKATIVE.into_iter().chain(["--advertise-peer", &text]).collect();
        let mut pod = Pod::launch(&format!("chat-{index}"), Some(&url), &arguments);
        pod.ready();
        let proxy = Proxy::at(address, pod.peer);
        (pod, proxy)
    });
    (Town { pods: vec![first.0, second.0], redis }, [first.1, second.1])
}

/// The messages among `lines`.
fn messages(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.strip_prefix("MSG ")).collect()
}

/// Both talk while nothing passes for `time`; then both have heard everything once, in one order.
fn talk_through(break_them: impl Fn(&Proxy), time: Duration) {
    let (town, proxies) = apart();
    let (room, mut alice, mut bob) = town.room_of_two();
    assert_eq!(bob.ask("SAY before"), "MSG bob before");
    alice.expect("MSG bob before");
    assert!(proxies.iter().map(Proxy::carried).sum::<usize>() > 0, "the link goes around the proxies");
    let before = town.epoch(&room);

    proxies.iter().for_each(&break_them);
    let until = Instant::now() + time;
    let mut said = 0;
    while Instant::now() < until {
        bob.send(&format!("SAY {said}"));
        alice.send(&format!("SAY {said}"));
        said += 1;
        // The pace of talking, not a wait for something.
        sleep(time / 12);
    }
    proxies.iter().for_each(Proxy::flow);
    bob.send("SAY after");
    let heard_by_alice = alice.until("MSG bob after", PATIENCE);
    let heard_by_bob = bob.until("MSG bob after", PATIENCE);
    assert_eq!(messages(&heard_by_alice), messages(&heard_by_bob));
    for name in ["alice", "bob"] {
        let own: Vec<String> = (0..said).map(|number| format!("{name} {number}")).collect();
        let heard: Vec<&str> =
            messages(&heard_by_bob).into_iter().filter(|text| text.starts_with(name) && *text != "bob after").collect();
        assert_eq!(heard, own);
    }
    assert!(!heard_by_bob.iter().any(|line| line.starts_with("MISSED") || line.starts_with("ERR")), "{heard_by_bob:?}");
    // The room never changed hands.
    assert_eq!(town.epoch(&room), before);
    assert_eq!(bob.ask("WHO"), "PLAYERS alice,bob");
}

#[test]
fn a_cut_of_three_seconds() {
    talk_through(Proxy::cut, Duration::from_secs(3));
}

#[test]
fn a_link_that_holds_everything_back() {
    talk_through(Proxy::hold, Duration::from_secs(3));
}

#[test]
fn a_link_that_swallows_everything() {
    talk_through(Proxy::swallow, Duration::from_secs(6));
}

#[test]
fn a_cut_that_lasts_ends_the_session_with_a_reason() {
    let (town, proxies) = apart();
    let (room, mut alice, mut bob) = town.room_of_two();
    proxies.iter().for_each(Proxy::cut);
    let cut = Instant::now();
    bob.send("SAY into nothing");
    let words = bob.rest(Duration::from_secs(25));
    let waited = cut.elapsed();
    assert!(waited >= Duration::from_secs(14) && waited <= Duration::from_secs(20), "{waited:?}");
    assert!(words.iter().any(|line| line.starts_with("ERR unavailable ")), "{words:?}");
    assert_eq!(words.last().unwrap(), "BYE unavailable");
    // The owner goes on, and does not keep a seat that nobody asked to keep.
    alice.until("EXITED bob disconnected", PATIENCE);
    assert_eq!(alice.ask("SAY alone"), "MSG alice alone");
    assert_eq!(town.owner(&room), "chat-0");
    let mut carol = town.client(1);
    let refused = carol.ask(&format!("JOIN {room} carol RELAY"));
    assert!(refused.starts_with("ERR unavailable "), "{refused}");
}
