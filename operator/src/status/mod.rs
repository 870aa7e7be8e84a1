//! The content of `status`. Pure: (observations and results) -> status, with time as an argument; no I/O.

pub mod events;
mod problem;
pub mod publish;
mod reason;
mod redis;
#[cfg(test)]
mod tests;
mod unreadable;

use std::collections::{BTreeMap, BTreeSet};

pub use problem::Problem;
pub use reason::Reason;
pub use redis::{Report, redis_ready};
pub use unreadable::unreadable;

use crate::api::{ApiStatus, ChatDeploymentStatus, Condition, Endpoints, RedisStatus};
use crate::plan::Scaled;
use crate::rollout::{Phase, Step, Wait};
use crate::scale;

/// All is as asked: every pod is there, ready, and of the wanted version.
pub const READY: &str = "Ready";
/// Something is under way.
pub const PROGRESSING: &str = "Progressing";
/// Something is wrong, and stays so without help.
pub const DEGRADED: &str = "Degraded";
/// Only there while it is True: nothing goes on until somebody changes something. Tools that wait for Ready give up then (kstatus).
pub const STALLED: &str = "Stalled";
/// What the pods say of Redis.
pub const REDIS_READY: &str = "RedisReady";

/// A chat pod, as it counts here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its `metadata.name`.
    pub name: String,
    /// Whether Kubernetes calls it ready.
    pub is_ready: bool,
    /// Whether it has the wanted version.
    pub is_updated: bool,
    /// Whether it is being deleted: then it is not judged.
    pub is_terminating: bool,
    /// What is wrong with it now.
    pub problem: Option<Problem>,
}

/// What the status is made of.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The name of the operator that says it.
    pub operator: &'a str,
    /// The `metadata.generation` that this is about.
    pub generation: i64,
    /// The effective replicas.
    pub desired: i32,
    /// The step of the roll-out that is under way.
    pub step: &'a Step,
    /// A step of scaling by free seats that was just taken.
    pub scaled: Option<&'a Scaled>,
    /// Fewer seats are free than the spec asks for, and it allows no more pods.
    pub seats_are_limited: bool,
    /// Players of a room.
    pub players_per_room: i64,
    /// The chat pods that there are.
    pub pods: &'a [Pod],
    /// By pod; only fresh ones.
    pub reports: &'a BTreeMap<String, Report>,
    /// What is wrong beside single chat pods: writes refused, names taken, Valkey's own trouble.
    pub problems: &'a [Problem],
    /// Pods that have been away for too long.
    pub lost: &'a [String],
    /// ChatDeployments whose roll-outs have stopped and are in the way of others.
    pub stalled: &'a [String],
    /// The label selector of the chat pods, for the scale subresource.
    pub selector: String,
    /// The one that the spec asks for.
    pub image: String,
    /// Where clients come in.
    pub endpoints: Endpoints,
    /// Where the application's backend comes in.
    pub api: Option<ApiStatus>,
    /// Where Redis is, without a user and a password.
    pub redis_endpoint: String,
    /// Whether rooms and players may be updated: they are not worth a write every few seconds.
    pub counts_may_change: bool,
    /// The time, as RFC 3339: conditions that change get it.
    pub now: &'a str,
    /// What the status says so far.
    pub previous: &'a ChatDeploymentStatus,
}

