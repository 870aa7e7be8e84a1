//! The pod's lease in the directory: acquired, renewed, lost and acquired again. Pure: no I/O.
//!
//! At most one request is in flight. A lease is compared and swapped as a whole, so that two processes of one name cannot both
//! believe that they hold it (docs/architecture.md, Ownership).

mod effect;
mod ending;
mod health;
mod renewal;
mod state;
mod tenure;
mod twins;

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::directory::{Answer, DirectoryConnection, NoAnswer, Request};
use crate::ids::{Ticket, Time};
pub use effect::{LeaseEffect, LeaseNotice};
use health::Health;
pub use state::{DirectoryState, LeaseIdentity, LeaseRecord, LeaseStatus, LeaseView, Target};
use tenure::{Course, Tenure};
use twins::Twins;

/// How long a lease lives without being renewed (ms). Fixed: pods must agree.
pub const LEASE: u64 = 10_000;
/// How often it is renewed (ms).
const RENEW: u64 = 2_000;
/// Pause after a request without an answer (ms).
const RETRY: u64 = 250;
/// How long nothing may have gone wrong before this pod says that a room does not exist (ms).
const SETTLE: u64 = 10_000;
/// All that is found missing or rolled back in this time (ms) is one loss: every record is looked at once in it.
const ONE_LOSS: u64 = 30_000;

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// All leases: before the first of ours, and behind it; or for targets.
    Pods,
    Swap {
        bytes: Bytes,
        sent: u64,
    },
    /// At a start: another deployment has come in the same instant.
    Withdraw,
    /// At the end. `again`: what was there was mine, but not what I knew of.
    Delete {
        again: bool,
    },
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Lease {
    identity: LeaseIdentity,
    /// The bytes that are in the directory, as far as is known.
    stored: Option<Bytes>,
    tenure: Tenure,
    course: Course,
    twins: Twins,
    /// When the last confirmed renewal was sent.
    confirmed: Option<u64>,
    /// Since when nothing has gone wrong; `None`: since always (a fresh start is settled with its first lease).
    steady_since: Option<u64>,
    asked: Option<(Ticket, Asked)>,
    unanswered: Option<Bytes>,
    /// This process's connection to the server that has the lease, and the one that the last write named.
    connection: Option<DirectoryConnection>,
    named: Option<DirectoryConnection>,
    renewals: u64,
    next: u64,
    targets_at: u64,
    rooms: u64,
    players: u64,
    health: Health,
    /// When a loss of what the directory held was last told.
    loss_logged: Option<u64>,
    /// The pods whose leases could not be read when all were listed last.
    unreadable: BTreeSet<String>,
    view: LeaseView,
    /// When the view has to be looked at again.
    look_at: u64,
    last_ticket: u64,
    effects: Vec<LeaseEffect>,
}

