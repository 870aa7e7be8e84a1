//! What a simulated pod does for its lease and its hubs, and its connection to the directory. No I/O.

use chatd::directory::{Answer, Key, NoAnswer, Request};
use chatd::hub::{Effect, Hub, Notice};
use chatd::ids::{SessionId, Ticket, Time};
use chatd::lease::{LeaseEffect, LeaseNotice};
use chatd::peer::handshake::Nonce;
use chatd::peer_protocol::{self, Frame};

use crate::links::{Cargo, End, Event, Kind, MS, Micros, Net, Node, SECOND};
use crate::pod::{Asker, Input, Pod, SETTLES, State};

impl Pod {
    /// It stops turning over. Its peers hear nothing of it, and give their links up after a few seconds.
    pub fn freeze(&mut self, net: &mut Net) {
        self.state = State::Frozen;
        self.frozen_since = Some(net.now);
        for pipe in 0..net.pipes.len() {
            let found = &net.pipes[pipe];
            if matches!(found.kind, Kind::Link { .. }) && found.nodes.contains(&self.node()) {
                let wait = net.rng.range(3 * SECOND, 6 * SECOND);
                net.after(wait, Event::Silence { pipe, frozen: self.setup.number, since: net.now });
            }
        }
    }

    /// What waited while it was frozen is handled, timers first or last as it comes.
    pub fn thaw(&mut self, net: &mut Net) {
        self.state = State::Up;
        self.frozen_since = None;
        self.thawed = net.now;
        let first = self.rng.chance(50);
        if first {
            self.tick(net);
            self.settle(net);
        }
        while let Some(input) = self.inbox.pop_front() {
            self.handle(net, input);
            if self.rng.chance(50) {
                self.settle(net);
            }
            if self.state != State::Up {
                return;
            }
        }
        self.tick(net);
        self.settle(net);
    }

    pub fn lease_effect(&mut self, net: &mut Net, time: Time, effect: LeaseEffect) {
        match effect {
            LeaseEffect::Directory { ticket, request } => self.ask(net, Asker::Lease, ticket, request),
            LeaseEffect::View(view) => self.tell_all(time, move |hub, time| hub.lease(time, view)),
            LeaseEffect::Lost => {
                net.note(|| format!("pod {}   had lost its lease", self.setup.number));
                // Its own lease was missing: found so, nothing else counts for 10 s.
                self.unsettled = Some(net.now);
                self.tell_all(time, Hub::lease_lost);
            }
            LeaseEffect::CheckRecords => self.tell_all(time, Hub::directory_reset),
            LeaseEffect::Superseded => self.terminate(net),
            // Pods of the simulation have no uid, and a replaced one ends anyway.
            LeaseEffect::Twin => {}
            LeaseEffect::Targets(targets) => {
                self.tell_all(time, move |hub, time| hub.targets(time, targets));
            }
            LeaseEffect::Ended => {
                net.note(|| format!("pod {}   exits", self.setup.number));
                self.die(net, End::Closed);
            }
            LeaseEffect::Log(LeaseNotice::Taken) => {
                // A fresh start is settled with its first lease.
                self.unsettled = None;
                net.note(|| format!("pod {}   has its lease", self.setup.number));
            }
            LeaseEffect::Log(line) => net.note(|| format!("pod {}   lease: {line:?}", self.setup.number)),
        }
    }

    pub fn hub_effect(&mut self, net: &mut Net, time: Time, shard: usize, effect: Effect) {
        match effect {
            Effect::Directory { ticket, request } => {
                if let Request::Swap { key: Key::Room(room), .. } = &request
                    && self.views.iter().all(|view| view.room != *room)
                {
                    self.tried.insert(*room, (net.now, self.told_unsettled[shard]));
                }
                self.ask(net, Asker::Hub(shard), ticket, request);
            }
            Effect::Dial { boot, address } => {
                let nonce = Nonce(u128::from(self.rng.next()) << 64 | u128::from(self.rng.next()));
                self.links.dial(time.now, boot, &address, nonce);
            }
            Effect::LinkAnswer { boot, query, needed } => self.links.shard_answered(time.now, boot, query, needed),
            Effect::Close { session, code } => self.closing(net, shard, session, code),
            Effect::Abort { session } => self.abort(net, shard, session),
            Effect::Migrate { session, shard: to } => {
                if let (Some(pipe), Some(carried)) =
                    (self.sessions.remove(&(shard, session)), self.hubs[shard].take(session))
                {
                    let carried = Box::new(carried);
                    let input = Input::Adopt { shard: to, carried, pipe };
                    if let Some(socket) = self.sockets.get_mut(&pipe) {
                        // Nothing is read or written on the way.
                        socket.session = SessionId { index: u32::MAX, generation: 0 };
                    }
                    net.after(self.rng.range(10, 200), Event::Pod(self.setup.number, input));
                }
            }
            Effect::MakeWay { room, shard } => self.tell(time, shard, move |hub, time| hub.make_way(time, room)),
            Effect::Created { query, .. } | Effect::LookedUp { query, .. } | Effect::HandsOver { query, .. } => {
                if self.queries.remove(&query).is_none() {
                    self.broken = Some("a query is answered twice".into());
                }
            }
            // Nobody lists rooms here.
            Effect::Listed { .. } => {}
            Effect::HandOver => self.hand_over(net),
            Effect::Called { session, answer } => self.call_answered(shard, session, answer),
            Effect::DirectoryWentBack => {
                self.unsettled = Some(net.now);
                self.lease.went_back(time);
            }
            Effect::Webhook(event) => self.webhook.push((event.room, event.timeline, event.number)),
            Effect::Log(notice) => {
                match &notice {
                    Notice::TookOver { room, from, .. } => {
                        self.takeovers += 1;
                        self.acquired.insert(*room, (net.now, Some(from.clone())));
                        let tried = self.tried.remove(room);
                        // A pod's clock has whole milliseconds.
                        let settles = |since: Micros| self.clock(since) * MS - self.uptime + SETTLES;
                        if tried.is_some_and(|(at, told)| told.is_some_and(|since| at < settles(since))) {
                            self.took_unsettled = Some(*room);
                        }
                    }
                    Notice::Created { room } => _ = self.made.insert(*room, net.now),
                    Notice::MovedHere { room, .. } => {
                        self.moves += 1;
                        self.acquired.insert(*room, (net.now, None));
                        self.arrived.push(*room);
                    }
                    Notice::GivenUp { room } if self.hands_over.since.is_some() && self.terminating.is_none() => {
                        self.hands_over.gave_up = Some(*room);
                    }
                    Notice::Released { room, epoch, .. } => {
                        self.released.insert(*room, *epoch);
                    }
                    _ => {}
                }
                net.note(|| format!("pod {}   {notice:?}", self.setup.number));
            }
        }
    }

