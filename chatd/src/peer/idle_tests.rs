//! Tests of idle links on real sockets.
#![allow(clippy::unwrap_used)]

use super::tests::{Pod, frame_for, heard_up, on_one_thread, pod_with};
use super::*;

/// Soon, and down to the last one.
const SOON: IdleRules = IdleRules { after: 200, spread: 0, kept: 0 };

/// Two linked pods, of which the first looks for idle links, and whether the shards of each need theirs.
struct Two {
    pods: [Pod; 2],
    needed: [bool; 2],
    ends: [tokio::sync::mpsc::UnboundedReceiver<LinkEvent>; 2],
}

impl Two {
    async fn linked(needed: [bool; 2]) -> Self {
        let mut pods = [pod_with(1, 1, SOON).await, pod_with(2, 1, SOON).await];
        let ends = [&pods[0], &pods[1]].map(|pod| {
            let (observer, events) = tokio::sync::mpsc::unbounded_channel();
            pod.peers.observe(observer);
            events
        });
        let (boot, address) = (pods[1].boot, pods[1].address.clone());
        pods[0].peers.dial(boot, &address);
        for (pod, other) in [(0, 1), (1, 0)] {
            let boot = pods[other].boot;
            assert_eq!(pods[pod].all_hear().await, heard_up(boot));
        }
        Self { pods, needed, ends }
    }

    /// The shards answer until it is done; what else they have heard, of each pod.
    async fn until(
        &mut self,
        mut done: impl FnMut(&[Vec<ShardMessage>; 2], &[Pod; 2]) -> bool,
    ) -> [Vec<ShardMessage>; 2] {
        let mut heard = [Vec::new(), Vec::new()];
        while !done(&heard, &self.pods) {
            self.pods[0].peers.tick();
            for (pod, heard) in self.pods.iter_mut().zip(&mut heard) {
                let needed = self.needed[usize::from(pod.boot == PodBoot(2))];
                for shard in &mut pod.shards {
                    while let Ok(mail) = shard.try_recv() {
                        match mail {
                            ShardMessage::ReleaseLink { boot, query } => pod.peers.shard_answered(boot, query, needed),
                            other => heard.push(other),
                        }
                    }
                }
            }
            sleep(Duration::from_millis(5)).await;
        }
        heard
    }
}

#[test]
fn an_idle_link_is_closed_and_nobody_hears_of_a_failure() {
    on_one_thread(async {
        let mut two = Two::linked([false; 2]).await;
        let connections = |pods: &[Pod; 2]| pods.iter().map(|pod| pod.peers.0.tasks.borrow().len()).sum::<usize>();
        let heard = two.until(|_, pods| connections(pods) == 0).await;
        assert!(heard.iter().all(Vec::is_empty), "{heard:?}");
        for (pod, events) in two.pods.iter().zip(&mut two.ends) {
            assert_eq!((pod.peers.count(), pod.peers.closed(), pod.peers.lost()), (0, 1, 0));
            assert!(matches!(events.try_recv(), Ok(LinkEvent::Up(_))));
            // No sign of a death.
            assert!(matches!(events.try_recv(), Ok(LinkEvent::Ended(_, LinkEnd::Other))));
            assert!(events.try_recv().is_err());
        }
        // Who needs one gets a new one, and what it sends arrives.
        let [one, other] = &mut two.pods;
        other.peers.dial(one.boot, &one.address);
        assert_eq!(other.all_hear().await, heard_up(one.boot));
        assert_eq!(one.all_hear().await, heard_up(other.boot));
        other.peers.send(one.boot, other.link_to(one.boot), frame_for(0, 1));
        assert!(matches!(one.shards[0].recv().await, Some(ShardMessage::Frames { .. })));
    });
}

#[test]
fn a_link_that_one_end_needs_stays_and_carries_on() {
    for needed in [[true, false], [false, true]] {
        on_one_thread(async move {
            let mut two = Two::linked(needed).await;
            let link = two.pods[0].link_to(PodBoot(2));
            // The shards that have given it up hear that it is there.
            let ups = |heard: &[ShardMessage]| {
                heard.iter().filter(|mail| matches!(mail, ShardMessage::PeerUp { link: up, .. } if *up == link)).count()
            };
            let heard = two.until(|heard, _| ups(&heard[0]) >= 2).await;
            assert_eq!(ups(&heard[0]), heard[0].len(), "{heard:?}");
            let [one, other] = &two.pods;
            one.peers.send(other.boot, link, frame_for(1, 1));
            other.peers.send(one.boot, other.link_to(one.boot), frame_for(1, 1));
            let frames = |heard: &[ShardMessage]| heard.iter().any(|mail| matches!(mail, ShardMessage::Frames { .. }));
            two.until(|heard, _| heard.iter().all(|heard| frames(heard))).await;
            for pod in &two.pods {
                assert_eq!((pod.peers.count(), pod.peers.closed(), pod.peers.lost()), (1, 0, 0));
            }
        });
    }
}

/// At any moment of the link's end: the one that is there, or a new one, carries it.
#[test]
fn what_is_sent_while_a_link_is_being_closed_arrives() {
    for step in 0..8 {
        on_one_thread(async move {
            let mut two = Two::linked([false; 2]).await;
            // The first look at idle links is a second after the link has come up.
            let begins = Instant::now() + Duration::from_millis(980 + 10 * step);
            let mut dialled = false;
            let is_up = |mail: &ShardMessage| matches!(mail, ShardMessage::PeerUp { .. });
            two.until(|heard, [one, other]| {
                if !dialled && Instant::now() >= begins {
                    dialled = true;
                    other.peers.dial(one.boot, &one.address);
                }
                dialled && heard[1].iter().any(is_up)
            })
            .await;
            two.needed = [true; 2];
            let [one, other] = &two.pods;
            other.peers.send(one.boot, other.link_to(one.boot), frame_for(0, 1));
            let came = |mail: &ShardMessage| matches!(mail, ShardMessage::Frames { .. });
            two.until(|heard, _| heard[0].iter().any(came)).await;
            assert_eq!(two.pods[0].peers.lost() + two.pods[1].peers.lost(), 0);
        });
    }
}
