//! What the clients share: the rooms that they know of, and the checks of what they hear, from the outside. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use chatd::protocol::RoomId;

use crate::calling::Endings;
use crate::client::{Seat, What};
use crate::expiring::Ends;
use crate::history::{Item, Transcript, Verdict};
use crate::links::{Kind, Micros, Net, SECOND};
use crate::locking::Locks;
use crate::moderating::Kicks;
use crate::overlaps::Overlaps;
use crate::people::{People, is_viewer};
use crate::refreshing::TokenEnds;
use crate::rng::Rng;
use crate::seats::Seats;
use crate::state::States;

/// A violated rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub rule: String,
    pub detail: String,
}

/// A seat that was given back, with an answer.
#[derive(Debug)]
pub struct Ended {
    seat: Seat,
    at: Micros,
    /// The directory has answered that it ended.
    surely: bool,
}

/// Who has said something, and when.
#[derive(Debug)]
pub struct Sent {
    pub name: String,
    pub at: Micros,
}

/// An event without a number.
#[derive(Debug)]
pub struct Passing {
    pub room: String,
    /// `None`: everyone may hear it.
    pub to: Option<Vec<String>>,
}

/// Something that is wrong now, or when it last was.
#[derive(Debug, Default)]
pub struct Doubt {
    is_there: bool,
    last: Micros,
}

impl Doubt {
    /// Looked at whenever it may have begun or ended.
    pub fn note(&mut self, now: Micros, is_there: bool) {
        if is_there || self.is_there {
            (self.is_there, self.last) = (is_there, now);
        }
    }

    /// For a moment.
    pub fn was(&mut self, now: Micros) {
        self.last = now;
    }

    pub fn over_since(&self) -> Option<Micros> {
        (!self.is_there).then_some(self.last)
    }
}

#[derive(Debug, Default)]
pub struct Expectations {
    pub rooms: Vec<String>,
    /// JOIN makes a room that does not exist.
    pub open_names: bool,
    /// Some rooms are made with a join token, and have a descriptor.
    pub describes: bool,
    /// The pods that the balancer sends clients to.
    pub entries: Vec<usize>,
    /// Clients do nothing of their own accord any more.
    pub calm: bool,
    /// But for asking the server whether it is there, in the quiet, by something said.
    pub talks: bool,
    pub failure: Option<Failure>,
    pub said: Transcript,
    pub states: States,
    /// What players have said of themselves, and who.
    pub presence: BTreeMap<String, String>,
    pub stays: Vec<Vec<Item>>,
    pub sent: BTreeMap<String, Sent>,
    pub passing: BTreeMap<String, Passing>,
    pub heard: BTreeSet<String>,
    pub refused: BTreeMap<String, String>,
    pub ended: Vec<Ended>,
    pub seats: Seats,
    pub kicks: Kicks,
    pub endings: Endings,
    pub locks: Locks,
    pub people: People,
    pub token_ends: TokenEnds,
    pub ends: Ends,
    pub overlaps: Overlaps,
    pub sought: Option<&'static str>,
    /// Connections that may end without a reason: the network ended them.
    pub excused: BTreeSet<usize>,
    pub max_players: usize,
    /// For how long a seat is held.
    pub seat_hold: Micros,
    /// Relayed sessions have so small a window that what they are told may wait for long.
    pub narrow: bool,
    /// What a room keeps of its last messages, and all rooms of a thread together (bytes).
    pub ring_messages: usize,
    pub ring_bytes: usize,
    pub ring_total: usize,
    pub last_thaw: Micros,
    pub frozen: u32,
    /// A pod cannot reach the directory; when that was last so.
    pub away: Doubt,
    /// Somebody cannot reach somebody else, or a pod has come or gone.
    pub apart: Doubt,
    /// When the store was last emptied or rolled back.
    pub went_back: Option<Micros>,
    /// Rooms that were closed: a former owner that was away meanwhile knows nothing of it.
    pub closed: BTreeMap<String, Micros>,
    /// Seats whose token gives them back, though the next owner holds them for nobody and says so: see `Store::unanswered`.
    pub unanswered: BTreeMap<(String, String), Micros>,
    /// When each room last had two owners: the one that is cut off does not know who has left at the other.
    pub contested: BTreeMap<RoomId, Micros>,
    /// The last number that the webhook was told in each timeline of each room.
    pub webhook: BTreeMap<(RoomId, u64), u64>,
    pub messages: u64,
    /// The number that its sender gave a message, if it speaks JSON.
    pub ids: BTreeMap<String, u64>,
    /// What was sent again since a replay had not brought it back.
    pub sent_again: u64,
    pub resumed_stale: u64,
}

impl Expectations {
    pub fn fail(&mut self, rule: &str, detail: String) {
        if self.sought.is_none_or(|sought| sought == rule) {
            self.failure.get_or_insert(Failure { rule: rule.to_owned(), detail });
        }
    }