    // ---- the directory

    pub fn ask(&mut self, net: &mut Net, asker: Asker, ticket: Ticket, request: Request) {
        self.last_ask += 1;
        let number = self.last_ask;
        self.asks.insert(number, (asker, ticket));
        let me = self.setup.number;
        let pipe = match self.directory {
            Some(pipe) if net.pipes[pipe].ends[0] == End::Open => pipe,
            _ => net.connect(Kind::Store { pod: me }, [self.node(), Node::Store]),
        };
        self.directory = Some(pipe);
        net.send(pipe, 0, Cargo::Ask { number, request });
        net.after(2 * SECOND, Event::Pod(me, Input::AskTimeout { number }));
    }

    pub fn store_says(&mut self, net: &mut Net, pipe: usize, cargo: Cargo) {
        let time = self.time(net);
        match cargo {
            Cargo::Reply { number, answer } if self.directory == Some(pipe) => {
                self.connected = true;
                self.store_answered(time, number, answer);
            }
            Cargo::Closed { .. } if self.directory == Some(pipe) => self.store_gone(net, self.connected),
            _ => {}
        }
    }

    pub fn store_answered(&mut self, time: Time, number: u64, answer: Result<Answer, NoAnswer>) {
        match self.asks.remove(&number) {
            Some((Asker::Lease, ticket)) => self.lease.answered(time, ticket, answer),
            Some((Asker::Detector, ticket)) => self.detector.answered(time, ticket, answer),
            Some((Asker::Hub(shard), ticket)) => {
                self.tell(time, shard, move |hub, time| hub.answered(time, ticket, answer));
            }
            None => {}
        }
    }

    /// The connection to the store is lost, or was never made: all that was asked over it is without an answer.
    pub fn store_gone(&mut self, net: &mut Net, lost: bool) {
        if let Some(pipe) = self.directory.take() {
            net.close(pipe, 0, End::Closed, false);
        }
        let time = self.time(net);
        net.note(|| format!("pod {}   lost its connection to the store", self.setup.number));
        for number in self.asks.keys().copied().collect::<Vec<_>>() {
            self.store_answered(time, number, Err(NoAnswer::Refused));
        }
        self.connected = false;
        if lost {
            self.unsettled = Some(net.now);
            self.lease.reset(time);
            self.tell_all(time, Hub::directory_reset);
        }
    }

    /// The process ends; what its machine still says to others is as `how`.
    pub fn die(&mut self, net: &mut Net, how: End) {
        self.state = State::Gone;
        self.inbox.clear();
        self.views.clear();
        net.gone.insert(self.setup.number, net.now);
        if how == End::Vanished {
            net.vanished.insert(self.setup.number);
        } else {
            net.dead.insert(self.setup.number);
        }
        let node = self.node();
        for pipe in 0..net.pipes.len() {
            for end in 0..2 {
                if net.pipes[pipe].nodes[end] == node {
                    net.close(pipe, end, how, false);
                    // Peers notice a machine that is gone by its silence.
                    if how == End::Vanished
                        && let Kind::Link { .. } = net.pipes[pipe].kind
                    {
                        let wait = net.rng.range(3 * SECOND, 6 * SECOND);
                        net.after(wait, Event::GiveUp { pipe, end: 1 - end, cut: 0 });
                    }
                }
            }
        }
    }

    pub fn room_count(&self) -> usize {
        self.hubs.iter().map(Hub::room_count).sum()
    }

    /// Which end of a link's pipe this pod is.
    pub fn end_of(&self, net: &Net, pipe: usize) -> usize {
        usize::from(net.pipes[pipe].nodes[0] != self.node())
    }
}

/// The frames in `bytes`, by their kinds.
pub fn show_frames(mut bytes: &[u8]) -> String {
    let mut shown = Vec::new();
    while let Ok(Some((payload, rest))) = peer_protocol::split(bytes) {
        bytes = rest;
        shown.push(match Frame::decode(payload) {
            Some(Frame::Deliver { room, relay, replies, position, seq, bytes, after }) => format!(
                "Deliver {room} {:x} replies {replies:?} position {position} seq {seq} {:?} {after:?}",
                relay.0,
                String::from_utf8_lossy(&bytes)
            ),
            Some(Frame::MigrateOffer { room, .. }) => format!("MigrateOffer {room}"),
            Some(frame) => format!("{frame:?}"),
            None => "?".into(),
        });
    }
    shown.join(" | ")
}
