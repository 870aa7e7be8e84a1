//! Processes that look dead: the failure detector of a simulated pod, the operator's notices, the faults that give each sign of a death
//! without one, and the check that nobody who lives is declared dead. No I/O.

use std::collections::BTreeMap;

use bytes::Bytes;
use chatd::directory::DirectoryConnection;
use chatd::failure_detector::{DetectorEffect, Dialled, LinkEnd, Suspect};
use chatd::ids::Time;
use chatd::lease::LeaseRecord;
use chatd::protocol::PodBoot;

use crate::links::{Cargo, End, Event, Kind, MS, Micros, Net, Node, SECOND};
use crate::pod::{Asker, Input, Pod, State};
use crate::world::World;

/// The run of the store; connections from before it was emptied or rolled back with a restart are of an earlier one.
const RUN: &str = "run";
/// A sign that was there so long ago may still be in what a detector has found.
const SIGN: Micros = SECOND;
/// The same for a link that was reset: a detector's last round begins within 3 s, and each of its three requests may take 2 s.
const RESET: Micros = 19 * SECOND / 2;
/// A detector finds the same lease three times, 250 ms apart by its clock of whole milliseconds.
const LASTS: Micros = 498 * MS;

/// A lease that a pod has deleted which is not its own.
#[derive(Debug)]
pub struct Declared {
    pub by: usize,
    pub lease: Bytes,
    /// When it was written last.
    pub written: Micros,
}

/// What the network knows of signs that were given without a death.
#[derive(Debug, Default)]
pub struct Signs {
    /// Pods whose address refuses connections, for how many faults.
    refusing: BTreeMap<usize, u32>,
    /// When each last did.
    refused: BTreeMap<usize, Micros>,
}

impl Signs {
    pub fn refuse(&mut self, pod: usize) {
        *self.refusing.entry(pod).or_default() += 1;
    }

    pub fn accept(&mut self, pod: usize, now: Micros) {
        if let Some(count) = self.refusing.get_mut(&pod) {
            *count = count.saturating_sub(1);
        }
        self.refused.insert(pod, now);
    }

    pub fn refuses(&self, pod: usize) -> bool {
        self.refusing.get(&pod).is_some_and(|count| *count > 0)
    }

    /// Since when it does not refuse. `None`: it does.
    pub fn accepts_since(&self, pod: usize) -> Option<Micros> {
        (!self.refuses(pod)).then(|| self.refused.get(&pod).copied().unwrap_or_default())
    }
}

impl Pod {
    /// How the store knows this pod's connection: it has answered on it.
    pub fn connection(&self, net: &Net) -> Option<DirectoryConnection> {
        let pipe = self.directory.filter(|pipe| self.connected && net.pipes[*pipe].ends[0] == End::Open)?;
        Some(DirectoryConnection { run: RUN.into(), client: pipe as u64 })
    }

    /// A link over this pipe has ended.
    pub fn suspect(&mut self, net: &Net, pipe: usize, boot: PodBoot, end: LinkEnd) {
        let Kind::Link { dialler, listener } = net.pipes[pipe].kind else {
            return;
        };
        let other = if dialler == self.setup.number { listener } else { dialler };
        let (name, host) = &net.names[other];
        let suspect = Suspect { boot, pod_id: name.clone(), peer: format!("{host}:7755") };
        if end == LinkEnd::Reset {
            self.resets.insert(boot, net.now);
        }
        self.detector.link_ended(self.time(net), suspect, end);
    }

    /// Does what the failure detector has decided. True: there was something to do.
    pub fn detect(&mut self, net: &mut Net, time: Time) -> bool {
        let mut effects = Vec::new();
        self.detector.take_effects(&mut effects);
        let some = !effects.is_empty();
        for effect in effects {
            match effect {
                DetectorEffect::Dial { boot, address } => {
                    let (outcome, wait) = self.attempt(net, &address);
                    net.after(wait, Event::Pod(self.setup.number, Input::Dialled { boot, outcome }));
                }
                DetectorEffect::Directory { ticket, request } => self.ask(net, Asker::Detector, ticket, request),
                DetectorEffect::LeaseGone { boot } => {
                    self.tell_all(time, move |hub, time| hub.pod_lost_lease(time, boot));
                }
                DetectorEffect::Found { boot, finding } => {
                    net.note(|| format!("pod {}   told of {boot}: {finding:?}", self.setup.number));
                }
                DetectorEffect::Declared { pod_id, .. } => {
                    net.note(|| format!("pod {}   declares {pod_id} dead", self.setup.number));
                }
            }
        }
        some
    }

