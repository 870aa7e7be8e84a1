//! Who has a seat in which room, as far as clients were told: a seat whose end was told never comes back (I8), and nobody is kept
//! out by what is left of himself (Own). No I/O.

use chatd::protocol::PlayerName;

use crate::client::Seat;
use crate::expectations::Expectations;
use crate::links::{Micros, SECOND};
use crate::people::is_viewer;

/// Where nothing stands in between, everybody has heard by now what was told so long ago.
pub const SPREADS: Micros = 8 * SECOND;

/// A seat that a client has asked for, and what came of it.
#[derive(Debug)]
pub struct Claim {
    client: usize,
    /// Of its JOIN.
    id: u64,
    room: String,
    /// In lower case.
    name: String,
    key: Option<String>,
    joined: Option<Micros>,
    seat: Option<Seat>,
    /// Since when nobody can be in it, for sure: its end was told, or it never began.
    ended: Option<Micros>,
    /// It never began, but may have been in the way until then: a token that is good for one is asked for once the record has the seat.
    given_up: Option<Micros>,
    /// A connection of its client has vanished: an entry pod that has not noticed may bring it back, whatever the client has asked for
    /// since by another way.
    lingers: bool,
}

impl Claim {
    fn is_of(&self, room: &str, name: &str) -> bool {
        self.room == room && self.name.eq_ignore_ascii_case(name)
    }

    fn is_open(&self, at: Micros) -> bool {
        self.lingers || self.ended.is_none_or(|ended| ended >= at)
    }

    /// Whether it may take a name and a place. No list of players has it while its JOIN is not answered.
    fn is_in_the_way(&self, at: Micros) -> bool {
        self.is_open(at) || self.given_up.is_some_and(|given_up| given_up >= at)
    }
}

/// Whether this is the `sub` of a join token, and no key.
fn is_person(key: &str) -> bool {
    key.starts_with("sub ")
}

