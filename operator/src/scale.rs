//! The number of pods that free seats ask for. Pure: (observed, settings, now, history) -> decision; no I/O.
//!
//! A seat is a place for one more player. It takes a place for a connection and a place in a room, so of all pods together it is
//! whichever is less: connections that fit, or rooms that fit times the players of a room.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// What a pod holds and what it has place for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Rooms that it owns.
    pub rooms: i64,
    /// Rooms that it may own.
    pub room_places: i64,
    /// Its connections, and held seats: their players are expected back.
    pub connections: i64,
    /// Connections that it may have.
    pub connection_places: i64,
}

impl Load {
    fn plus(self, other: Self) -> Self {
        Self {
            rooms: self.rooms.saturating_add(other.rooms),
            room_places: self.room_places.saturating_add(other.room_places),
            connections: self.connections.saturating_add(other.connections),
            connection_places: self.connection_places.saturating_add(other.connection_places),
        }
    }

    fn used(self) -> Self {
        Self { room_places: 0, connection_places: 0, ..self }
    }

    fn places(self) -> Self {
        Self { rooms: 0, connections: 0, ..self }
    }

    fn at_most(self, other: Self) -> Self {
        Self {
            room_places: self.room_places.min(other.room_places),
            connection_places: self.connection_places.min(other.connection_places),
            ..self
        }
    }

    /// Negative where more is held than there is place for.
    fn free(self, players_per_room: i64) -> i64 {
        let rooms = self.room_places.saturating_sub(self.rooms).saturating_mul(players_per_room);
        self.connection_places.saturating_sub(self.connections).min(rooms)
    }
}

/// The free seats of pods together.
pub fn free_seats(pods: impl IntoIterator<Item = Load>, players_per_room: i64) -> i64 {
    pods.into_iter().fold(Load::default(), Load::plus).free(players_per_room).max(0)
}

/// How many seats are to be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This many.
    Seats(i64),
    /// This share of all seats, in per cent.
    Percent(i64),
}

impl Wanted {
    fn of(self, places: Load, players_per_room: i64) -> i64 {
        match self {
            Self::Seats(seats) => seats,
            Self::Percent(share) => {
                // Rounded up; no division of signed numbers rounds so by itself.
                places.places().free(players_per_room).saturating_mul(share).saturating_add(99) / 100
            }
        }
    }
}

/// What the spec says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Seats that are to be free.
    pub wanted: Wanted,
    /// Seats of a room.
    pub players_per_room: i64,
    /// The fewest pods.
    pub min: i32,
    /// The most pods.
    pub max: i32,
    /// For how long fewer pods must have sufficed before one goes.
    pub window: Duration,
    /// Rooms that a pod may own by the spec: what counts for one that has not answered yet, or has not got a lower limit yet.
    pub room_places: i64,
    /// Connections that it may have by the spec.
    pub connection_places: i64,
}

/// What is known of a pod's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It has not answered yet: it is starting, and counts as empty.
    Nothing,
    /// Silent: it counts by its last report.
    Before(Load),
    /// Reported in this round.
    Now(Load),
}

/// A pod, as it counts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// It is ready, and uses Redis: its rooms can move, and others can come.
    pub is_sound: bool,
    /// It ends, and counts nothing. Its successor is empty.
    pub is_draining: bool,
    /// Nothing is heard of it, and no successor comes for now: its node does not respond, or it does not end; or it has handed its rooms
    /// over, and goes on. It holds nothing, since its players are with others, and has place for nothing.
    pub is_lost: bool,
    /// Its load.
    pub known: Known,
}

impl Pod {
    fn load(&self) -> Option<Load> {
        match self.known {
            _ if self.is_draining || self.is_lost => None,
            Known::Nothing => None,
            Known::Before(load) | Known::Now(load) => Some(load),
        }
    }

    fn is_known_and_sound(&self) -> bool {
        self.is_sound && !self.is_draining && matches!(self.known, Known::Now(_))
    }
}

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The replicas that the StatefulSet asks for.
    pub replicas: i32,
    /// Its pods by ordinal.
    pub pods: BTreeMap<i32, Pod>,
}

/// Recent needs for pods: each number that no later one exceeds, with the last time at which it was needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(VecDeque<(Instant, i32)>);

impl History {
    fn note(&mut self, need: i32, now: Instant) {
        // What was needed when last looked at may have been so until now.
        if let Some(last) = self.0.back_mut() {
            last.0 = now;
        }
        while self.0.back().is_some_and(|(_, before)| *before <= need) {
            self.0.pop_back();
        }
        self.0.push_back((now, need));
    }

