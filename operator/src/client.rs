//! The calls to the API server, each with a timeout and counted. Does I/O. Writes are refused while this process is not the leader.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Secret};
use kube::Resource;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GetParams, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams, Preconditions, Request,
};
use kube::core::DeserializeGuard;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{ChatDeployment, ChatDeploymentStatus};
use crate::desired::{Child, KEPT_API_VERSION, KIND, Kind, MANAGER};
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::record;
use crate::trimmed::TrimmedPod;

const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Of one object; a repetition is one Event with a count.
const EVENTS: u32 = 500;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing was written: only the leader may write.
    #[error("this process is not the leader")]
    NotLeading,
    /// It may have been carried out or not.
    #[error("the API server did not answer in time")]
    TimeLimit,
    /// Refused by the API server until something changes: status code and message.
    #[error("{message}")]
    Refused {
        /// The HTTP code, 400 to 499.
        code: u16,
        /// The API server's message.
        message: String,
    },
    /// Whatever may go better next time.
    #[error("{0}")]
    Other(String),
}

impl CallError {
    /// The HTTP code; 0 if there was no answer.
    pub fn code(&self) -> u16 {
        match self {
            Self::Refused { code, .. } => *code,
            _ => 0,
        }
    }
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if matches!(status.code, 400..=428) => {
                Self::Refused { code: status.code, message: status.message.clone() }
            }
            // An unavailable webhook is reported like its refusal.
            kube::Error::Api(status) if status.code == 500 && status.message.contains("calling webhook ") => {
                Self::Refused { code: status.code, message: status.message.clone() }
            }
            other => Self::Other(other.to_string()),
        }
    }
}

