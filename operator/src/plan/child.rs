//! One child: its owner, its applied fields, and whether it differs from the observed object. Pure: no I/O.

use serde_json::{Value, json};

use super::compare::{self, accepted};
use super::observed::{Content, Seen};
use crate::desired::{self, Child, Kind, Owner};
use crate::hash;
use crate::record::{self, APPLIED, TEMPLATE};

/// Whether an object may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Ours, or nobody's with our labels: left behind by an owner that was deleted without its children.
    Ours,
    /// Ours, and being deleted: it is made again once it is gone.
    Leaving,
    /// Somebody else's, in words for the status.
    Foreign(String),
}

/// Whether the operator of `owner` may write the object that was read.
pub fn standing(owner: &Owner, record: &record::Child) -> Standing {
    match &record.owner {
        record::Owner::Controller { uid, .. } if **uid == *owner.uid => {
            if record.is_deleting {
                Standing::Leaving
            } else {
                Standing::Ours
            }
        }
        record::Owner::Controller { name, .. } if **name == *format!("{}/{}", desired::KIND, owner.name) => {
            Standing::Foreign("a ChatDeployment of this name that was deleted, and goes away by itself".to_owned())
        }
        record::Owner::Controller { name, .. } => Standing::Foreign(name.to_string()),
        record::Owner::Nobody if record.has_our_labels => {
            if record.is_deleting {
                Standing::Leaving
            } else {
                Standing::Ours
            }
        }
        record::Owner::Nobody => Standing::Foreign("nobody, but it lacks the operator's labels".to_owned()),
    }
}

/// The hash of a StatefulSet's pod template.
pub fn template(set: &Child) -> String {
    set.object.pointer("/spec/template").map(hash::of_value).unwrap_or_default()
}

/// The child with the hash of all that is applied, by which a field that is no longer wanted is noticed.
pub(super) fn sealed(mut child: Child) -> Child {
    let template = (child.kind == Kind::StatefulSet).then(|| template(&child));
    let applied = hash::of_value(&child.object);
    let annotations = &mut child.object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[APPLIED] = applied.into();
    if let Some(template) = template {
        annotations[TEMPLATE] = template.into();
    }
    child
}

/// The hash under which a sealed child is applied.
pub fn seal(child: &Child) -> u64 {
    let annotation = child.object["metadata"]["annotations"].get(APPLIED).and_then(Value::as_str);
    annotation.and_then(|hash| u64::from_str_radix(hash, 16).ok()).unwrap_or_default()
}

pub(super) fn difference(child: &Child, seen: &Seen) -> Option<String> {
    match &seen.content {
        Content::Verified(hash) => (*hash != seal(child)).then(|| "spec".to_owned()),
        Content::Object(object) => {
            let place = compare::first_difference(&child.object, object)?;
            (seen.accepted != Some(accepted(child, object))).then_some(place)
        }
    }
}
