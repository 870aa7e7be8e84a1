//! The events that wait for the webhook: in order for each room, within bounds, tried again until they are too old. Pure: no I/O.
//!
//! A room's next event goes out when the one before was delivered or dropped; rooms do not wait for each other. What does not fit, or is too
//! old, is dropped, and the next event that goes out first tells how many were.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::Bytes;

use super::event::WebhookEvent;
use super::outcome::{Outcome, backoff};
use super::payload::{Teller, id, payload};
use crate::protocol::RoomId;

/// The longest that all rooms wait after failures that concern them all, unless the receiver asks for more (ms).
const LONGEST_PAUSE: u64 = 10_000;
/// The wait between two attempts for a room while the process ends (ms).
const HURRIED: u64 = 250;

/// The bounds of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Events.
    pub events: usize,
    /// Bytes of events, as [`WebhookEvent::weight`] counts them.
    pub bytes: usize,
    /// How old an event may become (ms).
    pub age: u64,
    /// Attempts under way.
    pub at_once: usize,
}

/// Why events were dropped; the order of [`WebhookFigures::dropped`].
pub const DROPPED: [&str; 3] = ["full", "expired", "gone"];

#[derive(Debug, Clone, Copy)]
enum Why {
    Full,
    Expired,
    Gone,
}

/// What metrics say of the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WebhookFigures {
    /// Events that wait, or are on their way.
    pub queued: u64,
    /// Bytes of these, approximately.
    pub queued_bytes: u64,
    /// Events that the receiver has taken.
    pub delivered: u64,
    /// Attempts without success.
    pub failed: u64,
    /// Events that were not delivered, by [`DROPPED`].
    pub dropped: [u64; DROPPED.len()],
}

/// One request to be made. Then [`Queue::answered`] has to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Whose event it is.
    pub room: RoomId,
    /// The same at each attempt.
    pub id: String,
    /// The same at each attempt.
    pub body: Bytes,
}

#[derive(Debug)]
struct Queued {
    event: Box<WebhookEvent>,
    weight: usize,
    /// When it came (ms).
    since: u64,
    /// Once it has been tried.
    body: Option<Bytes>,
    /// How many dropped events it tells of.
    tells: u64,
}

/// The events of one room; never empty.
#[derive(Debug, Default)]
struct Line {
    events: VecDeque<Queued>,
    /// Failed attempts of the first one.
    failed: u32,
}

/// The receiver is too busy, or not there: nothing is sent, and then one request at a time until one of any room is answered.
#[derive(Debug, Default)]
struct Pause {
    /// Pauses in a row.
    count: u32,
    /// Nothing is sent before (ms).
    until: u64,
}

