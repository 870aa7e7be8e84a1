//! A simulated application that calls rooms by the server API, through any pod, and what has to hold from its answers on: a room that was
//! ended does not come back (I13), and what it says is heard as what players say. No I/O.

use std::collections::BTreeMap;

use bytes::Bytes;
use chatd::ids::SessionId;
use chatd::protocol::{ErrorCode, PlayerName, RoomId};
use chatd::room_call::{DescriptorPatch, RoomCall};

use crate::client::Client;
use crate::expectations::Expectations;
use crate::links::{Micros, Net};
use crate::pod::{Input, Pod, State};
use crate::rng::Rng;
use crate::seats::SPREADS;
use crate::world::World;

/// By whom the application locks rooms, as others are told.
const BY: &str = "*";

/// Whether this patch of the application's locks the room.
fn locks(patch: &DescriptorPatch) -> bool {
    patch.apply(None).is_ok_and(|descriptor| descriptor.locked)
}

/// A call that is not answered yet.
#[derive(Debug)]
pub struct Called {
    room: RoomId,
    call: RoomCall,
    pub at: Micros,
}

/// The calls of one pod.
#[derive(Debug, Default)]
pub struct Calls {
    pub waiting: BTreeMap<(usize, SessionId), Called>,
    pub answered: Vec<(Called, Result<Bytes, ErrorCode>)>,
}

/// Rooms that the application has ended.
#[derive(Debug, Default)]
pub struct Endings {
    /// Those that it has asked to end.
    asked: BTreeMap<String, Micros>,
    /// When the answer was there, and whether every owner knew what there was to know.
    answered: BTreeMap<String, (Micros, bool)>,
}

impl Endings {
    /// Whether the application has asked for the end of this room.
    pub fn was_asked(&self, room: &str) -> bool {
        self.asked.contains_key(room)
    }
}

#[derive(Debug)]
pub struct Application {
    rng: Rng,
    last: u64,
}

impl Application {
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed, "application"), last: 0 }
    }
}

impl Pod {
    pub fn call(&mut self, net: &Net, room: RoomId, call: RoomCall) {
        let (time, shard) = (self.time(net), room.shard(self.setup.shards));
        if !self.is_stalled(shard) {
            let session = self.hubs[shard].call(time, room, call.clone());
            self.calls.waiting.insert((shard, session), Called { room, call, at: net.now });
        }
    }

    pub fn call_answered(&mut self, shard: usize, session: SessionId, answer: Result<Bytes, ErrorCode>) {
        match self.calls.waiting.remove(&(shard, session)) {
            Some(called) => self.calls.answered.push((called, answer)),
            None => self.broken = Some("a call is answered twice".into()),
        }
    }
}

