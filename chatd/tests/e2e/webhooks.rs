//! The webhook of a real process: receivers that fail, close, redirect, come late, come back; TLS; secrets that change; the end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::receiver::{Receiver, Reply};
use crate::support::certificates::Certificates;
use crate::support::client::{Client, PATIENCE};
use crate::support::pod::Pod;
use crate::support::ports::free_port;
use crate::support::wait_for;

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
const NEXT: &str = "whsec_GBkaGxwdHh8gISIjJCUmJygpKissLS4v";

/// A pod alone that sends its events there, and the file with its secret.
fn pod(url: &str, more: &[&str]) -> (Pod, tempfile::NamedTempFile) {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&secret, SECRET).unwrap();
    let path = secret.path().to_str().unwrap();
    let mut arguments = vec!["--webhook-url", url, "--webhook-secret-file", path];
    arguments.extend(more);
    let mut pod = Pod::launch("chat-0", None, &arguments);
    pod.ready();
    (pod, secret)
}

/// Waits until the receiver has taken what these rooms tell: type and number of each, in order.
#[track_caller]
fn taken(receiver: &Receiver, count: usize) -> BTreeMap<String, Vec<(String, u64)>> {
    let taken = wait_for(&format!("{count} events"), PATIENCE, || {
        let taken = receiver.taken();
        (taken.len() >= count).then_some(taken)
    });
    let mut rooms: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for request in &taken {
        let (kind, room, number) = request.what();
        rooms.entry(room).or_default().push((kind, number));
    }
    rooms
}

fn events(kinds: &[&str]) -> Vec<(String, u64)> {
    (1..).zip(kinds).map(|(number, kind)| ((*kind).to_owned(), number)).collect()
}

#[test]
fn events_arrive_in_order_whatever_the_receiver_does_first() {
    let port = free_port();
    let (pod, _secret) = pod(&format!("http://127.0.0.1:{port}/events?key=1"), &[]);
    let mut clients: Vec<Client> = (0..5).map(|_| Client::connect(pod.tcp)).collect();
    // Nobody listens yet.
    let mut rooms: Vec<String> = clients.iter_mut().map(Client::create_room).collect();
    wait_for("failed attempts", PATIENCE, || (pod.metric("chatd_webhook_attempts_failed_total") > 0).then_some(()));
    let elsewhere = Receiver::start(0, &[SECRET], vec![], None);
    let status = |status, headers: &str| Reply::Status(status, headers.to_owned());
    let first = vec![
        status("500 Internal Server Error", ""),
        Reply::Close,
        status("307 Temporary Redirect", &format!("Location: http://{}/\r\n", elsewhere.address)),
        status("429 Too Many Requests", "Retry-After: 1\r\n"),
        Reply::Late(Duration::from_millis(700)),
    ];
    let receiver = Receiver::start(port, &[SECRET], first, None);
    for (client, room) in clients.iter_mut().zip(&rooms) {
        client.join(room, "ana", "");
        client.send("words that stay here");
        client.expect("MSG ana words that stay here");
        assert_eq!(client.ask("LEAVE"), format!("LEFT {room}"));
    }
    let heard = taken(&receiver, 15);
    let whole = events(&["room.created", "player.joined", "player.left"]);
    rooms.sort();
    assert_eq!(heard, rooms.iter().map(|room| (room.clone(), whole.clone())).collect());
    assert!(elsewhere.requests().is_empty(), "a redirect is followed");
    let requests = receiver.requests();
    assert!(requests.iter().all(|request| request.target == "POST /events?key=1 HTTP/1.1" && request.signatures == 1));
    assert!(requests.iter().all(|request| !request.text.contains("words")));
    // An event keeps its id and its bytes.
    let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
    for request in &requests {
        assert_eq!(*bodies.entry(&request.id).or_insert(&request.text), request.text);
    }
    assert_eq!(bodies.len(), 15);
    pod.metric_becomes("chatd_webhook_delivered_total", 15);
    assert_eq!((pod.metric("chatd_webhook_queued"), pod.metric("chatd_webhook_queued_bytes")), (0, 0));
    let left = &requests.last().unwrap().body()["data"];
    assert_eq!((&left["name"], &left["reason"], &left["pod"]), (&"ana".into(), &"left".into(), &"chat-0".into()));
    let log = pod.log();
    assert!(log.contains("cannot deliver an event to the webhook") && log.contains("the webhook takes events again"));
    assert!(!log.contains("key=1") && !log.contains("words that stay here"));
}

#[test]
fn what_waits_when_a_pod_ends_is_delivered_first_and_secrets_change_without_a_restart() {
    let certificates = Certificates::new();
    let receiver = Receiver::start(0, &[SECRET, NEXT], vec![], Some(&certificates));
    let ca = certificates.ca();
    let more = ["--webhook-ca-file", ca.to_str().unwrap()];
    let (mut pod, secret) = pod(&format!("https://{}/", receiver.address), &more);
    let mut client = Client::connect(pod.tcp);
    let signatures = |client: &mut Client, count| {
        client.create_room();
        taken(&receiver, count);
        receiver.taken().last().unwrap().signatures
    };
    assert_eq!(signatures(&mut client, 1), 1);
    std::fs::write(&secret, format!("{NEXT}\n{SECRET}\n")).unwrap();
    wait_for("the file is read", PATIENCE, || pod.log().contains("reloaded a changed file").then_some(()));
    assert_eq!(signatures(&mut client, 2), 2);
    receiver.then(vec![Reply::Late(Duration::from_millis(300)); 3]);
    let room = client.create_room();
    client.join(&room, "ana", "");
    assert_eq!(client.ask("LEAVE"), format!("LEFT {room}"));
    pod.terminate();
    assert_eq!(pod.exit_code(PATIENCE), 0);
    let last: Vec<_> = receiver.taken()[2..].iter().map(|request| request.what().0).collect();
    assert_eq!(last, ["room.created", "player.joined", "player.left"]);
}

#[test]
fn a_receiver_that_wants_no_more_gets_no_more() {
    let gone = Reply::Status("410 Gone", String::new());
    let receiver = Receiver::start(0, &[SECRET], vec![gone], None);
    let (pod, _secret) = pod(&format!("http://{}/", receiver.address), &[]);
    let mut client = Client::connect(pod.tcp);
    client.create_room();
    pod.metric_becomes("chatd_webhook_dropped_total{reason=\"gone\"}", 1);
    client.create_room();
    pod.metric_becomes("chatd_webhook_dropped_total{reason=\"gone\"}", 2);
    assert_eq!(receiver.requests().len(), 1);
    assert!(pod.log().contains("the webhook wants no more events"));
}
