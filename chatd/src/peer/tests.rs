//! Tests of links on real sockets.
#![allow(clippy::unwrap_used)]

use rand::SeedableRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::link::Wire;
use super::links::DIAL_TIME;
use super::*;
use crate::ids::RelayId;
use crate::peer_protocol::Frame;
use crate::protocol::RoomId;

const SHARDS: usize = 2;
/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Pod {
    pub(super) peers: Peers,
    pub(super) shards: Vec<UnboundedReceiver<ShardMessage>>,
    pub(super) address: String,
    pub(super) boot: PodBoot,
}

fn ring(secret: u8) -> Arc<Keyring> {
    Arc::new(Keyring::new(vec![("key".to_owned(), vec![secret; 32])], "key").unwrap())
}

pub(super) async fn pod(boot: u64, key: u8) -> Pod {
    pod_with(boot, key, IdleRules::USUAL).await
}

pub(super) async fn pod_with(boot: u64, key: u8, idle: IdleRules) -> Pod {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (senders, shards) = (0..SHARDS).map(|_| unbounded_channel()).unzip();
    let boot = PodBoot(boot);
    let me = Identity { pod_id: format!("chat-{boot}"), uid: String::new(), boot, peer: address.clone() };
    let peers = Peers::new(me, ring(key), StdRng::seed_from_u64(boot.0), senders, idle).unwrap();
    let serving = peers.clone();
    spawn_local(async move { serving.serve(listener).await });
    Pod { peers, shards, address, boot }
}

/// Runs a test on one thread, as the pod's thread does.
pub(super) fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { timeout(PATIENCE, test).await.unwrap() });
}

impl Pod {
    pub(super) fn link_to(&self, boot: PodBoot) -> LinkId {
        self.peers.0.links.borrow().to(boot).unwrap()
    }

    /// The next mail of each shard, which has to be the same for all.
    pub(super) async fn all_hear(&mut self) -> String {
        let mut heard = Vec::new();
        for shard in &mut self.shards {
            heard.push(match shard.recv().await.unwrap() {
                ShardMessage::PeerUp { boot, .. } => heard_up(boot),
                mail => format!("{mail:?}"),
            });
        }
        assert!(heard.iter().all(|mail| *mail == heard[0]), "{heard:?}");
        heard.swap_remove(0)
    }
}

pub(super) fn heard_up(boot: PodBoot) -> String {
    format!("{boot} is up")
}

pub(super) fn heard_unreachable(boot: PodBoot, gone: bool) -> String {
    format!("{:?}", ShardMessage::PeerUnreachable { boot, gone })
}

/// A frame of a room that the given shard has.
pub(super) fn frame_for(shard: usize, bytes: u32) -> Vec<u8> {
    let rooms = (0..).map(|number| format!("room{number:04}").parse::<RoomId>().unwrap());
    let room = rooms.into_iter().find(|room| room.shard(SHARDS) == shard).unwrap();
    let mut out = Vec::new();
    Frame::Credit { room, relay: RelayId(1), bytes }.encode(&mut out);
    out
}

#[test]
fn frames_reach_the_shard_that_has_their_room() {
    on_one_thread(async {
        let (mut one, mut two) = (pod(1, 1).await, pod(2, 1).await);
        one.peers.dial(two.boot, &two.address);
        assert_eq!(one.all_hear().await, heard_up(two.boot));
        assert_eq!(two.all_hear().await, heard_up(one.boot));
        let frames: Vec<Vec<u8>> = (0..200).map(|number| frame_for(number % 3 % SHARDS, number as u32)).collect();
        one.peers.send(two.boot, one.link_to(two.boot), frames.concat());
        for (shard, mailbox) in two.shards.iter_mut().enumerate() {
            let mine = (0..200).filter(|number| number % 3 % SHARDS == shard);
            let expected: Vec<u8> = mine.flat_map(|number| frames[number].clone()).collect();
            let mut got = Vec::new();
            while got.len() < expected.len() {
                let Some(ShardMessage::Frames { from, bytes }) = mailbox.recv().await else { panic!() };
                assert_eq!(from, one.boot);
                got.extend_from_slice(&bytes);
            }
            assert_eq!(got, expected);
        }
        // The other direction uses the same link, and who dials again is answered at once.
        two.peers.dial(one.boot, &one.address);
        assert_eq!(two.all_hear().await, heard_up(one.boot));
        assert_eq!((one.peers.count(), two.peers.count()), (1, 1));
        two.peers.send(one.boot, two.link_to(one.boot), frame_for(0, 7));
        assert!(matches!(one.shards[0].recv().await, Some(ShardMessage::Frames { .. })));
    });
}