/// The status that says what `input` holds.
pub fn status(input: &Input<'_>) -> ChatDeploymentStatus {
    let living: Vec<&Pod> = input.pods.iter().filter(|pod| !pod.is_terminating).collect();
    let count = |which: &dyn Fn(&Pod) -> bool| as_i32(living.iter().filter(|pod| which(pod)).count());
    let Counts { rooms, players, free_seats } = counts(input, &living);
    let redis = redis_ready(input.reports, living.len(), input.desired);
    let mut problems = problems(input);
    // Pods that start while Redis is away do not get ready: then that is what is wrong.
    problems.extend(lost(input.lost).filter(|_| redis.0 != "False"));
    let verdict = Verdict {
        input,
        there: as_i32(living.len()),
        problem: problems.first(),
        redis: (redis.0, redis.1),
        ready: count(&|pod| pod.is_ready),
        fine: count(&|pod| pod.is_ready && pod.is_updated),
    };
    let condition = |type_: &str, values: Values| condition(input.previous, input.generation, input.now, type_, values);
    let mut conditions = vec![
        condition(READY, verdict.ready()),
        condition(PROGRESSING, verdict.progressing()),
        condition(DEGRADED, verdict.degraded()),
    ];
    let stalled = verdict.stalled(&redis.2);
    conditions.push(condition(REDIS_READY, redis));
    conditions.extend(stalled.map(|said| condition(STALLED, said)));
    ChatDeploymentStatus {
        observed_generation: Some(input.generation),
        operator: Some(input.operator.to_owned()),
        contender: None,
        desired_replicas: Some(input.desired),
        replicas: verdict.there,
        ready_replicas: verdict.ready,
        updated_replicas: count(&|pod| pod.is_updated),
        selector: Some(input.selector.clone()),
        image: Some(image(input, &living)),
        version: versions(input),
        // Never an empty one: server-side apply would make it null, which the API server refuses.
        endpoints: Some(input.endpoints.clone()).filter(|endpoints| *endpoints != Endpoints::default()),
        api: input.api.clone(),
        redis: Some(RedisStatus { endpoint: input.redis_endpoint.clone() }),
        rooms,
        players,
        free_seats,
        conditions,
    }
}

/// Status, reason and message of a condition.
type Values = (&'static str, Reason, String);

fn condition(
    previous: &ChatDeploymentStatus,
    generation: i64,
    now: &str,
    type_: &str,
    (status, reason, message): Values,
) -> Condition {
    let before = previous.conditions.iter().find(|condition| condition.type_ == type_);
    let since = before.filter(|before| before.status == status).map(|before| before.last_transition_time.clone());
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.as_str().to_owned(),
        message,
        last_transition_time: since.unwrap_or_else(|| now.to_owned()),
        observed_generation: Some(generation),
    }
}

/// Figures that are not worth a write every few seconds.
struct Counts {
    rooms: Option<i64>,
    players: Option<i64>,
    free_seats: Option<i64>,
}

/// Known only if every ready pod was asked. One that is not ready and does not answer, such as that of a dead node, serves no clients.
fn counts(input: &Input<'_>, living: &[&Pod]) -> Counts {
    let report = |pod: &Pod| input.reports.get(&pod.name);
    let serving = living.iter().filter(|pod| pod.is_ready || report(pod).is_some());
    let reports: Option<Vec<&Report>> = serving.map(|pod| report(pod)).collect();
    let reports = reports.filter(|reports| living.is_empty() || !reports.is_empty());
    let sum = |of: fn(&Report) -> i64| reports.as_ref().map(|reports| reports.iter().map(|report| of(report)).sum());
    let (rooms, players) = (sum(|report| report.rooms), sum(|report| report.players));
    let before = input.previous;
    if input.counts_may_change || before.rooms.is_none() {
        let free_seats = reports.and_then(|reports| free_seats(&reports, input.players_per_room));
        Counts { rooms, players, free_seats: steady(before.free_seats, free_seats) }
    } else {
        Counts { rooms: before.rooms, players: before.players, free_seats: before.free_seats }
    }
}

/// Known only if there are pods, and each says what it has place for. One that drains counts nothing.
fn free_seats(reports: &[&Report], players_per_room: i64) -> Option<i64> {
    if reports.is_empty() {
        return None;
    }
    let lasting = reports.iter().filter(|report| !report.is_draining);
    let loads: Option<Vec<scale::Load>> = lasting.map(|report| report.load).collect();
    Some(scale::free_seats(loads?, players_per_room))
}

/// A hundredth more or less is not worth a write: a load balancer's health checks come and go.
fn steady(before: Option<i64>, now: Option<i64>) -> Option<i64> {
    let is_close = |before: i64, now: i64| before.abs_diff(now) <= before.unsigned_abs() / 100;
    match (before, now) {
        (Some(before), Some(now)) if is_close(before, now) => Some(before),
        _ => now,
    }
}

/// All that is wrong, what hinders most first, each with the words for the user.
fn problems(input: &Input<'_>) -> Vec<Problem> {
    // Of one that ends only what keeps it from ending is a problem at all.
    let of_pods = input.pods.iter().filter(|pod| !pod.is_ready).filter_map(|pod| {
        let problem = pod.problem.as_ref()?;
        Some(Problem::new(problem.reason, format!("pod {}: {}", pod.name, problem.message)))
    });
    input.problems.iter().cloned().chain(of_pods).collect()
}

