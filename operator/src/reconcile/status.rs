//! Writes the result of a reconcile: the status and the Events. Does I/O; `crate::status` decides the content.

use std::time::{Duration, Instant};

use super::state::Limits;
use crate::api::{ChatDeployment, ChatDeploymentStatus};
use crate::backoff::unique;
use crate::client::CallError;
use crate::desired::{CHAT, Context, Directory, Owner, api_status, endpoints, selector};
use crate::neighbour::{Named, Verdict};
use crate::plan::Plan;
use crate::queue::Requeue;
use crate::record::{self, Key, PodRecord};
use crate::status::{self, Problem, Reason, publish};

/// Whether this operator may write the children of a ChatDeployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ours {
    Yes,
    NotYet(Duration),
    No,
}

impl super::Reconciler {
    #[allow(clippy::too_many_arguments)]
    pub(super) async fn write_status(
        &self,
        key: &Key,
        deployment: &ChatDeployment,
        context: &Context<'_>,
        plan: &Plan,
        pods: &[PodRecord],
        (problems, lost): (&[Problem], &[String]),
        limits: &mut Limits,
        requeue: &mut Requeue,
    ) -> Result<(), CallError> {
        let reports = self.reports.of(key, pods);
        let stalled = self.limiter().stalled(Instant::now());
        let now = jiff::Timestamp::now();
        let none = ChatDeploymentStatus::default();
        let previous = deployment.status.as_ref().unwrap_or(&none);
        let set = self.cache.children(key).into_iter().find_map(|child| match child.detail {
            record::Detail::Set(set) if child.name == key.name => Some(set),
            _ => None,
        });
        let ingress = self.cache.children(key).into_iter().find_map(|child| match child.detail {
            record::Detail::Service(service) if child.name == context.names().chat() => service.ingress,
            _ => None,
        });
        let desired = &plan.desired;
        let is_updated = |pod: &PodRecord| {
            set.as_ref().is_some_and(|set| {
                set.template == desired.template
                    && set.observed_generation >= set.generation
                    && pod.revision == set.update_revision
            })
        };
        let chat: Vec<status::Pod> = pods
            .iter()
            .filter(|pod| pod.component == CHAT)
            .map(|pod| status::Pod {
                name: pod.name.clone(),
                is_ready: pod.is_ready,
                is_updated: is_updated(pod),
                is_terminating: pod.is_terminating,
                problem: pod.problem_at(now).cloned(),
            })
            .collect();
        let counts_wait = limits.counts_wait(Instant::now());
        let input = status::Input {
            operator: self.neighbours.me(),
            generation: deployment.metadata.generation.unwrap_or_default(),
            desired: desired.replicas,
            step: &plan.step,
            scaled: plan.scaled.as_ref(),
            seats_are_limited: plan.seats_are_limited,
            players_per_room: i64::from(context.spec.rooms.max_players),
            pods: &chat,
            reports: &reports,
            problems,
            lost,
            stalled: &stalled,
            selector: selector_text(&context.owner.name),
            image: context.chatd_image().to_owned(),
            endpoints: endpoints(context, ingress.as_deref()),
            api: api_status(context),
            redis_endpoint: Directory::of(context).endpoint(),
            counts_may_change: counts_wait.is_zero(),
            now: &time(now),
            previous,
        };
        let current = status::status(&input);
        let up_to_date = status::status(&status::Input { counts_may_change: true, ..input.clone() });
        if status::differs(&current, &up_to_date) {
            requeue.at_most(counts_wait);
        }
        if !status::differs(previous, &current) {
            return Ok(());
        }
        let counts = |status: &ChatDeploymentStatus| (status.rooms, status.players, status.free_seats);
        if counts(&current) != counts(previous) {
            limits.counts_are_written(Instant::now());
        }
        let owner = context.owner;
        match self.client.status(&key.namespace, &key.name, &owner.uid, &current).await {
            Ok(Some(deployment)) => {
                self.cache.put_readable(key, deployment);
            }
            // It cannot be read any more, or was deleted: the watch will say so.
            Ok(None) | Err(CallError::Refused { code: 404 | 409, .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        for (type_, reason, message) in publish::changes(previous, &current) {
            self.publish(key, owner, (type_, &reason, &message), limits).await;
        }
        Ok(())
    }

    /// An Event of a type, with a reason and a message, within the rate limit. An Event that cannot be written is lost.
    pub(super) async fn publish(
        &self,
        key: &Key,
        owner: &Owner,
        (type_, reason, message): (&str, &str, &str),
        limits: &mut Limits,
    ) {
        if limits.may_publish(Instant::now()) {
            let event = publish::event(owner, type_, reason, message, jiff::Timestamp::now(), unique());
            if let Err(error) = self.client.publish(&event, &key.namespace).await {
                tracing::warn!(deployment = %key, %error, "cannot write an Event");
            }
        }
    }

    /// Whether this operator manages it; else when to reconcile again, or nothing if the operator must stop.
    pub(super) async fn is_ours(&self, key: &Key, uid: &str, before: &ChatDeploymentStatus) -> Result<Ours, CallError> {
        let named = Named { operator: before.operator.as_deref(), contender: before.contender.as_deref() };
        let me = self.neighbours.me();
        let contender = match self.neighbours.judge(key, named, Instant::now()) {
            Verdict::Work => return Ok(Ours::Yes),
            Verdict::Wait(left) => return Ok(Ours::NotYet(left)),
            Verdict::Stop { operator } => {
                self.stop(format!("{key} is already managed by the operator {operator}, which is alive"));
                return Ok(Ours::No);
            }
            Verdict::Defend { contender } => {
                tracing::warn!(deployment = %key, contender, "another operator claims this ChatDeployment; defending it");
                None
            }
            Verdict::Contend { operator } => {
                tracing::warn!(deployment = %key, operator, "another operator owned this ChatDeployment; waiting to see whether it is alive");
                Some(me.to_owned())
            }
        };
        let is_mine = contender.is_none();
        let current = ChatDeploymentStatus { contender, ..before.clone() };
        let written = self.client.status(&key.namespace, &key.name, uid, &current).await;
        if written.is_err() {
            self.neighbours.forget(key);
        }
        if let Some(deployment) = written? {
            self.cache.put_readable(key, deployment);
        }
        Ok(if is_mine { Ours::Yes } else { Ours::NotYet(Duration::from_secs(1)) })
    }

    /// Says so, if it is ours: what cannot be read is defended like the rest. Returns when to look again, if nothing happens before.
    pub(super) async fn write_unreadable(
        &self,
        key: &Key,
        generation: i64,
        why: &str,
    ) -> Result<Option<Duration>, CallError> {
        tracing::error!(deployment = %key, why, "cannot parse this ChatDeployment");
        let problem = Problem::new(Reason::InvalidSpec, why);
        let Some((uid, previous)) = self.client.status_of(&key.namespace, &key.name).await? else { return Ok(None) };
        match self.is_ours(key, &uid, &previous).await? {
            Ours::Yes => {}
            Ours::NotYet(left) => return Ok(Some(left)),
            Ours::No => return Ok(None),
        }
        let now = time(jiff::Timestamp::now());
        let current = status::unreadable(self.neighbours.me(), generation, &problem, &now, &previous);
        if status::differs(&previous, &current) {
            self.client.status(&key.namespace, &key.name, &uid, &current).await?;
        }
        Ok(None)
    }
}

/// As Kubernetes writes it.
fn time(now: jiff::Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn selector_text(deployment: &str) -> String {
    let labels = selector(deployment, CHAT);
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}
