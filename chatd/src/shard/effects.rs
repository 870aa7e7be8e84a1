//! Carries out the effects of a shard's hub. Does I/O: sends messages, closes sockets.

use mio::net::TcpStream;

use super::{Connection, Query, Shard};
use crate::hub::Effect;
use crate::ids::SessionId;
use crate::limits;
use crate::peer_protocol::Disconnect;
use crate::pod::message::PodMessage;
use crate::shard::message::ShardMessage;

impl Shard {
    pub(super) fn carry_out_effects(&mut self) {
        loop {
            let mut effects = std::mem::take(&mut self.effects);
            self.hub.take_effects(&mut effects);
            if effects.is_empty() {
                self.effects = effects;
                return;
            }
            for effect in effects.drain(..) {
                self.carry_out(effect);
            }
            self.effects = effects;
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Directory { ticket, request } => {
                self.tell_pod(PodMessage::Directory { shard: self.index, ticket, request });
            }
            Effect::Dial { boot, address } => self.tell_pod(PodMessage::Dial { boot, address }),
            Effect::LinkAnswer { boot, query, needed } => {
                if !needed {
                    self.links.remove(&boot);
                }
                self.tell_pod(PodMessage::LinkAnswer { boot, query, needed });
            }
            Effect::DirectoryWentBack => self.tell_pod(PodMessage::DirectoryWentBack),
            Effect::Close { session, .. } | Effect::Abort { session } if self.calls.contains_key(&session) => {
                // Dropped, it answers as a thread does that has ended.
                self.calls.remove(&session);
                self.hub.disconnected(self.time, session, Disconnect::Lost);
            }
            Effect::Close { session, code } => self.close(session, code),
            Effect::Abort { session } => self.gone(session, Disconnect::Lost),
            Effect::Migrate { session, shard } => self.migrate(session, shard),
            Effect::MakeWay { room, shard } => {
                if let Some(shard) = self.shards.get(shard) {
                    let _ = shard.send(ShardMessage::MakeWay { room });
                }
            }
            Effect::Created { query, result } => {
                if let Some(Query::Create(reply)) = self.queries.remove(&query) {
                    // The requester may be gone.
                    let _ = reply.send(result);
                }
            }
            Effect::LookedUp { query, result } => {
                if let Some(Query::LookUp(reply)) = self.queries.remove(&query) {
                    let _ = reply.send(result);
                }
            }
            Effect::Listed { query, result } => {
                if let Some(Query::List(reply)) = self.queries.remove(&query) {
                    let _ = reply.send(result);
                }
            }
            Effect::HandsOver { query, result } => {
                if let Some(Query::HandOver(reply)) = self.queries.remove(&query) {
                    let _ = reply.send(result);
                }
            }
            Effect::HandOver => self.tell_pod(PodMessage::HandOver),
            Effect::Called { session, answer } => {
                if let Some(reply) = self.calls.remove(&session) {
                    let _ = reply.send(answer);
                }
            }
            Effect::Webhook(event) => {
                if let Some(webhook) = &self.webhook {
                    webhook.send(event);
                }
            }
            Effect::Log(notice) => super::notice::log(&notice),
        }
    }

    /// Counts the misses and creations for their addresses, and limits addresses that have used them up.
    pub(super) fn charge(&mut self) {
        let Some(limits) = self.limits.clone() else {
            return;
        };
        self.hub.take_charges(&mut self.charges);
        for id in std::mem::take(&mut self.charges) {
            let Some(address) = self.connection(id).map(|connection| connection.address) else {
                continue;
            };
            let from = limits.charge(address, self.time.now);
            if from > self.time.now {
                let Self { connections, hub, .. } = self;
                let same = connections.iter().flatten().filter(|other| limits::same(other.address, address));
                same.for_each(|other| hub.limit(other.id, from));
            }
        }
    }

    /// Sends a session and its socket to the thread that has its room.
    fn migrate(&mut self, id: SessionId, shard: usize) {
        let Some(mut connection) = self.remove(id) else {
            return;
        };
        let left = self.poll.registry().deregister(&mut connection.stream);
        let Some(carried) = self.hub.take(id).filter(|_| left.is_ok()) else {
            return;
        };
        if let Some(shard) = self.shards.get(shard) {
            // A thread that has ended has closed its clients' sockets, and this one with them.
            let _ = shard.send(ShardMessage::Carried { carried: Box::new(carried), connection: Box::new(connection) });
        }
    }

    /// Hands the hub's frames to the links.
    pub(super) fn send_frames(&mut self) {
        let Self { hub, pod, links, .. } = self;
        hub.take_frames(|to, bytes| {
            if let Some(link) = links.get(&to) {
                let _ = pod.send(PodMessage::Frames { to, link: *link, bytes });
            }
        });
    }

    fn tell_pod(&self, mail: PodMessage) {
        // Without the pod's thread the process is ending, and nothing is lost.
        let _ = self.pod.send(mail);
    }

    /// Puts a connection into the table and among the sockets waited for. False: the system refuses.
    pub(super) fn insert(&mut self, mut connection: Connection) -> bool {
        use mio::{Interest, Token};
        let id = connection.id;
        let index = id.index as usize;
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut connection.stream, Token(index), both) {
            tracing::warn!(%error, shard = self.index, "cannot poll a client's socket");
            self.hub.disconnected(self.time, id, Disconnect::Lost);
            return false;
        }
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        self.connections[index] = Some(connection);
        true
    }

    pub(super) fn stream(stream: std::net::TcpStream) -> TcpStream {
        TcpStream::from_std(stream)
    }
}
