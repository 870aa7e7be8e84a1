//! A cluster, as kubectl would reach it: ChatDeployments, their pods, and streams to ports of pods. Does I/O.
//!
//! Pods are asked through a port-forward: the kubelet dials inside the pod, so no NetworkPolicy is in the way, as it is with the API
//! server's pod proxy, and `pods/portforward` is a right that people who run pods have already.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use futures_util::StreamExt;
use futures_util::stream;
use k8s_openapi::api::core::v1::{Pod as ApiPod, Secret};
use kube::api::{Api, ListParams};
use kube::client::UpgradeConnectionError;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use operator::api::ChatDeployment;
use operator::desired::{CHAT, selector};

use crate::admin::{self, Admin, Stream};
use crate::observed::{Answer, Condition, Deployment, Pod, Service};

/// The port that pods of the operator answer on.
const ADMIN_PORT: u16 = 9090;
/// The label that names a pod's ChatDeployment.
const INSTANCE: &str = "app.kubernetes.io/instance";
/// Pods asked at a time.
const AT_ONCE: usize = 8;

/// Where to look, by kubectl's own flags.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Where {
    /// Namespace; unset: the context's
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig; unset: the current one
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Cluster of the kubeconfig; unset: the context's
    #[arg(long, global = true)]
    pub cluster: Option<String>,
    /// User of the kubeconfig; unset: the context's
    #[arg(long, global = true)]
    pub user: Option<String>,
    /// The kubeconfig; unset: KUBECONFIG, ~/.kube/config, or a pod's ServiceAccount
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<std::path::PathBuf>,
}

/// A connection to a cluster, and the namespace to look in.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    pub namespace: String,
}

impl Cluster {
    pub async fn open(place: &Where) -> Result<Self> {
        let options = KubeConfigOptions {
            context: place.context.clone(),
            cluster: place.cluster.clone(),
            user: place.user.clone(),
        };
        let is_plain = place.kubeconfig.is_none() && options.context.is_none();
        let config = match &place.kubeconfig {
            Some(file) => Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await?,
            None if is_plain && options.cluster.is_none() && options.user.is_none() => Config::infer().await?,
            None => Config::from_kubeconfig(&options).await?,
        };
        let namespace = place.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Self { client: Client::try_from(config)?, namespace })
    }

    /// The ChatDeployment of this name, or those of the namespace, or all.
    pub async fn deployments(&self, name: Option<&str>, everywhere: bool) -> Result<Vec<ChatDeployment>> {
        let api: Api<ChatDeployment> = if everywhere {
            Api::all(self.client.clone())
        } else {
            Api::namespaced(self.client.clone(), &self.namespace)
        };
        let list = match name {
            Some(name) => api.get(name).await.map(|deployment| vec![deployment]),
            None => api.list(&ListParams::default()).await.map(|list| list.items),
        };
        list.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 404 && name.is_none() => {
                anyhow!(
                    "this cluster serves no chatd.dev/v1beta1: install or upgrade the operator (docs/operations.md)"
                )
            }
            error => anyhow::Error::new(error).context("cannot read ChatDeployments"),
        })
    }

    /// The one that is meant: of this name, or the only one of the namespace.
    pub async fn deployment(&self, name: Option<&str>) -> Result<ChatDeployment> {
        let mut all = self.deployments(name, false).await?;
        match (all.len(), all.pop()) {
            (1, Some(only)) => Ok(only),
            (0, _) => {
                Err(anyhow!("there is no ChatDeployment in namespace {}; -n selects another one", self.namespace))
            }
            (count, _) => Err(anyhow!("there are {count} ChatDeployments in namespace {}: name one", self.namespace)),
        }
    }

    /// Its chat pods as the API server has them, sorted by name.
    pub async fn pods(&self, deployment: &ChatDeployment) -> Result<Vec<ApiPod>> {
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        let labels: Vec<String> = selector(name, CHAT).iter().map(|(key, value)| format!("{key}={value}")).collect();
        let parameters = ListParams::default().labels(&labels.join(","));
        let mut pods = self.of(deployment).list(&parameters).await.context("cannot list pods")?.items;
        pods.sort_by_key(|pod| {
            let name = pod.metadata.name.clone().unwrap_or_default();
            (name.len(), name)
        });
        Ok(pods)
    }

    /// The ChatDeployment that a chat pod of the namespace belongs to.
    pub async fn deployment_of(&self, pod: &str) -> Result<ChatDeployment> {
        let api: Api<ApiPod> = Api::namespaced(self.client.clone(), &self.namespace);
        let object = api.get(pod).await.with_context(|| format!("cannot read pod {pod}"))?;
        let labels = object.metadata.labels.unwrap_or_default();
        let instance = labels.get(INSTANCE).filter(|name| has_labels(&labels, name));
        let name = instance.with_context(|| format!("{pod} is no chat pod"))?;
        self.deployment(Some(name)).await
    }

    /// Pods in the namespace of a ChatDeployment.
    pub fn of(&self, deployment: &ChatDeployment) -> Api<ApiPod> {
        Api::namespaced(self.client.clone(), self.namespace_of(deployment))
    }

    /// Secrets in its namespace.
    pub fn secrets_of(&self, deployment: &ChatDeployment) -> Api<Secret> {
        Api::namespaced(self.client.clone(), self.namespace_of(deployment))
    }

    /// Its namespace.
    pub fn namespace_of<'a>(&'a self, deployment: &'a ChatDeployment) -> &'a str {
        deployment.metadata.namespace.as_deref().unwrap_or(&self.namespace)
    }

    /// The way to the API server.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A ChatDeployment with its pods and what they answer.
    pub async fn observe(&self, deployment: &ChatDeployment) -> Result<Service> {
        let api = self.of(deployment);
        let pods = self.pods(deployment).await?;
        let ask = |pod| {
            let api = api.clone();
            async move {
                let mut pod = as_observed(&pod);
                if pod.answer_can_be_asked() {
                    pod.answer = match ask(&api, &pod.name, Admin::report).await {
                        Ok(report) => Answer::Report(Box::new(report)),
                        Err(error) if is_forbidden(&error) => Answer::Forbidden(format!("{error:#}")),
                        Err(error) => Answer::Silent(format!("{error:#}")),
                    };
                }
                pod
            }
        };
        let pods = stream::iter(pods.into_iter().map(ask)).buffered(AT_ONCE).collect().await;
        Ok(Service { deployment: Some(as_deployment(deployment)), pods })
    }

    /// Asks the admin port of each pod that runs. Returns the pods' names with what came of it.
    pub async fn ask_all<T>(
        &self,
        deployment: &ChatDeployment,
        question: impl AsyncFn(&mut Admin) -> Result<T>,
    ) -> Result<Vec<(String, Result<T>)>> {
        let api = self.of(deployment);
        let names = self.pods(deployment).await?.into_iter().map(|pod| as_observed(&pod));
        let names = names.filter(Pod::answer_can_be_asked).map(|pod| pod.name);
        let asking = names.map(async |name| {
            let answer = ask(&api, &name, &question).await;
            (name, answer)
        });
        Ok(stream::iter(asking).buffered(AT_ONCE).collect().await)
    }
}