impl Lease {
    /// A lease that has not been asked for yet.
    pub fn new(identity: LeaseIdentity) -> Self {
        Self {
            identity,
            stored: None,
            tenure: Tenure::Untaken { refused: false },
            course: Course::Running,
            twins: Twins::default(),
            confirmed: None,
            steady_since: None,
            asked: None,
            unanswered: None,
            connection: None,
            named: None,
            renewals: 0,
            next: 0,
            targets_at: 0,
            rooms: 0,
            players: 0,
            health: Health::default(),
            loss_logged: None,
            unreadable: BTreeSet::new(),
            view: LeaseView::default(),
            look_at: u64::MAX,
            last_ticket: 0,
            effects: Vec::new(),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, time: Time) {
        if self.asked.is_none() && time.now >= self.next {
            let renews = self.tenure.renews();
            let lists = self.course.is_draining() && self.tenure.is_taken() && time.now >= self.targets_at;
            if self.course.is_ending() || self.twins.has_to_end() {
                self.next = u64::MAX;
            } else if lists && (self.course.is_marked() || !renews) {
                self.targets_at = time.now + RENEW / 2;
                self.ask(Asked::Pods, Request::Pods);
            } else if self.tenure.is_superseded() {
                // Nothing is renewed any more; who takes the rooms is still asked.
                self.next = if self.course.is_draining() { self.targets_at } else { u64::MAX };
            } else if renews {
                self.swap(time);
            } else {
                self.ask(Asked::Pods, Request::Pods);
            }
        }
        self.look(time);
    }

    /// When [`Lease::tick`] has something to do next (ms).
    pub fn next_deadline(&self) -> u64 {
        if self.asked.is_some() { self.look_at } else { self.next.min(self.look_at) }
    }

    /// The directory has answered, or not.
    pub fn answered(&mut self, time: Time, ticket: Ticket, answer: Result<Answer, NoAnswer>) {
        let Some((_, asked)) = self.asked.take_if(|(expected, _)| *expected == ticket) else {
            return;
        };
        match &answer {
            Err(why) => self.set_state(time, DirectoryState::Away(*why)),
            Ok(_) if !self.tenure.is_refused() => self.set_state(time, DirectoryState::Ok),
            Ok(_) => {}
        }
        match (asked, answer) {
            (Asked::Delete { again }, answer) => return self.deleted(again, answer),
            (Asked::Withdraw, _) => {}
            (Asked::Swap { bytes, sent }, Ok(Answer::Done)) => self.renewed(time, bytes, sent),
            (Asked::Swap { bytes, .. }, Ok(Answer::Found(found))) => self.differs(time, bytes, found),
            (Asked::Pods, Ok(Answer::Pods(pods))) => self.listed(time, &pods),
            (Asked::Swap { bytes, .. }, _) => {
                self.unanswered = Some(bytes);
                self.next = time.now + RETRY;
            }
            (Asked::Pods, _) => self.next = time.now + RETRY,
        }
        if self.course.is_ending() {
            self.end(time);
        }
        self.look(time);
    }

    /// The connection to the directory was lost: what was written last may be gone.
    pub fn reset(&mut self, time: Time) {
        if self.tenure.is_taken() {
            self.steady_since = Some(time.now);
        }
        if self.asked.is_none() {
            self.next = time.now;
        }
        self.look(time);
    }

    /// A hub has found something missing or rolled back.
    pub fn went_back(&mut self, time: Time) {
        self.steady_since = Some(time.now);
        if self.loss_logged.is_none_or(|told| time.now >= told + ONE_LOSS) {
            self.loss_logged = Some(time.now);
            self.effects.push(LeaseEffect::Log(LeaseNotice::DirectoryWentBack));
            self.effects.push(LeaseEffect::CheckRecords);
        }
        self.look(time);
    }

    /// The connection to the server that has the lease is this one now; `None`: there is none, or the server would not say whether
    /// it has it. A new one is written at once: other pods may take the process for dead while the lease names one that has ended.
    pub fn connected(&mut self, time: Time, connection: Option<DirectoryConnection>) {
        if self.connection == connection {
            return;
        }
        self.connection = connection;
        if self.connection.is_some() && self.asked.is_none() && self.tenure.is_taken() && self.tenure.renews() {
            self.next = self.next.min(time.now);
        }
    }

    /// What the next renewal says of this pod's rooms and seats.
    pub fn counts(&mut self, rooms: u64, players: u64) {
        self.rooms = rooms;
        self.players = players;
    }

    /// From now on the lease says that this pod is going, and then other pods are listed.
    pub fn drain(&mut self, time: Time) {
        self.course.drain();
        self.next = time.now;
        self.targets_at = time.now;
        self.tick(time);
    }

    /// Moves what is to be done to the end of `into`, in order.
    pub fn take_effects(&mut self, into: &mut Vec<LeaseEffect>) {
        into.append(&mut self.effects);
    }

    /// How the lease and the directory are, for `/status`, `/readyz` and metrics.
    pub fn status(&self) -> LeaseStatus {
        LeaseStatus {
            ready: self.tenure.serves(),
            settled: self.view.settled,
            draining: self.course.is_draining(),
            state: self.health.state(),
            since: self.health.since(),
        }
    }

    // ----

    fn ask(&mut self, asked: Asked, request: Request) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.asked = Some((ticket, asked));
        self.effects.push(LeaseEffect::Directory { ticket, request });
    }

