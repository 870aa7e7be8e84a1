//! One reconcile of one ChatDeployment: observe, plan, apply, status. Does I/O; pure modules make the decisions.

mod apply;
mod faults;
mod ledger;
mod observe;
mod patience;
mod seats;
mod state;
mod status;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::api::ChatDeployment;
use crate::backoff::{backoff, random};
use crate::cache::{Cache, Deployment};
use crate::client::{CallError, Client};
use crate::desired::{Context, Installed, Owner};
use crate::hash;
use crate::metrics::Metrics;
use crate::neighbour::Neighbours;
use crate::plan::{self, Observed, Plan, Write, valkey};
use crate::poll::Reports;
use crate::queue::{Queue, Requeue};
use crate::record::Key;
use crate::rollout::limiter::{Rolling, RolloutLimiter};
use crate::rollout::{self, Permission, Phase};
use crate::scopes::Scopes;
use crate::status::Reason;
use faults::{RETRY_AFTER, lost, past_in, problems};
use patience::{Patience, grace};
use state::{ReconcileState, ReconcileStates};
use status::Ours;

/// While something is under way: a slot may have become free.
const UNDER_WAY: Duration = Duration::from_secs(20);
/// Until an operator that starts has looked at the other ChatDeployments.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(1);
/// With nothing happening.
const RESYNC: Duration = Duration::from_mins(5);
/// Kubernetes takes this long to look at a change, and pods to answer for the first time; after that the status reports pods that do not answer.
const SURE_WITHIN: Duration = Duration::from_secs(3);

/// Makes children what they should be, one ChatDeployment at a time for each worker.
#[derive(Debug)]
pub struct Reconciler {
    client: Client,
    cache: Arc<Cache>,
    queue: Arc<Queue>,
    reports: Arc<Reports>,
    metrics: Arc<Metrics>,
    installed: Installed,
    limiter: Mutex<RolloutLimiter>,
    states: ReconcileStates,
    scopes: Scopes,
    neighbours: Neighbours,
    stopped: Stopped,
}

/// Why the operator has to end, once it has.
#[derive(Clone, Debug, Default)]
pub struct Stopped {
    token: CancellationToken,
    why: Arc<Mutex<Option<String>>>,
}

impl Stopped {
    /// Waits until it has to, and says why.
    pub async fn reason(&self) -> String {
        self.token.cancelled().await;
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }
}

/// What came of a reconcile that went through.
#[derive(Clone, Copy, Debug)]
struct Reconciled {
    again_in: Duration,
    /// The API server refused writes.
    is_refused: bool,
}

/// Takes from the queue until `shutdown`.
pub async fn work(reconciler: Arc<Reconciler>, shutdown: CancellationToken) {
    loop {
        let key = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            key = reconciler.queue.next() => key,
        };
        reconciler.handle(&key).await;
        reconciler.queue.done(&key);
    }
}

