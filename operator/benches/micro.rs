//! Micro bench of the plan of one ChatDeployment, which the operator makes on each look: `make bench-micro`. No I/O.

#![allow(clippy::unwrap_used)]

use divan::{Bencher, black_box};
use operator::api::ChatDeploymentSpec;
use operator::desired::{Installed, Owner};
use operator::plan::{Content, Observed, Seen, Write, plan};
use operator::record;
use operator::rollout::Permission;
use serde_json::json;

const GO: Permission =
    Permission { slot: true, redis_is_settled: true, patience_is_over: false, is_stuck: false, valkey_is_lost: false };

fn main() {
    divan::main();
}

fn deployment() -> (Owner, ChatDeploymentSpec, Installed) {
    let owner = Owner { name: "chat".into(), namespace: "games".into(), uid: "uid-1".into() };
    let installed = Installed {
        chatd_image: "chatd:1".into(),
        valkey_image: "valkey:9".into(),
        operator_namespace: "system".into(),
        monitoring_namespaces: Vec::new(),
    };
    (owner, serde_json::from_value(json!({ "replicas": 3, "redis": { "managed": {} } })).unwrap(), installed)
}

/// Nothing is there yet: everything is to be made.
#[divan::bench]
fn plan_of_a_new_deployment(bencher: Bencher<'_, '_>) {
    let (owner, spec, installed) = deployment();
    let observed = Observed::default();
    bencher.bench(|| plan(&owner, black_box(&spec), &installed, &observed, GO));
}

/// All children are there and as they should be: each is compared.
#[divan::bench]
fn plan_of_a_standing_deployment(bencher: Bencher<'_, '_>) {
    let (owner, spec, installed) = deployment();
    let mut observed = Observed::default();
    for write in plan(&owner, &spec, &installed, &observed, GO).writes {
        let Write::Create(child) = write else { continue };
        let mut object = child.object;
        object["metadata"]["uid"] = child.name.clone().into();
        object["metadata"]["resourceVersion"] = "1".into();
        let record = record::Child::of_object(child.kind, &object);
        observed
            .children
            .insert((child.kind, child.name), Seen { record, content: Content::Object(object), accepted: None });
    }
    let again = plan(&owner, &spec, &installed, &observed, GO);
    assert!(again.same.len() >= 5, "{} of {} are compared", again.same.len(), observed.children.len());
    bencher.bench(|| plan(&owner, black_box(&spec), &installed, &observed, GO));
}
