//! The watches: they update the cache and queue the changed ChatDeployments. Does I/O.

mod optional;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::watcher as full_watcher;
use kube::runtime::watcher::{self, Config, Event};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::api::ChatDeployment;
use crate::backoff::{Failures, random};
use crate::cache::{Cache, Deployment, Source};
use crate::desired::Kind;
use crate::queue::Queue;
use crate::record::{Child, Key, PodRecord, deployment_of, version};
use crate::scopes::{List, Scopes};
use crate::trimmed::{Trimmed, TrimmedPod, TrimmedService, TrimmedSet};

/// Small, so that a list of thousands never stands in memory as a whole.
const PAGE: u32 = 25;
/// The labels by which children and pods are watched.
pub const OURS: &str = "app.kubernetes.io/managed-by=chatd-operator,app.kubernetes.io/name=chatd";
const TIME_LIMIT_SECONDS: u32 = 240;
const LONGEST_REASON: usize = 400;

/// All watches of some namespaces, or of all.
#[derive(Debug)]
pub struct Watches {
    tasks: JoinSet<()>,
    scopes: Scopes,
}

#[derive(Clone)]
struct Feed {
    cache: Arc<Cache>,
    queue: Arc<Queue>,
    source: Source,
    namespace: Option<String>,
    scopes: Scopes,
}

/// Pods, ChatDeployments and the kinds of their children, but for Secrets.
const LISTS: usize = Kind::ALL.len() + 1;

impl Watches {
    /// `namespaces`: none means all.
    pub fn start(client: &kube::Client, namespaces: &[String], cache: &Arc<Cache>, queue: &Arc<Queue>) -> Self {
        let mut watches = Self { tasks: JoinSet::new(), scopes: Scopes::new(namespaces, LISTS) };
        let mut scopes: Vec<Option<String>> = namespaces.iter().cloned().map(Some).collect();
        if scopes.is_empty() {
            scopes.push(None);
        }
        for namespace in scopes {
            watches.start_scope(client, namespace, cache, queue);
        }
        watches
    }

    /// What of all that is watched can be read.
    pub fn scopes(&self) -> Scopes {
        self.scopes.clone()
    }

    /// Ends with the first watch that ends: none should.
    pub async fn ended(&mut self) {
        self.tasks.join_next().await;
    }

    fn start_scope(
        &mut self,
        client: &kube::Client,
        namespace: Option<String>,
        cache: &Arc<Cache>,
        queue: &Arc<Queue>,
    ) {
        let scopes = self.scopes.clone();
        let feed = |source| Feed {
            cache: Arc::clone(cache),
            queue: Arc::clone(queue),
            source,
            namespace: namespace.clone(),
            scopes: scopes.clone(),
        };
        let all = Config::default().page_size(PAGE).timeout(TIME_LIMIT_SECONDS);
        let ours = all.clone().labels(OURS);
        let deployments: Api<DeserializeGuard<ChatDeployment>> = api(client, namespace.as_deref());
        let stream = move || full_watcher(deployments.clone(), all.clone());
        self.tasks.spawn(watch_deployments(stream, feed(Source::Deployments)));
        let (pods, config): (Api<TrimmedPod>, _) = (api(client, namespace.as_deref()), ours.clone());
        let stream = move || full_watcher(pods.clone(), config.clone());
        self.tasks.spawn(watch_pods(stream, feed(Source::Pods)));
        let (sets, config): (Api<TrimmedSet>, _) = (api(client, namespace.as_deref()), ours.clone());
        let stream = move || full_watcher(sets.clone(), config.clone());
        let kind = Kind::StatefulSet;
        self.tasks.spawn(watch_children(stream, feed(Source::Children(kind)), kind, Child::of_set));
        let (services, config): (Api<TrimmedService>, _) = (api(client, namespace.as_deref()), ours.clone());
        let stream = move || full_watcher(services.clone(), config.clone());
        let kind = Kind::Service;
        self.tasks.spawn(watch_children(stream, feed(Source::Children(kind)), kind, Child::of_service));
        let of = |kind| feed(Source::Children(kind));
        self.metadata::<ServiceAccount>(client, of(Kind::ServiceAccount), Kind::ServiceAccount, &ours);
        self.metadata::<ConfigMap>(client, of(Kind::ConfigMap), Kind::ConfigMap, &ours);
        self.metadata::<NetworkPolicy>(client, of(Kind::NetworkPolicy), Kind::NetworkPolicy, &ours);
        let kind = Kind::PodDisruptionBudget;
        self.metadata::<PodDisruptionBudget>(client, of(kind), kind, &ours);
        let kind = Kind::HorizontalPodAutoscaler;
        self.metadata::<HorizontalPodAutoscaler>(client, of(kind), kind, &ours);
        for kind in Kind::OPTIONAL {
            self.tasks.spawn(optional::watch(client.clone(), kind, of(kind), ours.clone()));
        }
    }

