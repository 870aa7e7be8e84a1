//! People who come with a join token of an application: each has one seat in a room (I16), by a token that is good for one JOIN nobody gets
//! two seats (I19), others are shown what the token says (I20), and viewers say nothing and take nobody's place (I23). No I/O.

use std::collections::{BTreeMap, BTreeSet};

use chatd::hub::RoomView;
use serde_json::{Value, json};

use crate::client::{Client, Pending, What};
use crate::descriptors::signed;
use crate::expectations::Expectations;
use crate::links::{Micros, SECOND};
use crate::pod::Pod;
use crate::refreshing::expires;
use crate::rng::Rng;
use crate::seats::SPREADS;
use crate::wire::{Joined, Shown};

/// Of the people together, where there are many more clients.
const MOST_CLIENTS: usize = 9;
/// Few people, so that each has several clients.
const SUBS: [&str; 3] = ["pat", "kim", VIEWER];
/// Hears, and may not speak.
const VIEWER: &str = "vic";

/// The record has by then what an answer said, where nothing stands in between.
pub const WRITTEN: Micros = 5 * SECOND / 2;

/// For so long after its end the directory keeps that a token was used, which is good for one JOIN.
const KEPT: Micros = 30 * SECOND;

/// A join token.
#[derive(Debug, Clone)]
pub struct JoinToken {
    pub number: u64,
    pub auth: String,
    /// The room that it was last shown for.
    room: String,
    /// Good for one JOIN, which is over.
    is_spent: bool,
    /// Until when it lets in.
    pub ends: Micros,
}

/// What sets a client apart that shows a token of its person.
#[derive(Debug)]
pub struct Person {
    pub sub: String,
    /// Its tokens are good for one JOIN each.
    once: bool,
    /// Its tokens end soon, and it shows later ones.
    pub hurries: bool,
    pub token: Option<JoinToken>,
    pub rng: Rng,
}

/// What a token says for others to see.
pub fn profile(sub: &str, number: u64) -> (String, Value) {
    (format!("{sub} no. {number}"), json!({"sub": sub, "n": number}))
}

/// What a token of this person lets it do.
pub fn role(sub: &str) -> &'static str {
    if sub == VIEWER { "viewer" } else { "member" }
}

/// Whether who is called so takes no player's place, and says nothing.
pub fn is_viewer(name: &str) -> bool {
    sub_of(name) == Some(VIEWER)
}

/// Whose name this is, of those that have join tokens.
pub fn sub_of(name: &str) -> Option<&str> {
    let is_moderator = name.strip_prefix("mod").is_some_and(|number| number.parse::<u32>().is_ok());
    let sub = name.split_once('.').map_or(name, |(sub, _)| sub);
    (is_moderator || SUBS.contains(&sub)).then_some(sub)
}

impl Person {
    /// In two runs of five there are such people, and half of the clients are theirs.
    pub fn new(number: usize, seed: u64) -> Option<Self> {
        let mut run = Rng::new(seed, "people");
        let (there_are, once, hurries) = (run.chance(40), run.chance(50), run.chance(50));
        let mut rng = Rng::new(seed, &format!("person {number}"));
        let its = |mut rng: Rng| Self { sub: rng.pick(&SUBS).to_owned(), once, hurries, token: None, rng };
        // Each has several clients, which put each other out. More of them would never come to rest.
        let there_are = there_are && number < MOST_CLIENTS;
        (there_are && rng.chance(50)).then(|| its(rng))
    }

    /// A name of its own: a person may come by either.
    pub fn name(&mut self) -> String {
        format!("{}.{}", self.sub, self.rng.pick(&["a", "b"]))
    }

