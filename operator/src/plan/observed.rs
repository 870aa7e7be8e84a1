//! The observed state of one ChatDeployment's objects, the input of a plan. Pure: plain data.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::compare::Accepted;
use crate::desired::Kind;
use crate::record;
use crate::rollout::{Pod, Set};
use crate::scale::Decision;

/// What is known of a child's content.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// It was the same as what was applied under this hash, and has not changed since.
    Verified(u64),
    /// As it was read.
    Object(Value),
}

/// A child that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its state by a watch or an answer.
    pub record: record::Child,
    /// Whether it is as it should be.
    pub content: Content,
    /// What the API server made of what was last applied.
    pub accepted: Option<Accepted>,
}

/// A Secret of ours that is there, without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSecret {
    /// What was read of the Secret, without values.
    pub record: record::Child,
    /// Whether all that is needed is in it.
    pub is_whole: bool,
}

/// The cluster, as far as it is about one ChatDeployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// All children that are known, by kind and name.
    pub children: BTreeMap<(Kind, String), Seen>,
    /// Chat pods by ordinal.
    pub pods: BTreeMap<i32, Pod>,
    /// The addresses of the nodes that they run on.
    pub hosts: BTreeMap<i32, String>,
    /// Those whose node Kubernetes does not hear of.
    pub cut_off: BTreeSet<i32>,
    /// Valkey's pod.
    pub valkey_pod: Option<Pod>,
    /// What free seats ask for, if they count.
    pub seats: Option<Decision>,
    /// The Secret with the token keys.
    pub token_keys: Option<SeenSecret>,
    /// The Secret with the keys of the server API.
    pub api_keys: Option<SeenSecret>,
    /// The Secret with the managed Valkey's password.
    pub valkey_secret: Option<SeenSecret>,
    /// Those of [`Kind::OPTIONAL`] that the cluster has, and that can be read.
    pub optional_kinds: BTreeSet<Kind>,
}

impl Observed {
    /// What is kept of a StatefulSet.
    pub fn set_record(&self, name: &str) -> Option<&record::Set> {
        match &self.children.get(&(Kind::StatefulSet, name.to_owned()))?.record.detail {
            record::Detail::Set(set) => Some(set),
            _ => None,
        }
    }

    /// A StatefulSet as the roll-out looks at it.
    pub fn set(&self, name: &str) -> Option<Set> {
        let set = self.set_record(name)?;
        Some(Set {
            replicas: set.replicas,
            partition: set.partition,
            is_observed: set.observed_generation >= set.generation,
            current_revision: set.current_revision.clone(),
            update_revision: set.update_revision.clone(),
            template: set.template.clone(),
            directory: set.directory.clone(),
        })
    }
}
