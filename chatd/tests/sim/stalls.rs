//! One thread of a simulated pod that stands still while the others go on: its mail and its sockets wait. No I/O.

use std::collections::VecDeque;

use chatd::hub::Hub;
use chatd::ids::Time;
use chatd::protocol::RoomId;

use crate::links::{Kind, Net};
use crate::pod::{Input, Pod, State};

/// Something that a thread is told by another.
pub struct Mail(Box<What>);

type What = dyn FnOnce(&mut Hub, Time);

impl std::fmt::Debug for Mail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Mail")
    }
}

/// What waits for a thread that stands still.
#[derive(Debug, Default)]
pub struct Stalled {
    mail: VecDeque<Mail>,
    inputs: VecDeque<Input>,
}

impl Pod {
    pub fn tell(&mut self, time: Time, shard: usize, what: impl FnOnce(&mut Hub, Time) + 'static) {
        match &mut self.stalled[shard] {
            Some(stalled) => stalled.mail.push_back(Mail(Box::new(what))),
            None => what(&mut self.hubs[shard], time),
        }
    }

    pub fn tell_all(&mut self, time: Time, what: impl FnOnce(&mut Hub, Time) + Clone + 'static) {
        (0..self.hubs.len()).for_each(|shard| self.tell(time, shard, what.clone()));
    }

    pub fn is_stalled(&self, shard: usize) -> bool {
        self.stalled[shard].is_some()
    }

    /// Nothing of the room can change now.
    pub fn stands_still(&self, room: RoomId) -> bool {
        self.state == State::Frozen || self.is_stalled(room.shard(self.setup.shards))
    }

    pub fn stall(&mut self, shard: usize) {
        self.stalled[shard].get_or_insert_default();
    }

    /// The thread goes on: what waited comes in the order of its kind, its timers first or last.
    pub fn unstall(&mut self, net: &mut Net, shard: usize) {
        let Some(Stalled { mut mail, mut inputs }) = self.stalled[shard].take() else {
            return;
        };
        self.thawed = net.now;
        let time = self.time(net);
        let first = self.rng.chance(50);
        if first {
            self.hubs[shard].tick(time);
        }
        while !mail.is_empty() || !inputs.is_empty() {
            if self.rng.chance(50) {
                if let Some(Mail(what)) = mail.pop_front() {
                    what(&mut self.hubs[shard], time);
                }
            } else if let Some(input) = inputs.pop_front() {
                self.handle(net, input);
            }
        }
        self.hubs[shard].tick(time);
    }

    /// Puts away what is for a thread that stands still.
    pub fn put_away(&mut self, net: &Net, input: Input) -> Option<Input> {
        let of_pipe = |pipe: usize| match net.pipes[pipe].kind {
            Kind::Client { .. } => Some(self.sockets.get(&pipe).map_or(pipe % self.hubs.len(), |socket| socket.shard)),
            _ => None,
        };
        let shard = match &input {
            Input::Arrival { pipe, .. }
            | Input::GiveUp { pipe }
            | Input::Writable { pipe }
            | Input::CloseTimeout { pipe } => of_pipe(*pipe),
            Input::Adopt { shard, .. } => Some(*shard),
            _ => None,
        };
        match shard.and_then(|shard| self.stalled[shard].as_mut()) {
            Some(stalled) => {
                stalled.inputs.push_back(input);
                None
            }
            None => Some(input),
        }
    }
}
