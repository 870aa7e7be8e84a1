//! Proves that another pod's process has ended, and makes it public: by deleting its lease. Pure: no I/O.
//!
//! No single sign proves it: a network policy refuses connections to a process that lives, a link breaks, Redis closes a connection.
//! What counts is all of them together, and that they last (docs/decisions/0014-proof-of-death.md): the link to it was reset; three
//! times in a row its address refuses a connection, its lease is byte for byte the same, and the server that has the lease no longer has
//! the connection that the lease names. Who lives and reaches the directory has renewed its lease within that time, and who
//! does not is cut off from both.
//!
//! Or the operator has told that the process is dead ([`crate::death_notice`]), which needs no more than the lease's own bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::directory::{Answer, DirectoryConnection, Key, NoAnswer, Request};
use crate::ids::{Ticket, Time};
use crate::lease::LeaseRecord;
use crate::protocol::PodBoot;

/// Rounds that have to find the same, one after the other.
const ROUNDS: u32 = 3;
/// From one round to the next (ms): together they last longer than a process takes that has lost its connection to connect again
/// and renew its lease.
const PAUSE: u64 = 250;
/// The first round comes up to this much later (ms): many pods may have a link to the same one.
const SPREAD: u64 = 100;
/// What is not proven by then is left to the lease (ms).
const PATIENCE: u64 = 3_000;
/// Processes that are suspected at once: as many links may break together. Others are left to the lease.
const MOST_SUSPECTS: usize = 1_024;

/// The process at the other end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// The process.
    pub boot: PodBoot,
    /// The name that its lease stands under.
    pub pod_id: String,
    /// Its `host:port` for other pods.
    pub peer: String,
}

/// How a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEnd {
    /// The other side's system ended it.
    Reset,
    /// Any other way: it was silent, or this side closed it.
    Other,
}

/// What came of an attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialled {
    /// The system at that address answered that nobody listens.
    Refused,
    /// Somebody listens, nobody answered, or there is no way there.
    Other,
}

/// What came of a notice that a process is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Its lease was there, and this pod has deleted it.
    Deleted,
    /// It has no lease.
    Gone,
    /// It has a link to this pod, has just renewed its lease, or is this process itself.
    Lives,
    /// Its lease is another deployment's.
    OtherDeployment,
    /// The directory did not answer, or too many are suspected: later, perhaps.
    Unknown,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum DetectorEffect {
    /// Connect to the address, and close again; then [`FailureDetector::dialled`].
    Dial { boot: PodBoot, address: String },
    /// Ask the directory; then [`FailureDetector::answered`].
    Directory { ticket: Ticket, request: Request },
    /// Its lease is gone: for every hub ([`crate::hub::Hub::pod_lost_lease`]).
    LeaseGone { boot: PodBoot },
    /// For the log: this pod has declared it dead.
    Declared { pod_id: String, boot: PodBoot, after: u64 },
    /// What came of [`FailureDetector::told`]; once for each process, however often it was told of meanwhile.
    Found { boot: PodBoot, finding: Finding },
}

/// The rules that the simulation's negative controls break one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectorRules {
    /// Only a link that was reset makes a suspect.
    pub needs_reset: bool,
    /// Only a refusal counts, not silence.
    pub needs_refusal: bool,
    /// The directory must have lost the connection.
    pub needs_disconnection: bool,
    /// All that must be found again, and the same lease.
    pub looks_again: bool,
}

impl DetectorRules {
    /// As it has to be.
    pub const ALL: Self = Self { needs_reset: true, needs_refusal: true, needs_disconnection: true, looks_again: true };
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// For the next round.
    Waiting,
    Dialling,
    ReadingLease(Ticket),
    /// Whether the directory has its connection.
    Asking(Ticket, Bytes),
    Deleting(Ticket),
}

#[derive(Debug)]
struct Case {
    suspect: Suspect,
    since: u64,
    next: u64,
    step: Step,
    /// The lease as the rounds so far have found it, and how many they are.
    lease: Option<Bytes>,
    rounds: u32,
    /// A notice says that it is dead: no rounds are needed.
    told: bool,
}

/// See the module's documentation. One for a process; it suspects each process that a link broke to.
#[derive(Debug)]
pub struct FailureDetector {
    me: PodBoot,
    uid: String,
    rules: DetectorRules,
    random: StdRng,
    cases: BTreeMap<PodBoot, Case>,
    /// How many links to each process are up: a new one may be before the end of the last is noticed.
    links: BTreeMap<PodBoot, u32>,
    last_ticket: u64,
    effects: Vec<DetectorEffect>,
}