/// The way to the API server: each call is bounded in time, counted, and, if it writes, made by the leader only.
#[derive(Clone)]
pub struct Client {
    pub(crate) kube: kube::Client,
    metrics: Arc<Metrics>,
    leadership: Leadership,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// `leadership`: whether this process may write.
    pub fn new(kube: kube::Client, metrics: Arc<Metrics>, leadership: Leadership) -> Self {
        Self { kube, metrics, leadership }
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.kube.clone(), namespace, &resource(kind))
    }

    /// A write is given up, wherever it stands, as soon as this process may no longer write: one that was only being sent when the
    /// process was frozen must not go out when it is thawed and another one leads.
    pub(crate) async fn call<T>(
        &self,
        verb: &'static str,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, CallError> {
        let writes = !matches!(verb, "get" | "list");
        let limit = if writes { TIME_LIMIT.min(self.leadership.remaining()) } else { TIME_LIMIT };
        let mut call = std::pin::pin!(call);
        let guarded = std::future::poll_fn(|context| {
            if writes && !self.leadership.may_write() {
                Poll::Ready(None)
            } else {
                call.as_mut().poll(context).map(Some)
            }
        });
        let result = match tokio::time::timeout(limit, guarded).await {
            Ok(Some(result)) => result,
            _ if writes && !self.leadership.may_write() => return Err(CallError::NotLeading),
            _ => {
                self.metrics.called(verb, 0);
                return Err(CallError::TimeLimit);
            }
        };
        let code = match &result {
            Ok(_) => 200,
            Err(kube::Error::Api(status)) => status.code,
            Err(_) => 0,
        };
        self.metrics.called(verb, code);
        result.map_err(CallError::from)
    }

    /// A child as it is; nothing if there is none of the name.
    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Value>, CallError> {
        let request = request(kind, namespace).get(name, &GetParams::default()).map_err(|error| unfit(&error))?;
        match self.call("get", self.kube.request(request)).await {
            Err(CallError::Refused { code: 404, .. }) => Ok(None),
            result => result.map(Some),
        }
    }

    /// A Secret with its values: the caller drops them as soon as it knows whether all keys exist.
    pub async fn get_secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, CallError> {
        let api: Api<Secret> = Api::namespaced(self.kube.clone(), namespace);
        self.call("get", api.get_opt(name)).await
    }

    /// Server-side apply. With a uid it is that very object or none, and fields that somebody else has set become ours; without one it
    /// is made.
    pub async fn apply(&self, child: &Child, namespace: &str, uid: Option<&str>) -> Result<Value, CallError> {
        let parameters = PatchParams { force: uid.is_some(), ..PatchParams::apply(MANAGER) };
        let mut object = child.object.clone();
        if let Some(uid) = uid {
            object["metadata"]["uid"] = uid.into();
        }
        let patch = Patch::Apply(&object);
        let request =
            request(child.kind, namespace).patch(&child.name, &parameters, &patch).map_err(|error| unfit(&error))?;
        self.call("apply", self.kube.request(request)).await
    }

    /// Makes what must not be there yet.
    pub async fn create(&self, child: &Child, namespace: &str) -> Result<(), CallError> {
        let object: DynamicObject = serde_json::from_value(child.object.clone())
            .map_err(|error| CallError::Other(format!("cannot serialize {}: {error}", child.name)))?;
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        self.call("create", self.api(child.kind, namespace).create(&parameters, &object)).await?;
        Ok(())
    }

    /// Changes these fields of an object and no others.
    pub async fn merge(&self, kind: Kind, namespace: &str, name: &str, patch: &Value) -> Result<(), CallError> {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.call("patch", self.api(kind, namespace).patch(name, &parameters, &Patch::Merge(patch))).await?;
        Ok(())
    }

    /// Deletes that very object; one of the same name that has come since stays. Gone already is as good.
    pub async fn delete(&self, kind: Kind, namespace: &str, name: &str, uid: &str) -> Result<(), CallError> {
        let result = self.call("delete", self.api(kind, namespace).delete(name, &only(uid))).await;
        gone_is_good(result.map(drop))
    }

    /// `by_force`: without waiting for its node.
    pub async fn delete_pod(&self, namespace: &str, name: &str, uid: &str, by_force: bool) -> Result<(), CallError> {
        let api: Api<TrimmedPod> = Api::namespaced(self.kube.clone(), namespace);
        let parameters = DeleteParams { grace_period_seconds: by_force.then_some(0), ..only(uid) };
        let result = self.call("delete", api.delete(name, &parameters)).await;
        gone_is_good(result.map(drop))
    }

    /// Writes a status, and returns the ChatDeployment with it if this version can read it.
    pub async fn status(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        status: &ChatDeploymentStatus,
    ) -> Result<Option<ChatDeployment>, CallError> {
        let patch = json!({
            "apiVersion": KEPT_API_VERSION,
            "kind": KIND,
            // With the uid: a status of one that was deleted must not make or mark its successor.
            "metadata": { "name": name, "namespace": namespace, "uid": uid },
            "status": status,
        });
        let parameters = PatchParams { force: true, ..PatchParams::apply(MANAGER) };
        let kept =
            ApiResource { api_version: KEPT_API_VERSION.to_owned(), ..ApiResource::erase::<ChatDeployment>(&()) };
        let request = Request::new(DynamicObject::url_path(&kept, Some(namespace)));
        let request = request.patch_subresource("status", name, &parameters, &Patch::Apply(&patch));
        let request = request.map_err(|error| unfit(&error))?;
        let written: DeserializeGuard<ChatDeployment> = self.call("apply", self.kube.request(request)).await?;
        Ok(written.0.ok())
    }

    /// The uid and the status of a ChatDeployment whose spec this version cannot read.
    pub async fn status_of(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<(String, ChatDeploymentStatus)>, CallError> {
        let kind = ApiResource::erase::<ChatDeployment>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.kube.clone(), namespace, &kind);
        let found = self.call("list", api.list(&only_this(name))).await?.items.into_iter().next();
        Ok(found.map(|found| {
            let status = found.data.get("status").and_then(|status| ChatDeploymentStatus::deserialize(status).ok());
            (found.metadata.uid.unwrap_or_default(), status.unwrap_or_default())
        }))
    }

    /// The ChatDeployment of this name, if there is one; one that this version cannot read counts as none. By a list: the operator has
    /// no other use for the right to get one.
    pub async fn deployment(&self, namespace: &str, name: &str) -> Result<Option<ChatDeployment>, CallError> {
        let api: Api<DeserializeGuard<ChatDeployment>> = Api::namespaced(self.kube.clone(), namespace);
        let found = self.call("list", api.list(&only_this(name))).await?.items;
        Ok(found.into_iter().find_map(|deployment| deployment.0.ok()))
    }

    /// All children of a kind that carry these labels, and the version of the list.
    pub async fn children(&self, kind: Kind, namespace: &str, labels: &str) -> Result<(Vec<Value>, u64), CallError> {
        let list = self.call("list", self.api(kind, namespace).list(&ListParams::default().labels(labels))).await?;
        let version = record::list_version(&list.metadata);
        Ok((list.items.into_iter().filter_map(|object| serde_json::to_value(object).ok()).collect(), version))
    }

    /// All pods that carry these labels, and the version of the list.
    pub async fn pods(&self, namespace: &str, labels: &str) -> Result<(Vec<TrimmedPod>, u64), CallError> {
        let api: Api<TrimmedPod> = Api::namespaced(self.kube.clone(), namespace);
        let list = self.call("list", api.list(&ListParams::default().labels(labels))).await?;
        Ok((list.items, record::list_version(&list.metadata)))
    }

    /// The Events of Kubernetes about an object, in no order.
    pub async fn events(&self, namespace: &str, uid: &str) -> Result<Vec<Event>, CallError> {
        let api: Api<Event> = Api::namespaced(self.kube.clone(), namespace);
        let parameters = ListParams::default().fields(&format!("involvedObject.uid={uid}")).limit(EVENTS);
        Ok(self.call("list", api.list(&parameters)).await?.items)
    }

    /// Makes an Event. One in a namespace that goes away is not missed.
    pub async fn publish(&self, event: &Event, namespace: &str) -> Result<(), CallError> {
        let api: Api<Event> = Api::namespaced(self.kube.clone(), namespace);
        match self.call("create", api.create(&PostParams::default(), event)).await {
            // The namespace goes away: nobody would read it.
            Err(CallError::Refused { code: 403, message }) if message.contains("being terminated") => Ok(()),
            result => result.map(drop),
        }
    }
}