impl Pause {
    /// An attempt failed in a way that concerns all rooms. Those that were under way together make one pause.
    fn begin(&mut self, now: u64, retry_after: Option<u64>, random: u64) {
        if now >= self.until {
            self.count = self.count.saturating_add(1);
            self.until = now + backoff(self.count, random).min(LONGEST_PAUSE);
        }
        self.until = self.until.max(now + retry_after.unwrap_or(0));
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Queue {
    teller: Teller,
    limits: QueueLimits,
    rooms: HashMap<RoomId, Line>,
    /// When the first event of a room is to be looked at (ms), and in which order those of one moment; none that is on its way.
    waiting: BTreeSet<((u64, u64), RoomId)>,
    last_place: u64,
    in_flight: usize,
    pause: Pause,
    /// The process ends.
    hurries: bool,
    /// The receiver wants no more.
    gone: bool,
    /// Dropped events that none has told of.
    untold: u64,
    figures: WebhookFigures,
}

impl Queue {
    /// An empty queue.
    pub fn new(teller: Teller, limits: QueueLimits) -> Self {
        Self {
            teller,
            limits,
            rooms: HashMap::new(),
            waiting: BTreeSet::new(),
            last_place: 0,
            in_flight: 0,
            pause: Pause::default(),
            hurries: false,
            gone: false,
            untold: 0,
            figures: WebhookFigures::default(),
        }
    }

    /// An event has happened.
    pub fn push(&mut self, now: u64, event: Box<WebhookEvent>) {
        let weight = event.weight();
        if self.gone {
            return self.drop_one(Why::Gone, 0);
        }
        let figures = &mut self.figures;
        if figures.queued as usize >= self.limits.events || figures.queued_bytes as usize + weight > self.limits.bytes {
            return self.drop_one(Why::Full, 0);
        }
        figures.queued += 1;
        figures.queued_bytes += weight as u64;
        let room = event.room;
        let line = self.rooms.entry(room).or_default();
        let is_first = line.events.is_empty();
        line.events.push_back(Queued { event, weight, since: now, body: None, tells: 0 });
        if is_first {
            self.wait(room, now);
        }
    }

    /// So many events did not even come here, since too many came at once.
    pub fn lost(&mut self, events: u64) {
        self.untold += events;
        self.figures.dropped[Why::Full as usize] += events;
    }

    /// The next request to be made at `now` (ms), if there is one.
    pub fn next(&mut self, now: u64) -> Option<Attempt> {
        while now >= self.pause.until
            && self.in_flight < self.most_at_once()
            && let Some(&((due, _), room)) = self.waiting.first()
            && due <= now
        {
            self.waiting.pop_first();
            self.drop_expired(room, now);
            let Some(line) = self.rooms.get_mut(&room) else {
                continue;
            };
            let Some(first) = line.events.front_mut() else {
                continue;
            };
            let body = match &first.body {
                Some(body) => body.clone(),
                None => {
                    first.tells = std::mem::take(&mut self.untold);
                    let body = Bytes::from(payload(&self.teller, &first.event, first.tells));
                    first.body.insert(body).clone()
                }
            };
            self.in_flight += 1;
            return Some(Attempt { room, id: id(&self.teller, &first.event), body });
        }
        None
    }

    /// What the attempt for this room came to. `random`: any number.
    pub fn answered(&mut self, now: u64, room: RoomId, outcome: Outcome, random: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(line) = self.rooms.get_mut(&room) else {
            return;
        };
        match outcome {
            Outcome::Delivered => {
                self.figures.delivered += 1;
                self.pause = Pause::default();
                self.pop(room);
                if self.rooms.contains_key(&room) {
                    self.wait(room, now);
                }
            }
            Outcome::Gone => {
                self.figures.failed += 1;
                self.gone = true;
                self.drop_all(Why::Gone);
            }
            Outcome::Failed { .. } if self.hurries => {
                self.figures.failed += 1;
                self.wait(room, now + HURRIED);
            }
            Outcome::Failed { retry_after, all } => {
                self.figures.failed += 1;
                line.failed = line.failed.saturating_add(1);
                let again = now + backoff(line.failed, random).max(retry_after.unwrap_or(0));
                // It is looked at when it is too old, too.
                let end = line.events.front().map_or(now, |first| first.since.saturating_add(self.limits.age));
                if all {
                    self.pause.begin(now, retry_after, random);
                } else {
                    self.pause = Pause::default();
                }
                self.wait(room, again.min(end));
            }
        }
    }

    /// When [`Queue::next`] has something to do, unless an event or an answer comes before (ms).
    pub fn next_due(&self) -> Option<u64> {
        let first = self.waiting.first().map(|((due, _), _)| (*due).max(self.pause.until));
        first.filter(|_| self.in_flight < self.most_at_once())
    }

    /// The process ends: what waits is tried at once, and soon again.
    pub fn hurry(&mut self, now: u64) {
        (self.hurries, self.pause) = (true, Pause::default());
        for (_, room) in std::mem::take(&mut self.waiting) {
            self.wait(room, now);
        }
    }

    fn most_at_once(&self) -> usize {
        if self.pause.count > 0 { 1 } else { self.limits.at_once }
    }

    /// Nothing waits or is on its way.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// For metrics.
    pub fn figures(&self) -> WebhookFigures {
        self.figures
    }

    fn wait(&mut self, room: RoomId, until: u64) {
        self.last_place += 1;
        self.waiting.insert(((until, self.last_place), room));
    }

    /// Takes the room's first event out.
    fn pop(&mut self, room: RoomId) -> Option<Queued> {
        let line = self.rooms.get_mut(&room)?;
        let first = line.events.pop_front()?;
        line.failed = 0;
        if line.events.is_empty() {
            self.rooms.remove(&room);
        }
        self.figures.queued -= 1;
        self.figures.queued_bytes -= first.weight as u64;
        Some(first)
    }

    fn drop_expired(&mut self, room: RoomId, now: u64) {
        let age = self.limits.age;
        while let Some(first) = self.rooms.get(&room).and_then(|line| line.events.front())
            && first.since.saturating_add(age) <= now
            && let Some(first) = self.pop(room)
        {
            self.drop_one(Why::Expired, first.tells);
        }
    }

    fn drop_all(&mut self, why: Why) {
        for line in std::mem::take(&mut self.rooms).into_values() {
            line.events.into_iter().for_each(|queued| self.drop_one(why, queued.tells));
        }
        self.waiting.clear();
        (self.figures.queued, self.figures.queued_bytes) = (0, 0);
    }

    /// Counts an event that is dropped, and what nobody hears from it any more.
    fn drop_one(&mut self, why: Why, tells: u64) {
        self.untold += 1 + tells;
        self.figures.dropped[why as usize] += 1;
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