    /// The token that it shows now with a JOIN of this room.
    pub fn shows(&mut self, now: Micros, client: usize, expected: &mut Expectations, room: &str) -> String {
        let keeps = self.token.as_ref().is_some_and(|token| {
            let is_again = token.room == room && !token.is_spent;
            let is_of_use = token.ends > now && (!self.once || is_again);
            self.rng.chance(if is_of_use { 85 } else { 15 })
        });
        if !keeps {
            let (number, ends) = (expected.people.next_number(), self.draw_end(now, expected.calm));
            let (display, info) = profile(&self.sub, number);
            let claims = json!({
                "sub": self.sub, "room": "*", "exp": expires(ends), "display": display, "info": info, "role": role(&self.sub),
                "once": self.once, "jti": format!("t{number}"),
            });
            let (auth, room) = (signed(&claims), room.to_owned());
            self.token = Some(JoinToken { number, auth, room, is_spent: false, ends });
        }
        let Some(token) = &mut self.token else {
            return String::new();
        };
        room.clone_into(&mut token.room);
        let first = || Show { sub: self.sub.clone(), first: now, last: now, client };
        expected.token_ends.shown(now, client, room, &self.sub, token.ends);
        let shown = expected.people.shows.entry(token.number).or_insert_with(first);
        (shown.last, shown.client) = (now, client);
        token.auth.clone()
    }
}

/// When a token was shown.
#[derive(Debug, Clone)]
struct Show {
    sub: String,
    first: Micros,
    last: Micros,
    /// By whom last.
    client: usize,
}

/// A JOIN with a token was answered.
#[derive(Debug, Clone, Copy)]
struct Told {
    number: u64,
    asked: Micros,
    answered: Micros,
    /// Whether the record has it, as nothing stood in between: the answer does not wait for that. `None`: too early to say.
    is_written: Option<bool>,
}

/// Who is in a person's seat, as it was told.
#[derive(Debug)]
struct Here {
    room: String,
    identity: String,
    since: Micros,
    /// When another client of this person was told that it has the seat, which had asked for it after `since`.
    replaced: Option<(usize, Micros)>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct People {
    last: u64,
    shows: BTreeMap<u64, Show>,
    /// By client.
    here: BTreeMap<usize, Here>,
    /// The room and the seat's token that each token which is good for one was used for.
    used: BTreeMap<u64, (String, String)>,
    /// By room and `sub`.
    told: BTreeMap<(String, String), Vec<Told>>,
    /// By room and `sub`: the next owner did not know of the seat, and the client has shown no token to it.
    anew: BTreeSet<(String, String)>,
}

impl People {
    fn next_number(&mut self) -> u64 {
        // Below are those of moderators.
        self.last = self.last.max(999) + 1;
        self.last
    }

    /// Whether no other client has shown a token of this person since then, by a JOIN that may have been on its way already.
    pub fn has_only(&self, sub: &str, client: usize, since: Micros) -> bool {
        let is_other = |show: &Show| show.sub == sub && show.client != client && show.last + SPREADS >= since;
        !self.shows.values().any(is_other)
    }

    pub fn left(&mut self, client: usize) {
        self.here.remove(&client);
    }
}

impl Pod {
    /// There are more players in a room than may be, without those who only hear.
    pub fn has_too_many(&self, view: &RoomView) -> bool {
        let most = self.setup.settings.max_players as usize;
        let seats = || self.hubs.iter().flat_map(|hub| hub.seats_of(view.room));
        view.seats > most && seats().filter(|(name, _)| !is_viewer(name.as_str())).count() > most
    }
}

impl Client {
    /// By what its seat is found, if by anything: its join token's `sub`, or its key.
    pub fn identity(&self) -> Option<String> {
        let sub = self.person.as_ref().map(|person| &person.sub);
        let sub = sub.or(self.moderator.as_ref().map(|moderator| &moderator.name));
        sub.map(|sub| format!("sub {sub}")).or_else(|| self.key.as_ref().map(|key| key.word.clone()))
    }

    /// I23: what it has said is carried out.
    pub fn check_speaks(&self, expected: &mut Expectations, said: &Pending) {
        let speaks = matches!(said.what, What::Say(_) | What::Send(_) | What::Set | What::State(..));
        if let Some((room, name)) = self.seated.as_ref().filter(|(_, name)| speaks && is_viewer(name)) {
            expected.fail("I23", format!("client {} speaks in {room} as {name}: {:?}", self.number, said.what));
        }
    }

    /// Its seat has ended: what a token was good for is over.
    pub fn spend_token(&mut self) {
        if let Some(token) = self.person.as_mut().and_then(|person| person.token.as_mut()) {
            token.is_spent = true;
        }
    }