/// Pods that are away without a known reason, and have been for too long.
fn lost(pods: &[String]) -> Option<Problem> {
    let message = match pods {
        [] => return None,
        [pod] => format!("pod {pod} has been away for a minute or longer"),
        pods => format!("pods {} have been away for a minute or longer", pods.join(", ")),
    };
    Some(Problem::new(Reason::PodsNotReady, message))
}

/// Whether a status says that pods are away for too long. A roll-out that waits for other pods says much the same of itself.
pub fn reports_lost(status: &ChatDeploymentStatus) -> bool {
    let says = |type_: &str, reason: Reason| {
        let mut conditions = status.conditions.iter().filter(|condition| condition.type_ == type_);
        conditions.any(|condition| (condition.status.as_str(), condition.reason.as_str()) == ("True", reason.as_str()))
    };
    says(DEGRADED, Reason::PodsNotReady) && !says(PROGRESSING, Reason::WaitingForPods)
}

/// Whether it is not ready since its rollout waits as it should: paused or partitioned by the spec, or for other rollouts to end.
pub fn waits(status: &ChatDeploymentStatus) -> bool {
    let ready = status.conditions.iter().find(|condition| condition.type_ == READY);
    let reasons = [Reason::Paused, Reason::Partitioned, Reason::WaitingForSlot];
    ready.is_some_and(|ready| ready.status == "False" && reasons.iter().any(|reason| reason.as_str() == ready.reason))
}

/// Of the pods that answer, each once.
fn versions(input: &Input<'_>) -> Option<String> {
    let all: BTreeSet<&str> = input.reports.values().map(|report| report.version.as_str()).collect();
    let all: Vec<&str> = all.into_iter().filter(|version| !version.is_empty()).collect();
    // While no pod answers, the previous status is kept.
    if all.is_empty() { input.previous.version.clone() } else { Some(all.join(", ")) }
}

/// The one that is in use, or being rolled out: while a change waits and no pod has it, the one in the previous status.
fn image(input: &Input<'_>, living: &[&Pod]) -> String {
    let is_out = living.is_empty() || living.iter().any(|pod| pod.is_updated);
    let before = input.previous.image.as_ref().filter(|_| !is_out);
    before.unwrap_or(&input.image).clone()
}

struct Verdict<'a> {
    input: &'a Input<'a>,
    problem: Option<&'a Problem>,
    there: i32,
    redis: (&'static str, Reason),
    ready: i32,
    fine: i32,
}