/// Whether one of these names keeps the other out of a room.
pub fn looks_like(one: &str, other: &str) -> bool {
    let name = |name: &str| name.parse::<PlayerName>().ok();
    name(one).zip(name(other)).is_some_and(|(one, other)| one.resembles(&other))
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Seats(Vec<Claim>);

impl Seats {
    /// JOIN is said.
    pub fn asked(&mut self, client: usize, id: u64, room: &str, name: &str, key: Option<String>) {
        let (room, name) = (room.to_owned(), name.to_ascii_lowercase());
        let (joined, seat, ended, given_up) = (None, None, None, None);
        self.0.push(Claim { client, id, room, name, key, joined, seat, ended, given_up, lingers: false });
    }

    /// JOIN is answered by the seat that it has asked for, or JOINED comes unasked.
    fn begun(&mut self, now: Micros, client: usize, id: u64, room: &str, name: &str, key: Option<String>) -> usize {
        let asked = self.0.iter().position(|claim| claim.client == client && claim.id == id && claim.is_of(room, name));
        let claim = asked.unwrap_or_else(|| {
            self.asked(client, 0, room, name, key);
            self.0.len() - 1
        });
        self.0[claim].joined = Some(now);
        claim
    }

    /// JOIN is refused, or answered by a seat that was there before.
    fn never_began(&mut self, client: usize, id: u64) {
        for claim in self.0.iter_mut().filter(|claim| claim.client == client && claim.id == id) {
            claim.ended = Some(0);
        }
    }

    pub fn vanished(&mut self, claim: Option<usize>) {
        if let Some(claim) = claim {
            self.0[claim].lingers = true;
        }
    }

    pub fn token(&mut self, claim: Option<usize>, seat: &Seat) {
        if let Some(claim) = claim {
            self.0[claim].seat = Some(seat.clone());
        }
    }

    /// MOVED: it is in the room at the new owner, who may have told the others of the end of a seat that the record did not hold.
    pub fn goes_on(&mut self, now: Micros, claim: Option<usize>) {
        if let Some(claim) = claim {
            // They may have heard of that end before it hears MOVED.
            (self.0[claim].joined, self.0[claim].ended) = (Some(now), None);
        }
    }

    /// The room and the name of this JOIN.
    pub fn asked_for(&self, client: usize, id: u64) -> Option<(String, String)> {
        let asked = self.0.iter().rfind(|claim| claim.client == client && claim.id == id)?;
        Some((asked.room.clone(), asked.name.clone()))
    }

    /// The room of this seat, and by which join token's `sub` it is found.
    pub fn holder(&self, claim: usize) -> Option<(String, String)> {
        let claim = &self.0[claim];
        Some((claim.room.clone(), claim.key.clone().filter(|key| is_person(key))?))
    }

    /// The seats that this key, or join token, finds.
    fn found_by<'a>(&'a self, room: &'a str, name: &'a str, key: Option<&'a str>) -> impl Iterator<Item = &'a Claim> {
        let is_its = move |claim: &&Claim| {
            claim.room == room
                && claim.key.is_some()
                && claim.key.as_deref() == key
                && (key.is_some_and(is_person) || claim.is_of(room, name))
        };
        self.0.iter().filter(is_its)
    }

    /// Whether the client may have a seat that its key finds, before its JOIN with this number, which was said at `asked`.
    pub fn may_have(
        &self,
        (client, id): (usize, u64),
        room: &str,
        name: &str,
        key: Option<&str>,
        asked: Micros,
    ) -> bool {
        let is_other = |claim: &Claim| (claim.client, claim.id) != (client, id);
        self.found_by(room, name, key).any(|claim| is_other(claim) && claim.is_open(asked))
    }

    /// Whether such a seat was had and has not ended, as far as anybody was told.
    pub fn surely_has(&self, room: &str, name: &str, key: Option<&str>, now: Micros) -> bool {
        self.found_by(room, name, key).any(|claim| claim.joined.is_some() && claim.is_open(now))
    }

    /// Whether a connection of this person, which may have vanished, may bring a seat back.
    pub fn lingers(&self, room: &str, key: &str) -> bool {
        self.0.iter().any(|claim| claim.room == room && claim.key.as_deref() == Some(key) && claim.lingers)
    }

    fn of(&self, seat: &Seat) -> Option<usize> {
        self.0.iter().rposition(|claim| claim.seat.as_ref() == Some(seat))
    }
}

/// A client that has come into a room.
#[derive(Debug)]
pub struct Arrival<'a> {
    pub client: usize,
    pub room: &'a str,
    pub name: &'a str,
    /// The number of its JOIN.
    pub joins: Option<u64>,
    /// What it said RESUME with.
    pub resumes: Option<Seat>,
    /// The token that it was given.
    pub token: Option<&'a str>,
    /// `None`: it was not told.
    pub resumed: Option<bool>,
    pub key: Option<String>,
    /// When it asked.
    pub asked: Micros,
}

impl Expectations {
    /// Since when every pod has reached the directory, and none was frozen.
    pub fn directory_since(&self) -> Option<Micros> {
        let since = self.away.over_since().filter(|_| self.frozen == 0)?;
        Some(since.max(self.last_thaw))
    }

    /// Since when every pod has reached the others as well, and none has come or gone.
    pub fn certain_since(&self) -> Option<Micros> {
        Some(self.directory_since()?.max(self.apart.over_since()?))
    }

    /// What is told of this room now is so at every owner.
    pub fn is_certain(&self, now: Micros, room: &str) -> bool {
        self.certain_since().is_some_and(|since| since + SPREADS < now) && !self.is_excused(now, room)
    }

    /// Owners of this room may know different things, or what they knew was lost.
    pub fn is_excused(&self, now: Micros, room: &str) -> bool {
        let contested = self.contested_at(room).is_some_and(|at| at + 5 * SECOND > now);
        let is_gone = self.closed.contains_key(room) || self.endings.was_asked(room) || self.ends.has(room);
        self.went_back.is_some() || is_gone || contested
    }