    /// Of these kinds the metadata is enough: their content is read only when it has changed.
    fn metadata<K>(&mut self, client: &kube::Client, feed: Feed, kind: Kind, config: &Config)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        let api: Api<Trimmed<K>> = api(client, feed.namespace.as_deref());
        let config = config.clone();
        let stream = move || full_watcher(api.clone(), config.clone());
        self.tasks.spawn(watch_children(stream, feed, kind, move |object| Child::of_metadata(kind, &object.metadata)));
    }
}

fn api<K>(client: &kube::Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

impl Feed {
    fn mark(&self, event: Mark) {
        match event {
            Mark::Begins => self.cache.list_begins(self.source, self.namespace.as_deref()),
            Mark::Ends => {
                for key in self.cache.list_ends(self.source, self.namespace.as_deref()) {
                    self.queue.add(&key);
                }
            }
        }
    }

    /// The kind, if it is one that a cluster has or not: nothing waits for that.
    fn optional(&self) -> Option<Kind> {
        match self.source {
            Source::Children(kind) => Some(kind).filter(|kind| Kind::OPTIONAL.contains(kind)),
            Source::Deployments | Source::Pods => None,
        }
    }

    fn list_is(&self, progress: &mut Progress, now: List, why: &str) {
        let namespace = self.namespace.as_deref();
        if let Some(kind) = self.optional() {
            if self.scopes.optional_is(namespace, kind, now == List::Read) {
                tracing::info!(
                    kind = kind.as_str(),
                    namespace,
                    is_there = now == List::Read,
                    "an optional kind came or went"
                );
                self.cache.deployments().iter().for_each(|key| self.queue.add(key));
            }
            return;
        }
        let before = std::mem::replace(&mut progress.list, now);
        match (namespace, self.scopes.list_is(namespace, before, now)) {
            (Some(namespace), Some(false)) => {
                tracing::error!(
                    namespace,
                    why,
                    "cannot read a namespace; skipping it: does it exist, and does the operator have its rights in it?"
                );
            }
            (Some(namespace), Some(true)) => {
                tracing::info!(namespace, "watching namespace");
                // What was asked for while it could not be read.
                for key in self.cache.deployments().iter().filter(|key| key.namespace == namespace) {
                    self.queue.add(key);
                }
            }
            _ => {}
        }
    }

    /// Waits longer after each failure in a row. A list that only begins is no success yet, and a watch that goes on where it broke off
    /// does not show that it works again. Returns whether the API server refused it.
    async fn failed(&self, error: &watcher::Error, progress: &mut Progress) -> bool {
        let delay = progress.failures.another(Instant::now(), random());
        let why: String = error.to_string().chars().take(LONGEST_REASON).collect();
        let is_refused = is_refusal(error);
        if is_refused && self.optional().is_some() {
            // What was known of it is gone with the kind.
            self.mark(Mark::Begins);
            self.mark(Mark::Ends);
        }
        if is_refused {
            self.list_is(progress, List::Refused, &why);
        }
        tracing::warn!(watch = ?self.source, namespace = self.namespace, why, again_in_seconds = delay.as_secs_f64(), "watch failed; retrying");
        tokio::time::sleep(delay).await;
        is_refused
    }
}

/// Whether there is no such namespace, or no right to read in it.
fn is_refusal(error: &watcher::Error) -> bool {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code,
        _ => 0,
    };
    matches!(code, 403 | 404)
}

/// Of one watch.
#[derive(Default)]
struct Progress {
    list: List,
    failures: Failures,
}

#[derive(Clone, Copy)]
enum Mark {
    Begins,
    Ends,
}

