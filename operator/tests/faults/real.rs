//! Ten of the changes on real pods, with nodes that run them. Does I/O.

use std::time::Instant;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, PostParams};
use operator::desired::Kind;
use serde_json::{Value, json};

use super::changes::{Change, User};
use super::client;
use super::kubelet::BAD;
use super::process::Operator;
use super::walk::Walk;

/// Of each kind of change one that real pods notice.
fn change(step: usize, user: &mut User) -> Change {
    let mut set = |field: &str, value: Value| {
        user.spec[field] = value;
        Change::Spec(user.spec.clone())
    };
    match step {
        1 => set("replicas", 3.into()),
        2 => Change::DeletePod("Pod/chat-1".to_owned()),
        3 => Change::Delete("Service/chat".to_owned()),
        4 => set("image", format!("example.org/{BAD}:1").into()),
        5 => set("image", super::chatd_image().into()),
        6 => Change::Edit {
            kind: Kind::StatefulSet,
            name: "chat".to_owned(),
            patch: json!({ "spec": { "template": { "spec": { "terminationGracePeriodSeconds": 20 } } } }),
        },
        7 => set("replicas", 1.into()),
        8 => set("redis", json!({ "keyPrefix": "other:" })),
        9 => set("perPod", json!({ "type": "NodePort" })),
        _ => Change::Delete("StatefulSet/chat-valkey".to_owned()),
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn ten_changes_on_real_pods_end_as_a_fresh_apply_does() {
    let client = client().await;
    let id = std::process::id();
    let namespaces: Vec<String> = ["a", "b"].map(|what| format!("faults-{id}-real-{what}")).into();
    let all: Api<Namespace> = Api::all(client.clone());
    for namespace in &namespaces {
        let object = json!({ "metadata": { "name": namespace } });
        all.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
    let operator = Operator::start(&format!("faults-{id}-real"), None, &namespaces, &[]);
    let walk = Walk { client: &client, changing: namespaces[0].clone(), fresh: namespaces[1].clone() };
    let started = Instant::now();
    let mut step = 0;
    let result = walk
        .go(0, 10, |user, _, _| {
            step += 1;
            change(step, user)
        })
        .await;
    println!("ten changes on real pods in {:?}", started.elapsed());
    assert_eq!(result, Ok(()));
    drop(operator);
    for namespace in &namespaces {
        all.delete(namespace, &DeleteParams::default()).await.unwrap();
    }
}
