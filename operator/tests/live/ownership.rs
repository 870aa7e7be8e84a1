//! Whose is what: names taken, children adopted, fields and labels of others, and that nothing is written without need. Does I/O.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use kube::api::DeleteParams;
use operator::api::ChatDeployment;
use serde_json::json;

use super::servers::small;
use super::world::{World, eventually, stays};

/// Longer than the operator takes for anything that it does at rest but a look at Secrets.
const AT_REST: Duration = Duration::from_secs(10);

#[tokio::test]
#[ignore = "needs a cluster"]
async fn whoever_applies_scales_and_edits_is_not_fought_with() {
    let world = World::new("still").await;
    let file = std::env::temp_dir().join(format!("{}.json", world.namespace));
    let object = |spec: &serde_json::Value| json!({ "apiVersion": "chatd.dev/v1beta1", "kind": "ChatDeployment", "metadata": { "name": "chat" }, "spec": spec });
    let mut spec = small(&json!({}));
    // An autoscaler looks every 15 s, and would take back what kubectl scales, at times before the new pod is ready.
    let never = json!({ "selectPolicy": "Disabled" });
    spec["autoscaling"] = json!({
        "maxReplicas": 3, "minReplicas": 1, "targetCPUUtilizationPercentage": 1000,
        "behavior": { "scaleDown": never, "scaleUp": never },
    });
    spec["perPod"] = json!({ "type": "NodePort" });
    std::fs::write(&file, object(&spec).to_string()).unwrap();
    let path = file.to_str().unwrap().to_owned();
    world.kubectl_ok(&["apply", "--filename", &path]);
    world.ready().await;
    // What others add to the children.
    world.kubectl_ok(&["label", "service/chat", "statefulset/chat", "secret/chat-token-keys", "team=games"]);
    world.kubectl_ok(&["annotate", "service/chat", "poddisruptionbudget/chat", "note=theirs"]);
    world.ready().await;

    let chat = async || world.versions();
    eventually("counts are said", async || world.status_of("chat").await.rooms.is_some()).await;
    let before = chat().await;
    for _ in 0..5 {
        // Once the fields have two managers, nothing is left to change.
        world.kubectl_ok(&["apply", "--filename", &path]);
    }
    assert_eq!(chat().await, before, "apply from the client's side, again and again");
    world.kubectl_ok(&["apply", "--server-side", "--force-conflicts", "--field-manager=argocd", "--filename", &path]);
    let before = chat().await;
    for _ in 0..5 {
        world.kubectl_ok(&["apply", "--server-side", "--field-manager=argocd", "--filename", &path]);
    }
    stays(AT_REST, "nothing is written at rest", chat).await;
    assert_eq!(chat().await, before, "apply from the server's side, again and again");

    world.kubectl_ok(&["scale", "chatd/chat", "--replicas=2"]);
    eventually("two pods", async || world.status_of("chat").await.ready_replicas == 2).await;
    world.ready().await;
    let edit = json!({ "spec": { "limits": { "burst": 40 } } }).to_string();
    world.kubectl_ok(&["patch", "chatd/chat", "--type=merge", "--patch", &edit]);
    eventually("the edit is there", async || {
        let set = world.api::<StatefulSet>().get("chat").await.unwrap();
        let env = set.spec.unwrap().template.spec.unwrap().containers.remove(0).env.unwrap();
        env.iter().any(|variable| variable.name == "CHATD_BURST" && variable.value.as_deref() == Some("40"))
    })
    .await;
    world.ready().await;
    eventually("counts are said", async || world.status_of("chat").await.rooms.is_some()).await;
    stays(AT_REST, "nothing flips back", chat).await;
    assert_eq!(world.status_of("chat").await.ready_replicas, 2, "what a person has scaled stays");
    let service = world.api::<Service>().get("chat").await.unwrap().metadata;
    assert_eq!(
        (&service.labels.unwrap()["team"], &service.annotations.unwrap()["note"]),
        (&"games".into(), &"theirs".into())
    );
    let deployment = world.api::<ChatDeployment>().get("chat").await.unwrap();
    let managers = deployment.metadata.managed_fields.unwrap_or_default();
    let of_spec = managers.iter().filter(|entry| entry.manager.as_deref() == Some("chatd-operator"));
    assert!(of_spec.into_iter().all(|entry| entry.subresource.as_deref() == Some("status")), "never the spec");
    std::fs::remove_file(file).unwrap();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn children_that_an_owner_left_behind_are_adopted_and_others_are_not_touched() {
    let world = World::new("adopt").await;
    world.put::<ConfigMap>(json!({ "metadata": { "name": "chat-notes" }, "data": { "a": "b" } })).await;
    world.apply(small(&json!({}))).await;
    world.ready().await;
    let uid_of_set = async || world.api::<StatefulSet>().get("chat").await.unwrap().metadata.uid;
    let key = world.api::<Secret>().get("chat-token-keys").await.unwrap();
    let (set, pods) = (uid_of_set().await, world.pods().await);

    let orphan =
        DeleteParams { propagation_policy: Some(kube::api::PropagationPolicy::Orphan), ..DeleteParams::default() };
    world.api::<ChatDeployment>().delete("chat", &orphan).await.unwrap();
    eventually("it is gone", async || world.api::<ChatDeployment>().get_opt("chat").await.unwrap().is_none()).await;
    assert_eq!(uid_of_set().await, set);
    world.apply(small(&json!({}))).await;
    world.ready().await;
    assert_eq!(uid_of_set().await, set, "the StatefulSet is the same");
    let adopted = world.api::<Secret>().get("chat-token-keys").await.unwrap();
    assert_eq!((adopted.metadata.uid, adopted.data), (key.metadata.uid, key.data), "and so are the keys");
    let owner = adopted.metadata.owner_references.unwrap().remove(0);
    assert_eq!(Some(owner.uid), world.api::<ChatDeployment>().get("chat").await.unwrap().metadata.uid);
    // The pods know the ChatDeployment that they are of: they are replaced one after the other.
    assert_eq!(world.pods().await.len(), pods.len());

    world.api::<ChatDeployment>().delete("chat", &DeleteParams::background()).await.unwrap();
    eventually("all children are gone", async || {
        world.names::<StatefulSet>().await.is_empty() && world.names::<Service>().await.is_empty()
    })
    .await;
    assert!(world.names::<ConfigMap>().await.contains(&"chat-notes".to_owned()));
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_is_taken_out_of_a_child_comes_back_and_costs_no_pod() {
    let world = World::new("stripped").await;
    world.apply(small(&json!({}))).await;
    world.ready().await;
    let mut changed = small(&json!({}));
    changed["rooms"] = json!({ "maxPlayers": 9 });
    changed["rollout"] = json!({ "paused": true });
    world.apply(changed).await;
    world.said("chat", "Progressing", "False/Paused").await;
    let pods = world.pods().await;

    // Without this label the operator's watch does not know the StatefulSet any more.
    let label = "app.kubernetes.io/managed-by";
    world.merge::<StatefulSet>("chat", json!({ "metadata": { "labels": { label: null } } })).await;
    world.merge::<ServiceAccount>("chat-chatd", json!({ "automountServiceAccountToken": null })).await;
    eventually("the label is back", async || {
        let labels = world.api::<StatefulSet>().get("chat").await.unwrap().metadata.labels.unwrap_or_default();
        labels.get(label).is_some_and(|manager| manager == "chatd-operator")
    })
    .await;
    eventually("no token is mounted again", async || {
        world.api::<ServiceAccount>().get("chat-chatd").await.unwrap().automount_service_account_token == Some(false)
    })
    .await;
    stays(AT_REST, "every pod", async || world.pods().await).await;
    assert_eq!(world.pods().await, pods, "a pause holds for a set that was hidden, too");
    stays(Duration::from_secs(2), "nothing is written at rest", async || world.versions()).await;
    world.end().await;
}
