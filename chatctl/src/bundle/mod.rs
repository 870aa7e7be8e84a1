//! `support-bundle`: what somebody else needs to find out what is wrong, in one file and without secrets. Does I/O: asks, writes a file.
//!
//! Secrets are never read, nor rooms listed: their ids are invitations.

mod archive;
mod redact;

use std::path::PathBuf;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod as ApiPod;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams};
use operator::api::ChatDeployment;

use crate::admin::{self, Admin};
use crate::cluster::Cluster;
use crate::observed::Service;
use crate::output::{self, Outcome};
use crate::status;
use archive::Contents;

/// Of each container.
const LOG_BYTES: i64 = 16 * 1024 * 1024;

/// The kinds of a ChatDeployment's children and what shows their state, without Secrets: group, version, kind, plural.
const KINDS: [(&str, &str, &str, &str); 10] = [
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("apps", "v1", "ControllerRevision", "controllerrevisions"),
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Service", "services"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
];

/// The pods of the operator, in whichever namespace.
const OPERATOR: &str = "app.kubernetes.io/name=chatd-operator";

/// The bundle of a ChatDeployment.
pub async fn of_cluster(cluster: &Cluster, name: Option<&str>, file: Option<PathBuf>) -> Result<Outcome> {
    let deployment = cluster.deployment(name).await?;
    let name = deployment.metadata.name.clone().unwrap_or_default();
    let mut contents = Contents::default();
    versions(&mut contents, cluster).await?;
    contents.document("chatdeployment.yaml", &deployment)?;
    let service = cluster.observe(&deployment).await?;
    statuses(&mut contents, service)?;
    resources(&mut contents, cluster, &deployment, &name).await?;
    metrics(&mut contents, cluster, &deployment).await?;
    logs(&mut contents, cluster.of(&deployment), &labels(&name), "logs").await?;
    operators(&mut contents, cluster).await?;
    finish(contents, &name, file)
}

/// The bundle of one process.
pub async fn of_process(address: &str, file: Option<PathBuf>) -> Result<Outcome> {
    let mut contents = Contents::default();
    contents.document("versions.yaml", &serde_json::json!({ "chatctl": env!("CARGO_PKG_VERSION") }))?;
    statuses(&mut contents, status::process(address).await?)?;
    contents.text("metrics.txt", &admin::ask_at(address, Admin::metrics).await?);
    finish(contents, "process", file)
}

fn finish(contents: Contents, name: &str, file: Option<PathBuf>) -> Result<Outcome> {
    let now = Timestamp::now();
    let folder = format!("chatd-support-{name}-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let file = file.unwrap_or_else(|| PathBuf::from(format!("{folder}.tar.gz")));
    for missing in contents.missing() {
        eprintln!("warning: left out: {missing}");
    }
    let is_whole = contents.missing().is_empty();
    let bytes = contents.write(&file, &folder, now.as_second().unsigned_abs())?;
    output::print(&format!(
        "{}: {} kB, without secrets. Look into it before you send it.\n",
        file.display(),
        bytes.div_ceil(1000)
    ))?;
    Ok(if is_whole { Outcome::Well } else { Outcome::Wrong })
}

/// Of chat pods, of the managed Valkey, and of what belongs to them.
fn labels(name: &str) -> String {
    format!("app.kubernetes.io/name=chatd,app.kubernetes.io/instance={name}")
}

async fn versions(contents: &mut Contents, cluster: &Cluster) -> Result<()> {
    let kubernetes = cluster.client().apiserver_version().await.context("cannot ask the API server's version")?;
    let versions = serde_json::json!({ "chatctl": env!("CARGO_PKG_VERSION"), "kubernetes": kubernetes.git_version });
    contents.document("versions.yaml", &versions)
}

fn statuses(contents: &mut Contents, service: Service) -> Result<()> {
    let entry = status::Entry::new(service);
    contents.text("status.txt", &entry.text(true));
    contents.document("status.yaml", &entry)
}

async fn resources(contents: &mut Contents, cluster: &Cluster, deployment: &ChatDeployment, name: &str) -> Result<()> {
    let namespace = cluster.namespace_of(deployment);
    let list = async |resource: &ApiResource, parameters: &ListParams| {
        Api::<DynamicObject>::namespaced_with(cluster.client(), namespace, resource).list(parameters).await
    };
    let of_it = ListParams::default().labels(&labels(name));
    let events = ("", "v1", "Event", "events");
    for (group, version, kind, plural) in KINDS.into_iter().chain([events]) {
        let (group, version) = (group.to_owned(), version.to_owned());
        let api_version = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
        let resource = ApiResource { group, version, api_version, kind: kind.to_owned(), plural: plural.to_owned() };
        let parameters = if plural == events.3 { &ListParams::default() } else { &of_it };
        match list(&resource, parameters).await {
            Ok(objects) => contents.document(format!("resources/{plural}.yaml"), &objects.items)?,
            Err(error) => contents.lacks(plural, &error.into()),
        }
    }
    Ok(())
}

async fn metrics(contents: &mut Contents, cluster: &Cluster, deployment: &ChatDeployment) -> Result<()> {
    for (pod, answer) in cluster.ask_all(deployment, Admin::metrics).await? {
        match answer {
            Ok(text) => contents.text(format!("metrics/{pod}.txt"), &text),
            Err(error) => contents.lacks(&format!("metrics of {pod}"), &error),
        }
    }
    Ok(())
}

/// Of the present and the last run of each container of each of these pods.
async fn logs(contents: &mut Contents, api: Api<ApiPod>, labels: &str, folder: &str) -> Result<()> {
    let pods = api.list(&ListParams::default().labels(labels)).await.context("cannot list pods")?;
    for pod in pods.items {
        let pod_name = pod.metadata.name.clone().unwrap_or_default();
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        let is_alone = statuses.len() == 1;
        for status in statuses {
            let name = if is_alone { pod_name.clone() } else { format!("{pod_name}-{}", status.name) };
            for previous in [false, true] {
                if previous && status.restart_count == 0 {
                    continue;
                }
                let container = Some(status.name.clone());
                let parameters =
                    LogParams { container, previous, limit_bytes: Some(LOG_BYTES), ..LogParams::default() };
                let suffix = if previous { "-previous" } else { "" };
                match api.logs(&pod_name, &parameters).await {
                    Ok(text) => contents.text(format!("{folder}/{name}{suffix}.txt"), &text),
                    Err(error) => contents.lacks(&format!("logs of {name}{suffix}"), &error.into()),
                }
            }
        }
    }
    Ok(())
}

/// The operator's pods and logs are for those who may see them.
async fn operators(contents: &mut Contents, cluster: &Cluster) -> Result<()> {
    let all = Api::<ApiPod>::all(cluster.client());
    let pods = match all.list(&ListParams::default().labels(OPERATOR)).await {
        Ok(pods) => pods.items,
        Err(error) => {
            contents.lacks("the operator", &error.into());
            return Ok(());
        }
    };
    let mut namespaces: Vec<String> = pods.iter().filter_map(|pod| pod.metadata.namespace.clone()).collect();
    namespaces.dedup();
    contents.document("operator/pods.yaml", &pods)?;
    for namespace in namespaces {
        let api = Api::namespaced(cluster.client(), &namespace);
        if let Err(error) = logs(contents, api, OPERATOR, &format!("operator/{namespace}")).await {
            contents.lacks(&format!("logs of the operator in {namespace}"), &error);
        }
    }
    Ok(())
}
