//! Cuts of the simulated network, one way or both, and what comes of them. No I/O.

use crate::links::{End, Event, Kind, Micros, Net, Node, SECOND};

impl Net {
    pub fn is_cut(&self, from: Node, to: Node) -> bool {
        self.cuts.get(&(from, to)).is_some_and(|cut| cut.count > 0)
    }

    /// Since when nothing has been cut between the two, in either direction. `None`: something is.
    pub fn whole_since(&self, one: Node, other: Node) -> Option<Micros> {
        let ways = [(one, other), (other, one)];
        if ways.iter().any(|(from, to)| self.is_cut(*from, *to)) {
            return None;
        }
        Some(ways.iter().filter_map(|way| self.cuts.get(way)).map(|cut| cut.healed).max().unwrap_or(0))
    }

    pub fn cut(&mut self, from: Node, to: Node) {
        self.last_cut += 1;
        let number = self.last_cut;
        let cut = self.cuts.entry((from, to)).or_default();
        if cut.count == 0 {
            cut.first = number;
        }
        cut.count += 1;
        for pipe in 0..self.pipes.len() {
            let found = &self.pipes[pipe];
            let concerned = found.nodes == [from, to] || found.nodes == [to, from];
            if !concerned || found.ends.iter().all(|end| *end != End::Open) {
                continue;
            }
            let kind = found.kind;
            // Peers hear nothing, or are not acknowledged, and give a link up after a few seconds; TCP keepalive finds a
            // client's end after 30 to 60 s.
            for end in 0..2 {
                let wait = match kind {
                    Kind::Link { .. } => self.rng.range(3 * SECOND, 6 * SECOND),
                    Kind::Client { .. } if end == 1 => self.rng.range(30 * SECOND, 60 * SECOND),
                    _ => continue,
                };
                self.after(wait, Event::GiveUp { pipe, end, cut: number });
            }
        }
    }

    pub fn heal(&mut self, from: Node, to: Node) {
        let now = self.now;
        let Some(cut) = self.cuts.get_mut(&(from, to)) else {
            return;
        };
        cut.count = cut.count.saturating_sub(1);
        cut.healed = now;
        if cut.count > 0 {
            return;
        }
        for pipe in 0..self.pipes.len() {
            for end in 0..2 {
                let found = &mut self.pipes[pipe];
                if (found.nodes[end], found.nodes[1 - end]) != (from, to) {
                    continue;
                }
                let held = std::mem::take(&mut found.held[end]);
                for number in 0..held as u64 {
                    self.at(now + 200 + number, Event::Arrival { pipe, from: end });
                }
                if held > 0 {
                    let found = &mut self.pipes[pipe];
                    found.last[end] = found.last[end].max(now + 200 + held as u64);
                }
            }
        }
    }

    /// Whether the cut because of which an end wants to give up is still there. 0: the other end is gone for good.
    pub fn still_cut(&self, pipe: usize, number: u64) -> bool {
        if number == 0 {
            return true;
        }
        let [one, other] = self.pipes[pipe].nodes;
        [(one, other), (other, one)]
            .iter()
            .filter_map(|way| self.cuts.get(way))
            .any(|cut| cut.count > 0 && cut.first <= number)
    }
}
