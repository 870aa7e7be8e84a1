//! A simulated pod's connections: its clients' sockets and its links to other pods. No I/O.

use std::collections::VecDeque;

use chatd::failure_detector::LinkEnd;
use chatd::ids::SessionId;
use chatd::peer::links::{Action, Choice, LinkId};
use chatd::peer_protocol::{self, Disconnect, Frame};
use chatd::protocol::{Encoding, ErrorCode, MAX_JSON, PodBoot};

use crate::links::{Cargo, End, Event, Kind, Net, Node, SECOND};
use crate::pod::{Input, Pod, Socket};
use crate::pod_effects::show_frames;

/// What the kernel takes for a client that does not read.
pub const UNREAD: usize = 4 * 1024;

impl Pod {
    // ---- peers

    /// Does what the links have decided. True: there was something to do.
    pub fn link_actions(&mut self, net: &mut Net) -> bool {
        let actions = self.links.take_actions();
        let some = !actions.is_empty();
        for action in actions {
            let time = self.time(net);
            match action {
                Action::Connect { link, address } => self.connect(net, link, &address),
                Action::Close { link } => {
                    if let Some((pipe, _)) = self.wires.remove(&link) {
                        net.close(pipe, self.end_of(net, pipe), End::Closed, false);
                    }
                }
                Action::Up { boot } => {
                    net.note(|| format!("pod {}   link to {boot:.4} up", self.setup.number));
                    self.detector.link_is_up(boot);
                    self.tell_all(time, move |hub, time| hub.peer_up(time, boot));
                }
                Action::Down { boot } => {
                    net.note(|| format!("pod {}   link to {boot:.4} down", self.setup.number));
                    self.tell_all(time, move |hub, time| hub.peer_down(time, boot));
                }
                Action::Unreachable { boot, gone } => {
                    net.note(|| {
                        format!("pod {}   {boot:.4} unreachable{}", self.setup.number, if gone { ", gone" } else { "" })
                    });
                    self.tell_all(time, move |hub, time| hub.peer_unreachable(time, boot, gone));
                }
                Action::AskShards { boot, query } => {
                    self.tell_all(time, move |hub, time| hub.release_link(time, boot, query));
                }
                Action::Say { link, word } => {
                    if let Some((pipe, _)) = self.wires.get(&link) {
                        net.note(|| format!("pod {}   says {word:?} on pipe {pipe}", self.setup.number));
                        net.send(*pipe, self.end_of(net, *pipe), Cargo::Word(word));
                    }
                }
                Action::Route { boot, frames, .. } => self.frames_came(net, boot, &frames),
                Action::Over { link } => {
                    if let Some((pipe, Some(boot))) = self.wires.remove(&link) {
                        net.note(|| format!("pod {}   idle link to {boot:.4} is over", self.setup.number));
                        self.idle_closed += 1;
                        self.suspect(net, pipe, boot, LinkEnd::Other);
                        net.close(pipe, self.end_of(net, pipe), End::Closed, false);
                    }
                }
            }
        }
        some
    }

    fn connect(&mut self, net: &mut Net, link: LinkId, address: &str) {
        let me = self.setup.number;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        match net.hosts.get(host).copied() {
            // Nothing answers for an address that no machine has.
            None => {}
            Some(there) if net.vanished.contains(&there) => {}
            Some(there) if net.dead.contains(&there) || net.signs.refuses(there) => {
                // The refusal has to get through.
                if net.whole_since(Node::Pod(me), Node::Pod(there)).is_some() {
                    let wait = net.delay() + net.delay();
                    net.after(wait, Event::Pod(me, Input::LinkFailed { link }));
                }
            }
            Some(there) => {
                let kind = Kind::Link { dialler: me, listener: there };
                let pipe = net.connect(kind, [Node::Pod(me), Node::Pod(there)]);
                self.wires.insert(link, (pipe, None));
            }
        }
    }

    fn link_of(&self, pipe: usize) -> Option<LinkId> {
        self.wires.iter().find(|(_, (wire, _))| *wire == pipe).map(|(link, _)| *link)
    }