    fn listed(&mut self, time: Time, pods: &[(String, Bytes)]) {
        self.note_unreadable(pods);
        let leases = pods.iter().filter_map(|(pod_id, bytes)| Some((pod_id, LeaseRecord::parse(bytes)?, bytes)));
        if self.tenure.serves() {
            let others = leases.filter(|(_, lease, _)| {
                lease.uid == self.identity.uid && lease.boot != self.identity.boot && !lease.draining
            });
            let targets = others.map(|(pod_id, lease, _)| lease.into_target(pod_id.clone())).collect::<Vec<_>>();
            // After a lost connection leases may have run out, or been lost, that will be renewed.
            if targets.is_empty() && !self.is_steady(time) && !self.tenure.is_superseded() {
                return;
            }
            self.effects.push(LeaseEffect::Targets(targets));
            return;
        }
        let mut own = None;
        let mut foreign = None;
        for (pod_id, lease, bytes) in leases {
            if lease.uid != self.identity.uid {
                foreign = Some(pod_id.clone());
            } else if *pod_id == self.identity.pod_id {
                own = Some((lease, bytes.clone()));
            }
        }
        match foreign {
            Some(pod_id) => self.refused(time, pod_id),
            None if !self.tenure.is_taken() && self.is_held(time) => {
                self.tenure.take();
                self.next = time.now;
                self.effects.push(LeaseEffect::Log(LeaseNotice::Taken));
            }
            None => {
                self.tenure.admit();
                self.set_state(time, DirectoryState::Ok);
                if !self.tenure.is_taken() {
                    if own.as_ref().is_some_and(|(lease, _)| !self.may_replace(time, lease)) {
                        return;
                    }
                    self.stored = own.map(|(_, bytes)| bytes);
                }
                self.swap(time);
            }
        }
    }

    /// An unparsable lease is reported once; an own one by the process that overwrites it.
    fn note_unreadable(&mut self, pods: &[(String, Bytes)]) {
        let unreadable = pods.iter().filter(|(_, bytes)| LeaseRecord::parse(bytes).is_none());
        let others = unreadable.map(|(pod_id, _)| pod_id.clone()).filter(|pod_id| *pod_id != self.identity.pod_id);
        let before = std::mem::replace(&mut self.unreadable, others.collect());
        let new = self.unreadable.difference(&before).cloned();
        self.effects.extend(new.map(|pod_id| LeaseEffect::Log(LeaseNotice::Unreadable { pod_id })));
    }

    fn set_state(&mut self, time: Time, state: DirectoryState) {
        self.effects.extend(self.health.heard(time, state).map(LeaseEffect::Log));
    }

    /// The last confirmed renewal is not so long ago that the directory may have dropped the lease.
    fn is_held(&self, time: Time) -> bool {
        self.confirmed.is_some_and(|sent| time.now.saturating_sub(sent) < LEASE)
    }

    /// For so long nothing was lost that leases which were there before have been renewed.
    fn is_steady(&self, time: Time) -> bool {
        self.steady_since.is_none_or(|since| time.now >= since + SETTLE)
    }

    /// Passes on what the hubs have to know, if it has changed.
    fn look(&mut self, time: Time) {
        // Before this pod holds a lease, another one in the store does not concern it.
        let confirmed = self.confirmed.filter(|_| self.tenure.is_taken());
        let is_held = self.tenure == Tenure::Taken { lost: false } && self.is_held(time);
        let settled = is_held && self.is_steady(time);
        // What time alone will change; nothing that is past, or the driver would turn without end.
        let settles = self.steady_since.map(|since| since + SETTLE);
        let lapses = confirmed.map(|sent| sent + LEASE);
        self.look_at = settles.into_iter().chain(lapses).filter(|at| *at > time.now).min().unwrap_or(u64::MAX);
        let view = LeaseView { confirmed, settled };
        if view != self.view {
            self.view = view;
            self.effects.push(LeaseEffect::View(view));
        }
    }
}
