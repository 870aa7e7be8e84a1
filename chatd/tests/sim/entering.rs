//! How a simulated client comes into a room: CREATE_ROOM, JOIN, RESUME. No I/O.

use serde_json::json;

use crate::client::{Aim, Client, Pending, Seat, What};
use crate::descriptors;
use crate::expectations::Expectations;
use crate::expiring::{BEGAN, Ends};
use crate::held::Held;
use crate::history::{History, Item};
use crate::links::{Micros, Net};
use crate::people::Person;
use crate::seats::Arrival;
use crate::wire::Joined;

/// Few names, so that clients race for them; equal ones differ in case, and one looks like two others (its first letter is Cyrillic).
pub const NAMES: [&str; 8] = ["ann", "Ann", "аnn", "José", "花子", "eve", "EVE", "Анна"];

/// Rooms that clients make by entering them, where names are open.
const ROOMS: [&str; 3] = ["lobby", "eu.match-42", "a_room-of.64-characters-that-an-application-has-chosen-for-them1"];

/// What a client shows with JOIN to find its seat again.
#[derive(Debug, Default)]
pub struct SeatKey {
    pub word: String,
    /// The room and the name that it last showed it for.
    pub shown: Option<(String, String)>,
    /// The seat of these that was given back: JOIN must not find it.
    pub ended: Option<Seat>,
    /// Another client has it too, and may be in the seat.
    pub shared: bool,
    /// When JOIN with it last got a seat that cannot be resumed, and which.
    pub unheld: Option<(Micros, String, String)>,
}

impl Client {
    /// Creates, joins or resumes.
    pub fn enter(&mut self, net: &mut Net, expected: &mut Expectations) {
        if let Aim::Probe { room, .. } = self.aim.clone() {
            if self.outcome.is_some() {
                self.aim = Aim::Done;
                return self.command(net, What::Quit, "QUIT", &json!({"type": "quit"}));
            }
            let name = format!("p{}", self.number);
            let json = json!({"type": "join", "room": room, "name": name});
            self.resumable = false;
            self.command(net, What::Join, "", &json);
            return expected.seats.asked(self.number, self.last_id, &room, &name, None);
        }
        if self.seat.is_none() && !expected.calm && self.rng.chance(6) {
            self.stale = expected.old_token(&mut self.rng);
        }
        if self.stale.is_none()
            && let Some((room, name)) = self.finds_by_key()
        {
            return self.join(net, expected, What::Join, &room, &name);
        }
        if let Some(seat) = self.stale.clone().or(self.seat.clone()) {
            return self.resume(net, &seat);
        }
        if matches!(self.aim, Aim::Take { .. }) {
            self.aim = Aim::Done;
            return;
        }
        if expected.rooms.is_empty() || !expected.calm && expected.rooms.len() < 6 && self.rng.chance(4) {
            if !expected.open_names || self.habits.rng.chance(50) {
                return self.create(net, expected);
            }
            let room = self.habits.rng.pick(&ROOMS).to_owned();
            if !expected.rooms.contains(&room) {
                expected.rooms.push(room);
            }
        }
        let room = self.rng.pick(&expected.rooms);
        let name = self.rng.pick(&NAMES);
        let own = self.moderator.as_ref().map(|moderator| moderator.name.clone());
        let own = own.or(self.person.as_mut().map(Person::name));
        let name = own.as_deref().unwrap_or(name);
        self.heard = History::default();
        self.under_way.clear();
        if self.habits.hasty && !expected.calm {
            self.join_in_haste(net, expected, &room, name);
        } else {
            self.join(net, expected, What::Join, &room, name);
        }
    }

    fn create(&mut self, net: &mut Net, expected: &Expectations) {
        self.makes_until = None;
        if !expected.describes || self.habits.rng.chance(30) {
            return self.command(net, What::Create, "CREATE_ROOM", &json!({"type": "create_room"}));
        }
        self.makes_until = self.habits.rng.chance(15).then(|| Ends::draw(&mut self.habits.rng, net.now));
        let auth = descriptors::token(self.number, self.last_id, self.makes_until.map(|until| BEGAN + until));
        let json = json!({"type": "create_room", "auth": auth});
        self.command(net, What::Create, &format!("CREATE_ROOM AUTH={auth}"), &json);
    }