    pub fn peer_says(&mut self, net: &mut Net, pipe: usize, cargo: Cargo) {
        let time = self.time(net);
        let end = self.end_of(net, pipe);
        match cargo {
            Cargo::Open => {
                let address = format!("{}:7755", self.setup.host);
                net.send(pipe, end, Cargo::Greeting { boot: self.boot, address });
            }
            Cargo::Greeting { boot, address } => {
                let Some(link) = self.link_of(pipe) else {
                    return;
                };
                let dialled = self.links.dialled(link);
                match (self.links.greeted(link, boot, &address), dialled) {
                    (Choice::Commit { last }, Some((_, nonce))) => {
                        self.wires.insert(link, (pipe, Some(boot)));
                        net.send(pipe, end, Cargo::Commit { boot: self.boot, nonce, last });
                    }
                    _ => {
                        self.wires.remove(&link);
                        net.close(pipe, end, End::Closed, false);
                    }
                }
            }
            Cargo::Commit { boot, nonce, last } => {
                let link = self.links.arrived();
                let accepted = self.links.offered(link, boot, nonce, last);
                net.send(pipe, end, Cargo::Verdict { accepted });
                if accepted {
                    self.links.may_close(time.now, link);
                    self.wires.insert(link, (pipe, Some(boot)));
                } else {
                    net.close(pipe, end, End::Closed, false);
                }
            }
            Cargo::Verdict { accepted } => {
                let Some(link) = self.link_of(pipe) else {
                    return;
                };
                let stays = if accepted {
                    let stays = self.links.accepted(link);
                    self.links.may_close(time.now, link);
                    stays
                } else {
                    self.links.declined(link);
                    false
                };
                if !stays {
                    self.wires.remove(&link);
                    net.close(pipe, end, End::Closed, false);
                }
            }
            Cargo::Frames(bytes) => {
                let Some((_, Some(boot))) = self.link_of(pipe).and_then(|link| self.wires.get(&link)).copied() else {
                    return;
                };
                self.frames_came(net, boot, &bytes);
            }
            Cargo::Word(word) => {
                if let Some((_, Some(boot))) = self.link_of(pipe).and_then(|link| self.wires.get(&link)).copied() {
                    self.links.heard(time.now, boot, word);
                }
            }
            Cargo::Closed { .. } => self.link_gone(net, pipe, LinkEnd::Reset),
            _ => {}
        }
    }

    fn frames_came(&mut self, net: &Net, boot: PodBoot, frames: &[u8]) {
        let time = self.time(net);
        if !self.links.frames_came(time.now, boot, frames) {
            return;
        }
        let mut rest = frames;
        while let Ok(Some((payload, after))) = peer_protocol::split(rest) {
            rest = after;
            match Frame::decode(payload) {
                Some(frame) => {
                    let shard = frame.room().shard(self.setup.shards);
                    if self.is_stalled(shard) {
                        let payload = payload.to_vec();
                        self.tell(time, shard, move |hub, time| {
                            if let Some(frame) = Frame::decode(&payload) {
                                hub.frame(time, boot, frame);
                            }
                        });
                    } else {
                        self.hubs[shard].frame(time, boot, frame);
                    }
                }
                None => self.broken = Some(format!("a frame cannot be read: {}", show_frames(frames))),
            }
        }
    }

    pub fn link_gone(&mut self, net: &mut Net, pipe: usize, how: LinkEnd) {
        let end = self.end_of(net, pipe);
        net.close(pipe, end, End::Closed, false);
        if let Some(link) = self.link_of(pipe) {
            let was_up = self.wires.remove(&link).and_then(|(_, boot)| boot);
            if let Some(boot) = was_up.filter(|boot| self.links.to(*boot) == Some(link)) {
                self.suspect(net, pipe, boot, how);
            }
            self.links.failed(link);
            self.links.broken(link);
        }
    }

    // ---- clients