impl Pod {
    fn answer_can_be_asked(&self) -> bool {
        self.waiting.is_none() && self.node.is_some()
    }
}

/// Asks the admin port of a pod.
pub async fn ask<T>(api: &Api<ApiPod>, pod: &str, ask: impl AsyncFnOnce(&mut Admin) -> Result<T>) -> Result<T> {
    admin::in_time(async { ask(&mut Admin::new(forward(api, pod, ADMIN_PORT).await?).await?).await }).await
}

/// A stream to a port of a pod.
pub async fn forward(api: &Api<ApiPod>, pod: &str, port: u16) -> Result<impl Stream + use<>> {
    let mut forwarder = api.portforward(pod, &[port]).await.context("port-forward refused")?;
    forwarder.take_stream(port).context("port-forward without a stream")
}

fn has_labels(labels: &BTreeMap<String, String>, deployment: &str) -> bool {
    selector(deployment, CHAT).iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| match cause.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => status.code == 403,
        Some(kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status))) => *status == 403,
        _ => false,
    })
}

fn as_deployment(object: &ChatDeployment) -> Deployment {
    let desired = object.desired_replicas();
    let status = object.status.clone().unwrap_or_default();
    let conditions = status.conditions.into_iter().map(|condition| Condition {
        kind: condition.type_,
        status: condition.status,
        reason: condition.reason,
        message: condition.message,
    });
    let endpoints = status.endpoints.unwrap_or_default();
    Deployment {
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        desired,
        image: status.image,
        redis: status.redis.map(|redis| redis.endpoint),
        tcp: endpoints.tcp,
        web: endpoints.web,
        is_observed: status.observed_generation == object.metadata.generation,
        operator: status.operator,
        contender: status.contender,
        conditions: conditions.collect(),
    }
}

fn as_observed(pod: &ApiPod) -> Pod {
    let status = pod.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let container = status.container_statuses.iter().flatten().next();
    let state = container.and_then(|container| container.state.as_ref());
    let waiting = state.and_then(|state| state.waiting.as_ref()).and_then(|waiting| waiting.reason.clone());
    let ended = state.and_then(|state| state.terminated.as_ref());
    let last = container.and_then(|container| container.last_state.as_ref()?.terminated.as_ref()).or(ended);
    let last_end =
        last.map(|last| format!("{}, exit code {}", last.reason.as_deref().unwrap_or("end"), last.exit_code));
    let pending = || container.is_none().then(|| status.phase.clone().unwrap_or_default());
    let not_running = || ended.map(|ended| ended.reason.clone().unwrap_or_else(|| "Terminated".to_owned()));
    Pod {
        name: pod.metadata.name.clone().unwrap_or_default(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        is_ready: ready.is_some_and(|condition| condition.status == "True"),
        is_terminating: pod.metadata.deletion_timestamp.is_some(),
        restarts: container.map_or(0, |container| container.restart_count),
        waiting: waiting.or_else(not_running).or_else(pending),
        last_end,
        answer: Answer::NotRunning,
    }
}
