//! The operator under faults, against a real API server and controller-manager: ended at every write, answers lost, stale reads, watch
//! events dropped, errors; and random changes, after which its children are those of a fresh apply. Needs KUBECONFIG with all rights,
//! the installed CRD, and Kubernetes 1.36 or later: pods are bound by an admission policy to a node that runs nothing, and marked ready.
//! The changes on real pods need the images as tests/live does. operator/README.md says how these are run, all or one.
#![allow(clippy::unwrap_used)]

mod changes;
mod crash;
mod kubelet;
mod objects;
mod process;
mod proxy;
mod real;
mod rules;
mod story;
mod walk;

use std::process::Command;
use std::time::{Duration, Instant};

use kube::api::{Api, DeleteParams, Patch, PatchParams};
use objects::NAME;
use operator::api::ChatDeployment;
use serde_json::{Value, json};

/// After faults have ended, everything is as it should be within this time.
const LIMIT: Duration = Duration::from_mins(1);

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn chatd_image() -> String {
    variable("CHATD_TEST_IMAGE", "chatd.local/chatd:dev")
}

fn redis_image() -> String {
    variable("VALKEY_TEST_IMAGE", "chatd.local/valkey:9")
}

/// A program that reaches pods if it is to, and else this machine's loopback.
fn enter(program: &str, reaches_pods: bool) -> Command {
    let enter = if reaches_pods { variable("CHATD_TEST_ENTER", "env") } else { "env".to_owned() };
    let mut words = enter.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg(program);
    command
}

async fn client() -> kube::Client {
    kube::Client::try_default().await.expect("a cluster: set KUBECONFIG")
}

async fn apply(client: &kube::Client, namespace: &str, spec: &Value) -> Result<ChatDeployment, kube::Error> {
    let deployments: Api<ChatDeployment> = Api::namespaced(client.clone(), namespace);
    let object = json!({
        "apiVersion": "chatd.dev/v1beta1", "kind": "ChatDeployment", "metadata": { "name": NAME }, "spec": spec,
    });
    deployments.patch(NAME, &PatchParams::apply("test").force(), &Patch::Apply(object)).await
}

async fn delete(client: &kube::Client, namespace: &str) {
    let deployments: Api<ChatDeployment> = Api::namespaced(client.clone(), namespace);
    deployments.delete(NAME, &DeleteParams::background()).await.unwrap();
}

async fn deployment(client: &kube::Client, namespace: &str) -> ChatDeployment {
    let deployments: Api<ChatDeployment> = Api::namespaced(client.clone(), namespace);
    deployments.get(NAME).await.unwrap()
}

/// Whether its status is about its spec, and says that nothing goes on any more.
fn has_settled(deployment: &ChatDeployment) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    let goes_on =
        status.conditions.iter().any(|condition| condition.type_ == "Progressing" && condition.status == "True");
    !goes_on && status.observed_generation == deployment.metadata.generation
}

/// Asks again and again; the last answer is the complaint.
async fn within(limit: Duration, mut complaint: impl AsyncFnMut() -> Option<String>) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    while let Some(said) = complaint().await {
        if Instant::now() > deadline {
            return Err(format!("not within {limit:?}: {said}"));
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    Ok(())
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let result = within(LIMIT, async || (!holds().await).then(|| what.to_owned())).await;
    assert_eq!(result, Ok(()));
}
