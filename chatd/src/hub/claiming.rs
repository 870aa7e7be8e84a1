//! JOIN with a token that is good for one: in all pods one JOIN gets its seat by it, and may be repeated for that seat. Pure: no I/O.

use super::Hub;
use super::admission::Joining;
use super::context::Purpose;
use super::ownership::{Claim, Claimed, ClaimedSeat, NewClaim};
use super::request::{Asked, Entry, answer_by};
use crate::directory::{Answer, Key, NoAnswer, Request};
use crate::ids::{RoomIndex, Ticket, Time};
use crate::join_token::{Failure, Once};
use crate::protocol::{ErrorCode, RoomId};
use crate::room::OnceSeat;

impl Hub {
    /// Finds the seat that the JOIN is for. What it has already is not changed before the token is known to be good.
    pub(super) fn join_once(&mut self, time: Time, index: RoomIndex, asked: Asked, once: Once, joining: Joining) {
        let Some(owned) = self.rooms.get(index) else {
            return;
        };
        let until = answer_by(time.now, joining.since);
        match owned.room.once_seat(&joining.who, self.session_ref(asked.by)) {
            OnceSeat::New(again) => {
                let claim = NewClaim { once, again, is_written: true, until };
                self.join(time, index, asked, Joining { once: Some(claim), ..joining });
            }
            // The same JOIN, perhaps, whose answer is on its way.
            OnceSeat::Joining => self.refuse_entry(time, asked, ErrorCode::Unavailable),
            OnceSeat::Own { seat, is_same } => {
                let Joining { who, auth, profile, counts, since, .. } = joining;
                let entry = Entry::Join { name: who.name, resumable: who.resumable, key: who.key, auth };
                let of = ClaimedSeat::Own { who, profile, is_same };
                self.claim(time, index, Claim { asked, once, seat, entry, counts, since, until, of });
            }
        }
    }

    /// The record has the new seat of such a JOIN, or has not answered in time.
    pub(super) fn claim_new(&mut self, time: Time, index: RoomIndex, claim: Claim, is_written: bool) {
        let seat = self.rooms.get(index).and_then(|owned| owned.room.seat(claim.seat));
        if seat.is_none_or(|seat| seat.reach != Some(claim.asked.by)) {
            return;
        }
        if is_written {
            self.claim(time, index, claim);
        } else {
            self.refuse_claim(time, index, &claim, ErrorCode::Unavailable);
        }
    }

    fn claim(&mut self, time: Time, index: RoomIndex, claim: Claim) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let room = owned.room.id;
        let key = Key::JoinToken(claim.once.token);
        let (new, ttl) = (claim.used_in(room), claim.once.held_for(time.wall));
        let ticket = self.context.ask(Purpose::Claim(room), Request::Swap { key, expected: None, new, ttl });
        owned.add_claim(ticket, claim);
        self.arm_room(time, index);
    }

    /// Refuses the JOINs for whose token the directory has not answered in time.
    pub(super) fn claims_due(&mut self, time: Time, index: RoomIndex) {
        let claims = self.rooms.get_mut(index).map(|owned| owned.take_overdue_claims(time.now));
        for claim in claims.unwrap_or_default() {
            self.refuse_claim(time, index, &claim, ErrorCode::Unavailable);
            self.move_settled(time, index);
        }
    }

    pub(super) fn claim_answered(
        &mut self,
        time: Time,
        room: RoomId,
        ticket: Ticket,
        answer: Result<Answer, NoAnswer>,
    ) {
        let Some(index) = self.rooms.index_of(room) else {
            return;
        };
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let Some(claim) = owned.take_claim(ticket) else {
            return;
        };
        match owned.settle_claim(claim, &answer) {
            Claimed::Unanswered(claim) => self.refuse_claim(time, index, &claim, ErrorCode::Unavailable),
            Claimed::Used(claim) => {
                let refused = self.checked::<()>(time, Err(Failure::Once), true);
                self.refuse_claim(time, index, &claim, refused.err().unwrap_or(ErrorCode::AuthInvalid));
            }
            Claimed::AfterWrite(joined) => self.answer_after_write(time, index, joined),
            Claimed::New { asked, seat, counts, since } => self.joined(time, index, asked, seat, (counts, since)),
            Claimed::Own { asked, auth, who, profile, counts, since } => {
                self.join(time, index, asked, Joining { who, auth, profile, once: None, counts, since });
            }
        }
        // A move may have waited for it.
        self.move_settled(time, index);
        self.arm_room(time, index);
    }

    /// The JOIN is refused; a new seat ends with it.
    fn refuse_claim(&mut self, time: Time, index: RoomIndex, claim: &Claim, code: ErrorCode) {
        let room = self.rooms.get(index).map(|owned| owned.room.id);
        if let (Some(room), ClaimedSeat::New { .. }) = (room, &claim.of) {
            // After a freeze another owner may have let the client in by it.
            if self.rooms.get(index).is_some_and(|owned| !owned.is_suspended()) {
                self.give_token_back(room, claim);
            }
            self.forget_joining(time, Some(room), claim.asked.by);
        }
        self.refuse_join(time, claim.asked, claim.since, code);
    }

    /// A JOIN is given up before its answer: the directory forgets that the token was used for it, if it can. Otherwise the client needs
    /// another token.
    pub(super) fn give_token_back(&mut self, room: RoomId, claim: &Claim) {
        if claim.is_fresh() {
            let (key, expected) = (Key::JoinToken(claim.once.token), claim.used_in(room));
            self.context.ask(Purpose::Forgotten, Request::Delete { key, expected });
        }
    }
}
