//! The exchange between a relayed session and its owner: commands, deliveries, credit. Pure: no I/O.

use super::outcome::{Next, Received};
use super::pending::Refused;
use super::session::{ATTACH, Relay};
use crate::hub::context::{Context, Timer};
use crate::hub::session::SessionState;
use crate::hub::sessions::Sessions;
use crate::ids::{SessionId, Time};
use crate::peer_protocol::Delivery;
use crate::protocol::{Command, ErrorCode, Event, OnWrongPod};
use crate::record::Owner;

impl Sessions {
    /// `None`: there is no such session, or it is not relayed.
    pub fn relay(&self, id: SessionId) -> Option<&Relay> {
        match &self.get(id)?.state {
            SessionState::Relayed(relay) => Some(relay),
            _ => None,
        }
    }

    pub fn relay_mut(&mut self, id: SessionId) -> Option<&mut Relay> {
        match &mut self.get_mut(id)?.state {
            SessionState::Relayed(relay) => Some(relay),
            _ => None,
        }
    }

    /// Sends a command of a relayed session to the owner.
    pub fn relay_command(
        &mut self,
        context: &mut Context,
        id: SessionId,
        number: Option<u64>,
        command: Result<Command<'_>, ErrorCode>,
    ) {
        if let Some(relay) = self.relay_mut(id) {
            relay.push(number, command.map(Command::into_owned));
            relay.send_pending(|boot, frame| context.peers.send(boot, frame));
        }
    }

    /// Appends a delivery to the session's output. Returns the next step; `None`: there is none.
    pub fn relay_receive(&mut self, context: &mut Context, id: SessionId, delivery: &Delivery<'_>) -> Option<Next> {
        let Received { lost, is_new, brought, told, next } =
            self.relay_mut(id)?.receive(delivery, &context.settings)?;
        self.refuse_all(context, id, lost);
        let session = self.get_mut(id)?;
        if next == (Next::Closed { code: Some(ErrorCode::SlowConsumer) }) {
            // Drop the queue in both pods.
            session.output.keep_only_what_is_under_way(session.encoding);
        }
        if is_new {
            session.output.buffer().extend_from_slice(&delivery.bytes);
        }
        session.output.was_brought(brought, context.settings.send_queue);
        if is_new && (delivery.replies.is_some() || delivery.after.is_some()) {
            session.output.was_answered(delivery.bytes.len());
        }
        // A part of it may have been read already.
        session.output.was_answered(told.min(session.output.len()));
        self.mark_dirty(id);
        Some(next)
    }

    /// The replay is complete: refuses `lost`, since nobody knows whether those were carried out, and sends the owner
    /// the remaining commands.
    pub fn relay_caught_up(&mut self, context: &mut Context, id: SessionId, lost: Refused) {
        self.refuse_all(context, id, lost);
        if let Some(relay) = self.relay_mut(id) {
            relay.send_pending(|boot, frame| context.peers.send(boot, frame));
        }
    }

    /// The replay contained the reply to a command: earlier commands were carried out, and their replies are lost.
    pub fn relay_replied(&mut self, context: &mut Context, id: SessionId, number: u64) {
        let lost = self.relay_mut(id).map(|relay| relay.replied(number)).unwrap_or_default();
        self.refuse_all(context, id, lost);
    }

    /// Reports the bytes written to the client to the owner, a quarter of the window at a time.
    pub fn relay_credit(&mut self, context: &mut Context, id: SessionId) {
        let quarter = context.settings.limits.window / 4;
        if let Some(session) = self.get_mut(id)
            && let SessionState::Relayed(relay) = &mut session.state
            && let Some((boot, frame)) = relay.credit(session.output.len(), quarter)
        {
            context.peers.send(boot, &frame);
        }
    }

    /// The owner has released the room; it did not carry out the commands after `processed`.
    pub fn relay_owner_released(&mut self, id: SessionId, processed: u64) {
        if let Some(session) = self.get_mut(id)
            && let SessionState::Relayed(relay) = &mut session.state
        {
            relay.owner_released(processed, session.mode == OnWrongPod::Redirect);
        }
    }

    /// Sends an attach of a session that had a seat.
    pub fn relay_attach(&mut self, context: &mut Context, time: Time, id: SessionId, owner: &Owner) {
        let Some(encoding) = self.get(id).map(|session| session.encoding) else {
            return;
        };
        if let Some(frame) = self.relay_mut(id).and_then(|relay| relay.attach(time.now, encoding, owner)) {
            context.peers.send(owner.ownership.boot, &frame);
            context.arm(time.now + ATTACH, Timer::Session(id));
        }
    }

    pub fn refuse_relayed(&mut self, context: &mut Context, id: SessionId, number: Option<u64>, code: ErrorCode) {
        context.counters.errors += 1;
        self.say(context, id, number, &Event::Error { code, retry_after_ms: None });
    }

    /// Refuses commands of which nobody knows whether they were carried out.
    pub fn refuse_all(
        &mut self,
        context: &mut Context,
        id: SessionId,
        commands: impl IntoIterator<Item = Option<u64>>,
    ) {
        for number in commands {
            self.refuse_relayed(context, id, number, ErrorCode::Unavailable);
        }
    }
}
