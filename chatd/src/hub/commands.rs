//! Commands of clients, outside a room and in a room that this hub owns: find the room, let it decide, send the reply. Pure: no I/O.

use super::delivery::Broadcast;
use super::request::{Asked, Entry, Waiter};
use super::session::SessionState;
use super::{Effect, Hub};
use crate::ids::{Reach, RoomIndex, SessionId, SessionRef, Time};
use crate::join_token::RoomAccess;
use crate::peer_protocol::Disconnect;
use crate::protocol::{Command, ErrorCode, Event, OnWrongPod, RoomId, SeatId};
use crate::room::{Answers, Connection, Refusal, RoomEvent};

impl Hub {
    pub(super) fn command_outside(&mut self, time: Time, asked: Asked, command: Command<'_>) {
        let Reach::Local(id) = asked.by else {
            return;
        };
        if self.refuse_limited(time, id, asked, &command) {
            return;
        }
        match command {
            Command::CreateRoom { auth } => match self.check_create(time, auth.as_deref()) {
                Ok(descriptor) => self.create(time, asked, descriptor),
                Err(code) => self.refuse_entry(time, asked, code),
            },
            Command::Join { room, name, resumable, key, auth, on_wrong_pod, events } => {
                self.hear_events(id, events);
                let auth = auth.map(|auth| auth.into_owned().into());
                self.enter(time, asked, room, Entry::Join { name, resumable, key, auth }, on_wrong_pod);
            }
            Command::Resume { room, token, heard, on_wrong_pod, events } => {
                self.hear_events(id, events);
                let entry = Entry::Resume { token: token.into_owned(), heard };
                self.enter(time, asked, room, entry, on_wrong_pod);
            }
            Command::Say { .. }
            | Command::Send(_)
            | Command::Set { .. }
            | Command::StateSet(_)
            | Command::Who
            | Command::Leave
            | Command::Kick { .. }
            | Command::Lock { .. }
            | Command::Refresh { .. } => {
                self.refuse(asked, ErrorCode::NotInRoom);
            }
            Command::Ping => self.say(id, asked.id, &Event::Pong),
            Command::Help => self.say(id, asked.id, &Event::Help),
            Command::Quit => self.goodbye(id, asked.id, None),
        }
    }

