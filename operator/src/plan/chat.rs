//! The chat pods: their desired state, and the facts that it depends on. Pure: no I/O.

use std::collections::BTreeMap;
use std::fmt;

use super::child::template;
use super::observed::{Observed, Seen};
use super::secrets;
use crate::api::ChatDeploymentSpec;
use crate::desired::{self, Context, Directory, Facts, Kind, Names, Owner};
use crate::record;
use crate::rollout::{Desired, Phase, Pod, Set, Step, Wait};
use crate::scale::Decision;

/// What was seen, before it is known how far the chat pods are.
pub fn facts(owner: &Owner, observed: &Observed) -> Facts {
    Facts {
        deployment_uid: observed.set_record(&Names::new(&owner.name).chat()).and_then(|set| set.adopted_uid.clone()),
        by_free_seats: observed.seats.map(|decision| decision.replicas),
        seats_floor: observed.seats.map(|decision| decision.floor),
        valkey_secret: secrets::usable(owner, observed.valkey_secret.as_ref()),
        optional_kinds: observed.optional_kinds.clone(),
        ..Facts::default()
    }
}

/// Where the spec wants the chat pods to go. It does not depend on how far they are: `context.facts` need not know that yet.
pub fn desired_rollout(context: &Context<'_>) -> Desired {
    Desired {
        replicas: context.spec.effective_replicas(context.facts.by_free_seats),
        partition: context.spec.rollout.partition,
        paused: context.spec.rollout.paused,
        template: template(&desired::chat_set(context)),
        directory: Directory::of(context).identity,
    }
}

/// What was seen of the pods' own Services.
pub(super) fn outside(names: &Names<'_>, observed: &Observed) -> BTreeMap<i32, desired::SeenAddress> {
    let of = |((kind, name), seen): (&(Kind, String), &Seen)| {
        let record::Detail::Service(service) = &seen.record.detail else { return None };
        let ordinal = names.ordinal(name).filter(|_| *kind == Kind::Service)?;
        let address = desired::SeenAddress {
            ingress: service.ingress.clone(),
            tcp_node_port: service.tcp_node_port,
            web_node_port: service.web_node_port,
            host: observed.hosts.get(&ordinal).cloned(),
        };
        Some((ordinal, address))
    };
    observed.children.iter().filter_map(of).collect()
}

/// Whether the cluster is expected to change by itself.
pub(super) fn is_under_way(step: &Step, observed: &Observed, redis_is_settled: bool) -> bool {
    let ends = |(ordinal, pod): (&i32, &Pod)| pod.terminating || *ordinal >= step.replicas;
    let moves = !matches!(step.phase, Phase::Settled | Phase::Waiting { why: Wait::Paused });
    moves || !redis_is_settled || observed.pods.iter().any(ends)
}

/// A step of scaling by free seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaled {
    /// The replicas so far.
    pub from: i32,
    /// The replicas from now on.
    pub to: i32,
    /// Seats that were free.
    pub free: i64,
    /// Seats that are to be free.
    pub wanted: i64,
}

impl fmt::Display for Scaled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, free, wanted } = self;
        write!(formatter, "from {from} to {to} pods: {free} seats are free, and {wanted} are to be")
    }
}

/// Whether this step is one that free seats ask for: they, and not `replicas` or the bounds, decide the number.
pub(super) fn scaled(spec: &ChatDeploymentSpec, observed: &Observed, set: Option<&Set>, step: &Step) -> Option<Scaled> {
    let Decision { replicas, free, wanted, .. } = observed.seats?;
    let from = set?.replicas;
    let by_cpu = spec.autoscaling.as_ref().is_some_and(|autoscaling| autoscaling.cpu_target().is_some());
    let decides = !by_cpu || spec.effective_replicas(None) < replicas;
    let moves = matches!(step.phase, Phase::Scaling { to } if to == replicas) && step.replicas != from;
    (decides && moves).then_some(Scaled { from, to: step.replicas, free, wanted })
}
