//! Lines sent in one room, and those that each player received: order, loss, doubles. Pure: no I/O, no clock.

use std::collections::{BTreeSet, VecDeque};

use serde::Serialize;

/// A line: who said it, and its number among that player's lines, from 1.
pub type Line = (usize, u64);

/// What is wrong, in lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Not heard by a player, without a word of the server.
    pub lost: u64,
    /// Not heard by a player, as the server told it.
    pub missed: u64,
    /// Not heard by a player of raw TCP, and on the way when its connection broke: such a client has no numbers to ask again by.
    pub cut_off: u64,
    /// Heard again by the same player.
    pub doubled: u64,
    /// Heard in another order than others heard them, or than they were said.
    pub disordered: u64,
    /// Nobody knows whether they were delivered, since their connection ended first, and nobody heard them.
    pub undelivered: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.missed += other.missed;
        self.cut_off += other.cut_off;
        self.doubled += other.doubled;
        self.disordered += other.disordered;
        self.undelivered += other.undelivered;
    }
}

/// One room.
#[derive(Debug)]
pub struct Ledger {
    players: Vec<Player>,
    /// The order in which lines were first heard; those that all have passed are dropped.
    order: VecDeque<Line>,
    count: Count,
    /// What was heard again or out of order, for people: the first of it.
    wrong: Vec<String>,
}

/// So many of what is wrong in a room are told.
const TOLD: usize = 5;

#[derive(Debug)]
struct Player {
    said: u64,
    /// Numbers of own lines whose connection ended, or that were refused.
    doubtful: BTreeSet<u64>,
    /// By speaker: the last number heard, and earlier ones that were not.
    heard: Vec<(u64, BTreeSet<u64>)>,
    /// By speaker: the last number heard when a connection broke that may have had more on the way.
    broken_after: Vec<BTreeSet<u64>>,
    /// How far it is in `order`.
    at: usize,
    /// Lines that the server told to be missed; `None`: a number that it does not know.
    excused: Option<u64>,
    is_in: bool,
}

impl Player {
    /// The lines of `speaker`, who has said `said`, that it has not heard; and whether each follows the break of a connection.
    fn unheard(&self, speaker: usize, said: u64) -> impl Iterator<Item = (u64, bool)> {
        let (last, holes) = &self.heard[speaker];
        let broken_after = &self.broken_after[speaker];
        let mut before = None;
        holes.iter().copied().chain(*last + 1..=said).map(move |number| {
            let goes_on = before == Some(number - 1);
            let follows = goes_on || broken_after.contains(&(number - 1));
            before = follows.then_some(number);
            (number, follows)
        })
    }

    fn has_heard(&self, (speaker, number): Line) -> bool {
        let (last, holes) = &self.heard[speaker];
        number <= *last && !holes.contains(&number)
    }
}

impl Ledger {
    /// A room of so many players, none of whom is in it yet.
    pub fn new(players: usize) -> Self {
        let player = || Player {
            said: 0,
            doubtful: BTreeSet::new(),
            heard: vec![(0, BTreeSet::new()); players],
            broken_after: vec![BTreeSet::new(); players],
            at: 0,
            excused: Some(0),
            is_in: false,
        };
        Self {
            players: std::iter::repeat_with(player).take(players).collect(),
            order: VecDeque::new(),
            count: Count::default(),
            wrong: Vec::new(),
        }
    }