    fn forget(&mut self, window: Duration, now: Instant) {
        let is_over = |(at, _): &(Instant, i32)| now.saturating_duration_since(*at) >= window;
        while self.0.len() > 1 && self.0.front().is_some_and(is_over) {
            self.0.pop_front();
        }
    }

    /// The greatest number of the window.
    fn most(&self) -> i32 {
        self.0.front().map_or(0, |(_, need)| *need)
    }

    /// When a smaller one takes its place.
    fn falls_in(&self, window: Duration, now: Instant) -> Option<Duration> {
        let (at, _) = self.0.front().filter(|_| self.0.len() > 1)?;
        Some(window.saturating_sub(now.saturating_duration_since(*at)))
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The replicas now: up at once, down one at a time.
    pub replicas: i32,
    /// The pods that the window asks for: an autoscaler beside this one must not go below.
    pub floor: i32,
    /// Seats that are free in the pods that answer.
    pub free: i64,
    /// Seats that are to be free with `replicas` pods.
    pub wanted: i64,
    /// Not even the most pods would have that many.
    pub is_limited: bool,
    /// When to decide again, if nothing happens before.
    pub again_in: Option<Duration>,
}

/// The next step. A history that is empty, as after a start of the operator, begins with the replicas that there are.
pub fn scale(observed: &Observed, settings: &Settings, now: Instant, history: History) -> (Decision, History) {
    let mut history = history;
    if history.0.is_empty() {
        history.note(observed.replicas, now);
    }
    history.note(need(observed, settings), now);
    history.forget(settings.window, now);
    let bounded = |replicas: i32| replicas.min(settings.max).max(settings.min);
    let floor = bounded(history.most());
    let replicas = if floor >= observed.replicas {
        floor
    } else if may_step_down(observed) {
        bounded(observed.replicas - 1)
    } else {
        bounded(observed.replicas)
    };
    let decision = Decision {
        replicas,
        floor,
        free: free_seats(observed.pods.values().filter_map(Pod::load), settings.players_per_room),
        wanted: settings.wanted.of(places(observed, settings, replicas), settings.players_per_room),
        is_limited: !suffice(places(observed, settings, settings.max), used(observed), settings),
        again_in: history.falls_in(settings.window, now),
    };
    (decision, history)
}

/// The fewest pods that hold all that is held, with the wanted seats free. What does not fit into the most is a matter of the bounds.
fn need(observed: &Observed, settings: &Settings) -> i32 {
    let used = used(observed);
    let mut places = places(observed, settings, settings.min);
    for replicas in settings.min..settings.max {
        if suffice(places, used, settings) {
            return replicas;
        }
        places = places.plus(places_of(observed, settings, replicas));
    }
    settings.max
}

/// What all pods hold.
fn used(observed: &Observed) -> Load {
    observed.pods.values().filter_map(Pod::load).map(Load::used).fold(Load::default(), Load::plus)
}

/// Whether these places hold what is held, with the wanted seats free.
fn suffice(places: Load, used: Load, settings: &Settings) -> bool {
    places.plus(used).free(settings.players_per_room) >= settings.wanted.of(places, settings.players_per_room)
}

/// What the first `replicas` pods have place for.
fn places(observed: &Observed, settings: &Settings, replicas: i32) -> Load {
    (0..replicas).map(|ordinal| places_of(observed, settings, ordinal)).fold(Load::default(), Load::plus)
}

/// A lower limit counts before it rolls out: afterwards the people would not fit. A higher one counts in the pods that have it.
fn places_of(observed: &Observed, settings: &Settings, ordinal: i32) -> Load {
    let new =
        Load { room_places: settings.room_places, connection_places: settings.connection_places, ..Load::default() };
    match observed.pods.get(&ordinal) {
        Some(pod) if pod.is_lost => Load::default(),
        pod => pod.and_then(Pod::load).map_or(new, |load| load.places().at_most(new)),
    }
}

/// Only with every pod there and known, and the one before gone: what is not known may need the pod that would go.
fn may_step_down(observed: &Observed) -> bool {
    let all_there =
        (0..observed.replicas).all(|ordinal| observed.pods.get(&ordinal).is_some_and(Pod::is_known_and_sound));
    all_there && observed.pods.keys().all(|ordinal| *ordinal < observed.replicas)
}

#[cfg(test)]
mod tests;
