//! The faults of a run: drawn by seed, several at once, each at something that no other of its round is at.

use std::thread::{self, sleep};
use std::time::Duration;

use super::deployments::{FIRST, PODS, Stage};
use crate::rng::Rng;
use crate::support::pod::Pod;
use crate::support::proxy::Proxy;
use crate::support::redis::Server;

/// A draining pod does so within this time, whatever else is wrong: its deadline (25 s) and what it may take beyond.
const END: Duration = Duration::from_secs(40);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Kill(usize),
    /// SIGTERM, and started again when it has ended.
    Drain(usize),
    /// SIGSTOP and SIGCONT.
    Freeze(usize),
    /// What other pods send to this one: cut, held back, lost.
    CutLinks(usize),
    HoldLinks(usize),
    SwallowLinks(usize),
    CutRedis(usize),
    HoldRedis(usize),
    SlowRedis(usize),
    FreezeRedis,
    RestartRedisEmpty,
    FlushRedis,
    ResetRedis,
    RotateKeys,
}

/// Some faults at once, each for its time, and a pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    pub faults: Vec<(Fault, Duration)>,
    pub pause: Duration,
}

impl Fault {
    /// Redis loses what it had.
    pub fn empties(self) -> bool {
        matches!(self, Self::RestartRedisEmpty | Self::FlushRedis)
    }

    /// A pod ends, and with it what it alone knows.
    pub fn ends_a_pod(self) -> bool {
        matches!(self, Self::Kill(_) | Self::Drain(_))
    }
}

impl Round {
    pub fn any(&self, is: impl Fn(Fault) -> bool) -> bool {
        self.faults.iter().any(|(fault, _)| is(*fault))
    }
}

/// `longest`: a fault's time; a pod may stand still four times as long.
pub fn draw(rng: &mut Rng, longest: Duration) -> Round {
    let most = longest.as_millis() as u64;
    // What can be at fault; nothing twice in a round.
    let mut places: Vec<usize> = (0..PODS + 2 * FIRST + 2).collect();
    let mut faults: Vec<(Fault, Duration)> = Vec::new();
    for _ in 0..rng.range(1, 4) {
        let place = places.swap_remove(rng.below(places.len()));
        let mut fault = draw_at(rng, place);
        let empties = faults.iter().any(|(other, _)| other.empties());
        let ends = faults.iter().any(|(other, _)| other.ends_a_pod());
        if empties && fault.ends_a_pod() {
            fault = Fault::Freeze(place);
        }
        if ends && fault.empties() {
            fault = Fault::ResetRedis;
        }
        faults.push((fault, Duration::from_millis(rng.range(most / 10, most))));
    }
    Round { faults, pause: Duration::from_millis(rng.range(0, most)) }
}

fn draw_at(rng: &mut Rng, place: usize) -> Fault {
    const LINKS: usize = PODS;
    const STORES: usize = PODS + FIRST;
    const REDIS: usize = PODS + 2 * FIRST;
    match place {
        0..LINKS => rng.pick(&[Fault::Kill(place), Fault::Kill(place), Fault::Drain(place), Fault::Freeze(place)]),
        LINKS..STORES => {
            let pod = place - LINKS;
            rng.pick(&[Fault::CutLinks(pod), Fault::HoldLinks(pod), Fault::SwallowLinks(pod)])
        }
        STORES..REDIS => {
            let pod = place - STORES;
            rng.pick(&[Fault::CutRedis(pod), Fault::HoldRedis(pod), Fault::SlowRedis(pod)])
        }
        REDIS => rng.pick(&[Fault::FreezeRedis, Fault::RestartRedisEmpty, Fault::FlushRedis, Fault::ResetRedis]),
        _ => Fault::RotateKeys,
    }
}

/// Does all of a round at once, and waits until each is over.
pub fn carry_out(stage: &mut Stage, round: &Round) {
    let Stage { pods, links, stores, redis, keys } = stage;
    let mut pods: Vec<Option<&mut Pod>> = pods.iter_mut().map(Some).collect();
    let (mut redis, mut keys) = (Some(redis), Some(keys));
    thread::scope(|scope| {
        for &(fault, time) in &round.faults {
            let at = |proxy, begin: fn(&Proxy)| {
                scope.spawn(move || at_proxy(proxy, begin, time));
            };
            match fault {
                Fault::Kill(pod) | Fault::Drain(pod) | Fault::Freeze(pod) => {
                    let pod = pods[pod].take().expect("one fault a pod");
                    scope.spawn(move || at_pod(pod, fault, time));
                }
                Fault::CutLinks(pod) => at(&links[pod], Proxy::cut),
                Fault::HoldLinks(pod) => at(&links[pod], Proxy::hold),
                Fault::SwallowLinks(pod) => at(&links[pod], Proxy::swallow),
                Fault::CutRedis(pod) => at(&stores[pod], Proxy::cut),
                Fault::HoldRedis(pod) => at(&stores[pod], Proxy::hold),
                Fault::SlowRedis(pod) => at(&stores[pod], Proxy::slow),
                Fault::FreezeRedis | Fault::RestartRedisEmpty | Fault::FlushRedis | Fault::ResetRedis => {
                    let redis = redis.take().expect("one fault of Redis");
                    scope.spawn(move || at_redis(redis, fault, time));
                }
                Fault::RotateKeys => {
                    let keys = keys.take().expect("one rotation");
                    scope.spawn(move || keys.rotate(time));
                }
            }
        }
    });
}

fn at_pod(pod: &mut Pod, fault: Fault, time: Duration) {
    assert!(pod.is_running(), "{} has ended by itself:\n{}", pod.name, pod.log());
    match fault {
        Fault::Freeze(_) => {
            pod.freeze();
            sleep(time * 4);
            pod.thaw();
        }
        Fault::Drain(_) => {
            pod.terminate();
            assert_eq!(pod.exit_code(END), 0, "{}:\n{}", pod.name, pod.log());
            pod.start_again();
        }
        _ => {
            pod.kill();
            sleep(time);
            pod.start_again();
        }
    }
}

fn at_proxy(proxy: &Proxy, fault: impl Fn(&Proxy), time: Duration) {
    fault(proxy);
    sleep(time);
    proxy.flow();
}

fn at_redis(redis: &mut Server, fault: Fault, time: Duration) {
    match fault {
        Fault::FreezeRedis => {
            redis.freeze();
            sleep(time);
            redis.thaw();
        }
        Fault::RestartRedisEmpty => {
            redis.kill();
            sleep(time);
            redis.restart();
        }
        Fault::FlushRedis => {
            let _: String = redis.run("FLUSHALL");
        }
        _ => {
            let _: i64 = redis.run("CLIENT KILL TYPE normal SKIPME yes");
        }
    }
}

#[test]
fn a_seed_draws_the_same_faults() {
    let rounds = |seed| {
        let mut rng = Rng::new(seed, "faults");
        (0..200).map(|_| draw(&mut rng, Duration::from_secs(4))).collect::<Vec<_>>()
    };
    let drawn = rounds(7);
    assert_eq!(drawn, rounds(7));
    assert_ne!(drawn, rounds(8));
    assert!(!drawn.iter().any(|round| round.any(Fault::empties) && round.any(Fault::ends_a_pod)));
}
