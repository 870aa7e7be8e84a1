//! Whether this pod has so many more rooms than the others that it gives some of them away, how many, and to which pods. Pure: no I/O, and
//! knows no room.
//!
//! Each thread looks now and then at what the leases say of each pod's rooms (`loads.rs`: one list serves all threads), and gives away its
//! part of what is too much. The thresholds lie apart, so that no pod that has taken rooms gives them on: it begins above 1.3 times the mean, for a minute, and ends at
//! 1.05 times; only pods below the mean take any.

use rand::RngExt;
use rand::seq::IndexedRandom;

use crate::directory::{Answer, NoAnswer, Request};
use crate::hub::context::{Context, Purpose, Timer};
use crate::hub::interface::{BalanceLimits, Notice};
use crate::hub::loads::Listed;
use crate::ids::Time;
use crate::lease::Target;

/// Per cent of the mean above which a pod is overloaded, and down to which it then gives rooms away.
const BEGIN: u64 = 130;
const END: u64 = 105;
/// Pods that are offered rooms at a time. They are drawn, so that overloaded pods do not all choose the same one, which looks best to each
/// (the power of two choices).
const CHOICES: usize = 2;
/// The longest time between two looks (ms): new rooms are placed by what was found.
const LOOK: u64 = 10_000;
/// The same while rooms are given away (ms): leases say about as often how many rooms a pod has.
const STEP: u64 = 3_000;
/// Thousandths of a room times milliseconds that make a room.
const ROOM: u64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Load {
    #[default]
    Level,
    /// Too many rooms, since then (ms).
    Overloaded { since: u64 },
    /// So many for so long that rooms are given away.
    Giving,
}

/// Rooms to be offered to these pods now.
#[derive(Debug, PartialEq, Eq)]
pub struct Surplus {
    pub rooms: usize,
    pub targets: Vec<Target>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Balance {
    load: Load,
    started: bool,
    /// The directory has been asked for the leases.
    listing: bool,
    /// When this thread looked last (ms).
    looked: u64,
    /// What has still to be given away, in parts of [`ROOM`]: less than one room.
    credit: u64,
}

impl Balance {
    /// The pod serves: from now on it looks at the leases now and then, unless that is switched off.
    pub fn start(&mut self, time: Time, context: &mut Context) {
        if context.settings.balance && !std::mem::replace(&mut self.started, true) {
            // Not all pods and threads at once.
            let within = look_every(context);
            let first = context.random.random_range(0..=within);
            context.arm(time.now + first, Timer::Balance);
        }
    }

    /// It is time to look. `rooms`: of this thread. A draining pod gives all of its rooms away in another way.
    pub fn due(&mut self, time: Time, context: &mut Context, rooms: u64) -> Option<Surplus> {
        let every = look_every(context);
        let next = if self.load == Load::Giving { every.min(STEP) } else { every };
        context.arm(time.now + next, Timer::Balance);
        if !context.is_sure(time) || (context.settings.slots.taken() as u64) < context.settings.limits.balance.least {
            self.load = Load::Level;
            return None;
        }
        if let Some(listed) = context.settings.loads.within(time.now, next / 2) {
            return self.look(time, context, &listed, rooms);
        }
        if !std::mem::replace(&mut self.listing, true) {
            context.ask(Purpose::Balance, Request::Pods);
        }
        None
    }

    /// The directory has listed the leases, or not. `rooms`: of this thread.
    pub fn pods_listed(
        &mut self,
        time: Time,
        context: &mut Context,
        answer: Result<Answer, NoAnswer>,
        rooms: u64,
    ) -> Option<Surplus> {
        self.listing = false;
        let Ok(Answer::Pods(leases)) = answer else {
            self.load = Load::Level;
            self.looked = time.now;
            return None;
        };
        let listed = context.settings.loads.list(time.now, leases, &context.me);
        self.look(time, context, &listed, rooms)
    }

    fn look(&mut self, time: Time, context: &mut Context, listed: &Listed, rooms: u64) -> Option<Surplus> {
        let since = std::mem::replace(&mut self.looked, time.now);
        let limits = context.settings.limits.balance;
        let own = context.settings.slots.taken() as u64;
        let mean = listed.mean(own);
        let before = self.load;
        self.load = next_load(before, time.now, own, listed, limits);
        if (before == Load::Giving) != (self.load == Load::Giving) {
            let begins = self.load == Load::Giving;
            context.log(Notice::Balance { begins, rooms: own, mean });
            self.credit = 0;
        }
        if before != Load::Giving || self.load != Load::Giving {
            return None;
        }
        self.credit += rooms * limits.per_second * time.now.saturating_sub(since).min(2 * STEP);
        let below = listed.others.iter().filter(|other| other.rooms < mean).collect::<Vec<_>>();
        let targets = below.sample(&mut context.random, CHOICES).copied().cloned().collect::<Vec<_>>();
        let places = targets.iter().map(|target| mean - target.rooms).sum::<u64>();
        let share = ((own - mean.min(own)) * rooms).div_ceil(own.max(1));
        let given = (self.credit / ROOM).min(share).min(places);
        self.credit = (self.credit - given * ROOM).min(ROOM - 1);
        (given > 0).then_some(Surplus { rooms: given as usize, targets })
    }
}

/// How often a pod looks that gives nothing away (ms).
fn look_every(context: &Context) -> u64 {
    (context.settings.limits.balance.after / 6).min(LOOK)
}

/// `own`: the pod's rooms, beside those that are listed.
fn next_load(load: Load, now: u64, own: u64, listed: &Listed, limits: BalanceLimits) -> Load {
    let is_overloaded = listed.is_overloaded(own, BEGIN, limits.least);
    match load {
        Load::Level if is_overloaded => Load::Overloaded { since: now },
        Load::Overloaded { since } if is_overloaded && now >= since + limits.after => Load::Giving,
        Load::Overloaded { .. } if !is_overloaded => Load::Level,
        Load::Giving if !listed.is_above(own, END) => Load::Level,
        load => load,
    }
}

#[cfg(test)]
#[path = "balance_tests.rs"]
mod tests;