impl FailureDetector {
    /// `uid`: the deployment's; leases of others are left alone. `seed`: for the spread in time.
    pub fn new(me: PodBoot, uid: String, rules: DetectorRules, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let (cases, links) = (BTreeMap::new(), BTreeMap::new());
        Self { me, uid, rules, random, cases, links, last_ticket: 0, effects: Vec::new() }
    }

    /// A link has ended that had been up.
    pub fn link_ended(&mut self, time: Time, suspect: Suspect, end: LinkEnd) {
        let counts = end == LinkEnd::Reset || !self.rules.needs_reset;
        let boot = suspect.boot;
        if let Some(count) = self.links.get_mut(&boot) {
            *count -= 1;
            self.links.retain(|_, count| *count > 0);
        }
        if !counts || boot == self.me || self.cases.contains_key(&boot) || self.cases.len() >= MOST_SUSPECTS {
            return;
        }
        let next = time.now + self.random.random_range(0..=SPREAD);
        let case = Case { suspect, since: time.now, next, step: Step::Waiting, lease: None, rounds: 0, told: false };
        self.cases.insert(boot, case);
    }

    /// A notice that is known to be the operator's says that this process is dead; [`DetectorEffect::Found`] follows.
    pub fn told(&mut self, time: Time, suspect: Suspect) {
        let boot = suspect.boot;
        if boot == self.me || self.links.contains_key(&boot) {
            return self.found(boot, Finding::Lives);
        }
        let is_full = self.cases.len() >= MOST_SUSPECTS;
        let key = Key::Pod(suspect.pod_id.clone());
        match self.cases.get_mut(&boot) {
            Some(case) => {
                case.told = true;
                if !matches!(case.step, Step::Waiting | Step::Dialling) {
                    return;
                }
            }
            None if is_full => return self.found(boot, Finding::Unknown),
            None => {
                let (step, lease) = (Step::Waiting, None);
                let case = Case { suspect, since: time.now, next: time.now, step, lease, rounds: 0, told: true };
                self.cases.insert(boot, case);
            }
        }
        let ticket = self.ask(Request::Get { key });
        self.set_step(boot, Step::ReadingLease(ticket));
    }

    /// A link is up: the process lives.
    pub fn link_is_up(&mut self, boot: PodBoot) {
        *self.links.entry(boot).or_default() += 1;
        if self.cases.remove(&boot).is_some_and(|case| case.told) {
            self.found(boot, Finding::Lives);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, time: Time) {
        self.cases.retain(|_, case| time.now < case.since + PATIENCE || case.step != Step::Waiting);
        for (boot, case) in &mut self.cases {
            if case.step == Step::Waiting && case.next <= time.now {
                case.step = Step::Dialling;
                self.effects.push(DetectorEffect::Dial { boot: *boot, address: case.suspect.peer.clone() });
            }
        }
    }

    /// When [`FailureDetector::tick`] has something to do next (ms).
    pub fn next_deadline(&self) -> Option<u64> {
        self.cases.values().filter(|case| case.step == Step::Waiting).map(|case| case.next).min()
    }

    /// What came of [`DetectorEffect::Dial`].
    pub fn dialled(&mut self, boot: PodBoot, outcome: Dialled) {
        let Some(case) = self.cases.get_mut(&boot).filter(|case| case.step == Step::Dialling) else {
            return;
        };
        if outcome != Dialled::Refused && self.rules.needs_refusal {
            self.cases.remove(&boot);
            return;
        }
        let key = Key::Pod(case.suspect.pod_id.clone());
        let ticket = self.ask(Request::Get { key });
        self.set_step(boot, Step::ReadingLease(ticket));
    }

    /// The directory has answered, or not.
    pub fn answered(&mut self, time: Time, ticket: Ticket, answer: Result<Answer, NoAnswer>) {
        let waits = |case: &Case| match case.step {
            Step::ReadingLease(asked) | Step::Asking(asked, _) | Step::Deleting(asked) => asked == ticket,
            Step::Waiting | Step::Dialling => false,
        };
        let Some(boot) = self.cases.iter().find(|(_, case)| waits(case)).map(|(boot, _)| *boot) else {
            return;
        };
        let Some(mut case) = self.cases.remove(&boot) else {
            return;
        };
        match (std::mem::replace(&mut case.step, Step::Waiting), answer) {
            (Step::ReadingLease(_), Ok(Answer::Found(lease))) => self.lease_read(time, case, lease),
            (Step::Asking(_, lease), _) if case.told => self.delete(case, lease),
            (Step::Asking(_, lease), Ok(Answer::Connected(Some(connected)))) => {
                self.round_ends(time, case, lease, !connected);
            }
            (Step::Deleting(_), Ok(Answer::Done)) => {
                let after = time.now - case.since;
                self.found_if_told(&case, Finding::Deleted);
                self.effects.push(DetectorEffect::Declared { pod_id: case.suspect.pod_id, boot, after });
                self.effects.push(DetectorEffect::LeaseGone { boot });
            }
            // Another pod was faster.
            (Step::Deleting(_), Ok(Answer::Found(None))) => self.lease_gone(&case),
            // It has renewed its lease in the last instant, or a newer process has replaced it.
            (Step::Deleting(_), Ok(Answer::Found(Some(lease)))) => {
                let is_its = LeaseRecord::parse(&lease).is_some_and(|lease| lease.boot == boot);
                self.found_if_told(&case, if is_its { Finding::Lives } else { Finding::Gone });
            }
            // Nothing is known: the lease decides.
            _ => self.found_if_told(&case, Finding::Unknown),
        }
    }

    /// Moves what is to be done to the end of `into`, in order.
    pub fn take_effects(&mut self, into: &mut Vec<DetectorEffect>) {
        into.append(&mut self.effects);
    }

    // ----

    fn ask(&mut self, request: Request) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.effects.push(DetectorEffect::Directory { ticket, request });
        ticket
    }

