//! Random walks: after each change the children settle, and are those of a ChatDeployment that was applied afresh with the same spec. One
//! operator for all, since they run side by side in production too. Does I/O.

use std::time::Instant;

use futures::future::join_all;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use operator::desired::Kind;
use serde_json::Value;

use super::changes::{Change, User};
use super::kubelet::Kubelet;
use super::objects::{self, NAME, Objects, differences};
use super::process::Operator;
use super::{LIMIT, apply, client, delete, deployment, has_settled, variable, within};

/// One walk: a namespace in which things change, and one in which they are applied afresh.
pub struct Walk<'a> {
    pub client: &'a kube::Client,
    pub changing: String,
    pub fresh: String,
}

impl Walk<'_> {
    /// All steps of a seed. What is in `fresh` at the end stays there.
    pub async fn go(
        &self,
        seed: u64,
        steps: u32,
        mut next: impl FnMut(&mut User, &[String], &[String]) -> Change,
    ) -> Result<(), String> {
        let mut user = User::new(seed);
        self.settle(&user, true).await.map_err(|error| format!("seed {seed}, at its start: {error}"))?;
        for step in 1..=steps {
            let children: Vec<String> = objects::children(self.client, &self.changing).await.into_keys().collect();
            let pods: Vec<String> = objects::pods(self.client, &self.changing).await.into_keys().collect();
            let change = next(&mut user, &children, &pods);
            let result = match self.carry_out(&change).await {
                Ok(()) => self.settle(&user, matches!(change, Change::Spec(_))).await,
                Err(error) => Err(error.to_string()),
            };
            result.map_err(|error| format!("seed {seed}, step {step}: {change:?} of {}: {error}", user.spec))?;
        }
        user.let_go();
        let end = self.settle(&user, true).await;
        end.map_err(|error| format!("seed {seed}, at its end, with {}: {error}", user.spec))
    }

    async fn carry_out(&self, change: &Change) -> Result<(), kube::Error> {
        match change {
            Change::Spec(spec) => apply(self.client, &self.changing, spec).await.map(drop),
            Change::Delete(child) => {
                let (kind, name) = child.split_once('/').unwrap();
                let kind = *Kind::ALL.iter().find(|known| known.as_str() == kind).unwrap();
                self.api(kind).delete(name, &DeleteParams::background()).await.map(drop)
            }
            Change::Edit { kind, name, patch } => {
                let parameters = PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() };
                let patched = self.api(*kind).patch(name, &parameters, &Patch::Merge(patch)).await;
                patched.map(drop)
            }
            Change::DeletePod(pod) => {
                let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(self.client.clone(), &self.changing);
                let name = pod.strip_prefix("Pod/").unwrap();
                pods.delete(name, &DeleteParams::default()).await.map(drop)
            }
        }
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        let (group, version) = kind.api_version().rsplit_once('/').unwrap_or(("", kind.api_version()));
        let of = GroupVersionKind::gvk(group, version, kind.as_str());
        let resource = ApiResource::from_gvk_with_plural(&of, kind.plural());
        Api::namespaced_with(self.client.clone(), &self.changing, &resource)
    }

    /// Until both are the same; the fresh one is recreated if the spec is another one.
    async fn settle(&self, user: &User, is_new: bool) -> Result<(), String> {
        if is_new {
            apply(self.client, &self.changing, &user.spec).await.map_err(|error| error.to_string())?;
            delete_if_there(self.client, &self.fresh).await;
            within(LIMIT, async || {
                let left = objects::children(self.client, &self.fresh).await;
                let pods = objects::pods(self.client, &self.fresh).await;
                (!left.is_empty() || !pods.is_empty()).then(|| format!("not gone: {:?} {:?}", left.keys(), pods.keys()))
            })
            .await?;
            apply(self.client, &self.fresh, &user.spec).await.map_err(|error| error.to_string())?;
        }
        within(LIMIT, async || {
            for namespace in [&self.fresh, &self.changing] {
                let deployment = deployment(self.client, namespace).await;
                if !has_settled(&deployment) {
                    let said = deployment.status.unwrap_or_default().conditions;
                    return Some(format!("{namespace} has not settled: {said:?}"));
                }
            }
            let (fresh, changing) = (self.objects(&self.fresh, user).await, self.objects(&self.changing, user).await);
            let found = differences(&fresh, &changing);
            (!found.is_empty()).then(|| found.join("; "))
        })
        .await
    }

    /// What can be compared. While pods are held back, which of them are new or have an address, and how far the roll-out has come, is a
    /// matter of the past.
    async fn objects(&self, namespace: &str, user: &User) -> Objects {
        let mut objects = objects::children(self.client, namespace).await;
        if user.holds_back() {
            if let Some(strategy) =
                objects.get_mut("StatefulSet/chat").and_then(|set| set.pointer_mut("/spec/updateStrategy"))
            {
                *strategy = Value::Null;
            }
            if let Some(data) = objects.get_mut("ConfigMap/chat-addresses").and_then(|map| map.pointer_mut("/data")) {
                *data = Value::Null;
            }
        } else {
            objects.extend(objects::pods(self.client, namespace).await);
        }
        objects
    }
}

async fn delete_if_there(client: &kube::Client, namespace: &str) {
    let deployments: Api<operator::api::ChatDeployment> = Api::namespaced(client.clone(), namespace);
    if deployments.get_opt(NAME).await.unwrap().is_some() {
        delete(client, namespace).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn after_any_change_the_children_are_those_of_a_fresh_apply() {
    let client = client().await;
    let id = std::process::id();
    let kubelet = Kubelet::start(client.clone(), &format!("faults-walk-{id}")).await;
    let first: u64 = variable("CHATD_WALK_SEED", "1").parse().unwrap();
    let count: u64 = variable("CHATD_WALKS", "4").parse().unwrap();
    let steps: u32 = variable("CHATD_WALK_STEPS", "30").parse().unwrap();
    let walks: Vec<(u64, Walk)> = (first..first + count)
        .map(|seed| {
            let of = |what: &str| format!("faults-{id}-walk{seed}-{what}");
            (seed, Walk { client: &client, changing: of("a"), fresh: of("b") })
        })
        .collect();
    let namespaces: Vec<String> =
        walks.iter().flat_map(|(_, walk)| [walk.changing.clone(), walk.fresh.clone()]).collect();
    join_all(namespaces.iter().map(|namespace| kubelet.namespace(namespace))).await;
    let name = format!("faults-{id}-walks");
    let _operator = Operator::start(&name, None, &namespaces, &["--max-rollouts", "1000"]);
    let started = Instant::now();
    let results = join_all(walks.iter().map(|(seed, walk)| walk.go(*seed, steps, User::next))).await;
    kubelet.end().await;
    println!("{count} walks of {steps} changes from seed {first} in {:?}", started.elapsed());
    let failed: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    for error in &failed {
        println!(
            "{error}\n  alone: CHATD_WALKS=1 CHATD_WALK_SEED=<seed> cargo test -p operator --test faults -- --ignored --nocapture any_change"
        );
    }
    assert!(failed.is_empty(), "{} of {count} walks failed", failed.len());
}
