//! Deliveries from the owner of a relayed session, where they concern more than the relay. Pure: no I/O.

use super::outcome::{Next, Overdue};
use super::session::Relay;
use crate::hub::Hub;
use crate::hub::request::Asked;
use crate::ids::{RelayId, SessionId, Time};
use crate::peer_protocol::{Delivery, Disconnect, Frame};
use crate::protocol::{ErrorCode, PodBoot};

impl Hub {
    pub(in crate::hub) fn delivery_came(
        &mut self,
        time: Time,
        from: PodBoot,
        relay_id: RelayId,
        delivery: &Delivery<'_>,
    ) {
        let Self { relays, sessions, context, .. } = self;
        let Some(id) = relays.session(sessions, from, relay_id) else {
            return;
        };
        let Some(next) = sessions.relay_receive(context, id, delivery) else {
            return;
        };
        if sessions.get(id).is_some_and(|session| session.output.is_over(context.settings.send_queue)) {
            return self.too_slow(time, id);
        }
        match next {
            Next::Unchanged => {}
            Next::Opened => {
                context.counters.relays += 1;
                sessions.wake(id);
            }
            Next::Admitted => sessions.wake(id),
            Next::CaughtUp { lost } => {
                sessions.relay_caught_up(context, id, lost);
                sessions.wake(id);
            }
            Next::Outside { miss } => self.relay_is_outside(time, id, miss),
            Next::Unseated => self.relay_is_unseated(time, id),
            Next::Closed { code } => self.relay_is_closed(from, id, code),
            Next::Guessed => self.missed_once(time, id),
        }
        self.leave_if_idle(time, id);
        if self.sessions.relay(id).is_some_and(Relay::idle) {
            self.sessions.wake(id);
        }
    }

    /// The session has left its room: refuses the commands that no owner has answered.
    fn relay_is_outside(&mut self, time: Time, id: SessionId, miss: bool) {
        self.relays.refuse_pending(&mut self.sessions, &mut self.context, id);
        self.now_outside(time, id);
        if miss {
            self.missed_once(time, id);
        }
        self.sessions.wake(id);
    }

    /// The owner has ended the session's connection.
    fn relay_is_closed(&mut self, from: PodBoot, id: SessionId, code: Option<ErrorCode>) {
        let relay = self.sessions.get(id).map(|session| (session.relay, session.room.get()));
        self.relays.end(&mut self.sessions, id);
        if code == Some(ErrorCode::Replaced)
            && let Some((relay, Some(room))) = relay
        {
            // A RESUME waits for this report. The client seemed alive up to here, so that nobody knows what it has read.
            let frame = Frame::Closed { room, relay, disconnect: Disconnect::Lost, heard: None, entry: None };
            self.context.peers.send(from, &frame);
        }
        self.close(id, code);
    }

    /// A relayed session's deadline has passed: JOIN got no reply, or the owner did not attach the session.
    pub(in crate::hub) fn relay_due(&mut self, time: Time, id: SessionId) {
        match self.sessions.relay(id).and_then(|relay| relay.overdue(time.now)) {
            Some(Overdue::Entry { id: number, since }) => {
                let asked = Asked::here(id, number);
                self.relays.client_gone(&mut self.sessions, &mut self.context, id, Disconnect::Lost);
                self.refuse_join(time, asked, since, ErrorCode::Unavailable);
            }
            Some(Overdue::Attach) => self.find_owner(time, id, false),
            None => {}
        }
    }
}
