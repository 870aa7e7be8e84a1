//! Carries the plan of faults out, and heals what it did. No I/O.

use crate::client::{Aim, Client};
use crate::faults::{Party, What};
use crate::links::{End, Event, Node, SECOND};
use crate::pod::{Input, Pod, State};
use crate::store::Trouble;
use crate::world::World;

impl World {
    fn node(&self, party: Party) -> Node {
        match party {
            Party::Name(name) => Node::Pod(self.names[name]),
            Party::Store => Node::Store,
            Party::Client(client) => Node::Client(client),
        }
    }

    pub fn begin_fault(&mut self, index: usize) {
        if !self.healed {
            self.carry_out(index);
            self.note_doubt();
        }
    }

    /// Notes whether somebody cannot reach somebody else, or the directory.
    fn note_doubt(&mut self) {
        let now = self.net.now;
        let cuts = self.net.cuts.iter().filter(|(_, cut)| cut.count > 0);
        let from_store = |(from, to): &(Node, Node)| *from == Node::Store || *to == Node::Store;
        let (apart, away) = cuts.fold((false, false), |(_, away), (way, _)| (true, away || from_store(way)));
        self.expected.apart.note(now, apart);
        self.expected.away.note(now, away || !self.store.is_well());
    }

    fn carry_out(&mut self, index: usize) {
        let fault = self.plan.faults[index].clone();
        self.net.note(|| format!("=====   {:?} for {:.1} s", fault.what, fault.lasts as f64 / SECOND as f64));
        self.undo[index].done = true;
        match fault.what {
            What::Crash { name, vanish, .. } => {
                let pod = self.names[name];
                if self.pods[pod].state == State::Gone {
                    return;
                }
                let how = if vanish { End::Vanished } else { End::Closed };
                if self.pods[pod].state == State::Frozen {
                    self.expected.frozen -= 1;
                }
                self.pods[pod].die(&mut self.net, how);
                self.undo[index].pods.push(pod);
                // Of a machine that is gone the kubelet says nothing, and not every deployment's keys are the operator's.
                if !vanish && self.net.rng.chance(40) {
                    self.tell_of_death(pod);
                }
                self.update_entries();
            }
            What::Freeze { name } => {
                let pod = self.names[name];
                if self.pods[pod].state == State::Up {
                    self.pods[pod].freeze(&mut self.net);
                    self.expected.frozen += 1;
                    self.undo[index].pods.push(pod);
                }
            }
            What::Stall { name } => {
                let pod = self.names[name];
                if self.pods[pod].state == State::Up {
                    let shard = index % self.pods[pod].hubs.len();
                    self.pods[pod].stall(shard);
                    self.expected.frozen += 1;
                    self.undo[index].pods.push(pod);
                }
            }
            What::Twin { name } => {
                let host = format!("h{name}x{index}");
                self.start_pod(name, host);
            }
            What::Cut { from, to, both } => {
                let (from, to) = (self.node(from), self.node(to));
                let mut cuts = Vec::new();
                // A client is cut off from whichever pod it is connected to.
                for pod in self.pods.iter().map(Pod::node) {
                    match (from, to) {
                        (Node::Client(_), _) => cuts.push((from, pod)),
                        (_, Node::Client(_)) => cuts.push((pod, to)),
                        _ => {}
                    }
                }
                if cuts.is_empty() {
                    cuts.push((from, to));
                }
                if both {
                    cuts.extend(cuts.clone().into_iter().map(|(one, other)| (other, one)));
                }
                for (from, to) in &cuts {
                    self.net.cut(*from, *to);
                }
                self.undo[index].cuts = cuts;
            }
            What::Trouble(trouble) => self.store.begin(trouble),
            What::Empty { reset } => {
                self.store.empty(self.net.now);
                self.store_went_back(reset);
            }
            What::RollBack { by, reset } => {
                self.store.roll_back(self.net.now, by);
                self.store_went_back(reset);
            }
            What::ResetStore => {
                self.expected.away.was(self.net.now);
                self.reset_store();
            }
            What::Clock { name, by } => {
                self.pods[self.names[name]].wall += by;
                self.expected.ends.clocks_moved = true;
            }
            What::Terminate { name } => {
                let pod = self.names[name];
                self.undo[index].pods.push(pod);
                self.pod_input(pod, Input::Terminate);
            }
            What::Drop { client } => self.clients[client].hang_up(&mut self.net, &mut self.expected, End::Closed),
            What::Vanish { client } => self.clients[client].hang_up(&mut self.net, &mut self.expected, End::Vanished),
            What::StopReading { client } => {
                let stopped = &mut self.clients[client];
                stopped.reading = stopped.pipe.is_none();
                self.expected.excused.extend(stopped.pipe);
            }
            What::Thief { client } => {
                if let Some(seat) = self.clients[client].seat.clone() {
                    let mut thief = Client::new(self.clients.len(), self.seed, Aim::Live);
                    let from = &mut self.clients[client];
                    if let Some(key) = &mut from.key {
                        key.shared = true;
                    }
                    thief.take_over(seat, &from.heard, from.key_to_share());
                    self.add_client(thief);
                }
            }
            What::Refuse { name } => {
                let pod = self.names[name];
                self.net.signs.refuse(pod);
                self.undo[index].pods.push(pod);
            }
            What::ResetLinks { name } => self.reset_links(self.names[name]),
            What::ForgetConnection { name } => self.forget_connection(self.names[name]),
            What::HandOver { name, by } => self.call_hand_over(name, by),
            What::Query { name } => {
                let pod = self.names[name];
                // More than one, so that a pod with few places is full of rooms that nobody enters.
                (0..3).for_each(|_| self.pod_input(pod, Input::Create));
                if let Some(room) = self.expected.rooms.first().and_then(|room| room.parse().ok()) {
                    self.pod_input(pod, Input::LookUp { room });
                }
            }
        }
    }

