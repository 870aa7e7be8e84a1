//! Namespaces that cannot be read, and operators that find another one at work. Does I/O: processes, the API server.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::account::{everything, measured, rights};
use super::election::ends;
use super::world::{World, eventually, stays};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_namespace_that_cannot_be_read_is_left_out_and_the_others_are_looked_after() {
    let world = World::without_operator("left", json!({})).await;
    let account = world.account("operator", &rights()).await;
    let gone = format!("{}-gone", world.namespace);
    let operator = world.candidate_with("operator", Some(&account), &["--watch-namespace", &gone]);
    world.apply(everything()).await;
    eventually("the other namespace is worked on", async || world.names::<StatefulSet>().await.len() == 2).await;
    assert!(operator.ask("/readyz").unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(operator.metric("chatd_operator_namespaces_left_out"), Some(1));
    let log = operator.log();
    let told = log.lines().find(|line| line.contains("cannot read a namespace; skipping it")).unwrap();
    assert!(told.contains(&gone) && told.contains("cannot list resource"), "{told}");

    // It comes, with the operator's rights in it.
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": gone } });
    namespaces.patch(&gone, &PatchParams::apply("test"), &Patch::Apply(object)).await.unwrap();
    let role = world.api::<Role>().get("operator").await.unwrap();
    let mut binding = world.api::<RoleBinding>().get("operator").await.unwrap();
    binding.subjects.iter_mut().flatten().for_each(|subject| subject.namespace = Some(world.namespace.clone()));
    let there = json!({ "name": "operator" });
    let role =
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": there, "rules": role.rules });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": there,
        "roleRef": binding.role_ref, "subjects": binding.subjects,
    });
    let parameters = PatchParams::apply("test");
    Api::<Role>::namespaced(world.client.clone(), &gone)
        .patch("operator", &parameters, &Patch::Apply(role))
        .await
        .unwrap();
    let bindings = Api::<RoleBinding>::namespaced(world.client.clone(), &gone);
    bindings.patch("operator", &parameters, &Patch::Apply(binding)).await.unwrap();
    eventually("it is managed", async || operator.metric("chatd_operator_namespaces_left_out") == Some(0)).await;

    // And goes again, while the operator runs.
    namespaces.delete(&gone, &DeleteParams::background()).await.unwrap();
    world.is_worked_on().await;
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_second_of_two_operators_stops_with_a_reason_and_takes_over_when_the_first_is_gone() {
    let world = World::without_operator("two", json!({})).await;
    let first = world.candidate_with("first", None, &["--lease-name", "one"]);
    world.apply(everything()).await;
    let operator = async || world.status_of("chat").await.operator.unwrap_or_default();
    let name = |lease: &str| format!("{}/{lease}", world.namespace);
    eventually("the first one says who it is", async || operator().await == name("one")).await;
    eventually("it is done", async || world.names::<StatefulSet>().await.len() == 2).await;

    let mut second = world.candidate_with("second", None, &["--lease-name", "two"]);
    assert_eq!(ends(&mut second, Duration::from_mins(1)).await, Some(1));
    let log = second.log();
    assert!(log.contains(&format!("is already managed by the operator {}", name("one"))), "{log}");
    assert_eq!(operator().await, name("one"));
    eventually("the contender is taken out", async || world.status_of("chat").await.contender.is_none()).await;
    stays(Duration::from_secs(5), "nobody fights", async || world.versions()).await;
    world.is_worked_on().await;

    first.signal("KILL");
    let third = world.candidate_with("third", None, &["--lease-name", "three"]);
    measured(Duration::from_secs(75), "the place of the first is taken", async || operator().await == name("three"))
        .await;
    world.is_worked_on().await;
    drop(third);
    world.end().await;
}