    /// JOINED. Returns the seat that the client has now.
    pub fn arrived(&mut self, now: Micros, arrival: Arrival<'_>) -> Option<usize> {
        let Arrival { client, room, name, joins, resumes, token, resumed, key, asked } = arrival;
        if let Some(seat) = resumes {
            let claim = self.seats.of(&seat);
            if self.was_unanswered(now, &seat) {
                self.seats.goes_on(now, claim);
                self.goes_on(&seat);
            }
            return claim;
        }
        if let Some(id) = joins.filter(|_| resumed == Some(true)) {
            // What it has asked for since then is another seat.
            let is_later = |claim: &Claim| claim.client == client && claim.id >= id;
            let began = |claim: &Claim| claim.ended != Some(0) && !is_later(claim);
            let its = |claim: &&Claim| claim.is_of(room, name) && claim.key == key && began(claim);
            // Its end may have been told while the answer was on its way: it may have left again right away.
            let found = self.seats.0.iter().filter(its).any(|claim| claim.is_open(asked));
            if !found && self.seats.0.iter().any(|claim| its(&claim)) && !self.is_excused(now, room) {
                let detail = format!("client {client} finds the seat of {name} in {room} by its key after its end");
                self.fail("I8", detail);
            }
            let open = self.seats.0.iter().rposition(|claim| its(&claim) && claim.is_open(now));
            let found = open.or_else(|| self.seats.0.iter().rposition(|claim| its(&claim)));
            if found.is_some() {
                self.seats.never_began(client, id);
                return found;
            }
        }
        if let Some(id) = joins.filter(|_| resumed == Some(false)) {
            self.exit_heard(now, room, name);
            // By a join token that is good for one, the next owner gives the person the seat again that the former one may not have answered,
            // under its number.
            let seat =
                token.map(|token| Seat { room: room.to_owned(), name: name.to_owned(), token: token.to_owned() });
            let again = seat.filter(|seat| key.as_deref().is_some_and(is_person) && self.was_unanswered(now, seat));
            if let Some((seat, claim)) = again.and_then(|seat| self.seats.of(&seat).map(|claim| (seat, claim))) {
                self.seats.never_began(client, id);
                self.seats.goes_on(now, Some(claim));
                self.goes_on(&seat);
                return Some(claim);
            }
        }
        Some(self.seats.begun(now, client, joins.unwrap_or(0), room, name, key))
    }

    /// Who was called so is gone, as everybody in the room is told: by EXITED, or since another one is called so.
    pub fn exit_heard(&mut self, now: Micros, room: &str, name: &str) {
        if !self.is_certain(now, room) {
            return;
        }
        // What was answered a moment ago may be a newer seat than the one that has ended.
        let gone = |claim: &Claim| {
            claim.is_of(room, name) && claim.is_open(now) && claim.joined.is_some_and(|joined| joined + SPREADS < now)
        };
        for index in 0..self.seats.0.len() {
            if gone(&self.seats.0[index]) {
                self.end_claim(now, index);
            }
        }
    }

    /// Who was called so when the kick was asked for, at `asked`, has no seat any more.
    pub fn seat_kicked(&mut self, now: Micros, room: &str, name: &str, asked: Micros) {
        let was_there = |claim: &Claim| claim.is_of(room, name) && claim.joined.is_some_and(|joined| joined < asked);
        for index in 0..self.seats.0.len() {
            if self.seats.0[index].is_open(now) && was_there(&self.seats.0[index]) {
                self.end_claim(now, index);
            }
        }
    }

    fn end_claim(&mut self, now: Micros, claim: usize) {
        let claim = &mut self.seats.0[claim];
        claim.ended = Some(now);
        if let Some(seat) = claim.seat.clone() {
            self.has_ended(now, seat);
        }
    }

    /// LEAVE or QUIT is answered.
    pub fn has_left(&mut self, now: Micros, claim: Option<usize>, surely: bool) {
        if let Some(claim) = claim.filter(|_| surely) {
            self.seats.0[claim].ended = Some(now);
        }
    }