impl World {
    /// Now and then, after a client has had its turn.
    pub fn application_acts(&mut self) {
        let rng = &mut self.application.rng;
        if self.expected.calm || self.expected.rooms.is_empty() || !rng.chance(4) {
            return;
        }
        let pod = rng.below(self.pods.len());
        let room = rng.below(self.expected.rooms.len());
        let (kind, ban) = (rng.below(100), rng.chance(30));
        let Ok(room) = self.expected.rooms[room].parse::<RoomId>() else {
            return;
        };
        if self.pods[pod].state != State::Up {
            return;
        }
        self.application.last += 1;
        let text = format!("app.{}", self.application.last);
        let from = PlayerName::system("").expect("a star");
        let call = match kind {
            0..60 => {
                self.expected.sent(self.net.now, &text, from.as_str());
                RoomCall::Say { from, text: text.into(), key: None }
            }
            60..67 => RoomCall::Get,
            67..75 => {
                let locked = self.application.rng.chance(40);
                self.expected.locks.asked(self.net.now, room.as_str(), BY, locked);
                let patch = format!(r#"{{"locked":{locked}}}"#);
                RoomCall::Patch(DescriptorPatch::parse(&patch).expect("a patch"))
            }
            75..85 => {
                let name = self.application.rng.pick(&crate::entering::NAMES);
                self.expected.kicks.asked(room.as_str(), name, ban);
                RoomCall::Kick { name: name.parse().expect("a name"), ban_s: ban.then_some(86_400) }
            }
            // A room of an open name is made again under it.
            85..95 if !self.expected.open_names => {
                self.expected.endings.asked.entry(room.to_string()).or_insert(self.net.now);
                RoomCall::End
            }
            _ => return,
        };
        self.net.note(|| format!("application by pod {pod}: {room} {call:?}"));
        self.pod_input(pod, Input::Call { room, call: Box::new(call) });
    }

    /// After each step of a pod.
    pub fn check_calls(&mut self, number: usize) {
        for (called, answer) in std::mem::take(&mut self.pods[number].calls.answered) {
            let Called { room, call, at } = called;
            self.net.note(|| format!("application hears of {room} {call:?}: {answer:?}"));
            match (call, answer) {
                (RoomCall::End, Ok(_)) => self.expected.room_ended(self.net.now, room),
                (RoomCall::Kick { name, ban_s }, Ok(_)) => {
                    self.expected.kicked(self.net.now, room.as_str(), name.as_str(), ban_s.is_some(), at);
                }
                (RoomCall::Say { text, .. }, Err(code)) if code != ErrorCode::Unavailable => {
                    if self.expected.heard.contains(&*text) {
                        self.expected.fail("I6", format!("{text} was heard, and refused with {code}"));
                    }
                    self.expected.refused.insert(text.into(), code.as_str().to_owned());
                }
                (RoomCall::Patch(patch), Ok(_)) => {
                    self.expected.has_locked(self.net.now, room.as_str(), BY, locks(&patch));
                }
                (RoomCall::Patch(patch), Err(code))
                    if !matches!(code, ErrorCode::Unavailable | ErrorCode::ShuttingDown) =>
                {
                    self.expected.lock_refused(room.as_str(), BY, locks(&patch));
                }
                (RoomCall::Get | RoomCall::Say { .. } | RoomCall::Kick { .. } | RoomCall::End, Err(code))
                    if !matches!(
                        code,
                        ErrorCode::RoomNotFound
                            | ErrorCode::PlayerNotFound
                            | ErrorCode::Unavailable
                            | ErrorCode::ShuttingDown
                            | ErrorCode::TooManyRooms
                    ) =>
                {
                    self.expected.fail("I7", format!("a call of {room} is refused with {code}"));
                }
                _ => {}
            }
        }
    }
}

impl Expectations {
    fn room_ended(&mut self, now: Micros, room: RoomId) {
        let is_certain = self.was_certain_at(now);
        self.endings.answered.entry(room.to_string()).or_insert((now, is_certain));
    }

    /// No former owner was frozen or cut off then: such a one knows nothing of the end until it reads the tombstone.
    fn was_certain_at(&self, at: Micros) -> bool {
        self.certain_since().is_some_and(|since| since + SPREADS < at)
    }

    /// I13. A client is in a room that it asked for at `asked`.
    pub fn check_ended(&mut self, client: usize, room: &str, asked: Option<Micros>) {
        let ended = self.endings.answered.get(room).copied();
        if let (Some((ended, is_certain)), Some(asked)) = (ended, asked)
            && asked > ended
            && (is_certain || self.was_certain_at(asked))
            && self.went_back.is_none()
        {
            let at = ended as f64 / 1e6;
            self.fail("I13", format!("client {client} comes into {room}, which has ended at {at:.3}"));
        }
    }
}

impl Client {
    /// It hears that its room has ended.
    pub fn check_closed(&self, now: Micros, expected: &mut Expectations) {
        let has_ended = |(room, _): &(String, String)| {
            expected.endings.asked.contains_key(room) || expected.ends.may_have_ended(room, now)
        };
        if !self.seated.as_ref().is_none_or(has_ended) {
            expected.fail("I13", format!("client {} hears that its room has ended, and nobody has", self.number));
        }
    }
}
