//! What a JOIN with a token that is good for one comes to, once the directory has answered. Pure: no I/O, and knows no hub.

use super::claims::{Claim, ClaimedSeat};
use super::owned::Owned;
use super::pending::PendingAnswer;
use crate::directory::{Answer, NoAnswer};
use crate::hub::request::{Asked, Entry};
use crate::protocol::{Profile, SeatId};
use crate::room::{Newcomer, Seat};

/// What a JOIN comes to once the directory has answered.
#[derive(Debug)]
pub enum Claimed {
    /// It did not say.
    Unanswered(Claim),
    /// Another JOIN has used the token.
    Used(Claim),
    /// The new seat is its own, once the room's ownership is confirmed.
    AfterWrite(PendingAnswer),
    /// The new seat is its own.
    New { asked: Asked, seat: SeatId, counts: bool, since: u64 },
    /// It has the seat of this person.
    Own { asked: Asked, auth: Option<Box<str>>, who: Newcomer, profile: Option<Profile>, counts: bool, since: u64 },
}

impl Owned {
    /// The directory has answered the write that marks the token as used.
    pub fn settle_claim(&self, claim: Claim, answer: &Result<Answer, NoAnswer>) -> Claimed {
        let used = claim.used_in(self.room.id);
        let is_its = matches!(answer, Ok(Answer::Found(Some(found))) if *found == used);
        let (is_new, may_repeat) = match claim.of {
            ClaimedSeat::New { .. } => (true, true),
            ClaimedSeat::Own { is_same, .. } => {
                // The owner that has died may have let this JOIN in, and not have written its key: the directory names that, too.
                let is_restored = |seat: &Seat| seat.holder.is_none() && claim.key().is_some();
                (false, self.room.seat(claim.seat).is_some_and(|seat| is_same || is_restored(seat)))
            }
        };
        if answer.is_err() || !self.ready() && !is_new {
            return Claimed::Unanswered(claim);
        }
        if !(matches!(answer, Ok(Answer::Done)) || is_its && may_repeat) {
            return Claimed::Used(claim);
        }
        let Claim { asked, seat, entry, counts, since, of, .. } = claim;
        match of {
            ClaimedSeat::New { .. } if self.is_suspended() => {
                Claimed::AfterWrite(PendingAnswer::Joined { asked, seat, entry, counts, since, once: None })
            }
            ClaimedSeat::New { .. } => Claimed::New { asked, seat, counts, since },
            ClaimedSeat::Own { who, profile, .. } => {
                let auth = if let Entry::Join { auth, .. } = entry { auth } else { None };
                Claimed::Own { asked, auth, who, profile, counts, since }
            }
        }
    }
}
