//! Checks of join tokens before a JOIN, at REFRESH, and the end of a member whose token has ended. Pure: no I/O.

use std::sync::Arc;

use super::Hub;
use super::interface::Notice;
use super::ownership::PendingAnswer;
use super::request::{Asked, Entry};
use super::session::SessionState;
use crate::descriptor::Descriptor;
use crate::ids::{Reach, RoomIndex, SessionId, Time};
use crate::join_token::{Failure, Grant, RoomAccess, SeatAuth};
use crate::peer_protocol::{After, Disconnect};
use crate::protocol::{ErrorCode, Event, RoomId, SeatId};
use crate::room::{Seat, TokenDue};

impl Hub {
    /// Whether a client may ask for this room: decided without a look at whether it exists. `counts`: this is the first check here.
    ///
    /// # Errors
    ///
    /// What the client gets: which check failed is for the log and the metric.
    pub(super) fn check_entry(
        &mut self,
        time: Time,
        room: RoomId,
        entry: &Entry,
        counts: bool,
    ) -> Result<Option<Arc<Grant>>, ErrorCode> {
        match entry {
            Entry::Join { name, auth: Some(auth), .. } => {
                let grant = self.authority.verify(auth, time.wall);
                let grant = grant.and_then(|grant| {
                    grant.check_room(room)?;
                    grant.check_name(*name)?;
                    Ok(grant)
                });
                self.checked(time, grant, counts).map(Some)
            }
            // Where strangers may not learn which rooms there are: a token of a seat that no pod has made gets one answer for all rooms.
            Entry::Resume { token, .. } if self.context.settings.access == RoomAccess::Token => {
                self.authority.keys.verify(room, token).map(|_| None)
            }
            // The room's descriptor may let them in.
            Entry::Join { auth: None, .. } | Entry::Resume { .. } => Ok(None),
        }
    }

    /// Whether a room whose id the server chooses may be made, and with which descriptor: by CREATE_ROOM, or by the HTTP interface.
    pub(super) fn check_create(
        &mut self,
        time: Time,
        auth: Option<&str>,
    ) -> Result<Option<Box<Descriptor>>, ErrorCode> {
        let Some(auth) = auth else {
            let needs_token = self.context.settings.access == RoomAccess::Token;
            return if needs_token { Err(ErrorCode::AuthRequired) } else { Ok(None) };
        };
        let grant = self.authority.verify(auth, time.wall).and_then(|grant| {
            grant.check_create(time.wall)?;
            grant.check_uses()?;
            Ok(grant.descriptor().cloned().map(Box::new))
        });
        self.checked(time, grant, true)
    }

    /// Whether a request of the HTTP interface may see who is in a room. True: only where that needs no token.
    pub(super) fn check_look_up(&mut self, time: Time, room: RoomId, auth: Option<&str>) -> Result<bool, ErrorCode> {
        let Some(auth) = auth else {
            return Ok(true);
        };
        let grant = self.authority.verify(auth, time.wall).and_then(|grant| grant.check_room(room).map(|()| grant));
        if self.context.settings.access == RoomAccess::Link {
            return Ok(grant.is_err());
        }
        self.checked(time, grant, true).map(|_| false)
    }

    /// Counts a check of a join token, and says why it failed.
    pub(super) fn checked<T>(&mut self, time: Time, outcome: Result<T, Failure>, counts: bool) -> Result<T, ErrorCode> {
        if counts {
            self.context.counters.join_tokens[outcome.as_ref().err().map_or(0, |failure| failure.index())] += 1;
        }
        outcome.map_err(|failure| {
            if let Some(unsaid) = self.authority.refused(time.now) {
                self.context.log(Notice::JoinTokenRefused { failure, unsaid });
            }
            failure.code()
        })
    }

    /// Whether this client's seat was taken with a join token.
    pub(super) fn has_join_token(&self, id: SessionId) -> bool {
        match self.sessions.get(id).map(|session| &session.state) {
            Some(SessionState::Seated { index, seat }) => self
                .rooms
                .get(*index)
                .and_then(|owned| owned.room.seat(*seat))
                .is_some_and(|seat| seat.auth().is_some()),
            Some(SessionState::Relayed(relay)) => relay.has_join_token(),
            _ => false,
        }
    }

    /// A member shows another token: of the same `sub`, for the same room.
    pub(super) fn refresh(&mut self, time: Time, index: RoomIndex, seat: SeatId, asked: Asked, auth: &str) {
        let grant = self.authority.verify(auth, time.wall);
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let (room, rules) = (owned.room.id, self.context.settings.rules);
        let refreshed = grant.and_then(|grant| {
            grant.check_room(room)?;
            grant.check_uses()?;
            if let Some(held) = owned.room.seat(seat) {
                grant.check_name(held.name())?;
            }
            let auth = grant.seat(room);
            let former = owned.room.seat(seat).and_then(Seat::auth);
            let is_new = owned.room.refresh(seat, auth)?;
            // The negative control: the seat goes by the token before.
            if let Some(former) = former.filter(|_| !rules.keep_refreshed) {
                owned.room.refresh(seat, former)?;
            }
            Ok((auth, is_new))
        });
        match self.checked(time, refreshed, true) {
            Ok((held, true)) => {
                self.wait_for_record(asked);
                let auth = auth.into();
                self.answer_after_write(time, index, PendingAnswer::Refreshed { asked, auth, held });
            }
            Ok((held, false)) => {
                self.reply(asked, &Event::Refreshed { seconds: held.left(time.wall) });
                self.arm_room(time, index);
            }
            Err(code) => self.refuse_guess(time, asked, code),
        }
    }

    /// The record has the later token, or does not answer: as a JOIN, this is answered all the same.
    pub(super) fn has_refreshed(&mut self, time: Time, asked: Asked, held: SeatAuth) {
        self.reply(asked, &Event::Refreshed { seconds: held.left(time.wall) });
        self.has_record(asked);
    }

    /// Refuses what a member may have guessed; too many such guesses close the connection.
    fn refuse_guess(&mut self, time: Time, asked: Asked, code: ErrorCode) {
        match asked.by {
            Reach::Local(id) => {
                self.refuse(asked, code);
                if ErrorCode::GUESSES.contains(&code) {
                    self.missed_once(time, id);
                }
            }
            Reach::Remote(session) => {
                self.context.counters.errors += 1;
                let after = ErrorCode::GUESSES.contains(&code).then_some(After::Guessed);
                let event = Event::Error { code, retry_after_ms: None };
                self.remote_members.deliver_event_after(&mut self.context.peers, session, asked, &event, after);
            }
        }
    }

    /// Warns the members whose tokens end soon, and ends those whose tokens have ended.
    pub(super) fn tokens_due(&mut self, time: Time, index: RoomIndex) {
        let Some(owned) = self.rooms.get_mut(index).filter(|owned| owned.ready()) else {
            return;
        };
        for due in owned.room.tokens_due(time.wall) {
            match due {
                TokenDue::Warn(by, seconds) => {
                    self.reply(Asked { by, number: 0, id: None }, &Event::Expiring { seconds });
                }
                TokenDue::End(Reach::Local(id)) => self.fail(time, id, ErrorCode::AuthExpired),
                TokenDue::End(Reach::Remote(to)) => {
                    self.remote_disconnected(time, to, Disconnect::Lost, None);
                    self.remote_members.end(&mut self.context.peers, to, ErrorCode::AuthExpired, true);
                }
            }
        }
    }
}