    pub fn verdict(&mut self, client: usize, verdict: Verdict) {
        if let Err((rule, detail)) = verdict {
            self.fail(rule, format!("client {client}: {detail}"));
        }
    }

    pub fn entry(&mut self, rng: &mut Rng) -> Option<usize> {
        (!self.entries.is_empty()).then(|| rng.pick(&self.entries))
    }

    /// Whether a connection may have ended without a reason: its pod is gone, or the network was cut since it began.
    pub fn excuses_close(&self, net: &Net, pipe: usize, connected: Micros) -> bool {
        let Kind::Client { pod, .. } = net.pipes[pipe].kind else {
            return false;
        };
        let [client, at] = net.pipes[pipe].nodes;
        let gone = net.dead.contains(&pod) || net.vanished.contains(&pod);
        let cut = net.whole_since(client, at).is_none_or(|since| since > connected);
        self.excused.contains(&pipe) || gone || cut
    }

    // ---- chat

    pub fn sent(&mut self, at: Micros, text: &str, name: &str) {
        self.sent.insert(text.to_owned(), Sent { name: name.to_owned(), at });
    }

    /// I17: an event without a number is heard only in its room and by those whom it is to, which its sender is told of. `to`, `reached`: as
    /// JSON clients hear them. Lines do not say so.
    pub fn passed(
        &mut self,
        client: usize,
        (room, name): (&str, &str),
        (from, text): (&str, &str),
        to: Option<Option<Vec<String>>>,
        reached: Option<Vec<String>>,
    ) {
        self.hears(client, from, text);
        let Some(passing) = self.passing.get(text) else {
            return self.fail("I17", format!("client {client} hears {text} as an event without a number"));
        };
        let names = |names: &[String], name: &str| names.iter().any(|other| other.eq_ignore_ascii_case(name));
        let fits = passing.room == room
            && passing.to.as_ref().is_none_or(|to| name == from || names(to, name))
            && to.is_none_or(|to| to == passing.to)
            && reached.is_none_or(|reached| {
                name == from && passing.to.as_ref().is_some_and(|to| reached.iter().all(|one| names(to, one)))
            });
        if !fits {
            let detail = format!("client {client}, {name} in {room}, hears {text} from {from}: {passing:?}");
            self.fail("I17", detail);
        }
    }

    /// What is told of a player is what it has said of itself.
    pub fn presence(&mut self, client: usize, name: &str, text: &str) {
        let said = self.presence.get(text);
        if !said.is_some_and(|own| own.eq_ignore_ascii_case(name)) {
            self.fail("Presence", format!("client {client} is told {text:.20} of {name}: {said:?} said so"));
        }
    }

    pub fn message(&mut self, client: usize, room: &str, from: &str, text: &str, place: Option<(u64, String)>) {
        self.messages += 1;
        self.hears(client, from, text);
        if self.passing.contains_key(text) {
            self.fail("I17", format!("client {client} hears {text} as a message"));
        }
        if let Some((seq, timeline)) = place {
            let verdict = self.said.heard(&timeline, seq, text);
            if !self.may_have_forked(room) {
                self.verdict(client, verdict);
            }
        }
    }

    /// Somebody has said it, and was not refused.
    fn hears(&mut self, client: usize, from: &str, text: &str) {
        match self.sent.get(text) {
            Some(sent) if sent.name.eq_ignore_ascii_case(from) => {}
            other => {
                self.fail("I1", format!("client {client} hears {text:.20} from {from}, who never said it: {other:?}"));
            }
        }
        if let Some(code) = self.refused.get(text) {
            let code = code.clone();
            self.fail("I6", format!("client {client} hears {text:.20}, which was refused with {code}"));
        }
        if is_viewer(from) {
            self.fail("I23", format!("client {client} hears {text:.20} from {from}, who may not speak"));
        }
        self.heard.insert(text.to_owned());
    }

    /// Two pods have had the room since the store went back: the swap that withdrew an offer may be undone, so that who was offered the
    /// room goes on with its timeline from there, under another ownership. I1 and I2 are about one of the two.
    pub fn may_have_forked(&self, room: &str) -> bool {
        self.ends.has(room) || self.went_back.zip(self.contested_at(room)).is_some_and(|(when, at)| at >= when)
    }

    /// When two pods last had the room, or one that cannot know of the other.
    pub fn contested_at(&self, room: &str) -> Option<Micros> {
        self.contested.get(&room.parse().ok()?).copied()
    }