    /// It has come into a room. `asked`: when, and with which token if by JOIN; `None`: it came with a seat, from another owner.
    pub fn person_arrives(
        &self,
        now: Micros,
        expected: &mut Expectations,
        joined: &Joined,
        asked: Option<(Micros, bool)>,
    ) {
        expected.takes_seat(now, self.number, self.claim, asked.map(|(asked, _)| asked));
        self.check_token(now, expected, joined, asked);
        let token =
            self.person.as_ref().and_then(|person| Some((person.sub.clone(), person.token.as_ref()?, person.once)));
        let token = token.map(|(sub, token, once)| (sub, token.number, once.then_some(token.ends)));
        let moderator = self.moderator.as_ref().map(|moderator| (moderator.name.clone(), self.number as u64, None));
        if let Some((sub, number, once)) = token.or(moderator) {
            let whose = (joined.room.clone(), sub);
            match asked {
                Some((asked, true)) => {
                    expected.people.told.entry(whose.clone()).or_default().push(Told {
                        number,
                        asked,
                        answered: now,
                        is_written: None,
                    });
                    expected.people.anew.remove(&whose);
                    if self.json {
                        expected.shows_own(self.number, joined, number);
                    }
                    // Only a pod whose clock went back takes one that has ended, and the directory has forgotten it then.
                    let is_kept = once.is_some_and(|ends| now < ends.saturating_add(KEPT));
                    if is_kept && let Some(seat) = &joined.token {
                        expected.token_used(self.number, number, &joined.room, seat);
                    }
                }
                Some((_, false)) => {}
                None => _ = expected.people.anew.insert(whose),
            }
        }
        expected.shown(now, self.number, &joined.room, &joined.shown, asked.map(|(asked, _)| asked));
    }

    /// Its JOIN is refused since the token is not accepted.
    pub fn token_refused(&mut self, now: Micros, expected: &mut Expectations, asked: &Pending) {
        let place = expected.seats.asked_for(self.number, asked.id);
        let is_held = place.is_some_and(|(room, name)| self.holds_alone(now, expected, (&room, &name), asked.at));
        let client = self.number;
        let Some(token) = self.person.as_mut().and_then(|person| person.token.as_mut()) else {
            return expected.fail("I19", format!("client {client} is refused for a token, and has none of its own"));
        };
        token.is_spent = true;
        let Some(show) = expected.people.shows.get(&token.number).cloned() else {
            return;
        };
        if show.first == asked.at && expected.is_certain(now, &token.room) {
            expected.fail("I19", format!("client {client} is refused with token {}, which is new", token.number));
        }
        let is_its = expected.people.used.get(&token.number).is_some_and(|(room, _)| *room == token.room);
        // Who has taken the seat by another token since then has made it its own, though RESUME may bring this one back.
        let is_held = is_held && expected.people.has_only(&show.sub, client, show.first);
        if is_held && is_its {
            let detail = format!(
                "client {client} holds the seat that token {} was used for, and cannot JOIN again",
                token.number
            );
            expected.fail("I19", detail);
        }
    }
}

impl Expectations {
    /// A client has this seat now.
    fn takes_seat(&mut self, now: Micros, client: usize, claim: Option<usize>, asked: Option<Micros>) {
        self.people.here.remove(&client);
        let Some((room, identity)) = claim.and_then(|claim| self.seats.holder(claim)) else {
            return;
        };
        if let Some(asked) = asked {
            let its = |here: &&mut Here| here.room == room && here.identity == identity && here.since < asked;
            for other in self.people.here.values_mut().filter(its) {
                other.replaced.get_or_insert((client, now));
            }
        }
        self.people.here.insert(client, Here { room, identity, since: now, replaced: None });
    }

    /// MOVED: the seat is its own again, if the record may not say that another client has taken it.
    pub fn has_moved(&mut self, client: usize) {
        let calm = self.certain_since();
        if let Some(here) = self.people.here.get_mut(&client) {
            here.replaced.take_if(|(_, at)| calm.is_none_or(|since| since > *at));
        }
    }

