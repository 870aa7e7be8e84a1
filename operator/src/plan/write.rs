//! The writes of a plan, and the key by which a repeated write is recognized. Pure: no I/O.

use super::child::seal;
use crate::desired::{Child, Kind};
use crate::hash;

/// A child's name that is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The kind of the object.
    pub kind: Kind,
    /// Its `metadata.name`.
    pub name: String,
    /// Whose it is, in words for the status.
    pub holder: String,
}

/// Which of the Secrets that hold random values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewSecret {
    /// The keys by which chatd signs its tokens.
    TokenKeys,
    /// The keys of the server API.
    ApiKeys,
    /// The password of the managed Valkey.
    Valkey,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Nothing of this name is known: look first whether it is somebody else's.
    Create(Child),
    /// It is ours; `why` is the first place that differs. Only that very object: one that is gone meanwhile, such as with a deleted
    /// ChatDeployment, does not come back by it.
    Apply {
        /// As it is to be.
        child: Child,
        /// The object that it is for.
        uid: String,
        /// The first place that differs.
        why: String,
    },
    /// Make the Secret, with new random values.
    Secret(NewSecret),
    /// Take one that an owner left behind, values as they are.
    AdoptSecret(NewSecret),
    /// Give a Secret that has lost all its keys a new one.
    FillSecret(NewSecret),
    /// Ours, and no longer wanted.
    Delete {
        /// The kind of the child.
        kind: Kind,
        /// Its `metadata.name`.
        name: String,
        /// That very one.
        uid: String,
    },
    /// Kubernetes would not replace it for an update while another pod is unready.
    DeletePod {
        /// Its `metadata.name`.
        name: String,
        /// That very one.
        uid: String,
    },
    /// Its node is silent: nobody would end it in order.
    LetPodGo {
        /// Its `metadata.name`.
        name: String,
        /// That very one.
        uid: String,
    },
}

impl Write {
    /// What it does to which object: the same for two tries.
    pub fn name(&self) -> String {
        match self {
            Self::Create(child) => format!("make {} {}", child.kind.as_str(), child.name),
            Self::Apply { child, .. } => format!("apply {} {}", child.kind.as_str(), child.name),
            Self::Secret(which) => format!("make Secret {which:?}"),
            Self::AdoptSecret(which) => format!("adopt Secret {which:?}"),
            Self::FillSecret(which) => format!("fill Secret {which:?}"),
            Self::Delete { kind, name, uid } => format!("delete {} {name} {uid}", kind.as_str()),
            Self::DeletePod { name, uid } | Self::LetPodGo { name, uid } => format!("delete Pod {name} {uid}"),
        }
    }

    /// Differs where two tries would write different things.
    pub fn content(&self) -> u64 {
        match self {
            Self::Create(child) => seal(child),
            Self::Apply { child, uid, .. } => hash::number_of_text(&format!("{uid} {}", hash::of_value(&child.object))),
            _ => 0,
        }
    }

    /// Whether something comes into being by it.
    pub fn makes(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Secret(_))
    }

    /// Whether it is about a Secret, which no watch tells of.
    pub fn is_of_secret(&self) -> bool {
        match self {
            Self::Secret(_) | Self::AdoptSecret(_) | Self::FillSecret(_) => true,
            Self::Delete { kind, .. } => *kind == Kind::Secret,
            Self::Create(_) | Self::Apply { .. } | Self::DeletePod { .. } | Self::LetPodGo { .. } => false,
        }
    }
}
