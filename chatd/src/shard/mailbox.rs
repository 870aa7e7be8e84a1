//! Handles the messages to a shard. Does I/O: takes over sockets.

use std::task::{Context, Poll, Waker};

use super::connection::{Connection, Due, Web};
use super::{Query, Shard};
use crate::peer_protocol::{self, Frame};
use crate::protocol::{Encoding, PodBoot};
use crate::shard::message::{ClientSocket, Report, ShardMessage};

/// Mail that is read in one turn. Each frame of another pod counts as much as a whole mail of another kind.
const MAILS: usize = 1024;

impl Shard {
    /// Reads the mail that is there, as much as one turn takes, and asks to be woken for more.
    pub(super) fn read_mail(&mut self, waker: &Waker) {
        let mut context = Context::from_waker(waker);
        let mut taken = 0;
        while taken < MAILS {
            match self.mailbox.poll_recv(&mut context) {
                Poll::Ready(Some(mail)) => taken += self.take_mail(mail),
                Poll::Ready(None) => {
                    self.stopped = true;
                    return;
                }
                Poll::Pending => return,
            }
        }
        // Clients have their turn before the rest.
        waker.wake_by_ref();
    }

    /// Returns how much of a turn this mail counts.
    fn take_mail(&mut self, mail: ShardMessage) -> usize {
        let time = self.time;
        match mail {
            ShardMessage::Client { socket, address, permit } => {
                let (stream, tls, encoding, early) = match socket {
                    ClientSocket::Tcp { stream, tls } => (stream, tls, Encoding::Lines, None),
                    ClientSocket::Web { stream, tls, early } => (stream, tls, Encoding::Json, Some(early)),
                };
                match encoding {
                    Encoding::Lines | Encoding::LinesWithEvents => self.hub.counters_mut().connections_tcp += 1,
                    Encoding::Json => self.hub.counters_mut().connections_web += 1,
                    Encoding::Call => {}
                }
                let id = self.hub.open(time, encoding);
                let mut connection = Connection::new(id, Self::stream(stream), address, permit);
                connection.tls = tls;
                connection.web = early.map(|pending| Box::new(Web { pending, heard: time.now, ..Web::default() }));
                if let Some(limits) = &self.limits {
                    self.hub.meter(id);
                    let allowed_from = limits.allowed_from(address, time.now);
                    if allowed_from > time.now {
                        self.hub.limit(id, allowed_from);
                    }
                }
                self.begin(connection);
            }
            ShardMessage::Carried { carried, connection } => {
                let mut connection = *connection;
                connection.id = self.hub.adopt(time, *carried);
                connection.blocked = false;
                connection.paused = false;
                connection.queued = false;
                self.begin(connection);
            }
            ShardMessage::CreateRoom { auth, reply } => {
                let query = self.ask(Query::Create(reply));
                self.hub.create_room(time, query, auth.as_deref());
            }
            ShardMessage::MakeRoom { descriptor, reply } => {
                let query = self.ask(Query::Create(reply));
                self.hub.make_room(time, query, descriptor);
            }
            ShardMessage::Call { room, call, reply } => {
                let session = self.hub.call(time, room, call);
                self.calls.insert(session, reply);
            }
            ShardMessage::ListHere { filter, reply } => {
                let _ = reply.send(self.hub.list_here(time, &filter));
            }
            ShardMessage::ListElsewhere { filter, reply } => {
                let query = self.ask(Query::List(reply));
                self.hub.list_elsewhere(time, query, filter);
            }
            ShardMessage::AskToHandOver { boot, address, reply } => {
                let query = self.ask(Query::HandOver(reply));
                self.hub.ask_to_hand_over(time, query, boot, &address);
            }
            ShardMessage::MakeWay { room } => self.hub.make_way(time, room),
            ShardMessage::LookUp { room, auth, reply } => {
                let query = self.ask(Query::LookUp(reply));
                self.hub.look_up(time, query, room, auth.as_deref());
            }
            ShardMessage::InspectRooms { after, most, reply } => {
                let _ = reply.send(self.hub.inspect_rooms(time, after, most));
            }
            ShardMessage::Inspect { room, reply } => {
                let _ = reply.send(self.hub.inspect(time, room));
            }
            ShardMessage::Answered { ticket, answer } => self.hub.answered(time, ticket, answer),
            ShardMessage::DirectoryReset => self.hub.directory_reset(time),
            ShardMessage::Lease(view) => self.hub.lease(time, view),
            ShardMessage::LeaseLost => self.hub.lease_lost(time),
            ShardMessage::PeerUp { boot, link } => {
                self.links.insert(boot, link);
                self.hub.peer_up(time, boot);
            }
            ShardMessage::PeerDown { boot } => {
                self.links.remove(&boot);
                self.hub.peer_down(time, boot);
            }
            ShardMessage::ReleaseLink { boot, query } => self.hub.release_link(time, boot, query),
            ShardMessage::PeerUnreachable { boot, gone } => self.hub.peer_unreachable(time, boot, gone),
            ShardMessage::PodLostLease { boot } => self.hub.pod_lost_lease(time, boot),
            ShardMessage::Frames { from, bytes } => return self.frames_from(from, &bytes),
            ShardMessage::Keys(keys) => self.hub.set_keys(keys),
            ShardMessage::JoinKeys(verifier) => self.hub.set_join_keys(Some(verifier)),
            ShardMessage::Advertised(advertised) => self.hub.set_advertised(advertised),
            ShardMessage::Drain { deadline } => self.hub.drain(time, deadline),
            ShardMessage::HandOver => self.hub.hand_over(time),
            ShardMessage::Targets(targets) => self.hub.targets(time, targets),
            ShardMessage::Report { reply } => {
                let _ = reply.send(self.report());
            }
            ShardMessage::Stop => self.stopped = true,
        }
        1
    }

    /// Begins to serve a client that the hub knows already.
    fn begin(&mut self, connection: Connection) {
        let id = connection.id;
        let web = connection.web.is_some();
        if self.insert(connection) {
            if web {
                self.keep_alive(id);
            } else if let Some(silence) = self.line_keep_alive {
                self.arm(silence, Due::Silent(id));
            }
            self.read_pending(id);
            self.begin_tls(id);
            self.weigh(id);
        }
    }

    fn ask(&mut self, query: Query) -> u64 {
        self.last_query += 1;
        self.queries.insert(self.last_query, query);
        self.last_query
    }

    /// Returns how many frames there were.
    fn frames_from(&mut self, from: PodBoot, mut bytes: &[u8]) -> usize {
        let mut count = 0;
        // The link's reader has split them: each is whole.
        while let Ok(Some((payload, rest))) = peer_protocol::split(bytes) {
            if let Some(frame) = Frame::decode(payload) {
                self.hub.frame(self.time, from, frame);
            }
            bytes = rest;
            count += 1;
        }
        count
    }

    fn report(&self) -> Report {
        Report { counters: self.hub.counters().clone(), gauges: self.hub.gauges(), drained: self.hub.drained() }
    }
}
