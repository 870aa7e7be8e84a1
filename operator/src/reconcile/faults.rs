//! Problems of a ChatDeployment that the pods' status does not show: from Kubernetes' Events, refused writes, Valkey, and missing
//! pods. Does I/O: it reads Events.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::apply::Outcome;
use super::patience::{Patience, grace};
use super::state::ReconcileState;
use crate::api::ChatDeployment;
use crate::client::CallError;
use crate::desired::{Context, Kind, Names, VALKEY};
use crate::plan::{Observed, Plan, valkey};
use crate::queue::Requeue;
use crate::record::{Key, PodRecord};
use crate::status::{self, Problem, Reason};

/// Pods that are away for this long without a known reason are looked up in Kubernetes' Events.
const ASK_FOR_REASONS_AFTER: Duration = Duration::from_secs(4);
/// After that, as long as they are away, and after a status that could not be written.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

impl super::Reconciler {
    /// What Kubernetes says about pods that are away for no reason that their status tells.
    pub(super) async fn reasons(
        &self,
        key: &Key,
        observed: &Observed,
        pods: &[PodRecord],
        plan: &Plan,
        state: &mut ReconcileState,
        requeue: &mut Requeue,
    ) -> Result<Vec<Problem>, CallError> {
        let names = Names::new(&key.name);
        let now = Timestamp::now();
        let is_silent =
            |pod: &&PodRecord| !pod.is_ready && !pod.is_terminating && !pod.is_set_up && pod.problem_at(now).is_none();
        let silent: Vec<&PodRecord> = pods.iter().filter(is_silent).collect();
        let lacks = |names: &mut dyn Iterator<Item = String>| -> BTreeSet<String> {
            names.filter(|name| pods.iter().all(|pod| pod.name != *name)).collect()
        };
        let lacks_chat = lacks(&mut (0..plan.step.replicas).map(|ordinal| names.pod(ordinal)));
        let lacks_valkey = lacks(&mut std::iter::once(names.valkey_pod()));
        let is_short = !lacks_chat.is_empty();
        // Events about a pod that cannot be created belong to its StatefulSet.
        let lacking: Vec<(String, String, BTreeSet<String>)> =
            [(names.chat(), lacks_chat), (names.valkey(), lacks_valkey)]
                .into_iter()
                .filter(|(_, lacks)| !lacks.is_empty())
                .filter_map(|(name, lacks)| {
                    let set = observed.children.get(&(Kind::StatefulSet, name.clone()))?;
                    Some((set.record.uid.clone(), format!("StatefulSet {name}"), lacks))
                })
                .collect();
        if silent.is_empty() && lacking.is_empty() && !is_short {
            state.away_since = None;
            return Ok(Vec::new());
        }
        let since = *state.away_since.get_or_insert_with(Instant::now);
        if since.elapsed() < ASK_FOR_REASONS_AFTER {
            requeue.at_most(ASK_FOR_REASONS_AFTER);
            return Ok(Vec::new());
        }
        let mut problems = Vec::new();
        let mut tell = |what: String, problem: Option<Problem>| {
            problems
                .extend(problem.map(|problem| Problem::new(problem.reason, format!("{what}: {}", problem.message))));
        };
        for (uid, what, lacks) in lacking {
            let events = self.client.events(&key.namespace, &uid).await?;
            tell(what, status::events::of_set(&events, &lacks, now));
        }
        for pod in silent.into_iter().take(3) {
            let events = self.client.events(&key.namespace, &pod.uid).await?;
            tell(format!("pod {}", pod.name), status::events::of_pod(&events, now));
        }
        requeue.at_most(RETRY_AFTER);
        Ok(problems)
    }
}

/// Pods that would serve and have been away for too long.
pub(super) fn lost(
    deployment: &ChatDeployment,
    context: &Context<'_>,
    observed: &Observed,
    plan: &Plan,
    patience: &mut Patience,
    requeue: &mut Requeue,
) -> Vec<String> {
    let there = observed.pods.keys().copied().filter(|ordinal| *ordinal < plan.desired.replicas);
    let expected: BTreeSet<i32> = (0..plan.step.replicas).chain(there).collect();
    let is_known = deployment.status.as_ref().is_some_and(status::reports_lost);
    let lost = patience.lost(&expected, &observed.pods, grace(context.spec), is_known, Instant::now(), requeue);
    lost.into_iter().map(|ordinal| context.names().pod(ordinal)).collect()
}

/// When the first fault of a pod is past, if nothing more comes.
pub(super) fn past_in(pods: &[PodRecord]) -> Option<Duration> {
    let now = Timestamp::now();
    let ends = pods.iter().filter_map(|pod| pod.problem_until.filter(|until| *until > now));
    let first = Duration::try_from(ends.min()?.duration_since(now)).ok()?;
    Some(first + Duration::from_secs(1))
}

/// What is wrong beside single chat pods.
pub(super) fn problems(
    context: &Context<'_>,
    outcome: &Outcome,
    observed: &Observed,
    pods: &[PodRecord],
    found: Vec<Problem>,
) -> Vec<Problem> {
    let now = Timestamp::now();
    let conflicts = outcome.conflicts.iter().map(|conflict| {
        let message = format!("{} {} belongs to {}", conflict.kind.as_str(), conflict.name, conflict.holder);
        Problem::new(Reason::NameConflict, message)
    });
    let valkey = pods.iter().filter(|pod| context.is_managed_redis() && pod.component == VALKEY && !pod.is_ready);
    let of_valkey = valkey.filter_map(|pod| {
        let problem = pod.problem_at(now)?;
        Some(Problem::new(problem.reason, format!("pod {}: {}", pod.name, problem.message)))
    });
    let held = valkey::held_by_its_volume(context, observed, pods);
    outcome.problems.iter().cloned().chain(conflicts).chain(held).chain(of_valkey).chain(found).collect()
}
