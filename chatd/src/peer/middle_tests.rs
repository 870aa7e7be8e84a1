//! Tests of links with a process in the middle, which does not know the key.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use super::channel::Channels;
use super::handshake::REASONS;
use super::link::Wire;
use super::tests::{frame_for, heard_unreachable, heard_up, on_one_thread, pod};
use crate::shard::message::ShardMessage;

/// What a process in the middle does with what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    Is,
    Nothing,
    /// With one byte changed, near the end: behind a frame's room.
    Changed,
    Twice,
    /// To where it came from.
    Reflected,
}

/// A process between two pods, which knows no key.
struct Middle {
    address: String,
    begins: Rc<Cell<bool>>,
}

impl Middle {
    /// Passes on one connection to `to`; what it does once it begins with what the dialler and the listener say.
    async fn start(to: &str, does: [As; 2]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let middle = Self { address: listener.local_addr().unwrap().to_string(), begins: Rc::default() };
        let (to, begins) = (to.to_owned(), middle.begins.clone());
        spawn_local(async move {
            let (mut one, _) = listener.accept().await.unwrap();
            let mut two = TcpStream::connect(&to).await.unwrap();
            let mut buffers = [[0; 4096]; 2];
            let [from_one, from_two] = &mut buffers;
            loop {
                let (count, side) = tokio::select! {
                    read = one.read(from_one) => (read.unwrap_or(0), 0),
                    read = two.read(from_two) => (read.unwrap_or(0), 1),
                };
                if count == 0 {
                    return;
                }
                let bytes = if side == 0 { &mut from_one[..count] } else { &mut from_two[..count] };
                let does = if begins.get() { does[side] } else { As::Is };
                let out = if (side == 0) == (does == As::Reflected) { &mut one } else { &mut two };
                if does == As::Changed {
                    bytes[count - 1] ^= 1;
                }
                for _ in 0..[1, 0, 1, 2, 1][does as usize] {
                    if out.write_all(bytes).await.is_err() {
                        return;
                    }
                }
            }
        });
        middle
    }

    fn begin(&self) {
        self.begins.set(true);
    }
}

/// A process without the key, at an address where a pod was: it passes the handshake on, and then does with what the two say as
/// it likes.
#[test]
fn a_process_in_the_middle_cannot_change_a_frame() {
    on_one_thread(async {
        for does in [As::Changed, As::Twice, As::Reflected] {
            let (mut one, mut two) = (pod(1, 1).await, pod(2, 1).await);
            let middle = Middle::start(&two.address, [does, As::Is]).await;
            one.peers.dial(two.boot, &middle.address);
            assert_eq!(one.all_hear().await, heard_up(two.boot));
            assert_eq!(two.all_hear().await, heard_up(one.boot));
            middle.begin();
            let frame = frame_for(0, 7);
            one.peers.send(two.boot, one.link_to(two.boot), frame.clone());
            // The link breaks; before that comes at most what was said.
            let (victim, other) = if does == As::Reflected { (&mut one, two.boot) } else { (&mut two, one.boot) };
            let mut frames = Vec::new();
            loop {
                match victim.shards[0].recv().await.unwrap() {
                    ShardMessage::Frames { bytes, .. } => frames.extend_from_slice(&bytes),
                    ShardMessage::PeerDown { boot } => break assert_eq!(boot, other),
                    mail => panic!("{mail:?}"),
                }
            }
            let expected = if does == As::Twice { frame } else { Vec::new() };
            assert_eq!(frames, expected, "{does:?}");
        }
    });
}

/// It speaks TLS with both, and so could read and change everything, were proofs not bound to their channel.
#[test]
fn a_process_with_a_channel_to_each_of_two_pods_does_not_become_their_link() {
    on_one_thread(async {
        let (mut one, two) = (pod(1, 1).await, pod(2, 1).await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        one.peers.dial(two.boot, &listener.local_addr().unwrap().to_string());
        let channels = Channels::new().unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut to_one = Wire::listen(stream, channels.listen().unwrap()).await.unwrap();
        let stream = TcpStream::connect(&two.address).await.unwrap();
        let mut to_two = Wire::dial(stream, channels.dial().unwrap()).await.unwrap();
        to_two.send_message(&to_one.read_message().await.unwrap()).await.unwrap();
        for _ in 0..2 {
            to_one.send_message(&to_two.read_message().await.unwrap()).await.unwrap();
        }
        assert_eq!(one.all_hear().await, heard_unreachable(two.boot, false));
        assert!(to_one.read_message().await.is_err(), "a commit");
        assert_eq!((one.peers.count(), two.peers.count()), (0, 0));
        assert_eq!(REASONS[3], "key");
        assert_eq!(one.peers.refused()[3], 1);
    });
}

#[test]
fn a_silent_peer_is_given_up() {
    on_one_thread(async {
        let (mut one, two) = (pod(1, 1).await, pod(2, 1).await);
        let middle = Middle::start(&two.address, [As::Is, As::Nothing]).await;
        one.peers.dial(two.boot, &middle.address);
        assert_eq!(one.all_hear().await, heard_up(two.boot));
        let started = Instant::now();
        middle.begin();
        assert_eq!(one.all_hear().await, format!("{:?}", ShardMessage::PeerDown { boot: two.boot }));
        assert!(started.elapsed() > Duration::from_millis(2_500), "{:?}", started.elapsed());
    });
}