pub(crate) fn resource(kind: Kind) -> ApiResource {
    let (group, version) = kind.api_version().rsplit_once('/').unwrap_or(("", kind.api_version()));
    let kind_of = GroupVersionKind::gvk(group, version, kind.as_str());
    ApiResource::from_gvk_with_plural(&kind_of, kind.plural())
}

/// Requests whose answers are taken as they are: a typed object would only be turned into a value again.
fn request(kind: Kind, namespace: &str) -> Request {
    Request::new(DynamicObject::url_path(&resource(kind), Some(namespace)))
}

pub(crate) fn unfit(error: &impl std::error::Error) -> CallError {
    CallError::Other(format!("cannot build a request: {error}"))
}

fn only_this(name: &str) -> ListParams {
    ListParams::default().fields(&format!("metadata.name={name}"))
}

fn only(uid: &str) -> DeleteParams {
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    // The children of a StatefulSet go with it, in the background.
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() }
}

fn gone_is_good(result: Result<(), CallError>) -> Result<(), CallError> {
    match result {
        Err(CallError::Refused { code: 404 | 409, .. }) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_write_under_way_is_given_up_when_the_right_to_write_ends() {
        let kube = kube::Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let leadership = Leadership::none();
        let client = Client::new(kube, Arc::default(), leadership.clone());
        let polled = AtomicU32::new(0);
        // As if the process had been frozen while a request was being sent.
        let freezes = || {
            std::future::poll_fn(|context| {
                polled.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(60));
                context.waker().wake_by_ref();
                Poll::<Result<(), kube::Error>>::Pending
            })
        };
        assert!(matches!(client.call("apply", freezes()).await, Err(CallError::NotLeading)));
        assert_eq!(polled.load(Ordering::Relaxed), 0, "not begun at all");
        leadership.lasts(Duration::from_millis(50));
        assert!(matches!(client.call("apply", freezes()).await, Err(CallError::NotLeading)));
        assert_eq!(polled.load(Ordering::Relaxed), 1, "not gone on with");
        leadership.lasts(Duration::from_millis(50));
        let silent = client.call("apply", std::future::pending::<Result<(), _>>()).await;
        assert!(matches!(silent, Err(CallError::NotLeading)), "{silent:?}");
        assert!(client.call("get", async { Ok(()) }).await.is_ok(), "a standby may read");
    }
}