    /// Whether it says JOIN once more to find its seat: that of a lost answer, or in place of RESUME.
    fn finds_by_key(&mut self) -> Option<(String, String)> {
        let shown = self.key.as_ref()?.shown.clone()?;
        let always = self.takes && self.by_key;
        (always || !self.takes && self.habits.rng.chance(50)).then_some(shown)
    }

    fn resume(&mut self, net: &mut Net, seat: &Seat) {
        let place = self.heard.place.as_ref().filter(|_| self.stale.is_none() && self.rng.chance(85));
        let place = place.and_then(|place| Some((place.timeline.clone(), place.seq?)));
        let mut json = json!({"type": "resume", "room": seat.room, "token": seat.token});
        let mut said = self.json && place.is_some();
        if let Some((timeline, seq)) = &place {
            let mut seq = *seq;
            if self.habits.liar && said {
                seq = if self.habits.rng.chance(70) { self.habits.rng.range(0, seq) } else { seq + 7 };
                // It is told things again, and cannot know of what is missing.
                self.heard.lies();
                said = false;
            }
            json["timeline"] = json!(timeline);
            json["last_seq"] = json!(seq);
        }
        json["on_wrong_pod"] = self.on_wrong_pod();
        self.command(
            net,
            What::Resume { said },
            &format!("RESUME {} {} {}{}", seat.room, seat.token, self.mode, self.events()),
            &json,
        );
    }

    fn join(&mut self, net: &mut Net, expected: &mut Expectations, what: What, room: &str, name: &str) {
        let mut json = json!({"type": "join", "room": room, "name": name, "resumable": self.resumable});
        let mut line = format!("JOIN {room} {name} {}{}", self.mode, self.events());
        if self.resumable {
            line += " RESUMABLE";
        }
        if let Some(key) = &mut self.key {
            line += &format!(" KEY={}", key.word);
            json["key"] = json!(key.word);
            let shown = Some((room.to_owned(), name.to_owned()));
            if key.shown != shown {
                (key.shown, key.ended) = (shown, None);
            }
        }
        if let Some(moderator) = &self.moderator {
            line += &format!(" AUTH={}", moderator.auth);
            json["auth"] = json!(moderator.auth);
        }
        if let Some(person) = &mut self.person {
            json["auth"] = json!(person.shows(net.now, self.number, expected, room));
        }
        json["on_wrong_pod"] = self.on_wrong_pod();
        self.command(net, what, &line, &json);
        expected.seats.asked(self.number, self.last_id, room, name, self.identity());
    }

    /// JOIN and what follows it in one packet: perhaps LEAVE, and JOIN again.
    fn join_in_haste(&mut self, net: &mut Net, expected: &mut Expectations, room: &str, name: &str) {
        self.gathers = true;
        self.join(net, expected, What::Join, room, name);
        if self.habits.rng.chance(50) {
            self.seated = Some((room.to_owned(), name.to_owned()));
            self.say(net, expected);
            self.seated = None;
        }
        if self.habits.rng.chance(80) {
            self.command(net, What::Leave, "LEAVE", &json!({"type": "leave"}));
            let other = self.habits.rng.pick(&NAMES);
            let name = if self.habits.rng.chance(50) { name } else { other };
            self.join(net, expected, What::Join, room, name);
        }
        self.gathers = false;
        self.flush(net);
    }

    /// JOIN is refused.
    pub fn join_refused(&mut self, now: Micros, expected: &mut Expectations, asked: &Pending, code: &str) {
        match code {
            "room_locked" => self.check_locked_out(now, expected, asked),
            "auth_invalid" => self.token_refused(now, expected, asked),
            "auth_expired" => self.token_expired(now, expected),
            _ => {}
        }
        expected.token_ends.refused(self.number, asked.at, code);
        self.check_end_refused(expected, asked, code);
        expected.join_refused(now, self.number, asked.id, asked.at, code);
    }