    /// Whether a lines client has asked for the events of applications, with JOIN or RESUME.
    fn hear_events(&mut self, id: SessionId, events: bool) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.encoding = session.encoding.with_events(events);
        }
    }

    /// Serves a client's JOIN or RESUME here if the room is here, otherwise through its owner.
    fn enter(&mut self, time: Time, asked: Asked, room: RoomId, entry: Entry, mode: Option<OnWrongPod>) {
        let Reach::Local(id) = asked.by else {
            return;
        };
        if !self.context.serves() {
            return self.refuse_join(time, asked, time.now, ErrorCode::Unavailable);
        }
        let shard = room.shard(self.context.settings.shards);
        let default = match self.encoding_of(asked.by) {
            Some(encoding) if encoding.is_lines() => self.context.settings.tcp_on_wrong_pod,
            _ => OnWrongPod::Relay,
        };
        let here = self.context.settings.shard;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.mode = mode.unwrap_or(default);
        session.state = SessionState::Busy;
        if shard != here {
            let mut command = entry.command(room);
            if let Command::Join { on_wrong_pod, events, .. } | Command::Resume { on_wrong_pod, events, .. } =
                &mut command
            {
                (*on_wrong_pod, *events) = (mode, session.encoding.has_events());
            }
            session.state = SessionState::Outside;
            session.inbox.carried = Some(Box::new((asked.id, command)));
            // Until another thread has taken the session, this hub carries out nothing more for it.
            session.state = SessionState::Busy;
            self.context.effects.push(Effect::Migrate { session: id, shard });
            return;
        }
        // Before anything is looked for: to those who may not enter, all rooms are alike.
        let grant = match self.check_entry(time, room, &entry, true) {
            Ok(grant) => grant,
            Err(code) => {
                return self.refuse_join(time, asked, time.now, code);
            }
        };
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.room = room.into();
        let relay = self.relays.next(self.context.settings.shard);
        if let Some(session) = self.sessions.get_mut(id) {
            session.relay = relay;
        }
        let settings = &self.context.settings;
        let is_open = settings.open_names && (settings.access == RoomAccess::Link || grant.is_some());
        let may_create = is_open || grant.as_ref().is_some_and(|grant| grant.creates(time.wall));
        let creates = may_create && matches!(entry, Entry::Join { .. });
        self.look_for(time, room, Waiter::entering(id, asked.id, entry, time.now).creating(creates, grant));
    }

    /// Carries out one command of a member, or reports what is wrong with it.
    pub(super) fn command_in_room(
        &mut self,
        time: Time,
        index: RoomIndex,
        seat: SeatId,
        asked: Asked,
        command: Result<Command<'_>, ErrorCode>,
    ) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let wrong = command.as_ref().err().copied();
        let volatile = command.as_ref().is_ok_and(Command::is_volatile);
        match owned.room.charge(seat, asked.number, wrong.map_or(Ok(()), Err), volatile, time.now) {
            Some(Ok(())) => {}
            Some(Err(refusal)) => return self.refuse_in_room(time, asked, refusal),
            None => return,
        }
        match command {
            Ok(Command::Say { .. } | Command::Send(_) | Command::Set { .. } | Command::StateSet(_))
                if self.context.settings.rules.mute_viewers && !owned.room.may_speak(seat) =>
            {
                self.refuse(asked, ErrorCode::Forbidden);
            }
            Ok(Command::Say { text }) => self.say_in_room(time, index, seat, asked, &text),
            Ok(Command::Send(event)) => self.send_in_room(time, index, seat, asked, &event),
            Ok(Command::Set { data }) => self.set_in_room(time, index, seat, asked, data.as_deref()),
            Ok(Command::StateSet(set)) => self.set_state_in_room(time, index, seat, asked, &set),
            Ok(Command::Who) => {
                let players = owned.room.players();
                let max_players = self.context.settings.terms(owned.room.descriptor()).max_players();
                self.reply(asked, &Event::Players { players: &players, max_players });
            }
            Ok(Command::Ping) => self.reply(asked, &Event::Pong),
            Ok(Command::Help) => self.reply(asked, &Event::Help),
            Ok(Command::Leave) => self.leave(time, index, seat, asked, false),
            Ok(Command::Refresh { auth }) => self.refresh(time, index, seat, asked, &auth),
            Ok(Command::Kick { name, ban_s }) => self.kick_in_room(time, index, seat, asked, name, ban_s),
            Ok(Command::Lock { locked }) => self.lock_room(time, index, seat, asked, locked),
            Ok(Command::Quit) => self.leave(time, index, seat, asked, true),
            Ok(Command::CreateRoom { .. } | Command::Join { .. } | Command::Resume { .. }) => {
                self.refuse(asked, ErrorCode::AlreadyInRoom);
            }
            Err(_) => {}
        }
    }

    fn refuse_in_room(&mut self, time: Time, asked: Asked, refusal: Refusal) {
        let Refusal { code, retry_after_ms, enough } = refusal;
        self.context.counters.errors += 1;
        self.reply(asked, &Event::Error { code, retry_after_ms });
        match asked.by {
            Reach::Local(id) if enough => self.fail_quietly(time, id, Some(code)),
            Reach::Remote(session) if enough => {
                self.remote_disconnected(time, session, Disconnect::Limit, None);
                self.remote_members.end(&mut self.context.peers, session, code, false);
            }
            _ => {}
        }
    }

    /// Sends a chat message to every member; the sender gets it as its reply.
    fn say_in_room(&mut self, time: Time, index: RoomIndex, seat: SeatId, asked: Asked, text: &str) {
        // The text of a relayed command comes from another pod: it is cleaned here as well.
        let text = match asked.by {
            Reach::Local(_) => std::borrow::Cow::Borrowed(text),
            Reach::Remote(_) => match crate::protocol::text::clean(text.as_bytes()) {
                Ok(text) => text,
                Err(code) => return self.refuse(asked, code),
            },
        };
        if let Some(voice) = self.voice(index, seat, asked) {
            self.speaker().say(time, index, voice, &text);
        }
    }

    /// How the sender of a message recognizes it in a replay.
    pub(super) fn answers(&self, asked: Asked) -> Option<Answers> {
        let Asked { by, number, id } = asked;
        match by {
            Reach::Remote(session) => Some(Answers { session, number, id }),
            Reach::Local(_) => {
                self.session_ref(by).filter(|_| id.is_some()).map(|session| Answers { session, number: 0, id })
            }
        }
    }

    /// Announces an event to every member except `except`.
    pub(super) fn announce(&mut self, time: Time, index: RoomIndex, except: Option<SeatId>, event: RoomEvent) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let limits = self.context.settings.terms(owned.room.descriptor()).ring();
        self.context.tell_webhook_of(time, owned, &event);
        let grown = owned.room.record(event.clone(), time.now, limits);
        let mut profile = None;
        let event = owned.room.to_client(&event, &mut profile);
        self.ring_has_grown(grown);
        self.broadcast(index, Broadcast { event: &event, except, sender: None });
    }

    pub(super) fn announce_to_others(&mut self, time: Time, index: RoomIndex, seat: SeatId, event: RoomEvent) {
        self.announce(time, index, Some(seat), event);
    }

    pub(super) fn ring_has_grown(&mut self, by: isize) {
        self.rooms.ring_has_grown(by, self.context.settings.ring_total);
    }

    /// Sends the reply to a command to the session that sent it.
    pub(super) fn reply(&mut self, asked: Asked, event: &Event<'_>) {
        match asked.by {
            Reach::Local(id) => self.say(id, asked.id, event),
            Reach::Remote(session) => {
                self.remote_members.deliver_event(&mut self.context.peers, session, asked, event, (0, 0));
            }
        }
    }

    pub(super) fn refuse(&mut self, asked: Asked, code: ErrorCode) {
        self.context.counters.errors += 1;
        self.reply(asked, &Event::Error { code, retry_after_ms: None });
    }

    /// The identity of this session in the whole deployment.
    pub(super) fn session_ref(&self, by: Reach) -> Option<SessionRef> {
        match by {
            Reach::Remote(session) => Some(session),
            Reach::Local(id) => self
                .sessions
                .get(id)
                .map(|session| SessionRef { boot: self.context.me.ownership.boot, relay: session.relay }),
        }
    }

    /// The connection under which a member takes a seat.
    pub(super) fn connection(&self, asked: Asked) -> Connection {
        Connection { reach: asked.by, session: self.session_ref(asked.by), number: asked.number }
    }
}
