//! The kinds of Prometheus' operator come to a cluster while the operator runs, and go again; a Prometheus finds data for each panel of
//! the operator's dashboard. Does I/O: the API server, kubectl, go, prometheus, promtool.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind};
use operator::api::ChatDeployment;
use serde_json::{Value, json};

use super::ports::free_port;
use super::world::{Process, World, enter, eventually, stays};

const KINDS: [(&str, &str); 2] = [("PodMonitor", "podmonitors"), ("PrometheusRule", "prometheusrules")];

/// Where Prometheus' operator publishes its definitions: in the Go module that hack/crds names.
fn definitions() -> PathBuf {
    let module = "github.com/prometheus-operator/prometheus-operator";
    let go = |words: &[&str]| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../hack/crds");
        let output = Command::new("go").args(words).env("GOWORK", "off").current_dir(folder).output().unwrap();
        assert!(output.status.success(), "go {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    go(&["mod", "download", module]);
    let folder = go(&["list", "-m", "-f", "{{.Dir}}", module]);
    PathBuf::from(folder.trim()).join("example/prometheus-operator-crd")
}

impl World {
    /// With a ChatDeployment that asks for no pods, and says so.
    async fn without_pods(name: &str) -> Self {
        let world = Self::new(name).await;
        world
            .apply(json!({ "replicas": 0, "redis": { "type": "External", "external": { "url": "redis://a:6379" } } }))
            .await;
        eventually("it has a status", async || world.condition("Ready").await == "True/ScaledToZero").await;
        world
    }

    fn monitoring(&self, kind: &str) -> Api<DynamicObject> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("monitoring.coreos.com", "v1", kind));
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind)
    }

    /// The uids and versions of both objects; nothing for one that is not there, or whose kind is not.
    async fn monitors(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (kind, _) in KINDS {
            if let Ok(object) = self.monitoring(kind).get("chat").await {
                found.push((object.metadata.uid.unwrap(), object.metadata.resource_version.unwrap()));
            }
        }
        found
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn monitors_and_rules_are_made_when_their_kinds_come() {
    let names = KINDS.map(|(_, plural)| format!("{plural}.monitoring.coreos.com"));
    let world = World::new("monitoring").await;
    let spec = |more: Value| {
        let mut spec = json!({
            "replicas": 0, "redis": { "type": "External", "external": { "url": "redis://nowhere:6379" } },
        });
        spec["monitoring"] = more;
        spec
    };
    world.apply(spec(json!({ "labels": { "release": "prometheus" } }))).await;
    eventually("it works without them", async || world.condition("Ready").await == "True/ScaledToZero").await;

    for (_, plural) in KINDS {
        let file = definitions().join(format!("monitoring.coreos.com_{plural}.yaml"));
        world.kubectl_ok(&["apply", "--server-side", "--force-conflicts", "--filename", file.to_str().unwrap()]);
    }
    eventually("both are made", async || world.monitors().await.len() == 2).await;
    let deployment = world.api::<ChatDeployment>().get("chat").await.unwrap();
    for (kind, _) in KINDS {
        let object = world.monitoring(kind).get("chat").await.unwrap();
        let owner = &object.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!((owner.kind.as_str(), Some(&owner.uid)), ("ChatDeployment", deployment.metadata.uid.as_ref()));
        assert_eq!(object.metadata.labels.as_ref().unwrap()["release"], "prometheus");
    }
    let endpoint = &world.monitoring("PodMonitor").get("chat").await.unwrap().data["spec"]["podMetricsEndpoints"][0];
    assert_eq!((&endpoint["port"], &endpoint["path"]), (&json!("admin"), &json!("/metrics")));

    let before = world.monitors().await;
    stays(Duration::from_secs(10), "written once", async || world.monitors().await).await;
    assert_eq!(world.monitors().await, before);
    world.monitoring("PodMonitor").delete("chat", &DeleteParams::default()).await.unwrap();
    eventually("it is put back", async || {
        let now = world.monitors().await;
        now.len() == 2 && now[0].0 != before[0].0 && now[1] == before[1]
    })
    .await;

    world.apply(spec(json!({ "type": "None" }))).await;
    eventually("both go", async || world.monitors().await.is_empty()).await;
    world.apply(spec(json!({}))).await;
    eventually("both come", async || world.monitors().await.len() == 2).await;
    world.kubectl_ok(&["delete", "customresourcedefinition", &names[0], &names[1]]);
    eventually("the kinds are gone", async || world.log().matches("\"is_there\":false").count() >= 2).await;
    world
        .apply(json!({ "replicas": 0, "redis": { "type": "External", "external": { "url": "redis://other:6379" } } }))
        .await;
    eventually("it works without them again", async || {
        let status = world.status_of("chat").await;
        status.redis.is_some_and(|redis| redis.endpoint.contains("other"))
            && world.condition("Ready").await == "True/ScaledToZero"
    })
    .await;
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn kubectl_get_shows_the_reason_and_the_version() {
    let world = World::without_pods("columns").await;
    let shown = world.kubectl_ok(&["get", "chatd", "chat", "--namespace", &world.namespace]);
    let (head, row) = shown.split_once('\n').unwrap();
    assert!(head.contains("STATUS") && head.contains("VERSION") && row.contains("ScaledToZero"), "{shown}");
    world.end().await;
}

/// A Prometheus beside the operator that scrapes it each second. Its address.
fn prometheus(folder: &Path, operator: &str) -> (Process, String) {
    let target = json!({ "targets": [operator], "labels": { "namespace": "chatd-system", "pod": "chatd-operator-0" } });
    let config = json!({
        "global": { "scrape_interval": "1s" },
        "scrape_configs": [{ "job_name": "operator", "static_configs": [target] }],
    });
    // JSON is YAML.
    std::fs::write(folder.join("prometheus.yml"), config.to_string()).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let child = enter("prometheus")
        .args([&format!("--web.listen-address={address}"), "--config.file=prometheus.yml", "--storage.tsdb.path=data"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .expect("prometheus is missing: apt-get install prometheus");
    (Process(child), format!("http://{address}"))
}

/// The queries of the operator's dashboard by their panels, with what Grafana fills in.
fn queries() -> Vec<(String, String)> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/chatd-operator/dashboards/chatd-operator.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let of = |target: &Value| {
            let query = target["expr"].as_str().unwrap().replace("$namespace", "chatd-system");
            (title.clone(), query.replace("$__rate_interval", "1m"))
        };
        panel["targets"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    panels.flat_map(of_panel).collect()
}

#[tokio::test]
#[ignore = "needs a cluster and prometheus"]
async fn every_panel_of_the_operator_has_data() {
    let world = World::without_pods("panels").await;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-prometheus", world.namespace));
    std::fs::create_dir_all(&folder).unwrap();
    let (prometheus, server) = prometheus(&folder, &world.admin_address().unwrap());
    let queries = queries();
    assert!(queries.len() > 8, "{queries:#?}");
    let mut burst = 20;
    for (title, query) in queries {
        eventually(&format!("data in {title}: {query}"), async || {
            // A quantile of nothing is no number: there has to be something to reconcile.
            burst = burst % 90 + 1;
            let edit = json!({ "spec": { "limits": { "burst": burst } } }).to_string();
            world.kubectl_ok(&["patch", "chatd/chat", "--type=merge", "--patch", &edit]);
            let asked = enter("promtool").args(["query", "instant", &server, &query]).output().unwrap();
            let answer = String::from_utf8(asked.stdout).unwrap();
            answer.lines().any(|line| line.contains("=> ") && !line.contains("=> NaN"))
        })
        .await;
    }
    drop(prometheus);
    std::fs::remove_dir_all(folder).unwrap();
    world.end().await;
}
