//! Players who create and join rooms, send numbered lines, and reconnect when their connection ends. Does I/O, through `crowd.rs`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::crowd::{Crowd, Heard};
use super::numbers::{Count, Numbers};

/// Requests under way at a time while rooms are made ready.
const UNDER_WAY: usize = 256;
/// A client that was refused asks again after half to one and a half of this (protocol.md: growing pauses, here the first).
const RETRY: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Out,
    /// Between CREATE_ROOM and its answer.
    Creating,
    /// Between JOIN or RESUME and JOINED.
    Entering,
    In,
}

#[derive(Debug)]
pub struct Player {
    pub room: usize,
    name: &'static str,
    pub state: State,
    token: Option<String>,
    /// The address of the last REDIRECT.
    redirected: Option<SocketAddr>,
    /// Since when it wants to be in.
    since: Instant,
    numbers: Numbers,
    /// The number of the last line said.
    said: u64,
    /// The line that is not answered yet: sent when, and whether the room has moved since.
    unanswered: Option<(Instant, bool)>,
    speaks: bool,
}

/// What all players together have met since it was last cleared.
#[derive(Debug, Default)]
pub struct Met {
    /// From wanting to be in to JOINED.
    pub entered: Vec<Duration>,
    /// When each of those was.
    pub entered_at: Vec<Instant>,
    /// CREATE_ROOM, JOIN or RESUME was refused, with what.
    pub refusals: Vec<String>,
    pub closed: u64,
    /// Round trips of lines; those during which the room moved.
    pub trips: Vec<Duration>,
    pub moved_trips: Vec<Duration>,
    pub lines: u64,
    pub count: Count,
    pub first_moved: Option<Instant>,
    pub last_moved: Option<Instant>,
    /// Speakers whose connection ended with a line unanswered.
    pub doubts: u64,
}

pub struct Players {
    crowd: Crowd,
    all: Vec<Player>,
    pub rooms: Vec<String>,
    /// Where players go who know no better, in turn.
    pub doors: Vec<SocketAddr>,
    next_door: usize,
    /// How many are in their room.
    inside: usize,
    pub met: Met,
    retries: BTreeSet<(Instant, usize)>,
    /// How many have connected, for the jitter of retries.
    draws: u64,
    heard: Vec<(usize, Heard)>,
    speakers: Vec<usize>,
    /// Of the current speech: since when, and how many turns of speakers there were.
    speech: Option<(Instant, u64)>,
}

impl Players {
    pub fn new() -> Result<Self> {
        Ok(Self {
            crowd: Crowd::new()?,
            all: Vec::new(),
            rooms: Vec::new(),
            doors: Vec::new(),
            next_door: 0,
            inside: 0,
            met: Met::default(),
            retries: BTreeSet::new(),
            draws: 0,
            heard: Vec::new(),
            speakers: Vec::new(),
            speech: None,
        })
    }

    /// Opens so many rooms at `owners` in turn, with a player in each of them who is connected to its owner.
    pub fn open_rooms(&mut self, count: usize, owners: &[SocketAddr]) -> Result<()> {
        for index in 0..count {
            let player = self.add(self.rooms.len(), "a");
            self.rooms.push(String::new());
            self.crowd.connect(player, owners[index % owners.len()])?;
            self.all[player].state = State::Creating;
            self.crowd.send(player, "CREATE_ROOM");
            self.until_outside(UNDER_WAY)?;
        }
        self.until_outside(0)
    }

    /// A further player in each of the rooms from `first` on, `count` of them, by way of `doors`.
    pub fn join_rooms(&mut self, first: usize, count: usize, name: &'static str, doors: &[SocketAddr]) -> Result<()> {
        for index in 0..count {
            let player = self.add(first + index, name);
            self.enter_at(player, doors[index % doors.len()])?;
            self.until_outside(UNDER_WAY)?;
        }
        self.until_outside(0)
    }