    pub fn refused(&mut self, client: usize, what: &What, code: &str) {
        // `unavailable`: it may or may not have been delivered.
        if let (What::Say(text) | What::Send(text), true) = (what, code != "unavailable") {
            if self.heard.contains(text) {
                self.fail("I6", format!("client {client}: {text:.20} was delivered, and refused with {code}"));
            }
            self.refused.insert(text.clone(), code.to_owned());
        }
        if let (What::State(_, Some(value)), true) = (what, code != "unavailable") {
            let verdict = self.states.refused(value, code);
            self.verdict(client, verdict);
        }
        let fits = match what {
            What::Ping | What::Help => !matches!(code, "not_in_room" | "bad_command"),
            What::Join | What::Resume { .. } => {
                !matches!(code, "not_in_room" | "bad_command" | "bad_room" | "bad_name")
            }
            // Whether it is in a room, and whether that is there, is asked first; what has not come to the owner ends with the room.
            What::Wrong(wrong) => {
                let elsewhere = ["not_in_room", "bad_command", "room_not_found", "closed"];
                let later = ["rate_limited", "unavailable", "shutting_down"];
                code == *wrong || elsewhere.contains(&code) || later.contains(&code)
            }
            // Chat that follows a LEAVE is an unknown command, in lines.
            What::Rubbish | What::Say(_) => true,
            _ => code != "bad_command",
        };
        if !fits {
            self.fail("I7", format!("client {client}: {what:?} was refused with {code}"));
        }
    }

    // ---- seats

    pub fn players(&mut self, client: usize, players: &[String]) {
        let lower: BTreeSet<String> = players.iter().map(|name| name.to_ascii_lowercase()).collect();
        let viewers = players.iter().filter(|name| is_viewer(name)).count();
        if lower.len() < players.len() || players.len() - viewers > self.max_players {
            self.fail("I5", format!("client {client} hears of the players {players:?}"));
        }
    }

    /// A seat has ended with an answer to what was asked at `asked`.
    pub fn ended(&mut self, net: &Net, seat: Seat, asked: Micros) {
        self.ended.push(Ended { seat, at: net.now, surely: Self::waited_for_directory(net.now, asked) });
    }

    /// An answer that does not wait for the directory comes after 2 s at the earliest.
    pub fn waited_for_directory(now: Micros, asked: Micros) -> bool {
        now < asked + 19 * SECOND / 10
    }

    /// A seat has ended, as others were told.
    pub fn has_ended(&mut self, now: Micros, seat: Seat) {
        if !self.ended.iter().any(|ended| ended.seat == seat) {
            self.ended.push(Ended { seat, at: now, surely: true });
        }
    }

    /// A seat whose end was told is there all the same.
    pub fn goes_on(&mut self, seat: &Seat) {
        self.ended.retain(|ended| ended.seat != *seat);
    }

    /// The last seats that have surely ended.
    pub fn surely_ended(&self) -> Vec<Seat> {
        let surely = self.ended.iter().rev().filter(|ended| ended.surely);
        surely.take(8).map(|ended| ended.seat.clone()).collect()
    }

    pub fn old_token(&self, rng: &mut Rng) -> Option<Seat> {
        (!self.ended.is_empty()).then(|| self.ended[rng.below(self.ended.len())].seat.clone())
    }

    /// Whether this seat comes back to who knows its token, for as long as seats are held.
    pub fn was_unanswered(&self, now: Micros, seat: &Seat) -> bool {
        let taken_over = self.unanswered.get(&(seat.room.clone(), seat.name.to_ascii_lowercase()));
        taken_over.is_some_and(|at| now < at + self.seat_hold)
    }

    /// RESUME worked with the token of a seat that has ended.
    pub fn stale_worked(&mut self, now: Micros, seat: &Seat) {
        let Some(ended) = self.ended.iter().find(|ended| ended.seat == *seat) else {
            return;
        };
        self.resumed_stale += 1;
        // The answer to RESUME was on its way for some milliseconds.
        let contested = self.contested_at(&seat.room);
        let is_contested = contested.is_some_and(|at| at + SECOND > now);
        // Two pods have had the room since then: the one that goes on may not know what the other was told.
        let was_contested = contested.is_some_and(|at| at >= ended.at);
        let lost = self.went_back.is_some_and(|when| when >= ended.at || was_contested);
        let excused = is_contested || self.closed.contains_key(&seat.room) || self.was_unanswered(now, seat);
        if ended.surely && !excused && !lost {
            let when = ended.at as f64 / 1e6;
            let now = now as f64 / 1e6;
            let detail =
                format!("the seat of {} in {} ended at {when:.3} and came back by {now:.3}", seat.name, seat.room);
            self.fail("I8", detail);
        }
    }

    /// At the end of a run.
    pub fn check_stays(&mut self) {
        for items in std::mem::take(&mut self.stays) {
            if let Err((rule, detail)) = self.said.check_lines(&items) {
                self.fail(rule, detail);
            }
        }
    }
}
