//! The watches: they keep the cache true and put what changed into the queue. Does I/O.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

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
use crate::cache::{Cache, Deployment, Source};
use crate::desired::Kind;
use crate::memory::{backoff, random};
use crate::queue::Queue;
use crate::record::{Child, Key, PodRecord, deployment_of, version};
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
    waiting: Arc<AtomicUsize>,
}

struct Feed {
    cache: Arc<Cache>,
    queue: Arc<Queue>,
    source: Source,
    namespace: Option<String>,
    waiting: Arc<AtomicUsize>,
}

impl Watches {
    /// `namespaces`: none means all.
    pub fn start(client: &kube::Client, namespaces: &[String], cache: &Arc<Cache>, queue: &Arc<Queue>) -> Self {
        let mut watches = Self { tasks: JoinSet::new(), waiting: Arc::new(AtomicUsize::new(0)) };
        let mut scopes: Vec<Option<String>> = namespaces.iter().cloned().map(Some).collect();
        if scopes.is_empty() {
            scopes.push(None);
        }
        for namespace in scopes {
            watches.start_scope(client, namespace, cache, queue);
        }
        watches
    }

    /// Whether every list has been read once.
    pub fn are_synced(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }

    /// The same, for whoever does not hold the watches.
    pub fn waiting(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.waiting)
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
        let waiting = Arc::clone(&self.waiting);
        let feed = |source| {
            waiting.fetch_add(1, Ordering::AcqRel);
            Feed {
                cache: Arc::clone(cache),
                queue: Arc::clone(queue),
                source,
                namespace: namespace.clone(),
                waiting: Arc::clone(&waiting),
            }
        };
        let all = Config::default().page_size(PAGE).timeout(TIME_LIMIT_SECONDS);
        let ours = all.clone().labels(OURS);
        let deployments: Api<DeserializeGuard<ChatDeployment>> = api(client, namespace.as_deref());
        self.tasks.spawn(watch_deployments(full_watcher(deployments, all), feed(Source::Deployments)));
        let pods: Api<TrimmedPod> = api(client, namespace.as_deref());
        self.tasks.spawn(watch_pods(full_watcher(pods, ours.clone()), feed(Source::Pods)));
        let sets: Api<TrimmedSet> = api(client, namespace.as_deref());
        let stream = full_watcher(sets, ours.clone());
        self.tasks.spawn(watch_children(
            stream,
            feed(Source::Children(Kind::StatefulSet)),
            Kind::StatefulSet,
            Child::of_set,
        ));
        let services: Api<TrimmedService> = api(client, namespace.as_deref());
        let stream = full_watcher(services, ours.clone());
        self.tasks.spawn(watch_children(
            stream,
            feed(Source::Children(Kind::Service)),
            Kind::Service,
            Child::of_service,
        ));
        self.metadata::<ServiceAccount>(
            client,
            feed(Source::Children(Kind::ServiceAccount)),
            Kind::ServiceAccount,
            &ours,
        );
        self.metadata::<ConfigMap>(client, feed(Source::Children(Kind::ConfigMap)), Kind::ConfigMap, &ours);
        self.metadata::<NetworkPolicy>(client, feed(Source::Children(Kind::NetworkPolicy)), Kind::NetworkPolicy, &ours);
        let kind = Kind::PodDisruptionBudget;
        self.metadata::<PodDisruptionBudget>(client, feed(Source::Children(kind)), kind, &ours);
        let kind = Kind::HorizontalPodAutoscaler;
        self.metadata::<HorizontalPodAutoscaler>(client, feed(Source::Children(kind)), kind, &ours);
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
        let stream = full_watcher(api, config.clone());
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

    fn list_is_read(&self, progress: &mut Progress) {
        progress.failures = 0;
        if !std::mem::replace(&mut progress.was_read, true) {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Waits longer after each failure in a row. A list that only begins is no success yet.
    async fn failed(&self, error: &watcher::Error, progress: &mut Progress) {
        let delay = backoff(progress.failures, random());
        progress.failures = progress.failures.saturating_add(1);
        let why: String = error.to_string().chars().take(LONGEST_REASON).collect();
        tracing::warn!(watch = ?self.source, why, again_in_seconds = delay.as_secs_f64(), "a watch failed; it is tried again");
        tokio::time::sleep(delay).await;
    }
}

/// Of one watch.
#[derive(Default)]
struct Progress {
    was_read: bool,
    failures: u32,
}

#[derive(Clone, Copy)]
enum Mark {
    Begins,
    Ends,
}

/// Takes one watch's events to the end of its stream: the marks of its lists and its failures are alike for all kinds.
async fn follow<K: Send + 'static>(
    stream: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    feed: Feed,
    put: impl Fn(&Feed, K) + Send,
    remove: impl Fn(&Feed, K) + Send,
) {
    let mut stream = std::pin::pin!(stream);
    let mut progress = Progress::default();
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Init) => feed.mark(Mark::Begins),
            Ok(Event::InitDone) => {
                feed.mark(Mark::Ends);
                feed.list_is_read(&mut progress);
            }
            Ok(Event::InitApply(object) | Event::Apply(object)) => put(&feed, object),
            Ok(Event::Delete(object)) => remove(&feed, object),
            Err(error) => feed.failed(&error, &mut progress).await,
        }
    }
}

async fn watch_deployments(
    stream: impl Stream<Item = watcher::Result<Event<DeserializeGuard<ChatDeployment>>>> + Send + 'static,
    feed: Feed,
) {
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

async fn watch_pods(stream: impl Stream<Item = watcher::Result<Event<TrimmedPod>>> + Send + 'static, feed: Feed) {
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

async fn watch_children<K: Resource + Send + 'static>(
    stream: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    feed: Feed,
    kind: Kind,
    record: impl Fn(&K) -> Child + Send,
) {
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