impl Verdict<'_> {
    fn ready(&self) -> Values {
        let desired = self.input.desired;
        if let Some(problem) = self.problem {
            return ("False", problem.reason, full_message(problem));
        }
        let how_many = format!("{} of {desired} pods are ready", self.ready);
        let is_settled = self.input.step.phase == Phase::Settled;
        if !is_settled || self.fine < desired {
            let (_, reason, message) = self.progressing();
            let reason = if reason == Reason::Complete { Reason::PodsNotReady } else { reason };
            return ("False", reason, format!("{how_many}; {message}"));
        }
        if desired == 0 {
            return ("True", Reason::ScaledToZero, with_remedy("the spec asks for no pods", Reason::ScaledToZero));
        }
        match self.redis.0 {
            "True" => ("True", Reason::AllReady, format!("{how_many} and up to date, and Redis answers")),
            "False" => ("False", Reason::RedisNotReady, with_remedy(&how_many, Reason::RedisNotReady)),
            _ => ("Unknown", self.redis.1, with_remedy(&how_many, self.redis.1)),
        }
    }

    fn progressing(&self) -> Values {
        let desired = self.input.desired;
        let going = |reason: Reason, message: String| match self.problem {
            Some(problem) => {
                ("False", Reason::Stalled, format!("{}; {}", message.trim_end_matches('.'), full_message(problem)))
            }
            None => ("True", reason, message),
        };
        let of = |reason: Reason| format!("{}.", reason.meaning());
        match &self.input.step.phase {
            Phase::Settled if self.fine >= desired && self.input.seats_are_limited => {
                let reason = Reason::FreeSeatsLimited;
                ("False", reason, with_remedy(reason.meaning(), reason))
            }
            Phase::Settled if self.fine >= desired => ("False", Reason::Complete, of(Reason::Complete)),
            Phase::Settled if self.ready >= desired => {
                ("False", Reason::Partitioned, with_remedy(Reason::Partitioned.meaning(), Reason::Partitioned))
            }
            Phase::Settled => going(Reason::Starting, of(Reason::Starting)),
            Phase::Scaling { to } if self.ready == 0 => going(Reason::Starting, format!("{to} pods are starting")),
            Phase::Scaling { .. } if let Some(scaled) = self.input.scaled => {
                going(Reason::ScaledByFreeSeats, scaled.to_string())
            }
            Phase::Scaling { to } => going(Reason::Scaling, format!("from {} to {to} pods", self.there)),
            Phase::Rolling { .. } if self.is_all_new() || self.ready == 0 => {
                going(Reason::Starting, of(Reason::Starting))
            }
            Phase::Rolling { ordinal } => {
                going(Reason::RollingOut, format!("pod {ordinal} is being updated; {} of {desired} are", self.fine))
            }
            Phase::ChangingDirectory => going(Reason::DirectoryChanged, of(Reason::DirectoryChanged)),
            Phase::Waiting { why: Wait::Paused } => {
                ("False", Reason::Paused, with_remedy(Reason::Paused.meaning(), Reason::Paused))
            }
            Phase::Waiting { why: Wait::Slot } => {
                let stalled = match self.input.stalled {
                    [] => String::new(),
                    names => format!("; no progress for a minute or longer in {}", names.join(", ")),
                };
                let message = format!("{}{stalled}", Reason::WaitingForSlot.meaning());
                ("True", Reason::WaitingForSlot, with_remedy(&message, Reason::WaitingForSlot))
            }
            Phase::Waiting { why: Wait::Redis } => going(Reason::WaitingForRedis, of(Reason::WaitingForRedis)),
            Phase::Waiting { why: Wait::OtherPods } => going(Reason::WaitingForPods, of(Reason::WaitingForPods)),
            Phase::Unseen | Phase::Waiting { why: Wait::ScaleIn } => going(Reason::Scaling, of(Reason::Scaling)),
        }
    }

    fn stalled(&self, message_of_redis: &str) -> Option<Values> {
        if let Some(problem) = self.problem {
            return stalled(problem);
        }
        let (status, reason) = self.redis;
        (status == "False" && reason.needs_a_change()).then(|| ("True", reason, message_of_redis.to_owned()))
    }

    fn is_all_new(&self) -> bool {
        self.input.pods.iter().all(|pod| pod.is_updated)
    }

    fn degraded(&self) -> Values {
        let desired = self.input.desired;
        if let Some(problem) = self.problem {
            return ("True", problem.reason, full_message(problem));
        }
        if self.redis.0 == "False" {
            return (
                "True",
                Reason::RedisNotReady,
                with_remedy(Reason::RedisNotReady.meaning(), Reason::RedisNotReady),
            );
        }
        // Pods that are being started for the first time, or one at a time, are no damage.
        let waits = self.input.step.phase == Phase::Waiting { why: Wait::OtherPods };
        if waits && self.ready < desired {
            let message = format!("{} of {desired} pods are ready", self.ready);
            return ("True", Reason::PodsNotReady, with_remedy(&message, Reason::PodsNotReady));
        }
        ("False", Reason::AsExpected, format!("{}.", Reason::AsExpected.meaning()))
    }
}

/// Of a problem that stays.
fn stalled(problem: &Problem) -> Option<Values> {
    problem.reason.needs_a_change().then(|| ("True", problem.reason, full_message(problem)))
}

fn full_message(problem: &Problem) -> String {
    with_remedy(&problem.message, problem.reason)
}

/// A message, and what to do.
fn with_remedy(message: &str, reason: Reason) -> String {
    let message = message.trim_end_matches('.');
    if reason.remedy().is_empty() { format!("{message}.") } else { format!("{message}. {}", reason.remedy()) }
}

/// Whether two statuses say the same.
pub fn differs(one: &ChatDeploymentStatus, other: &ChatDeploymentStatus) -> bool {
    one != other
}

fn as_i32(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