    /// Everyone of the last to come speaks from now on.
    pub fn let_speak(&mut self, count: usize) {
        self.speakers = (self.all.len() - count..self.all.len()).collect();
        // In no order in which rooms could be moved too.
        self.speakers.sort_by_key(|speaker| (*speaker as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for &speaker in &self.speakers {
            self.all[speaker].speaks = true;
        }
    }

    /// A player who is not anywhere yet.
    pub fn add(&mut self, room: usize, name: &'static str) -> usize {
        self.all.push(Player {
            room,
            name,
            state: State::Out,
            token: None,
            redirected: None,
            since: Instant::now(),
            numbers: Numbers::default(),
            said: 0,
            unanswered: None,
            speaks: false,
        });
        self.crowd.add()
    }

    /// Connects, without a word yet.
    pub fn connect(&mut self, player: usize, door: SocketAddr) -> Result<()> {
        self.all[player].since = Instant::now();
        self.crowd.connect(player, door)
    }

    /// Ends a connection as a client does whose network has gone.
    pub fn drop_connection(&mut self, player: usize) {
        self.crowd.close(player);
        self.inside -= usize::from(self.all[player].state == State::In);
        self.all[player].state = State::Out;
    }

    pub fn enter_at(&mut self, player: usize, door: SocketAddr) -> Result<()> {
        self.connect(player, door)?;
        self.ask_to_enter(player);
        Ok(())
    }

    /// All these at once. What comes meanwhile is heard, so that nobody's time counts those who connect after him.
    pub fn rush(&mut self, players: Range<usize>, doors: &[SocketAddr]) -> Result<()> {
        for player in players {
            // Rooms have been opened at one after the other: each door is the right one for one of so many.
            self.enter_at(player, doors[player / doors.len() % doors.len()])?;
            if player % 8 == 0 {
                self.turn(Duration::ZERO)?;
            }
        }
        Ok(())
    }

    pub fn ask_to_enter(&mut self, index: usize) {
        let player = &mut self.all[index];
        player.state = State::Entering;
        let room = &self.rooms[player.room];
        let line = match &player.token {
            Some(token) => format!("RESUME {room} {token} RELAY"),
            None => format!("JOIN {room} {} RESUMABLE RELAY", player.name),
        };
        self.crowd.send(index, &line);
    }

    /// How many are not in their room.
    pub fn outside(&self) -> usize {
        self.all.len() - self.inside
    }

    /// Waits until at most so many are not in their room.
    pub fn until_outside(&mut self, most: usize) -> Result<()> {
        let end = Instant::now() + Duration::from_mins(1);
        while self.outside() > most {
            ensure!(Instant::now() < end, "players do not come in: {:?}", self.met.refusals.last());
            self.turn(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Lets all go on until `done`, or for `limit`; whether it was done.
    pub fn run(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> Result<bool>) -> Result<bool> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if done(self)? {
                return Ok(true);
            }
            self.turn(Duration::from_millis(10))?;
        }
        done(self)
    }

    /// Lets all go on for so long.
    pub fn pass(&mut self, time: Duration) -> Result<()> {
        self.run(time, |_| Ok(false)).map(drop)
    }

    /// As `run`, and speakers speak in turn, so many lines a second in all.
    pub fn speak(&mut self, rate: f64, limit: Duration, done: impl Fn(&Self) -> Result<bool>) -> Result<bool> {
        self.speech = Some((Instant::now(), 0));
        let end = Instant::now() + limit;
        while Instant::now() < end && !done(self)? {
            self.say_what_is_due(rate);
            self.turn(Duration::from_millis(1))?;
        }
        self.speech = None;
        done(self)
    }

    fn say_what_is_due(&mut self, rate: f64) {
        let Some((since, turns)) = &mut self.speech else {
            return;
        };
        #[allow(clippy::cast_sign_loss)]
        let due = (since.elapsed().as_secs_f64() * rate) as u64;
        while *turns < due && !self.speakers.is_empty() {
            let speaker = self.speakers[*turns as usize % self.speakers.len()];
            *turns += 1;
            let player = &mut self.all[speaker];
            if player.state == State::In && player.unanswered.is_none() {
                player.said += 1;
                player.unanswered = Some((Instant::now(), false));
                self.met.lines += 1;
                self.crowd.send(speaker, &format!("SAY {}", player.said));
            }
        }
    }

    /// Waits until every line has been answered and heard, and counts what has not as lost.
    pub fn settle(&mut self, limit: Duration) -> Result<()> {
        let silent = |all: &Self| all.all.iter().all(|player| player.unanswered.is_none());
        self.run(limit, |all| Ok(all.outside() == 0 && silent(all)))?;
        self.pass(Duration::from_millis(1_500))?;
        for &speaker in &self.speakers {
            let (room, said) = (self.all[speaker].room, self.all[speaker].said);
            // The room's first player, who opened it.
            self.met.count += self.all[room].numbers.end(said);
        }
        Ok(())
    }

    fn turn(&mut self, wait: Duration) -> Result<()> {
        let now = Instant::now();
        while let Some(&(at, player)) = self.retries.first()
            && at <= now
        {
            self.retries.pop_first();
            match self.all[player].state {
                State::Entering => self.ask_to_enter(player),
                State::Out => self.come_back(player)?,
                State::Creating => self.crowd.send(player, "CREATE_ROOM"),
                State::In => {}
            }
        }
        let mut heard = std::mem::take(&mut self.heard);
        self.crowd.turn(wait, &mut heard)?;
        for (player, heard) in heard.drain(..) {
            match heard {
                Heard::Line(line) => self.hear(player, &line),
                Heard::Closed(why) => self.lost_connection(player, &why)?,
            }
        }
        self.heard = heard;
        Ok(())
    }

    fn lost_connection(&mut self, index: usize, why: &str) -> Result<()> {
        let player = &mut self.all[index];
        ensure!(!self.doors.is_empty(), "player {index} ({:?}) has lost its connection: {why}", player.state);
        let was_in = player.state == State::In;
        if was_in {
            self.met.closed += 1;
            self.inside -= 1;
            player.since = Instant::now();
        }
        player.state = State::Out;
        if player.unanswered.take().is_some() {
            // Nobody knows whether it was heard.
            let room = player.room;
            self.met.doubts += 1;
            self.all[room].numbers.excuse(Some(1));
            self.all[index].numbers.excuse(Some(1));
        }
        if was_in {
            return self.come_back(index);
        }
        self.retry(index);
        Ok(())
    }

    fn come_back(&mut self, index: usize) -> Result<()> {
        let door = self.all[index].redirected.take().unwrap_or_else(|| {
            self.next_door += 1;
            self.doors[self.next_door % self.doors.len()]
        });
        self.crowd.connect(index, door)?;
        self.ask_to_enter(index);
        Ok(())
    }

    fn retry(&mut self, player: usize) {
        // Evenly spread by multiples of the golden ratio.
        self.draws += 1;
        let share = (self.draws as f64 * 0.618_034).fract();
        self.retries.insert((Instant::now() + RETRY.mul_f64(0.5 + share), player));
    }

    fn hear(&mut self, index: usize, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let player = &mut self.all[index];
        match word {
            "ROOM" => {
                rest.clone_into(&mut self.rooms[player.room]);
                self.ask_to_enter(index);
            }
            "JOINED" => {
                player.state = State::In;
                self.inside += 1;
                self.met.entered.push(player.since.elapsed());
                self.met.entered_at.push(Instant::now());
            }
            "TOKEN" => player.token = Some(rest.to_owned()),
            "REDIRECT" => player.redirected = rest.split(' ').next().and_then(|address| address.parse().ok()),
            "MOVED" => {
                let now = Instant::now();
                self.met.first_moved.get_or_insert(now);
                self.met.last_moved = Some(now);
                if let Some((_, moved)) = &mut player.unanswered {
                    *moved = true;
                }
            }
            "MISSED" => player.numbers.excuse(rest.parse().ok()),
            "MSG" => self.number_heard(index, rest),
            "ERR" if player.state != State::In => {
                self.met.refusals.push(line.to_owned());
                self.retry(index);
            }
            _ => {}
        }
    }

    fn number_heard(&mut self, index: usize, rest: &str) {
        let Some(number) = rest.split(' ').nth(1).and_then(|number| number.parse::<u64>().ok()) else {
            return;
        };
        let player = &mut self.all[index];
        self.met.count += player.numbers.hear(number);
        if player.speaks
            && player.said == number
            && let Some((sent, moved)) = player.unanswered.take()
        {
            let trip = sent.elapsed();
            self.met.trips.push(trip);
            if moved {
                self.met.moved_trips.push(trip);
            }
        }
    }
}
