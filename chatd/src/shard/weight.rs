//! The memory that each client of a shard holds, and which client is closed when all together hold too much. Does no I/O.

use super::Shard;
use super::connection::Connection;
use crate::ids::{SessionId, SessionRef};
use crate::tls::transport::Transport;

/// Who holds memory.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Own(SessionId),
    /// A client of another pod.
    Remote(SessionRef),
}

impl Connection {
    /// Bytes of unfinished input and of ciphertext; what the hub has is not in it.
    fn holds(&self) -> usize {
        let web = self.web.as_deref().map_or(0, |web| web.pending.capacity() + web.decoder.holds());
        self.rest.capacity() + web + self.tls.as_deref().map_or(0, Transport::holds)
    }

    fn forget_input(&mut self) {
        self.rest = Vec::new();
        if let Some(web) = &mut self.web {
            web.pending = Vec::new();
            web.decoder = super::websocket::Decoder::default();
        }
        if let Some(tls) = &mut self.tls {
            tls.forget_input();
        }
    }
}

impl Shard {
    /// Counts what a client holds now.
    pub(super) fn weigh(&mut self, id: SessionId) {
        let Self { connections, hub, budget, held, .. } = self;
        let connection = connections.get_mut(id.index as usize).and_then(Option::as_mut);
        let Some(connection) = connection.filter(|connection| connection.id == id) else {
            return;
        };
        let weight = connection.holds() + hub.holds(id);
        let before = std::mem::replace(&mut connection.weight, weight);
        if weight != before {
            *held = *held + weight - before;
            budget.changed(before, weight);
        }
    }

    /// A client is gone, and what it held.
    pub(super) fn weigh_no_more(&mut self, connection: &mut Connection) {
        let before = std::mem::take(&mut connection.weight);
        self.held -= before;
        self.budget.changed(before, 0);
    }

    /// Counts what waits for clients of other pods.
    fn weigh_remote_members(&mut self) {
        let weight = self.hub.remote_members_hold();
        let before = std::mem::replace(&mut self.held_for_remote_members, weight);
        if weight != before {
            self.held = self.held + weight - before;
            self.budget.changed(before, weight);
        }
    }

    /// Ends the clients that hold the most, while all of the pod hold too much. True: somebody has to be told so.
    pub(super) fn shed(&mut self) -> bool {
        self.weigh_remote_members();
        let mut excess = self.budget.excess(self.held);
        if excess == 0 {
            return false;
        }
        let open = self.connections.iter().flatten().filter(|connection| connection.weight > 0 && !connection.closing);
        let own = open.map(|connection| (connection.weight, Holder::Own(connection.id)));
        let mut largest: Vec<_> = own
            .chain(self.hub.remote_members_that_hold().map(|(bytes, member)| (bytes, Holder::Remote(member))))
            .collect();
        largest.sort_unstable_by(|one, other| other.cmp(one));
        let mut shed = false;
        for (weight, holder) in largest {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(weight);
            match holder {
                Holder::Own(id) => {
                    if let Some(connection) = self.connection(id) {
                        connection.forget_input();
                    }
                    self.hub.shed(self.time, id);
                    self.weigh(id);
                }
                Holder::Remote(member) => self.hub.shed_remote_member(self.time, member),
            }
            shed = true;
        }
        self.weigh_remote_members();
        shed
    }
}