    pub fn end_fault(&mut self, index: usize) {
        let undo = self.undo[index].clone();
        if undo.undone || !undo.done {
            return;
        }
        self.undo[index].undone = true;
        let fault = self.plan.faults[index].clone();
        self.net.note(|| format!("=====   end of {:?}", fault.what));
        match fault.what {
            What::Crash { name, back, elsewhere, .. } => {
                if back && undo.pods.first() == Some(&self.names[name]) {
                    self.restart(name, elsewhere, index);
                }
            }
            What::Freeze { .. } => {
                for pod in undo.pods {
                    if self.pods[pod].state == State::Frozen {
                        self.expected.frozen -= 1;
                        self.expected.last_thaw = self.net.now;
                        self.pods[pod].thaw(&mut self.net);
                        self.update_entries();
                        self.check_pod(pod);
                    }
                }
            }
            What::Stall { .. } => {
                for pod in undo.pods {
                    self.expected.frozen -= 1;
                    self.expected.last_thaw = self.net.now;
                    let shard = index % self.pods[pod].hubs.len();
                    self.pod_input(pod, Input::Unstall { shard });
                }
            }
            What::Cut { .. } => undo.cuts.iter().for_each(|(from, to)| self.net.heal(*from, *to)),
            What::Trouble(trouble) => self.store.end(&mut self.net, trouble),
            What::Terminate { name } => {
                let Some(pod) = undo.pods.first().copied() else {
                    return;
                };
                if self.pods[pod].state == State::Gone {
                    if self.names[name] == pod {
                        self.restart(name, index.is_multiple_of(2), index);
                    }
                } else if !self.healed {
                    // Its successor starts once it has ended.
                    self.undo[index].undone = false;
                    self.net.after(SECOND, Event::Fault { index, begins: false });
                }
            }
            What::StopReading { client } => self.clients[client].read_on(&mut self.net, &mut self.expected),
            What::Refuse { .. } => undo.pods.iter().for_each(|pod| self.net.signs.accept(*pod, self.net.now)),
            _ => {}
        }
        self.note_doubt();
    }

    fn restart(&mut self, name: usize, elsewhere: bool, index: usize) {
        let host = if elsewhere { format!("h{name}y{index}") } else { self.pods[self.names[name]].setup.host.clone() };
        self.start_pod(name, host);
    }

    fn store_went_back(&mut self, reset: bool) {
        self.expected.went_back = Some(self.net.now);
        if reset {
            self.store.starts_again(&self.net);
            self.reset_store();
        }
    }

    /// Every connection to the store is lost.
    fn reset_store(&mut self) {
        for pipe in 0..self.net.pipes.len() {
            if self.net.pipes[pipe].nodes[1] == Node::Store {
                self.net.close(pipe, 1, End::Closed, false);
            }
        }
    }

    pub fn heal_everything(&mut self) {
        for index in 0..self.plan.faults.len() {
            if self.undo[index].done && !self.undo[index].undone {
                self.end_fault(index);
            }
        }
        for client in &mut self.clients {
            if !client.reading {
                client.read_on(&mut self.net, &mut self.expected);
            }
        }
        self.store.troubles().into_iter().for_each(|trouble: Trouble| self.store.end(&mut self.net, trouble));
        self.note_doubt();
        // Half of the pods that are gone come back; at least one pod lives.
        for name in 0..self.names.len() {
            let gone = self.pods[self.names[name]].state == State::Gone;
            let alone = self.pods.iter().all(|pod| pod.state == State::Gone || pod.terminating.is_some());
            if gone && (self.rng.chance(50) || alone) {
                self.restart(name, true, 1_000 + name);
            }
        }
        let alone = self.pods.iter().all(|pod| pod.state == State::Gone || pod.terminating.is_some());
        if alone {
            self.start_pod(0, "h0z".into());
        }
        self.expected.calm = true;
    }
}