    /// Who it is now, among those who have asked for seats.
    pub fn has_arrived(&mut self, net: &Net, expected: &mut Expectations, joined: &Joined, entering: bool) {
        let front = self.pending.front().filter(|_| entering);
        let resumes = front.filter(|front| matches!(front.what, What::Resume { .. }));
        let arrival = Arrival {
            client: self.number,
            room: &joined.room,
            name: &joined.name,
            joins: front.filter(|front| front.what == What::Join).map(|front| front.id),
            resumes: resumes.and(self.stale.clone().or(self.seat.clone())),
            token: joined.token.as_deref(),
            // Lines do not say so, and without a key or a join token it is not.
            resumed: (self.json || self.identity().is_none()).then_some(joined.resumed),
            key: self.identity(),
            asked: front.map_or(net.now, |front| front.at),
        };
        let asked = front.map(|front| front.at);
        let joins = arrival.joins;
        if let Some(asked) = asked {
            self.check_lock(net.now, expected, joined, asked, joins);
            self.check_end(expected, &joined.room, asked);
        }
        self.sees_locked = joined.locked;
        self.claim = expected.arrived(net.now, arrival);
        self.person_arrives(net.now, expected, joined, asked.map(|asked| (asked, joins.is_some())));
        if joins.is_some() || front.is_none() {
            expected.check_bans(net.now, self.number, joined, front.map(|front| front.at));
            expected.check_ended(self.number, &joined.room, front.map(|front| front.at));
        }
        if let Some(asked) = asked {
            expected.named(net.now, self.number, &joined.room, &joined.players, asked);
        }
    }

    /// A client of somebody who has a join token: one that speaks JSON, and shows a key, so that a JOIN can be said again.
    pub fn with_person(mut self, person: Option<Person>) -> Self {
        self.person = person.filter(|_| self.moderator.is_none());
        if self.person.is_some() {
            (self.json, self.resumable, self.habits.hasty) = (true, true, false);
            let word = format!("{:032x}", self.number + 1);
            self.key = Some(SeatKey { word, ..SeatKey::default() });
        }
        self
    }

    /// What another client shows to take its seat over, in place of the seat's token. Of a person no key does that.
    pub fn key_to_share(&self) -> Option<&SeatKey> {
        self.key.as_ref().filter(|_| self.person.is_none())
    }

    /// The room has another owner.
    pub fn room_moved(&mut self, net: &Net, expected: &mut Expectations, place: Option<(String, u64)>, locked: bool) {
        // By lines it is said after MISSED, if anything is missed.
        self.sees_locked = if self.json { locked } else { self.sees_locked };
        let is_other =
            |(timeline, _): &(String, u64)| self.heard.place.as_ref().is_none_or(|place| place.timeline != *timeline);
        if place.as_ref().is_some_and(is_other) {
            self.state = Held::default();
        }
        let verdict = self.heard.moved(place);
        // Where the store was rolled back to a former owner, which was only cut off, its timeline goes on.
        if !self.seated.as_ref().is_some_and(|(room, _)| expected.may_have_forked(room)) {
            expected.verdict(self.number, verdict);
        }
        expected.seats.goes_on(net.now, self.claim);
        expected.has_moved(self.number);
    }

    /// It has missed something, perhaps how the lock has changed.
    pub fn missed(&mut self, count: Option<u64>, locked: bool) {
        // By lines the one that comes with JOINED does not say it once more.
        let comes_with_joined = self.heard.items.iter().all(|item| *item == Item::NoEvents);
        if self.json || !comes_with_joined {
            self.sees_locked = locked;
        }
        self.heard.missed(count);
        (self.unsure, self.replay_ends) = (self.last_id, None);
        self.under_way.clear();
    }

    fn events(&self) -> &'static str {
        if self.habits.events { " EVENTS" } else { "" }
    }

    fn on_wrong_pod(&self) -> serde_json::Value {
        match self.mode {
            "REDIRECT" => json!("redirect"),
            "RELAY" => json!("relay"),
            _ => serde_json::Value::Null,
        }
    }

    /// Takes a seat over from another client: what a second tab does. `key`: what that one finds it by.
    pub fn take_over(&mut self, seat: Seat, heard: &History, key: Option<&SeatKey>) {
        let shown = Some((seat.room.clone(), seat.name.clone()));
        // It may have come to the seat by another way.
        let its = |key: &&SeatKey| {
            key.shown.as_ref().is_some_and(|(room, name)| *room == seat.room && name.eq_ignore_ascii_case(&seat.name))
        };
        // A moderator's seats are found by its join token alone.
        let key = key.filter(|_| self.moderator.is_none());
        self.key =
            key.filter(its).map(|key| SeatKey { word: key.word.clone(), shown, shared: true, ..SeatKey::default() });
        self.by_key = self.key.is_some() && self.rng.chance(50);
        self.was = seat.name.to_ascii_lowercase();
        self.seat = Some(seat);
        self.heard = heard.copy_of();
        if !self.json {
            self.heard.place = None;
        }
    }
}