#[test]
fn dialled_at_once_there_is_one_link() {
    on_one_thread(async {
        let (mut one, mut two) = (pod(1, 1).await, pod(2, 1).await);
        one.peers.dial(two.boot, &two.address);
        two.peers.dial(one.boot, &one.address);
        assert_eq!(one.all_hear().await, heard_up(two.boot));
        assert_eq!(two.all_hear().await, heard_up(one.boot));
        for (from, to) in [(&one, two.boot), (&two, one.boot)] {
            // What was meant for an earlier link does not go out on this one.
            from.peers.send(to, LinkId(u64::MAX), frame_for(0, 1));
            from.peers.send(to, from.link_to(to), frame_for(1, 1));
        }
        for shard in [&mut one.shards[1], &mut two.shards[1]] {
            assert!(matches!(shard.recv().await, Some(ShardMessage::Frames { .. })));
        }
        assert!(one.shards[0].try_recv().is_err() && two.shards[0].try_recv().is_err());
        assert_eq!((one.peers.count(), one.peers.lost(), two.peers.lost()), (1, 0, 0));
    });
}

#[test]
fn strangers_and_oneself_are_unreachable() {
    on_one_thread(async {
        let (mut one, other) = (pod(1, 1).await, pod(2, 2).await);
        // No dial takes longer than its time, even to a port that accepts and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent_address = silent.local_addr().unwrap().to_string();
        let closed_address = {
            let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
            closed.local_addr().unwrap().to_string()
        };
        let own = one.address.clone();
        let addresses = [&other.address, &own, &closed_address, &"no-such-host.invalid:1".to_owned()];
        for (boot, address) in (10..).map(PodBoot).zip(addresses) {
            one.peers.dial(boot, address);
            assert_eq!(one.all_hear().await, heard_unreachable(boot, false));
        }
        let started = std::time::Instant::now();
        one.peers.dial(PodBoot(20), &silent_address);
        assert_eq!(one.all_hear().await, heard_unreachable(PodBoot(20), false));
        assert!(started.elapsed() < Duration::from_millis(DIAL_TIME + 1_000), "{:?}", started.elapsed());
        assert_eq!(one.peers.count(), 0);
    });
}

/// It knows the key, and packets to another are led to it, or it has the address of one that is gone.
#[test]
fn another_pod_than_was_dialled_does_not_become_the_link() {
    on_one_thread(async {
        let (mut one, mut two) = (pod(1, 1).await, pod(2, 1).await);
        one.peers.dial(PodBoot(3), &two.address);
        assert_eq!(one.all_hear().await, heard_unreachable(PodBoot(3), true));
        assert_eq!((one.peers.count(), two.peers.count()), (0, 0));
        assert!(two.shards[0].try_recv().is_err());
        // It can be dialled by its own name.
        one.peers.dial(two.boot, &two.address);
        assert_eq!(one.all_hear().await, heard_up(two.boot));
    });
}

#[test]
fn a_pod_of_the_last_version_is_refused_for_that() {
    on_one_thread(async {
        let mut one = pod(1, 1).await;
        // It dials.
        let mut stream = TcpStream::connect(&one.address).await.unwrap();
        let hello = br#"{"chatd_peer":1,"pod_id":"chat-2","uid":"","boot":"0000000000000002","peer":"","nonce":""}"#;
        stream.write_all(&[&(hello.len() as u32).to_be_bytes()[..], hello].concat()).await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
        assert_eq!(one.peers.refused(), [1, 0, 0, 0, 0]);
        // It is dialled, and hangs up on a message that is too long for it.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        one.peers.dial(PodBoot(2), &listener.local_addr().unwrap().to_string());
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
        drop(stream);
        assert_eq!(one.all_hear().await, heard_unreachable(PodBoot(2), false));
        assert_eq!(one.peers.refused(), [1, 0, 0, 0, 1]);
    });
}