    /// I16: what this client has asked in its room is answered.
    pub fn check_replaced(&mut self, now: Micros, client: usize, asked: &Pending) {
        let Some(here) = self.people.here.get(&client).filter(|_| asked.what.is_of_members()) else {
            return;
        };
        if let Some((other, at)) = here.replaced.filter(|(_, at)| *at < asked.at)
            && !self.is_excused(now, &here.room)
        {
            let (room, identity, at) = (&here.room, &here.identity, at as f64 / 1e6);
            let detail =
                format!("client {client} is in {room} by {identity} still, as client {other} is since {at:.3}");
            self.fail("I16", detail);
        }
    }

    /// Another one cannot have used it for another seat.
    fn token_used(&mut self, client: usize, number: u64, room: &str, seat: &str) {
        let its = (room.to_owned(), seat.to_owned());
        let first = self.people.used.entry(number).or_insert_with(|| its.clone());
        if *first != its && self.went_back.is_none() {
            let detail = format!("client {client} gets {its:?} by token {number}, and {first:?} was had by it");
            self.fail("I19", detail);
        }
    }

    /// I20: it has just shown this token.
    fn shows_own(&mut self, client: usize, joined: &Joined, number: u64) {
        let own = joined.shown.iter().find(|shown| shown.name == joined.name);
        let (display, info) = profile(sub_of(&joined.name).unwrap_or_default(), number);
        if own.is_none_or(|own| own.display.as_ref() != Some(&display) || own.info.as_ref() != Some(&info)) {
            self.fail("I20", format!("client {client} has shown token {number}, and is {own:?} in {}", joined.room));
        }
    }

    /// Players as they are shown. `asked`: in answer to what was asked then.
    pub fn shown(&mut self, now: Micros, client: usize, room: &str, players: &[Shown], asked: Option<Micros>) {
        let mut seen = BTreeSet::new();
        for shown in players {
            let sub = sub_of(&shown.name);
            if sub.is_some_and(|sub| !seen.insert(sub)) {
                self.fail("I16", format!("client {client} is told that one person is twice in {room}: {players:?}"));
            }
            self.check_profile(now, client, room, shown, asked);
        }
    }

    /// I20.
    pub fn check_profile(&mut self, now: Micros, client: usize, room: &str, shown: &Shown, asked: Option<Micros>) {
        let sub = sub_of(&shown.name).unwrap_or_default();
        let number = shown.info.as_ref().and_then(|info| info["n"].as_u64());
        let expected = number.map(|number| profile(sub, number));
        if (shown.display.clone(), shown.info.clone())
            != expected.map_or((None, None), |(one, other)| (Some(one), Some(other)))
        {
            return self.fail("I20", format!("client {client} is shown {shown:?} in {room}"));
        }
        let (Some(asked), false) = (asked, self.is_excused(now, room)) else {
            return;
        };
        let whose = (room.to_owned(), sub.to_owned());
        let calm = self.certain_since();
        let told = self.people.told.get_mut(&whose).map(Vec::as_mut_slice).unwrap_or_default();
        for told in told.iter_mut().filter(|told| told.is_written.is_none() && told.answered + WRITTEN < now) {
            told.is_written = Some(calm.is_some_and(|since| since <= told.answered));
        }
        let told = &*told;
        let answered = told.iter().filter(|told| told.is_written == Some(true) && told.answered < asked);
        let last = answered.max_by_key(|told| told.asked).copied();
        let Some(last) = last else {
            return;
        };
        let is_wrong = match number {
            // A JOIN with that token was over before one with another was said.
            Some(number) => {
                let shown = self.people.shows.get(&number).map(|show| show.last);
                let over = told.iter().filter(|told| told.number == number).map(|told| told.answered).max();
                number != last.number && over.is_some_and(|over| Some(over) >= shown && over < last.asked)
            }
            None => !self.people.anew.contains(&whose) && !self.seats.lingers(room, &format!("sub {sub}")),
        };
        if is_wrong {
            self.fail("I20", format!("client {client} is shown {shown:?} in {room}, after {last:?}"));
        }
    }
}