/// Takes one watch's events to the end of its stream: the marks of its lists and its failures are alike for all kinds. One that was
/// refused starts again with its list: a quiet watch would not show that access is granted again. One of an optional kind ends then.
async fn follow<K: Send + 'static, S: Stream<Item = watcher::Result<Event<K>>> + Send + 'static>(
    stream: impl Fn() -> S + Send,
    feed: Feed,
    put: impl Fn(&Feed, K) + Send,
    remove: impl Fn(&Feed, K) + Send,
) {
    let mut progress = Progress::default();
    let mut events = Box::pin(stream());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => feed.mark(Mark::Begins),
            Ok(Event::InitDone) => {
                feed.mark(Mark::Ends);
                progress.failures = Failures::default();
                feed.list_is(&mut progress, List::Read, "");
            }
            Ok(Event::InitApply(object) | Event::Apply(object)) => put(&feed, object),
            Ok(Event::Delete(object)) => remove(&feed, object),
            Err(error) => {
                if feed.failed(&error, &mut progress).await {
                    if feed.optional().is_some() {
                        return;
                    }
                    events = Box::pin(stream());
                }
            }
        }
    }
}

async fn watch_deployments<S>(stream: impl Fn() -> S + Send, feed: Feed)
where
    S: Stream<Item = watcher::Result<Event<DeserializeGuard<ChatDeployment>>>> + Send + 'static,
{
    let key_of = |object: &DeserializeGuard<ChatDeployment>| Key {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    };
    let put = |feed: &Feed, object: DeserializeGuard<ChatDeployment>| {
        let key = key_of(&object);
        feed.cache.listed(feed.source, feed.namespace.as_deref(), &key, &key.name);
        let is_new = match object.0 {
            Ok(deployment) => feed.cache.put_readable(&key, deployment),
            Err(invalid) => {
                let generation = invalid.metadata.generation.unwrap_or_default();
                let unreadable = Deployment::Unreadable { generation, why: invalid.error };
                feed.cache.put_deployment(&key, version(&invalid.metadata), unreadable)
            }
        };
        if is_new {
            feed.queue.add(&key);
        }
    };
    let remove = |feed: &Feed, object: DeserializeGuard<ChatDeployment>| {
        let key = key_of(&object);
        feed.cache.remove_deployment(&key);
        feed.queue.add(&key);
    };
    follow(stream, feed, put, remove).await;
}

async fn watch_pods<S>(stream: impl Fn() -> S + Send, feed: Feed)
where
    S: Stream<Item = watcher::Result<Event<TrimmedPod>>> + Send + 'static,
{
    let put = |feed: &Feed, pod: TrimmedPod| {
        let Some(key) = deployment_of(&pod.metadata) else { return };
        let record = PodRecord::of(&pod);
        feed.cache.listed(feed.source, feed.namespace.as_deref(), &key, &record.name);
        if feed.cache.put_pod(&key, record) {
            feed.queue.add(&key);
        }
    };
    let remove = |feed: &Feed, pod: TrimmedPod| {
        let Some(key) = deployment_of(&pod.metadata) else { return };
        feed.cache.remove_pod(&key, &pod.name_any());
        feed.queue.add(&key);
    };
    follow(stream, feed, put, remove).await;
}

async fn watch_children<K, S>(
    stream: impl Fn() -> S + Send,
    feed: Feed,
    kind: Kind,
    record: impl Fn(&K) -> Child + Send,
) where
    K: Resource + Send + 'static,
    S: Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
{
    let put = move |feed: &Feed, object: K| {
        let Some(key) = deployment_of(object.meta()) else { return };
        let child = record(&object);
        feed.cache.listed(feed.source, feed.namespace.as_deref(), &key, &child.name);
        if feed.cache.put_child(&key, child) {
            feed.queue.add(&key);
        }
    };
    let remove = |feed: &Feed, object: K| {
        let Some(key) = deployment_of(object.meta()) else { return };
        feed.cache.remove_child(&key, kind, &object.name_any());
        feed.queue.add(&key);
    };
    follow(stream, feed, put, remove).await;
}

/// For how long a start waits for the first lists before it says why nothing happens.
pub const SLOW_START: Duration = Duration::from_secs(30);