    /// The first lines that were heard again or out of order.
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }

    fn tell(&mut self, listener: usize, (speaker, number): Line, how: &str) {
        if self.wrong.len() < TOLD {
            self.wrong.push(format!("p{listener} heard line {number} of p{speaker} {how}"));
        }
    }

    /// A player takes a seat that it did not have before: lines sent before that are not for it.
    pub fn enters(&mut self, player: usize) {
        let said: Vec<u64> = self.players.iter().map(|player| player.said).collect();
        let entering = &mut self.players[player];
        for ((last, _), said) in entering.heard.iter_mut().zip(said) {
            *last = said.max(*last);
        }
        entering.at = self.order.len();
        entering.is_in = true;
    }

    /// The number of the line that a player says now.
    pub fn says(&mut self, player: usize) -> u64 {
        self.players[player].said += 1;
        self.players[player].said
    }

    /// Nobody knows whether this line will be heard.
    pub fn doubts(&mut self, (speaker, number): Line) {
        self.players[speaker].doubtful.insert(number);
    }

    /// A player's connection broke, and what was on the way cannot be asked for again.
    pub fn breaks(&mut self, player: usize) {
        let Player { heard, broken_after, .. } = &mut self.players[player];
        for ((last, _), breaks) in heard.iter().zip(broken_after) {
            breaks.insert(*last);
        }
    }

    /// The server tells a player that it missed so many lines, or some.
    pub fn misses(&mut self, player: usize, lines: Option<u64>) {
        let excused = &mut self.players[player].excused;
        *excused = excused.zip(lines).map(|(before, lines)| before + lines);
    }

    /// A player hears a line.
    pub fn hears(&mut self, listener: usize, line: Line) {
        let (speaker, number) = line;
        let Some((last, holes)) = self.players[listener].heard.get_mut(speaker) else { return };
        if number <= *last {
            if holes.remove(&number) {
                self.count.disordered += 1;
                let how = format!("after its line {last}");
                self.tell(listener, line, &how);
            } else {
                self.count.doubled += 1;
                self.tell(listener, line, "again");
            }
            return;
        }
        holes.extend(*last + 1..number);
        *last = number;
        let at = self.players[listener].at;
        let ahead = self.order.iter().skip(at).position(|other| *other == line);
        self.players[listener].at = match ahead {
            Some(skipped) => at + skipped + 1,
            None if self.may_come_later(listener, line) => at,
            None if self.order.iter().take(at).any(|other| *other == line) => {
                self.count.disordered += 1;
                let (before, others) = self.order[at - 1];
                self.tell(listener, line, &format!("after line {others} of p{before}, which others heard later"));
                at
            }
            None => {
                // It is the first to hear this; others may be further, if those missed it.
                self.order.insert(at, line);
                for other in self.players.iter_mut().filter(|other| other.at > at) {
                    other.at += 1;
                }
                at + 1
            }
        };
        self.trim();
    }

    /// Whether a line stands too early in the order only because the first to hear it had missed those after it, and puts it right:
    /// nobody has heard it before one of them. `listener` has heard all up to its place.
    fn may_come_later(&mut self, listener: usize, line: Line) -> bool {
        let at = self.players[listener].at;
        let Some(early) = self.order.iter().take(at).position(|other| *other == line) else { return false };
        let later: Vec<Line> = self.order.range(early + 1..at).copied().collect();
        let mut others = self.players.iter().enumerate().filter(|(other, _)| *other != listener);
        if others.any(|(_, other)| other.has_heard(line) && later.iter().any(|later| other.has_heard(*later))) {
            return false;
        }
        self.order.remove(early);
        self.order.insert(at - 1, line);
        for other in self.players.iter_mut().filter(|other| (early + 1..at).contains(&other.at)) {
            other.at = if other.has_heard(line) { at } else { other.at - 1 };
        }
        true
    }

    fn trim(&mut self) {
        // Players who never came in, or are out for good, hold up nothing but memory.
        let passed = self.players.iter().filter(|player| player.is_in).map(|player| player.at).min().unwrap_or(0);
        if passed >= 64 {
            self.order.drain(..passed);
            for player in &mut self.players {
                player.at = player.at.saturating_sub(passed);
            }
        }
    }

    /// Whether every player heard every line that it should have.
    pub fn is_settled(&self) -> bool {
        self.total().lost == 0
    }

    /// All that is wrong, if nothing more comes.
    pub fn total(&self) -> Count {
        let mut count = self.count;
        let is_heard = |line: Line| self.players.iter().any(|player| player.has_heard(line));
        let nobody: BTreeSet<Line> = (0..self.players.len())
            .flat_map(|speaker| self.players[speaker].doubtful.iter().map(move |number| (speaker, *number)))
            .filter(|line| !is_heard(*line))
            .collect();
        count.undelivered = nobody.len() as u64;
        for player in self.players.iter().filter(|player| player.is_in) {
            let (mut unheard, mut at_breaks) = (0, 0);
            for (speaker, other) in self.players.iter().enumerate() {
                let missing = player.unheard(speaker, other.said);
                for (_, follows) in missing.filter(|(number, _)| !nobody.contains(&(speaker, *number))) {
                    unheard += 1;
                    at_breaks += u64::from(follows);
                }
            }
            let told = player.excused.unwrap_or(unheard).min(unheard);
            let cut_off = at_breaks.min(unheard - told);
            count.missed += told;
            count.cut_off += cut_off;
            count.lost += unheard - told - cut_off;
        }
        count
    }
}

#[cfg(test)]
mod tests;