    pub fn client_says(&mut self, net: &mut Net, pipe: usize, cargo: Cargo) {
        let time = self.time(net);
        match cargo {
            Cargo::Open => {
                let json = matches!(net.pipes[pipe].kind, Kind::Client { json: true, .. });
                let encoding = if json { Encoding::Json } else { Encoding::Lines };
                let shard = pipe % self.hubs.len();
                let session = self.hubs[shard].open(time, encoding);
                let socket = Socket { shard, session, held: VecDeque::new(), closing: false };
                self.sockets.insert(pipe, socket);
                self.sessions.insert((shard, session), pipe);
            }
            Cargo::Closed { going_away } => {
                let disconnect = if going_away { Disconnect::GoingAway } else { Disconnect::Lost };
                self.client_gone(net, pipe, disconnect);
            }
            Cargo::Bytes(_) | Cargo::Message(_) | Cargo::End => {
                if let Some(socket) = self.sockets.get_mut(&pipe) {
                    socket.held.push_back(cargo);
                    self.feed(net, pipe);
                }
            }
            _ => {}
        }
    }

    /// Gives the hub what was read, for as long as it wants more. True: it took something.
    pub fn feed(&mut self, net: &mut Net, pipe: usize) -> bool {
        let time = self.time(net);
        let mut fed = false;
        while let Some(socket) = self.sockets.get_mut(&pipe) {
            let (shard, session) = (socket.shard, socket.session);
            let wanted = self.stalled[shard].is_none() && self.hubs[shard].wants_input(session);
            if !wanted {
                break;
            }
            let cargo = socket.held.pop_front();
            net.note(|| format!("pod {}   reads from pipe {pipe}: {cargo:?}", self.setup.number));
            match cargo {
                Some(Cargo::Bytes(bytes)) => self.hubs[shard].receive(time, session, &bytes),
                Some(Cargo::Message(text)) if text.len() > MAX_JSON => self.hubs[shard].too_long(time, session),
                Some(Cargo::Message(text)) => self.hubs[shard].receive_message(time, session, &text),
                Some(Cargo::End) => self.hubs[shard].end_of_input(time, session),
                _ => break,
            }
            fed = true;
        }
        fed
    }

    /// Writes what the kernel takes.
    pub fn write(&mut self, net: &mut Net, pipe: usize) {
        let Some(socket) = self.sockets.get(&pipe) else {
            return;
        };
        let (shard, session, closing) = (socket.shard, socket.session, socket.closing);
        if self.is_stalled(shard) {
            return;
        }
        loop {
            let output = self.hubs[shard].output(session);
            let free = UNREAD.saturating_sub(net.pipes[pipe].unread);
            let bytes = output[..output.len().min(free)].to_vec();
            if bytes.is_empty() {
                break;
            }
            net.pipes[pipe].unread += bytes.len();
            self.hubs[shard].wrote(session, bytes.len());
            net.send(pipe, 1, Cargo::Bytes(bytes));
        }
        if closing && self.hubs[shard].output(session).is_empty() {
            self.close_client(net, pipe);
        }
    }

    pub fn closing(&mut self, net: &mut Net, shard: usize, session: SessionId, code: Option<ErrorCode>) {
        let Some(pipe) = self.sessions.get(&(shard, session)).copied() else {
            return;
        };
        net.note(|| format!("pod {}   closes pipe {pipe}: {code:?}", self.setup.number));
        if let Some(socket) = self.sockets.get_mut(&pipe) {
            socket.closing = true;
            net.after(SECOND, Event::Pod(self.setup.number, Input::CloseTimeout { pipe }));
            self.write(net, pipe);
        }
    }

    pub fn close_client(&mut self, net: &mut Net, pipe: usize) {
        net.close(pipe, 1, End::Closed, false);
        self.client_gone(net, pipe, Disconnect::Lost);
    }

    pub fn abort(&mut self, net: &mut Net, shard: usize, session: SessionId) {
        if let Some(pipe) = self.sessions.get(&(shard, session)).copied() {
            self.close_client(net, pipe);
        }
    }

    pub fn client_gone(&mut self, net: &mut Net, pipe: usize, disconnect: Disconnect) {
        net.close(pipe, 1, End::Closed, false);
        let time = self.time(net);
        if let Some(socket) = self.sockets.remove(&pipe)
            && self.sessions.remove(&(socket.shard, socket.session)).is_some()
        {
            self.hubs[socket.shard].disconnected(time, socket.session, disconnect);
        }
    }
}
