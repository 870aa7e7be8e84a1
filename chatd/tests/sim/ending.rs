//! The end of a run: faults are healed, it is quiet, and what has to hold then is looked at. No I/O.

use crate::client::{Aim, Client};
use crate::links::{End, Event, MS, Micros, Phase, SECOND};
use crate::pod::State;
use crate::world::World;

/// JOIN and RESUME are answered within 5 s, by whichever way.
const PROBES_TAKE: Micros = 12 * SECOND;
/// So long after the beginning of the quiet they begin.
const PROBES_BEGIN: Micros = 45 * SECOND + 500 * MS;

impl World {
    pub fn phase(&mut self, phase: Phase) {
        match phase {
            Phase::Healed => {
                if !self.healed {
                    self.heal_everything();
                    self.healed = true;
                    self.expected.calm = true;
                    self.quiet = self.net.now;
                }
                let draining = self.pods.iter().find(|pod| pod.state != State::Gone && pod.terminating.is_some());
                let draining = draining.map(|pod| pod.setup.number);
                if draining.is_none() && self.expected.entries.is_empty() {
                    // The last one had another of its name beside it, found that out, and ended.
                    self.start_pod(0, "h0z".into());
                } else if draining.is_none() {
                    self.net.note(|| "faults have ended, quiet begins".into());
                    return self.net.at(self.net.now, Event::Phase(Phase::Quiet));
                }
                if let Some(pod) = draining
                    && self.net.now > self.quiet + 40 * SECOND
                {
                    return self.expected.fail("I10", format!("pod {pod} does not come to its end"));
                }
                self.net.after(SECOND, Event::Phase(Phase::Healed));
            }
            Phase::Quiet => {
                self.quiet = self.net.now;
                let first = if self.store.went_back.is_some() { 35 } else { 5 };
                for after in [first, 35, 45] {
                    self.net.after(after * SECOND, Event::Phase(Phase::Check { after, tries: 0 }));
                }
                self.net.after(25 * SECOND, Event::Phase(Phase::Resume));
                self.net.after(PROBES_BEGIN, Event::Phase(Phase::Probe));
            }
            Phase::Check { after, tries } => {
                // A client may just be joining: what matters is that it comes to rest.
                let unrest = self.unrest().map(|unrest| ("I9", unrest));
                let left_out = || self.left_out().map(|left_out| ("I2", left_out));
                let lacks_state = || self.lacks_state().map(|lacks| ("I15", lacks));
                let misjudges = || self.misjudges_lock().map(|misjudges| ("I18", misjudges));
                let keeps_rooms = || self.keeps_rooms().map(|keeps| ("I22", keeps));
                let found = unrest.or_else(left_out).or_else(lacks_state).or_else(misjudges).or_else(keeps_rooms);
                if let Some((rule, unrest)) = found {
                    if tries > 40 {
                        return self.expected.fail(rule, format!("{after} s after the faults, {unrest}"));
                    }
                    self.net.after(25 * MS, Event::Phase(Phase::Check { after, tries: tries + 1 }));
                }
            }
            Phase::Resume => {
                // Some go away, to come back to their held seats.
                for index in 0..self.clients.len() {
                    if self.holds_seat(index) && self.rng.chance(40) {
                        let client = &mut self.clients[index];
                        client.hang_up(&mut self.net, &mut self.expected, End::Closed);
                        client.aim = Aim::Done;
                        client.went_away = true;
                    }
                }
            }
            Phase::Probe => {
                self.probe();
                self.net.after(PROBES_TAKE, Event::Phase(Phase::Judge));
            }
            Phase::Judge if !self.over && self.clients.iter().any(|client| client.aim != Aim::Done) => {
                self.judge_probes();
                for client in &mut self.clients {
                    client.hang_up(&mut self.net, &mut self.expected, End::Closed);
                    client.aim = Aim::Done;
                }
                self.net.after(3 * SECOND, Event::Phase(Phase::Judge));
            }
            Phase::Judge => {
                self.check_leaks();
                self.over = true;
            }
        }
    }

    /// RESUME with the tokens of seats that have ended, which must not work.
    fn probe_ended(&mut self, up: &[usize]) {
        for seat in self.expected.surely_ended() {
            let aim = Aim::Take { pod: self.rng.pick(up) };
            let mut taker = Client::new(self.clients.len(), self.seed, aim);
            taker.takes = false;
            taker.stale = Some(seat);
            self.add_client(taker);
        }
    }

    /// A client that has a resumable seat, and whose connection is alive.
    fn holds_seat(&self, client: usize) -> bool {
        let client = &self.clients[client];
        let alive = client.pending.is_empty() && self.pods[client.pod].state == State::Up;
        client.seat.is_some() && client.seated.is_some() && alive
    }

    /// Another client that shows the same key has found the seat meanwhile.
    fn has_lost_seat_by_key(&self, index: usize) -> bool {
        let Some(key) = &self.clients[index].key else {
            return false;
        };
        let Some((room, name)) = &key.shown else {
            return false;
        };
        // Names are compared without case.
        let there = |seated: &(String, String)| seated.0 == *room && seated.1.eq_ignore_ascii_case(name);
        let others = self.clients.iter().filter(|other| other.number != index);
        let mut others = others.filter(|other| other.seated.as_ref().is_some_and(there));
        others.any(|other| other.key.as_ref().is_some_and(|other| other.word == key.word))
    }

    /// Another client that shows the same key has found the seat since the probes began, and asked for one that cannot be resumed.
    pub fn has_lost_hold_by_key(&self, taker: &Client) -> bool {
        let Some(key) = &taker.key else {
            return false;
        };
        let Some((room, name)) = &key.shown else {
            return false;
        };
        let others = self.clients.iter().filter(|other| other.number != taker.number);
        let mut others = others.filter_map(|other| other.key.as_ref()).filter(|other| other.word == key.word);
        others.any(|other| {
            other.unheld.as_ref().is_some_and(|(at, its_room, its_name)| {
                *at >= self.quiet + PROBES_BEGIN && its_room == room && its_name.eq_ignore_ascii_case(name)
            })
        })
    }

    /// JOIN of every room by every pod, and RESUME of every seat by some pod.
    fn probe(&mut self) {
        let up: Vec<usize> =
            self.pods.iter().filter(|pod| pod.state == State::Up).map(|pod| pod.setup.number).collect();
        if up.is_empty() {
            return;
        }
        self.probe_ended(&up);
        // The record of a room that nobody serves may run out before the answer: then none was promised.
        for room in self.store.rooms(self.net.now + PROBES_TAKE) {
            for pod in &up {
                let aim = Aim::Probe { pod: *pod, room: room.to_string() };
                let mut client = Client::new(self.clients.len(), self.seed, aim);
                client.wanted = room.to_string();
                self.add_client(client);
            }
        }
        for index in 0..self.clients.len() {
            let client = &self.clients[index];
            let held = (client.went_away || self.holds_seat(index)) && !self.has_lost_seat_by_key(index);
            if let Some(seat) = client.seat.clone().filter(|_| held && !client.takes) {
                let mut taker = Client::new(self.clients.len(), self.seed, Aim::Take { pod: self.rng.pick(&up) });
                taker.wanted = format!("{} in {}", seat.name, seat.room);
                let from = &self.clients[index];
                taker.take_over(seat, &from.heard, from.key_to_share());
                self.add_client(taker);
            }
        }
    }
}
