//! What the operator says of dead processes, by the admin port: which pod believes it, and what comes of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chatd::death_notice::{PURPOSE, SIGNATURE};
use chatd::protocol::token::{Keyring, parse_key};
use serde_json::{Value, json};

use crate::support::client::PATIENCE;
use crate::support::pod::KEY;
use crate::support::wait_for;
use crate::town::{TAKEOVER, Town};

const ANSWER_LIMIT: Duration = Duration::from_secs(10);

fn ring(key: &str) -> Keyring {
    Keyring::new(vec![("1".into(), parse_key(key).unwrap())], "1").unwrap()
}

/// Tells a pod; the status code, and what it says.
fn tell(admin: SocketAddr, keys: &Keyring, pod: &str, boot: &str) -> (u16, String) {
    let body = json!({ "pod": pod, "boot": boot }).to_string();
    let signature = STANDARD.encode(keys.mac(PURPOSE, body.as_bytes()));
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(ANSWER_LIMIT)).unwrap();
    let head = format!("Host: {admin}\r\nContent-Length: {}\r\n{SIGNATURE}: {signature}", body.len());
    write!(stream, "POST /deaths HTTP/1.0\r\n{head}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let said: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let word = said["lease"].as_str().or(said["error"]["code"].as_str()).unwrap();
    (answer[9..12].parse().unwrap(), word.to_owned())
}

impl Town {
    fn lease(&self, pod: &str) -> Option<String> {
        self.redis.run(&format!("GET chat:pod:{pod}"))
    }

    fn boot(&self, pod: &str) -> String {
        let lease: Value = serde_json::from_str(&self.lease(pod).unwrap()).unwrap();
        lease["boot"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_pod_without_a_link_to_the_dead_one_need_not_wait_for_its_lease() {
    let mut town = Town::start(3);
    let mut alice = town.client(0);
    let room = alice.create_room();
    let token = alice.join_resumable(&room, "alice", "");
    let boot = town.boot("chat-0");
    town.pods[0].kill();
    let killed = Instant::now();
    // They are waiting, or about to, when the notice comes.
    let mut alice = town.client(1);
    alice.send(&format!("RESUME {room} {token} RELAY"));
    let mut bob = town.client(2);
    bob.send(&format!("JOIN {room} bob RELAY"));
    let keys = ring(KEY);
    let found: Vec<_> = [1, 2].map(|pod| tell(town.pods[pod].admin, &keys, "chat-0", &boot)).into();
    assert_eq!(found, [(200, "deleted".to_owned()), (200, "gone".to_owned())]);
    alice.until(&format!("JOINED {room} alice "), TAKEOVER);
    bob.until(&format!("JOINED {room} bob "), TAKEOVER);
    let took = killed.elapsed();
    println!("taken over {took:?} after kill -9, by notice");
    assert!(took < Duration::from_secs(5), "{took:?}: the lease would have lasted for 8 s at least");
    assert!(town.pods[1].log().contains("lease deleted"), "{}", town.pods[1].log());
    // Said again, and by a replay, it is still true and changes nothing.
    assert_eq!(tell(town.pods[1].admin, &keys, "chat-0", &boot), (200, "gone".to_owned()));
}

#[test]
fn a_notice_is_not_believed_where_it_is_unsigned_or_contradicted() {
    let town = Town::start(3);
    let (_room, _alice, _bob) = town.room_of_two();
    let (keys, boot) = (ring(KEY), town.boot("chat-0"));
    let tell = |pod: usize, keys: &Keyring, name: &str, boot: &str| tell(town.pods[pod].admin, keys, name, boot);
    let said = |status: u16, word: &str| (status, word.to_owned());

    assert_eq!(tell(1, &ring(&"ab".repeat(32)), "chat-0", &boot), said(403, "bad_signature"));
    assert_eq!(tell(1, &keys, "chat-0", &boot), said(409, "alive"), "it has a link to it");
    assert_eq!(tell(0, &keys, "chat-0", &boot), said(409, "alive"), "it is that process");
    assert_eq!(tell(2, &keys, "chat-0", "00000000000000ab"), said(200, "gone"), "it has another boot");
    assert_eq!(tell(2, &keys, "chat-7", &boot), said(200, "gone"), "no lease of that name");
    assert_eq!(town.boot("chat-0"), boot);

    let other = town.lease("chat-0").unwrap().replace(r#""uid":"""#, r#""uid":"another""#);
    assert!(other.contains("another"), "{other}");
    let _: String = town.redis.run(&format!("SET chat:pod:chat-9 {other}"));
    assert_eq!(tell(2, &keys, "chat-9", &boot), said(409, "other_deployment"));
    assert_eq!(town.lease("chat-9"), Some(other));

    town.redis.freeze();
    assert_eq!(tell(2, &keys, "chat-0", &boot), said(503, "unavailable"));
    town.redis.thaw();
}

/// Who told so was wrong, and the pod that was told had no link that would have contradicted it.
#[test]
fn a_living_pod_that_is_declared_dead_keeps_its_rooms() {
    let town = Town::start(2);
    let mut alice = town.client(0);
    let room = alice.create_room();
    alice.join(&room, "alice", "");
    let (boot, epoch) = (town.boot("chat-0"), town.epoch(&room));
    assert_eq!(tell(town.pods[1].admin, &ring(KEY), "chat-0", &boot), (200, "deleted".to_owned()));
    wait_for("it has its lease again", PATIENCE, || town.lease("chat-0"));
    wait_for("the room is reasserted", PATIENCE, || (town.epoch(&room) > epoch).then_some(()));
    assert_eq!((town.owner(&room), town.boot("chat-0")), ("chat-0".to_owned(), boot));
    assert_eq!(alice.ask("SAY still here"), "MSG alice still here");
}
