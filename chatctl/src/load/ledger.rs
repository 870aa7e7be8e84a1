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
mod tests {
    use super::*;

    /// Two players who are in.
    fn room() -> Ledger {
        let mut ledger = Ledger::new(2);
        ledger.enters(0);
        ledger.enters(1);
        ledger
    }

    fn said(lines: &[usize]) -> Ledger {
        let mut ledger = room();
        for speaker in lines {
            ledger.says(*speaker);
        }
        ledger
    }

    #[test]
    fn what_all_hear_in_one_order_is_well() {
        let mut ledger = said(&[0, 1, 0]);
        for listener in 0..2 {
            for line in [(0, 1), (1, 1), (0, 2)] {
                assert!(!ledger.is_settled());
                ledger.hears(listener, line);
            }
        }
        assert_eq!(ledger.total(), Count::default());
        assert!(ledger.is_settled());
    }

    #[test]
    fn a_line_that_one_does_not_hear_is_lost() {
        for heard_by_the_other in [&[(0, 2)][..], &[]] {
            let mut ledger = said(&[0, 0]);
            ledger.hears(0, (0, 1));
            ledger.hears(0, (0, 2));
            for line in heard_by_the_other {
                ledger.hears(1, *line);
            }
            assert_eq!(ledger.total().lost, 2 - heard_by_the_other.len() as u64);
        }
    }

    #[test]
    fn a_line_that_comes_twice_is_a_double_and_a_late_one_is_out_of_order() {
        let mut ledger = said(&[0, 0]);
        for line in [(0, 1), (0, 1), (0, 2)] {
            ledger.hears(0, line);
        }
        for line in [(0, 2), (0, 1)] {
            ledger.hears(1, line);
        }
        assert_eq!(ledger.total(), Count { doubled: 1, disordered: 1, ..Count::default() });
    }

    #[test]
    fn two_who_hear_two_speakers_in_different_orders_are_found_out() {
        let mut ledger = said(&[0, 1]);
        for (listener, line) in [(0, (0, 1)), (0, (1, 1)), (1, (1, 1)), (1, (0, 1))] {
            ledger.hears(listener, line);
        }
        assert_eq!(ledger.total(), Count { disordered: 1, ..Count::default() });
    }

    #[test]
    fn who_missed_a_line_first_does_not_make_others_disordered() {
        let mut ledger = said(&[0, 1, 0]);
        ledger.misses(0, Some(1));
        for (listener, line) in [(0, (0, 1)), (0, (0, 2)), (1, (0, 1)), (1, (1, 1)), (1, (0, 2))] {
            ledger.hears(listener, line);
        }
        assert_eq!(ledger.total(), Count { missed: 1, ..Count::default() });
    }

    #[test]
    fn who_missed_a_line_and_hears_the_next_one_first_does_not_either() {
        let mut ledger = said(&[1, 0, 0]);
        ledger.misses(0, Some(1));
        for (listener, line) in [(1, (1, 1)), (0, (0, 1)), (1, (0, 1)), (0, (0, 2)), (1, (0, 2))] {
            ledger.hears(listener, line);
        }
        assert_eq!(ledger.total(), Count { missed: 1, ..Count::default() });
    }

    #[test]
    fn a_line_that_is_put_later_is_out_of_order_for_who_hears_it_earlier() {
        let mut ledger = said(&[1, 0]);
        for (listener, line) in [(1, (1, 1)), (0, (0, 1)), (1, (0, 1)), (0, (1, 1))] {
            ledger.hears(listener, line);
        }
        assert_eq!(ledger.total(), Count { disordered: 1, ..Count::default() });
        assert_eq!(ledger.wrong(), ["p0 heard line 1 of p1 after line 1 of p0, which others heard later"]);
    }

    #[test]
    fn what_is_told_to_be_missed_is_not_lost_and_no_more_than_that() {
        for (told, lost) in [(Some(1), 1), (Some(5), 0), (None, 0)] {
            let mut ledger = said(&[0, 0]);
            ledger.hears(0, (0, 1));
            ledger.hears(0, (0, 2));
            ledger.misses(1, told);
            assert_eq!(ledger.total(), Count { lost, missed: 2 - lost, ..Count::default() });
        }
    }

    #[test]
    fn what_follows_a_break_is_cut_off_and_what_does_not_is_lost() {
        let mut ledger = said(&[0, 0, 0, 0, 0, 0]);
        (1..=6).for_each(|number| ledger.hears(0, (0, number)));
        ledger.hears(1, (0, 1));
        ledger.breaks(1);
        ledger.hears(1, (0, 4));
        assert_eq!(ledger.total(), Count { cut_off: 2, lost: 2, ..Count::default() }, "5 and 6 may come yet");
        ledger.breaks(1);
        ledger.hears(1, (0, 5));
        assert_eq!(ledger.total(), Count { cut_off: 2, lost: 1, ..Count::default() }, "5 came: 6 was not on the way");
        ledger.misses(1, Some(1));
        assert_eq!(ledger.total(), Count { cut_off: 2, missed: 1, ..Count::default() });
    }

    #[test]
    fn a_doubtful_line_is_heard_by_all_or_by_nobody() {
        let mut ledger = said(&[0]);
        ledger.doubts((0, 1));
        assert_eq!(ledger.total(), Count { undelivered: 1, ..Count::default() });
        ledger.hears(1, (0, 1));
        assert_eq!(ledger.total(), Count { lost: 1, ..Count::default() });
        ledger.hears(0, (0, 1));
        assert_eq!(ledger.total(), Count::default());
    }

    #[test]
    fn who_comes_later_does_not_have_to_hear_what_was_before() {
        let mut ledger = Ledger::new(2);
        ledger.enters(0);
        ledger.says(0);
        ledger.hears(0, (0, 1));
        ledger.enters(1);
        assert!(ledger.is_settled());
        ledger.says(0);
        assert_eq!(ledger.total().lost, 2);
    }

    #[test]
    fn a_long_run_takes_no_more_memory() {
        let mut ledger = room();
        for number in 1..=10_000 {
            ledger.says(0);
            ledger.hears(0, (0, number));
            ledger.hears(1, (0, number));
        }
        assert!(ledger.order.len() <= 64 && ledger.is_settled());
    }
}