#[test]
fn who_proves_nothing_may_not_send_much() {
    on_one_thread(async {
        let one = pod(1, 1).await;
        let stream = TcpStream::connect(&one.address).await.unwrap();
        let mut wire = Wire::dial(stream, Channels::new().unwrap().dial().unwrap()).await.unwrap();
        // A short enough hello, in as many records as it has bytes.
        wire.send(&[0, 0, 15, 0]).await.unwrap();
        let mut sent = 0;
        while wire.send(b" ").await.is_ok() {
            sent += 1;
            assert!(sent < 3_800, "all of it");
            tokio::task::yield_now().await;
        }
        assert!(sent > 100, "{sent}");
        assert_eq!((REASONS[4], one.peers.refused()), ("protocol", [0, 0, 0, 0, 1]));
    });
}

#[test]
fn who_speaks_something_else_is_hung_up_on() {
    on_one_thread(async {
        let one = pod(1, 1).await;
        for words in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x00\x00\x00\x02{}", &[0xff; 4096]] {
            let mut stream = TcpStream::connect(&one.address).await.unwrap();
            stream.write_all(words).await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            // At most TLS's word for what is wrong with it.
            assert!(answer.is_empty() || answer.starts_with(&[21, 3, 3]), "{answer:?}");
        }
    });
}

#[test]
fn an_idle_link_stays() {
    on_one_thread(async {
        let (mut one, two) = (pod(1, 1).await, pod(2, 1).await);
        one.peers.dial(two.boot, &two.address);
        assert_eq!(one.all_hear().await, heard_up(two.boot));
        sleep(Duration::from_secs(6)).await;
        assert_eq!((one.peers.count(), one.peers.lost(), two.peers.count()), (1, 0, 1));
    });
}

#[test]
fn an_ended_process_is_noticed_and_its_successor_linked() {
    on_one_thread(async {
        let (mut one, two) = (pod(1, 1).await, pod(2, 1).await);
        one.peers.dial(two.boot, &two.address);
        one.all_hear().await;
        for task in two.peers.0.tasks.borrow().values() {
            task.abort();
        }
        assert_eq!(one.all_hear().await, format!("{:?}", ShardMessage::PeerDown { boot: two.boot }));
        let three = pod(3, 1).await;
        one.peers.dial(three.boot, &three.address);
        assert_eq!(one.all_hear().await, heard_up(three.boot));
    });
}

#[test]
fn silent_strangers_keep_no_pod_out() {
    on_one_thread(async {
        let (mut one, two) = (pod(1, 1).await, pod(2, 1).await);
        let mut strangers = Vec::new();
        for _ in 0..300 {
            strangers.push(TcpStream::connect(&two.address).await.unwrap());
            tokio::task::yield_now().await;
        }
        let started = std::time::Instant::now();
        one.peers.dial(two.boot, &two.address);
        assert_eq!(one.all_hear().await, heard_up(two.boot));
        assert!(started.elapsed() < Duration::from_millis(DIAL_TIME), "{:?}", started.elapsed());
        // The first of them had to go for the last.
        assert_eq!(strangers[0].read(&mut [0; 8]).await.unwrap_or(0), 0);
        assert!(two.peers.0.tasks.borrow().len() <= strangers::MAX_OF_ONE_ADDRESS + 1);
    });
}

#[test]
fn a_link_ends_with_the_key_that_it_was_made_with() {
    on_one_thread(async {
        let (mut one, two) = (pod(1, 1).await, pod(2, 1).await);
        one.peers.dial(two.boot, &two.address);
        assert_eq!(one.all_hear().await, heard_up(two.boot));
        let both = |signs: &str| {
            let keys = vec![("1".to_owned(), vec![1; 32]), ("2".to_owned(), vec![2; 32])];
            Arc::new(Keyring::new(keys, signs).unwrap())
        };
        // A key that is added changes nothing; nor does another name for the same.
        for pod in [&one, &two] {
            pod.peers.set_keys(both("2"));
            assert_eq!(pod.peers.count(), 1);
        }
        for pod in [&one, &two] {
            pod.peers.set_keys(ring(2));
        }
        assert_eq!(one.all_hear().await, format!("{:?}", ShardMessage::PeerDown { boot: two.boot }));
        assert_eq!(one.peers.count(), 0);
        one.peers.dial(two.boot, &two.address);
        assert_eq!(one.all_hear().await, heard_up(two.boot));
    });
}
