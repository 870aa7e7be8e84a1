//! Seats that a moderator has ended, and who is kept out of a room for a while: as the room has it, and its record. Pure: no I/O.

use serde::{Deserialize, Serialize};

use crate::ids::SessionRef;
use crate::join_token::{SeatAuth, Subject};
use crate::protocol::{PlayerName, SeatId};

/// A room remembers so many.
const MOST: usize = 32;
/// How long a room remembers a seat that was ended without a ban (seconds). A session looks for its room's next owner for 15 s; the rest is
/// for clocks that are apart.
const SEAT_FOR: u64 = 7_200;

/// One seat that a moderator has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// The seat: the next owner, which knows it only from here, gives its session no other one.
    pub seat: SeatId,
    /// The connection that had it: its session may know the seat by another number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionRef>,
    /// When that is over (Unix seconds): what each owner judges by its own clock, as the end of a join token.
    pub until: u64,
    /// Who is kept out, by the join token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<Subject>,
    /// Without a join token: the name that nobody may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<PlayerName>,
}

/// A seat as it ended.
#[derive(Debug, Clone, Copy)]
pub struct EndedSeat {
    /// Its number.
    pub seat: SeatId,
    /// Its last connection.
    pub session: Option<SessionRef>,
    /// Its player's name.
    pub name: PlayerName,
    /// Of the join token that it was taken with.
    pub auth: Option<SeatAuth>,
}

/// All of one room.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bans(Vec<Ban>);

impl Bans {
    /// Whether the room remembers none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The seat is ended at `now` (Unix seconds); its player is kept out for `ban_s` seconds, if any. What is over is forgotten, and where
    /// there are too many the one of the others that would be over first.
    pub fn add(&mut self, ended: EndedSeat, ban_s: Option<u32>, now: u64) {
        let EndedSeat { seat, session, name, auth } = ended;
        let (sub, name) = match (ban_s, auth) {
            (None, _) => (None, None),
            (Some(_), Some(auth)) => (Some(auth.sub), None),
            (Some(_), None) => (None, Some(name)),
        };
        let until = now.saturating_add(ban_s.map_or(SEAT_FOR, u64::from));
        self.0.retain(|ban| ban.until > now);
        if self.0.len() >= MOST
            && let Some(first) = (0..self.0.len()).min_by_key(|index| self.0[*index].until)
        {
            self.0.remove(first);
        }
        self.0.push(Ban { seat, session, until, sub, name });
    }

    /// Whether somebody may not come in at `now` (Unix seconds).
    pub fn keep_out(&self, name: PlayerName, auth: Option<SeatAuth>, now: u64) -> bool {
        let is_meant = |ban: &Ban| {
            ban.name.is_some_and(|banned| banned.resembles(&name))
                || ban.sub.is_some_and(|banned| auth.is_some_and(|auth| auth.sub == banned))
        };
        self.0.iter().any(|ban| ban.until > now && is_meant(ban))
    }

    /// Whether a moderator has ended this seat, or the one that this session had.
    pub fn have_ended(&self, seat: SeatId, session: Option<SessionRef>) -> bool {
        self.0.iter().any(|ban| ban.seat == seat || ban.session.is_some() && ban.session == session)
    }

    /// The same, no more than a room remembers.
    pub fn limit(&mut self) {
        self.0.truncate(MOST);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::join_token::Role;

    fn seat(number: u64, name: &str, sub: Option<&str>) -> EndedSeat {
        let room = "abcdefgh".parse().unwrap();
        let auth = sub.map(|sub| SeatAuth { sub: Subject::new(room, sub), expires: 9, role: Role::Member });
        EndedSeat { seat: SeatId(number), session: None, name: name.parse().unwrap(), auth }
    }

    fn keeps_out(bans: &Bans, name: &str, sub: Option<&str>, now: u64) -> bool {
        bans.keep_out(name.parse().unwrap(), seat(0, "x", sub).auth, now)
    }

    #[test]
    fn a_ban_is_of_the_person_where_there_is_one_and_else_of_the_name() {
        let mut bans = Bans::default();
        bans.add(seat(1, "alice", None), Some(60), 1_000);
        bans.add(seat(2, "bob", Some("user-2")), Some(600), 1_000);
        bans.add(seat(3, "carol", None), None, 1_000);
        assert!(keeps_out(&bans, "Alice", None, 1_059) && keeps_out(&bans, "\u{430}lice", Some("user-9"), 1_000));
        assert!(!keeps_out(&bans, "alice", None, 1_060), "it is over");
        assert!(keeps_out(&bans, "other", Some("user-2"), 1_599) && !keeps_out(&bans, "bob", None, 1_000));
        assert!(!keeps_out(&bans, "carol", None, 1_000), "her seat has ended, and that is all");
        assert!((1..=3).all(|seat| bans.have_ended(SeatId(seat), None)) && !bans.have_ended(SeatId(4), None));
    }

    #[test]
    fn the_one_that_would_be_over_first_makes_way_and_never_the_newest() {
        let mut bans = Bans::default();
        for number in 0..32 {
            bans.add(seat(number, "alice", None), Some(2_000 - number as u32), 0);
        }
        bans.add(seat(99, "bob", None), Some(1), 0);
        assert_eq!(bans.len(), 32);
        assert!(bans.have_ended(SeatId(99), None) && !bans.have_ended(SeatId(31), None));
        bans.add(seat(100, "bob", None), None, 1_980);
        assert_eq!(bans.len(), 21, "what is over is forgotten");
    }

    #[test]
    fn what_a_record_says_of_bans_is_short() {
        let mut bans = Bans::default();
        bans.add(seat(1, "alice", None), None, 1_000);
        let text = serde_json::to_string(&bans).unwrap();
        assert_eq!(text, r#"[{"seat":"0000000000000001","until":8200}]"#);
        assert_eq!(serde_json::from_str::<Bans>(&text).unwrap(), bans);
    }
}
