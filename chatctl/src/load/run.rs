//! A load run: its shared state, its phases, its progress and its verdict. Does I/O, through players.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::connection::Doors;
use super::ledger::{Count, Ledger};
use super::player::Player;
use super::tally::{Phase, Room, Tally};
use super::wire::Encoding;

/// After the last line, for what is still under way: seats are held for 30 s.
const SETTLE: Duration = Duration::from_secs(40);
/// Between two lines of progress, on a terminal and elsewhere.
const PROGRESS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// In so many rooms it is told what was wrong.
const ROOMS_TOLD: usize = 20;

/// How large a run is.
#[derive(Clone, Debug)]
pub struct Size {
    pub rooms: usize,
    pub players: usize,
    /// Lines of a player in a second.
    pub rate: f64,
    pub duration: Duration,
    pub encodings: Vec<Encoding>,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    pub rooms: usize,
    pub players: usize,
    /// Players who were in their room at the end.
    pub inside: usize,
    pub lines_said: u64,
    pub lines_heard: u64,
    #[serde(flatten)]
    pub count: Count,
    pub seats_lost: u64,
    pub resumed: u64,
    pub moved: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub longest_ms: f64,
    /// Lines that were heard again or out of order, by room: the first of them.
    pub wrong: BTreeMap<String, Vec<String>>,
    /// Connections that ended and commands that were refused, by reason.
    pub notes: BTreeMap<String, u64>,
}

/// What a verdict may hold and the run still be well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Pods are killed: what only they knew is gone, and the server says so, but for what raw TCP had on the way.
    pub crashes: bool,
}

impl Verdict {
    /// Whether the server kept its promises: order, no doubles, and no loss but what a crash explains and the server told.
    pub fn is_well(&self, allowance: Allowance) -> bool {
        let Count { lost, missed, cut_off, doubled, disordered, undelivered: _ } = self.count;
        let is_kept = lost + doubled + disordered == 0 && self.inside == self.players && self.lines_said > 0;
        is_kept && (allowance.crashes || missed + cut_off + self.seats_lost == 0)
    }
}

/// Lets all play for the whole run. Ends early when `interrupted`. `listens` becomes true once nobody speaks any more.
pub async fn run(size: &Size, doors: &Doors, interrupted: impl Future<Output = ()>, listens: &AtomicBool) -> Verdict {
    let (phases, phase) = watch::channel(Phase::Enter);
    let tally = Arc::new(Tally::default());
    tally.figures().inside = vec![false; size.rooms * size.players];
    let mut rooms = Vec::new();
    let mut players = JoinSet::new();
    for room in 0..size.rooms {
        let first_player = room * size.players;
        let ledger = Mutex::new(Ledger::new(size.players));
        let room = Arc::new(Room { id: watch::Sender::new(None), ledger, first_player });
        rooms.push(Arc::clone(&room));
        for number in 0..size.players {
            let player = Player {
                number,
                room: Arc::clone(&room),
                doors: doors.clone(),
                encoding: size.encodings[(first_player + number) % size.encodings.len()],
                period: Duration::from_secs_f64(1.0 / size.rate),
                tally: Arc::clone(&tally),
                phase: phase.clone(),
                // Players of a room come in by different doors.
                turn: rooms.len() + number,
                seat: None,
                unanswered: None,
            };
            players.spawn(player.play());
        }
    }
    let run = Run { rooms, tally, began: Instant::now() };
    let phased = async {
        run.until(SETTLE, |run| run.inside() == size.rooms * size.players).await;
        if run.inside() == 0 {
            return;
        }
        phases.send_replace(Phase::Talk);
        sleep_until(Instant::now() + size.duration).await;
    };
    tokio::select! {
        () = phased => {}
        () = interrupted => {}
        () = run.show_progress() => {}
    }
    listens.store(true, Ordering::Relaxed);
    phases.send_replace(Phase::Listen);
    run.until(SETTLE, |run| match run.inside() {
        0 => run.said() == 0,
        inside => inside == size.rooms * size.players && run.is_settled(),
    })
    .await;
    let verdict = run.verdict(size);
    phases.send_replace(Phase::End);
    let _ = tokio::time::timeout(SETTLE, async { while players.join_next().await.is_some() {} }).await;
    verdict
}