    /// The operator says that a process is dead.
    pub fn told(&mut self, net: &mut Net, time: Time, boot: PodBoot, name: String) {
        net.note(|| format!("pod {}   is told that {name} {boot} is dead", self.setup.number));
        self.told.insert(boot);
        self.detector.told(time, Suspect { boot, pod_id: name, peer: String::new() });
    }

    fn attempt(&self, net: &mut Net, address: &str) -> (Dialled, Micros) {
        let silent = (Dialled::Other, 200 * MS);
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let Some(there) = net.hosts.get(host).copied() else {
            return silent;
        };
        let whole = net.whole_since(self.node(), Node::Pod(there)).is_some();
        if net.vanished.contains(&there) || !whole {
            return silent;
        }
        // The system of a frozen process accepts for it.
        let refuses = net.dead.contains(&there) || net.signs.refuses(there);
        (if refuses { Dialled::Refused } else { Dialled::Other }, net.delay() + net.delay())
    }
}

impl World {
    /// The kubelet has seen the process end: every other pod is told, at times twice.
    pub fn tell_of_death(&mut self, pod: usize) {
        let boot = self.pods[pod].boot;
        let name = self.net.names[pod].0.clone();
        for other in 0..self.pods.len() {
            for _ in 0..self.net.rng.range(1, 3) {
                let wait = self.net.rng.range(200 * MS, 3 * SECOND);
                let name = name.clone();
                self.net.after(wait, Event::Pod(other, Input::Told { boot, name }));
            }
        }
    }

    /// Every link of the pod is reset, at both ends.
    pub fn reset_links(&mut self, pod: usize) {
        for pipe in 0..self.net.pipes.len() {
            let found = &mut self.net.pipes[pipe];
            let (Kind::Link { dialler, listener }, [End::Open, End::Open]) = (found.kind, found.ends) else {
                continue;
            };
            if dialler != pod && listener != pod {
                continue;
            }
            found.ends = [End::Closed; 2];
            for end in [dialler, listener] {
                let input = Input::Arrival { pipe, cargo: Cargo::Closed { going_away: false } };
                let wait = self.net.delay();
                self.net.after(wait, Event::Pod(end, input));
            }
        }
    }

    /// The store closes the pod's connection.
    pub fn forget_connection(&mut self, pod: usize) {
        if let Some(pipe) = self.pods[pod].directory {
            self.expected.away.was(self.net.now);
            self.net.close(pipe, 1, End::Closed, false);
        }
    }

    /// Nobody is declared dead whose lease has just been renewed; nor who lives, unless all signs are there and it can neither be told
    /// so nor tell.
    pub fn check_declared(&mut self) {
        for Declared { by, lease, written } in std::mem::take(&mut self.store.declared) {
            let Some(boot) = LeaseRecord::parse(&lease).map(|lease| lease.boot) else {
                continue;
            };
            let other = |pod: &&Pod| pod.boot == boot && pod.setup.number != by;
            let Some(victim) = self.pods.iter().find(other) else {
                continue;
            };
            let now = self.net.now;
            // The operator knows it from the kubelet, which has seen it end.
            if self.pods[by].told.contains(&boot) && victim.state == State::Gone {
                self.pods[by].told_deleted += 1;
                continue;
            }
            if now < written + LASTS {
                let detail =
                    format!("pod {by} deletes a lease of pod {} that is {} us old", victim.setup.number, now - written);
                return self.expected.fail("Death", detail);
            }
            if victim.state == State::Gone {
                continue;
            }
            // A rollback has brought back a lease that names an older connection, and nobody can see that: I3 allows for it.
            if self.store.went_back.is_some_and(|when| written <= when) {
                continue;
            }
            let number = victim.setup.number;
            let refused = self.net.signs.accepts_since(number).is_none_or(|at| at > 0 && now < at + SIGN);
            let reset = self.pods[by].resets.get(&boot).is_some_and(|at| now < at + RESET);
            let named = LeaseRecord::parse(&lease).and_then(|lease| lease.connection);
            let forgotten = named.is_some_and(|named| !self.store.has_connection(&self.net, named.client as usize));
            let silent = victim.state == State::Frozen
                || now < victim.thawed + SIGN
                || self.reaches_directory(victim).is_none_or(|since| now < since + SIGN);
            if !(refused && reset && forgotten && silent) {
                let detail = format!(
                    "pod {by} declares pod {number} dead: refused {refused}, reset {reset}, forgotten {forgotten}, silent {silent}"
                );
                return self.expected.fail("Death", detail);
            }
            self.pods[number].declared = true;
        }
    }
}
