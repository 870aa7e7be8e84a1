//! Admission policies of the cluster: one that denies is told in its own words and not pressed, and what one changes is not fought.
//! Does I/O: the API server judges.

use std::time::{Duration, Instant};

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use super::account::everything;
use super::servers::small;
use super::world::{World, eventually, redis_image, stays, within};

impl World {
    fn policies(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        Api::all_with(self.client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural))
    }

    /// A policy and its binding, for this namespace. `kind`: Validating or Mutating.
    pub async fn policy(&self, kind: &str, resources: Value, spec: Value) {
        let name = &self.namespace;
        let mut policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}AdmissionPolicy"), "metadata": { "name": name },
            "spec": spec,
        });
        policy["spec"]["failurePolicy"] = "Fail".into();
        policy["spec"]["matchConstraints"] = json!({
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } },
            "resourceRules": resources,
        });
        let mut binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}AdmissionPolicyBinding"),
            "metadata": { "name": name }, "spec": { "policyName": name },
        });
        if kind == "Validating" {
            binding["spec"]["validationActions"] = json!(["Deny"]);
        }
        let plural = kind.to_lowercase() + "admissionpolicies";
        let bindings = kind.to_lowercase() + "admissionpolicybindings";
        for (object, plural) in [(policy, plural), (binding, bindings)] {
            let api = self.policies(object["kind"].as_str().unwrap(), &plural);
            api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object)).await.unwrap();
        }
    }

    pub async fn no_policy(&self, kind: &str) {
        let name = &self.namespace;
        let bindings =
            self.policies(&format!("{kind}AdmissionPolicyBinding"), &(kind.to_lowercase() + "admissionpolicybindings"));
        bindings.delete(name, &DeleteParams::default()).await.unwrap();
        let policies = self.policies(&format!("{kind}AdmissionPolicy"), &(kind.to_lowercase() + "admissionpolicies"));
        policies.delete(name, &DeleteParams::default()).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_policy_that_denies_is_told_in_its_own_words_and_asked_less_and_less() {
    let mut world =
        World::without_operator("denied", json!({ "pod-security.kubernetes.io/enforce": "restricted" })).await;
    let services = json!([{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["services"] }]);
    let words = "a Service for clients needs an annotation owner";
    let expression = "object.metadata.name != 'chat' || (has(object.metadata.annotations) && 'owner' in object.metadata.annotations)";
    world
        .policy("Validating", services, json!({ "validations": [{ "expression": expression, "message": words }] }))
        .await;
    eventually("the policy denies", async || {
        let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "chat" }, "spec": { "ports": [{ "port": 1 }] } });
        let dry = PatchParams { dry_run: true, ..PatchParams::apply("test") };
        let services: Api<k8s_openapi::api::core::v1::Service> = world.api();
        services.patch("chat", &dry, &Patch::Apply(service)).await.is_err()
    })
    .await;
    world.start_operator(&[]);
    let since = Instant::now();
    world.apply(small(&json!({}))).await;
    within(Duration::from_secs(15), "it is told", async || world.condition("Degraded").await == "True/Denied").await;
    let message = world.whole_condition("chat", "Degraded").await.unwrap().message;
    assert!(message.contains(words), "{message}");
    tokio::time::sleep(Duration::from_secs(40).saturating_sub(since.elapsed())).await;
    assert_eq!(world.condition("Degraded").await, "True/Denied", "it is told while it waits");
    let tries = world.log().matches("the API server refused a write").count();
    assert!((1..=3).contains(&tries), "{tries} tries in 40 s");
    world.no_policy("Validating").await;
    world.ready().await;
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_a_policy_changes_is_not_fought_and_roll_outs_go_on() {
    let mut world =
        World::without_operator("mutated", json!({ "pod-security.kubernetes.io/enforce": "restricted" })).await;
    let sets = json!([{ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["statefulsets"] }]);
    let sidecar = format!(
        "Object.spec.template.spec.containers{{name: 'sidecar', image: '{}', command: ['redis-server', '--port', '7999', '--save', ''], \
         securityContext: Object.spec.template.spec.containers.securityContext{{allowPrivilegeEscalation: false, runAsUser: 999, \
         capabilities: Object.spec.template.spec.containers.securityContext.capabilities{{drop: ['ALL']}}}}}}",
        redis_image()
    );
    // Whatever it finds, it comes to the same: policies are asked again at each write.
    let expression = format!(
        "(object.spec.template.spec.containers.exists(c, c.name == 'sidecar') ? [] : \
         [JSONPatch{{op: 'add', path: '/spec/template/spec/containers/-', value: {sidecar}}}]) + \
         [JSONPatch{{op: 'add', path: '/spec/template/spec/containers/0/resources/limits', value: {{'memory': '200Mi'}}}}, \
         JSONPatch{{op: 'replace', path: '/spec/template/spec/terminationGracePeriodSeconds', value: 45}}]"
    );
    let mutations = json!([{ "patchType": "JSONPatch", "jsonPatch": { "expression": expression } }]);
    world.policy("Mutating", sets, json!({ "reinvocationPolicy": "Never", "mutations": mutations })).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.start_operator(&[]);
    world.apply(small(&json!({}))).await;
    world.ready().await;
    let set = world.api::<k8s_openapi::api::apps::v1::StatefulSet>().get("chat").await.unwrap();
    let pod = set.spec.unwrap().template.spec.unwrap();
    assert_eq!((pod.containers.len(), pod.termination_grace_period_seconds), (2, Some(45)), "the policy is at work");
    let versions = async || -> Vec<_> {
        let is_child = |(name, _): &(String, String)| !name.starts_with("ChatDeployment/");
        world.versions().into_iter().filter(is_child).collect()
    };
    stays(Duration::from_secs(20), "nothing is written", versions).await;
    let before = versions().await;
    let pods = world.pods().await;
    world.restart_operator();
    tokio::time::sleep(Duration::from_secs(15)).await;
    let is_set = |(name, _): &&(String, String)| name.starts_with("StatefulSet/");
    let of = |all: &[(String, String)]| all.iter().filter(is_set).cloned().collect::<Vec<_>>();
    let now: Vec<_> = world.versions();
    assert_eq!(of(&now), of(&before), "nor by an operator that starts");
    // Its pods' status counts up there: what the policy touches is looked at again, and left as it is.
    let mut changed = small(&json!({}));
    changed["pod"]["annotations"] = json!({ "example.org/changed": "1" });
    world.apply(changed).await;
    eventually("the change is out", async || {
        let now = world.pods().await;
        world.condition("Ready").await == "True/AllReady" && now.iter().zip(&pods).all(|(now, before)| now != before)
    })
    .await;
    let applied = world.log().matches("\"applied\"").count();
    assert!(applied < 12, "{applied} writes:\n{}", world.log());
    world.no_policy("Mutating").await;
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_secret_that_is_denied_is_not_looked_for_all_the_time() {
    let world = World::without_operator("nosecret", json!({})).await;
    let secrets =
        json!([{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"] }]);
    let rule = json!({ "validations": [{ "expression": "false", "message": "Secrets come from the vault" }] });
    world.policy("Validating", secrets, rule).await;
    eventually("the policy denies", async || {
        !world.kubectl(&["create", "secret", "generic", "x", "--dry-run=server"]).status.success()
    })
    .await;
    let operator = world.candidate("operator", None);
    world.apply(everything()).await;
    let message = world.said("chat", "Degraded", "True/Denied").await;
    assert!(message.contains("Secrets come from the vault"), "{message}");
    let looks = || operator.metric("chatd_operator_reconcile_seconds_count").unwrap();
    let before = looks();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let more = looks() - before;
    assert!(more < 10, "{more} looks in 20 s");
    world.no_policy("Validating").await;
    world.end().await;
}
