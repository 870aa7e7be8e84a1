//! Two deployments that start on one prefix at once.

use std::collections::BTreeMap;

use bytes::Bytes;
use chatd::directory::{Answer, Key, Request};
use chatd::ids::Time;
use chatd::lease::{Lease, LeaseEffect, LeaseIdentity};
use chatd::protocol::PodBoot;

/// Pods of two deployments on one store. What they ask is carried out in the same instant, then answered.
struct Rivals {
    pods: Vec<Lease>,
    stored: BTreeMap<String, Bytes>,
}

impl Rivals {
    fn new(boots: [u64; 2]) -> Self {
        let pods = boots.map(|boot| {
            let identity = LeaseIdentity {
                pod_id: format!("chat-{boot}"),
                uid: format!("deployment-{boot}"),
                pod_uid: String::new(),
                boot: PodBoot(boot),
                tcp: "h:7654".into(),
                web: "h:8081".into(),
                peer: "h:7755".into(),
            };
            Lease::new(identity)
        });
        Self { pods: pods.into(), stored: BTreeMap::new() }
    }

    fn carry_out(&mut self, request: Request) -> Answer {
        match request {
            Request::Pods => Answer::Pods(self.stored.clone().into_iter().collect()),
            Request::Swap { key: Key::Pod(pod), expected, new, .. } if self.stored.get(&pod) == expected.as_ref() => {
                self.stored.insert(pod, new);
                Answer::Done
            }
            Request::Delete { key: Key::Pod(pod), expected } if self.stored.get(&pod) == Some(&expected) => {
                self.stored.remove(&pod);
                Answer::Done
            }
            Request::Swap { key: Key::Pod(pod), .. } | Request::Delete { key: Key::Pod(pod), .. } => {
                Answer::Found(self.stored.get(&pod).cloned())
            }
            other => panic!("{other:?}"),
        }
    }

    fn step(&mut self, now: u64) {
        let time = Time { now, wall: now };
        let mut asked = Vec::new();
        for (index, lease) in self.pods.iter_mut().enumerate() {
            lease.tick(time);
            let mut effects = Vec::new();
            lease.take_effects(&mut effects);
            asked.extend(effects.into_iter().filter_map(|effect| match effect {
                LeaseEffect::Directory { ticket, request } => Some((index, ticket, request)),
                _ => None,
            }));
        }
        let answers: Vec<_> =
            asked.into_iter().map(|(index, ticket, request)| (index, ticket, self.carry_out(request))).collect();
        for (index, ticket, answer) in answers {
            self.pods[index].answered(time, ticket, Ok(answer));
        }
    }

    fn ready(&self) -> usize {
        self.pods.iter().filter(|lease| lease.status().ready).count()
    }
}

#[test]
fn of_two_deployments_that_start_in_the_same_instant_one_serves() {
    for boot in 1..50 {
        let mut rivals = Rivals::new([boot, boot.wrapping_mul(0x9e37_79b9_7f4a_7c15)]);
        for now in (1_000..120_000).step_by(10) {
            rivals.step(now);
            assert!(rivals.ready() <= 1, "boot {boot}: both serve");
        }
        assert_eq!(rivals.ready(), 1, "boot {boot}: nobody serves");
        assert_eq!(rivals.stored.len(), 1, "the other has left nothing behind");
    }
}