struct Run {
    rooms: Vec<Arc<Room>>,
    tally: Arc<Tally>,
    began: Instant,
}

impl Run {
    fn inside(&self) -> usize {
        self.tally.figures().inside.iter().filter(|inside| **inside).count()
    }

    fn said(&self) -> u64 {
        self.tally.figures().said
    }

    fn count(&self) -> Count {
        let mut count = Count::default();
        for room in &self.rooms {
            count += room.ledger.lock().unwrap_or_else(PoisonError::into_inner).total();
        }
        count
    }

    fn wrong(&self) -> BTreeMap<String, Vec<String>> {
        let of = |room: &Arc<Room>| {
            let wrong = room.ledger.lock().unwrap_or_else(PoisonError::into_inner).wrong().to_vec();
            (room.id.borrow().clone().unwrap_or_default(), wrong)
        };
        self.rooms.iter().map(of).filter(|(_, wrong)| !wrong.is_empty()).take(ROOMS_TOLD).collect()
    }

    fn is_settled(&self) -> bool {
        self.rooms.iter().all(|room| room.ledger.lock().unwrap_or_else(PoisonError::into_inner).is_settled())
    }

    /// Waits for something, but not for ever.
    async fn until(&self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + limit;
        while !done(self) && Instant::now() < end {
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn show_progress(&self) {
        let period = PROGRESS[usize::from(!std::io::stderr().is_terminal())];
        loop {
            sleep(period).await;
            let figures = self.tally.figures().clone();
            let inside = figures.inside.iter().filter(|inside| **inside).count();
            let [p50, p99, _] = figures.trips.percentiles();
            eprintln!(
                "{:4} s: {inside} of {} players in, {} said, {} heard, p50 {p50:.1} ms, p99 {p99:.1} ms, {} resumed, {} moved",
                self.began.elapsed().as_secs(),
                figures.inside.len(),
                figures.said,
                figures.heard,
                figures.resumed,
                figures.moved,
            );
        }
    }

    fn verdict(&self, size: &Size) -> Verdict {
        let figures = self.tally.figures().clone();
        let [p50_ms, p99_ms, longest_ms] = figures.trips.percentiles();
        Verdict {
            rooms: size.rooms,
            players: figures.inside.len(),
            inside: figures.inside.iter().filter(|inside| **inside).count(),
            lines_said: figures.said,
            lines_heard: figures.heard,
            count: self.count(),
            seats_lost: figures.lost_seats,
            resumed: figures.resumed,
            moved: figures.moved,
            p50_ms,
            p99_ms,
            longest_ms,
            wrong: self.wrong(),
            notes: figures.notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_well_unless_a_promise_is_broken() {
        let well = Verdict {
            rooms: 1,
            players: 2,
            inside: 2,
            lines_said: 9,
            lines_heard: 18,
            count: Count { undelivered: 1, ..Count::default() },
            seats_lost: 0,
            resumed: 1,
            moved: 1,
            p50_ms: 1.0,
            p99_ms: 1.0,
            longest_ms: 1.0,
            wrong: BTreeMap::new(),
            notes: BTreeMap::new(),
        };
        let changed = |change: fn(&mut Verdict)| {
            let mut verdict = well.clone();
            change(&mut verdict);
            [false, true].map(|crashes| verdict.is_well(Allowance { crashes }))
        };
        assert_eq!(changed(|_| {}), [true, true]);
        for broken in [
            |verdict: &mut Verdict| verdict.count.lost = 1,
            |verdict: &mut Verdict| verdict.count.doubled = 1,
            |verdict: &mut Verdict| verdict.count.disordered = 1,
            |verdict: &mut Verdict| verdict.inside = 1,
            |verdict: &mut Verdict| verdict.lines_said = 0,
        ] {
            assert_eq!(changed(broken), [false, false]);
        }
        for told in [
            |verdict: &mut Verdict| verdict.count.missed = 1,
            |verdict: &mut Verdict| verdict.count.cut_off = 1,
            |verdict: &mut Verdict| verdict.seats_lost = 1,
        ] {
            assert_eq!(changed(told), [false, true]);
        }
    }
}