impl Reconciler {
    /// `max_rollouts`: how many ChatDeployments may roll at once. `stopped` is set when another operator does the same work.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        client: Client,
        cache: Arc<Cache>,
        queue: Arc<Queue>,
        reports: Arc<Reports>,
        metrics: Arc<Metrics>,
        installed: Installed,
        max_rollouts: usize,
        scopes: Scopes,
        neighbours: Neighbours,
        stopped: Stopped,
    ) -> Self {
        let limiter = Mutex::new(RolloutLimiter::new(max_rollouts));
        Self {
            client,
            cache,
            queue,
            reports,
            metrics,
            installed,
            limiter,
            states: ReconcileStates::default(),
            scopes,
            neighbours,
            stopped,
        }
    }

    /// All lists are read, and reconciles begin.
    pub fn starts(&self) {
        self.limiter().start(self.cache.deployments(), Instant::now());
    }

    /// For a reason that the whole operator has to end for.
    fn stop(&self, why: String) {
        *self.stopped.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.stopped.token.cancel();
    }

    fn limiter(&self) -> MutexGuard<'_, RolloutLimiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle(&self, key: &Key) {
        if !self.scopes.is_readable(&key.namespace) {
            // By half of what there is nothing may be done. When it can be read again, that calls.
            self.limiter().give_back(key);
            return;
        }
        let started = Instant::now();
        let deployment = self.cache.deployment(key);
        let result = match deployment {
            Some(Deployment::Readable(deployment)) if deployment.metadata.deletion_timestamp.is_none() => {
                let uid = deployment.metadata.uid.clone().unwrap_or_default();
                let mut state = self.states.take(key, &uid);
                let result = self.reconcile(key, &deployment, &mut state).await;
                let result = self.schedule(key, result, &mut state.failures);
                self.states.put(key, state);
                result
            }
            Some(Deployment::Unreadable { generation, why }) => {
                self.limiter().give_back(key);
                let again_in = self.write_unreadable(key, generation, &why).await.unwrap_or_else(|error| {
                    tracing::warn!(deployment = %key, %error, "cannot write the status; retrying");
                    Some(RETRY_AFTER)
                });
                if let Some(time) = again_in {
                    self.queue.add_after(key, time);
                }
                "error"
            }
            _ => {
                // Kubernetes deletes the children, by their owner references.
                self.states.forget(key);
                self.neighbours.forget(key);
                self.limiter().give_back(key);
                "gone"
            }
        };
        self.metrics.reconciled(result, started.elapsed());
    }

    /// When to reconcile again.
    fn schedule(&self, key: &Key, result: Result<Reconciled, CallError>, failures: &mut u32) -> &'static str {
        match result {
            Ok(reconciled) => {
                *failures = 0;
                self.queue.add_after(key, reconciled.again_in);
                if reconciled.is_refused { "error" } else { "ok" }
            }
            Err(CallError::NotLeading) => "error",
            Err(error) => {
                let delay = backoff(*failures, random());
                *failures = failures.saturating_add(1);
                tracing::warn!(deployment = %key, %error, again_in_seconds = delay.as_secs_f64(), "reconcile failed; retrying");
                self.queue.add_after(key, delay);
                "error"
            }
        }
    }

    async fn reconcile(
        &self,
        key: &Key,
        deployment: &ChatDeployment,
        state: &mut ReconcileState,
    ) -> Result<Reconciled, CallError> {
        let reconciled = |again_in| Ok(Reconciled { again_in, is_refused: false });
        let uid = deployment.metadata.uid.clone().unwrap_or_default();
        match self.is_ours(key, &uid, &deployment.status.clone().unwrap_or_default()).await? {
            Ours::Yes => {}
            Ours::NotYet(left) => return reconciled(left),
            Ours::No => return reconciled(RESYNC),
        }
        let owner = Owner { name: key.name.clone(), namespace: key.namespace.clone(), uid };
        let spec = &deployment.spec;
        let optional = self.scopes.optional_kinds(&key.namespace);
        let mut observed =
            observe::observe(&self.client, &self.cache, key, spec, optional, &mut state.watchdog, &mut state.secrets)
                .await?;
        let mut requeue = Requeue::within(RESYNC);
        let reports = self.reports.of(key, &self.cache.pods(key));
        observed.seats = state.seats.decide(spec, &observed, &key.name, &reports, Instant::now(), &mut requeue);
        let permission = self.permission(key, &owner, deployment, &observed, &mut state.patience, &mut requeue);
        let plan = plan::plan(&owner, spec, &self.installed, &observed, permission);
        for (child, hash) in &plan.same {
            self.cache.verify(key, child, *hash);
        }
        let context = Context { owner: &owner, spec, installed: &self.installed, facts: &plan.facts };
        if plan.writes.iter().any(Write::makes) && !self.is_still_there(key, &owner).await? {
            self.queue.add(key);
            return Ok(Reconciled { again_in: RESYNC, is_refused: false });
        }
        let mut outcome = apply::apply(&self.client, &self.cache, key, &context, &plan.writes, &mut state.ledger).await;
        outcome.conflicts.extend(plan.conflicts.iter().cloned());
        if let Some(scaled) = plan.scaled.filter(|_| outcome.failure.is_none() && outcome.problems.is_empty()) {
            tracing::info!(deployment = %key, from = scaled.from, to = scaled.to, free = scaled.free, "scaled by free seats");
            let message = format!("Scaled {scaled}.");
            let event = ("Normal", Reason::ScaledByFreeSeats.as_str(), message.as_str());
            self.publish(key, &owner, event, &mut state.limits).await;
        }
        let reconciled = |again_in| Ok(Reconciled { again_in, is_refused: !outcome.problems.is_empty() });
        if outcome.secrets_changed || !plan.secrets_are_there {
            state.secrets.are_stale();
        }
        let pods = self.cache.pods(key);
        let reasons = self.reasons(key, &observed, &pods, &plan, state, &mut requeue).await?;
        let problems = problems(&context, &outcome, &observed, &pods, reasons);
        let is_unsure = plan.step.phase == Phase::Unseen || !self.reports.are_asked(key, &pods);
        if state.unsure_for(is_unsure).is_some_and(|time| time < SURE_WITHIN) && outcome.failure.is_none() {
            // What could be said would be another thing in an instant.
            return reconciled(SURE_WITHIN);
        }
        let lost = lost(deployment, &context, &observed, &plan, &mut state.patience, &mut requeue);
        let wrong = (problems.as_slice(), lost.as_slice());
        self.write_status(key, deployment, &context, &plan, &pods, wrong, &mut state.limits, &mut requeue).await?;
        if let Some(failure) = outcome.failure {
            return Err(failure);
        }
        if outcome.secrets_changed || outcome.seen_anew {
            return reconciled(Duration::ZERO);
        }
        let progress = plan.is_under_way.then(|| progress(&observed, &plan));
        state.watchdog.goes_on(progress, Instant::now(), &mut requeue);
        let waits_for_others =
            !outcome.conflicts.is_empty() || (!plan.secrets_are_there && outcome.problems.is_empty());
        if waits_for_others {
            requeue.at_most(RETRY_AFTER * 2);
        }
        if plan.is_under_way {
            requeue.at_most(UNDER_WAY);
        }
        // What is not there is read at each reconcile anyway.
        if plan.secrets_are_there {
            requeue.at_most(state.secrets.are_good_for(Instant::now()));
        }
        for time in [past_in(&pods), state.ledger.next_in(Instant::now())].into_iter().flatten() {
            requeue.at_most(time);
        }
        reconciled(requeue.time())
    }

    /// The children may be gone because it is: its own watch is another one, and may be late. Asked before anything is made, since
    /// what a deleted owner gets has to be cleared away again.
    async fn is_still_there(&self, key: &Key, owner: &Owner) -> Result<bool, CallError> {
        let found = self.client.deployment(&key.namespace, &key.name).await?;
        let is_the_same = |found: &ChatDeployment| found.metadata.uid.as_deref() == Some(owner.uid.as_str());
        let Some(deployment) = found.filter(is_the_same) else {
            self.cache.remove_deployment_of(key, &owner.uid);
            return Ok(false);
        };
        let is_leaving = deployment.metadata.deletion_timestamp.is_some();
        self.cache.put_readable(key, deployment);
        Ok(!is_leaving)
    }

    fn permission(
        &self,
        key: &Key,
        owner: &Owner,
        deployment: &ChatDeployment,
        observed: &Observed,
        patience: &mut Patience,
        requeue: &mut Requeue,
    ) -> Permission {
        let facts = plan::facts(owner, observed);
        let spec = &deployment.spec;
        let context = Context { owner, spec, installed: &self.installed, facts: &facts };
        let desired = plan::desired_rollout(&context);
        let set = observed.set(&context.names().chat());
        let now = Instant::now();
        let away = rollout::away(set.as_ref(), &observed.pods);
        let outdated = rollout::outdated(set.as_ref(), &observed.pods, &desired);
        let patience_is_over = patience.is_over(&away, &outdated, now, requeue);
        let ending: BTreeSet<String> =
            observed.pods.values().filter(|pod| pod.terminating).map(|pod| pod.uid.clone()).collect();
        let is_stuck = patience.is_stuck(ending, grace(spec), now, requeue);
        let stranded = valkey::stranded(&context, observed, &self.cache.pods(key));
        let valkey_is_lost = patience.valkey_is_lost(stranded, now, requeue);
        let chat = (set.as_ref(), &observed.pods);
        let mut limiter = self.limiter();
        let rolling = Rolling {
            needs_slot: rollout::needs_slot(chat.0, chat.1, &desired, &patience.given_up(now))
                || valkey::needs_slot(&context, observed),
            is_unfinished: rollout::is_unfinished(chat.0, chat.1, &desired, limiter.began_with(key))
                || valkey::is_unfinished(&context, observed),
            replicas: set.as_ref().map_or(0, |set| set.replicas),
            progress: hash_of_pods(observed),
        };
        let slot = limiter.take(key, rolling, now);
        if !slot && limiter.are_starting(now) {
            requeue.at_most(WAIT_FOR_OTHERS);
        }
        Permission { slot, redis_is_settled: true, patience_is_over, is_stuck, valkey_is_lost }
    }
}

/// Something that changes when anything goes on.
fn progress(observed: &Observed, plan: &Plan) -> u64 {
    let so_far = format!("{:?} {:?} {:?} {}", plan.step, observed.pods, observed.valkey_pod, plan.writes.len());
    hash::number_of_text(&so_far)
}

/// Something that changes when a roll-out goes on.
fn hash_of_pods(observed: &Observed) -> u64 {
    let pods: Vec<String> =
        observed.pods.values().chain(&observed.valkey_pod).map(|pod| format!("{}{}", pod.uid, pod.ready)).collect();
    hash::number_of_text(&pods.join(" "))
}

#[cfg(test)]
mod tests;