    /// RESUME is refused, since the seat has ended.
    pub fn token_refused(&mut self, now: Micros, seat: &Seat) {
        if let Some(claim) = self.seats.of(seat).filter(|_| self.is_certain(now, &seat.room))
            && self.seats.0[claim].is_open(now)
            // JOIN with its key may have made it one that cannot be resumed.
            && self.seats.0[claim].key.is_none()
        {
            self.end_claim(now, claim);
        }
    }

    /// JOIN, said at `asked`, is refused.
    pub fn join_refused(&mut self, now: Micros, client: usize, id: u64, asked: Micros, code: &str) {
        // What was not answered in time may have been carried out.
        if matches!(code, "unavailable" | "shutting_down") {
            return;
        }
        let Some(own) = self.seats.0.iter().rposition(|claim| claim.client == client && claim.id == id) else {
            return;
        };
        self.seats.never_began(client, id);
        let (room, name, key) = {
            let own = &mut self.seats.0[own];
            own.given_up = (code == "auth_invalid").then_some(now);
            (own.room.clone(), own.name.clone(), own.key.clone())
        };
        if code == "banned" {
            return self.check_banned(client, &room, &name);
        }
        // Without a key nothing shows that what is left of a JOIN whose first owner died is its own.
        if self.is_excused(now, &room) || key.is_none() && !self.is_certain(now, &room) {
            return;
        }
        let open = self.seats.0.iter().filter(|claim| claim.room == room && claim.is_in_the_way(asked));
        if code == "name_taken" {
            let called_so: Vec<&Claim> = open.filter(|claim| looks_like(&claim.name, &name)).collect();
            // A key finds the seat of its name alone, not of one that looks like it.
            let explains = |claim: &&Claim| claim.name != name || claim.key.is_none() || claim.key != key;
            if !called_so.iter().any(explains) {
                let (rule, by) = match called_so[..] {
                    [] => ("I8", "a seat whose end was told"),
                    _ => ("Own", "its own seat, though it shows the key"),
                };
                self.fail(rule, format!("client {client}: {name} is taken in {room} by {by}"));
            }
        } else if code == "room_full" {
            if is_viewer(&name) {
                return self.fail("I23", format!("client {client}: {room} is full for {name}, who only hears"));
            }
            let names = open.map(|claim| claim.name.as_str()).filter(|name| !is_viewer(name));
            let names: std::collections::BTreeSet<&str> = names.collect();
            if names.len() < self.max_players {
                let detail = format!("client {client}: {room} is full, and nobody but {names:?} can be in it");
                self.fail("I8", detail);
            }
        }
    }

    /// A session has lost its seat to one of that name when its room's owner changed.
    pub fn seat_lost(&mut self, now: Micros, client: usize, claim: Option<usize>, code: &str) {
        let Some(claim) = claim else {
            return;
        };
        let its = &self.seats.0[claim];
        let (room, name) = (its.room.clone(), its.name.clone());
        if code == "banned" {
            return self.check_banned(client, &room, &name);
        }
        let mut others = self.seats.0.iter().enumerate();
        let its_place = |other: &Claim| other.room == room && looks_like(&other.name, &name) && other.is_open(now);
        let taken = others.any(|(index, other)| index != claim && its_place(other));
        if code == "name_taken" && !taken && !self.is_excused(now, &room) {
            self.fail("Own", format!("client {client} has lost its seat as {name} in {room} to itself"));
        }
    }

    /// Players that are named in answer to what was asked then.
    pub fn named(&mut self, now: Micros, client: usize, room: &str, names: &[String], asked: Micros) {
        if self.is_excused(now, room) {
            return;
        }
        for name in names {
            let mut claims = self.seats.0.iter().filter(|claim| claim.is_of(room, name));
            if !claims.any(|claim| claim.is_open(asked)) {
                let detail =
                    format!("client {client} is told that {name} is in {room}, after that seat's end was told");
                return self.fail("I8", detail);
            }
        }
    }
}