    fn set_step(&mut self, boot: PodBoot, step: Step) {
        if let Some(case) = self.cases.get_mut(&boot) {
            case.step = step;
        }
    }

    fn lease_read(&mut self, time: Time, mut case: Case, found: Option<Bytes>) {
        let boot = case.suspect.boot;
        let record = found.as_deref().map(LeaseRecord::parse);
        let (Some(lease), Some(Some(record))) = (found, record) else {
            // Gone, or rubbish, which counts as gone.
            return self.lease_gone(&case);
        };
        if record.boot != boot {
            return self.lease_gone(&case);
        }
        if record.uid != self.uid {
            return self.found_if_told(&case, Finding::OtherDeployment);
        }
        if case.told {
            return self.delete(case, lease);
        }
        // A lease without a directory connection proves nothing: it has to expire.
        let Some(connection) = record.connection else {
            return;
        };
        if case.lease.as_ref().is_some_and(|before| *before != lease) {
            // Renewed: all begins again.
            case.rounds = 0;
        }
        if !self.rules.needs_disconnection {
            return self.round_ends(time, case, lease, true);
        }
        let ticket = self.ask_about(&case.suspect, connection);
        case.step = Step::Asking(ticket, lease);
        self.cases.insert(boot, case);
    }

    fn ask_about(&mut self, suspect: &Suspect, connection: DirectoryConnection) -> Ticket {
        self.ask(Request::Connected { key: Key::Pod(suspect.pod_id.clone()), connection })
    }

    /// A round has found a refusal and this lease. `is_gone`: and that the directory does not have the connection.
    fn round_ends(&mut self, time: Time, mut case: Case, lease: Bytes, is_gone: bool) {
        let boot = case.suspect.boot;
        case.rounds = if is_gone { case.rounds + 1 } else { 0 };
        let rounds = if self.rules.looks_again { ROUNDS } else { 1 };
        if case.rounds >= rounds {
            return self.delete(case, lease);
        }
        case.lease = Some(lease);
        case.next = time.now + PAUSE;
        self.cases.insert(boot, case);
    }

    fn delete(&mut self, mut case: Case, lease: Bytes) {
        let key = Key::Pod(case.suspect.pod_id.clone());
        let ticket = self.ask(Request::Delete { key, expected: lease });
        case.step = Step::Deleting(ticket);
        self.cases.insert(case.suspect.boot, case);
    }

    fn lease_gone(&mut self, case: &Case) {
        self.found_if_told(case, Finding::Gone);
        self.effects.push(DetectorEffect::LeaseGone { boot: case.suspect.boot });
    }

    fn found_if_told(&mut self, case: &Case, finding: Finding) {
        if case.told {
            self.found(case.suspect.boot, finding);
        }
    }

    fn found(&mut self, boot: PodBoot, finding: Finding) {
        self.effects.push(DetectorEffect::Found { boot, finding });
    }
}

#[cfg(test)]
#[path = "failure_detector_tests.rs"]
mod tests;
