//! Pods that end, and pods that the server API asks to hand their rooms over. These go on: they give up no room, send no client away, and
//! have no room once it is quiet and another pod takes rooms (I22). No I/O.

use chatd::hub::Hub;
use chatd::protocol::{PodBoot, RoomId};

use crate::client::Client;
use crate::expectations::Expectations;
use crate::links::{Micros, Net, SECOND};
use crate::pod::{Input, Pod, State};
use crate::reached::AMPLE;
use crate::world::World;

/// So long after the beginning of the quiet every room has found its place: a pod that declined one is asked again within 2 s.
const SETTLED: Micros = 30 * SECOND;

/// A pod that hands its rooms over.
#[derive(Debug, Default)]
pub struct HandOver {
    pub since: Option<Micros>,
    /// A room that it has given up since.
    pub gave_up: Option<RoomId>,
}

impl Pod {
    /// SIGTERM, or a newer process with this name.
    pub fn terminate(&mut self, net: &mut Net) {
        if self.terminating.is_some() {
            return;
        }
        net.note(|| format!("pod {}   terminates", self.setup.number));
        (self.terminating, net.ends) = (Some(net.now), true);
        let time = self.time(net);
        self.lease.drain(time);
        let deadline = time.now + 25_000;
        self.tell_all(time, move |hub, time| hub.drain(time, deadline));
    }

    /// As the server API asks, here or at another pod.
    pub fn hand_over(&mut self, net: &mut Net) {
        if self.terminating.is_some() || self.lease.status().draining {
            return;
        }
        net.note(|| format!("pod {}   hands its rooms over", self.setup.number));
        self.hands_over.since = Some(net.now);
        let time = self.time(net);
        self.lease.drain(time);
        self.tell_all(time, Hub::hand_over);
    }

    /// The server API is called here for another process.
    pub fn ask_to_hand_over(&mut self, net: &Net, boot: PodBoot, address: String) {
        self.last_query += 1;
        self.queries.insert(self.last_query, net.now);
        let (time, query, shard) = (self.time(net), self.last_query, self.rng.below(self.hubs.len()));
        self.tell(time, shard, move |hub, time| hub.ask_to_hand_over(time, query, boot, &address));
    }

    /// It moves a room for nothing but balance.
    pub fn gives_for_balance(&self) -> bool {
        self.terminating.is_none() && self.hands_over.since.is_none() && self.state != State::Gone
    }

    /// It takes rooms of others.
    fn takes_rooms(&self) -> bool {
        let goes_on = self.terminating.is_none() && self.hands_over.since.is_none();
        self.state == State::Up && goes_on && self.lease.status().ready && self.slots.taken() < self.slots.most()
    }
}

impl World {
    /// POST /v1/pods/{name}/drain, at the pod `by`.
    pub fn call_hand_over(&mut self, name: usize, by: usize) {
        let (pod, by) = (self.names[name], self.names[by]);
        let input = if pod == by {
            Input::HandOver
        } else {
            Input::AskToHandOver { boot: self.pods[pod].boot, address: format!("{}:7755", self.pods[pod].setup.host) }
        };
        self.pod_input(by, input);
    }

    /// I22, after each step of a pod.
    pub fn check_hand_over(&mut self, number: usize) {
        if let Some(room) = self.pods[number].hands_over.gave_up.take() {
            self.expected.fail("I22", format!("pod {number} was to hand {room} over, and has given it up"));
        }
    }

    /// I22, where nothing follows: a pod that hands its rooms over has some still. `None`: none has.
    pub fn keeps_rooms(&self) -> Option<String> {
        // A room with state waits where the others have no memory for that.
        let are_small = self.expected.ring_total < AMPLE;
        let is_early = self.takeovers_wait() || self.net.now < self.quiet + SETTLED;
        if is_early || are_small || !self.pods.iter().any(Pod::takes_rooms) {
            return None;
        }
        let keeps = |pod: &&Pod| pod.state == State::Up && pod.terminating.is_none() && pod.hands_over.since.is_some();
        let keeps = self.pods.iter().filter(keeps).find(|pod| pod.room_count() > 0)?;
        Some(format!("pod {} hands its rooms over, and has {} still", keeps.setup.number, keeps.room_count()))
    }
}

impl Client {
    /// It is sent away. Only a pod that ends does that to clients that want to be relayed.
    pub fn check_sent_away(&self, net: &Net, expected: &mut Expectations, code: &str) {
        if matches!(code, "moved" | "shutting_down") && self.mode == "RELAY" && !net.ends {
            expected.fail("I22", format!("client {} is sent away with {code}, and no pod ends", self.number));
        }
    }
}
