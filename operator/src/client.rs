//! The calls to the API server, each with a time limit and counted. Does I/O. Writes are refused while this process does not lead.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
    Preconditions,
};
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use crate::api::{ChatDeployment, ChatDeploymentStatus};
use crate::desired::{Child, Kind, MANAGER};
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::record;

const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("this process does not lead")]
    NotLeading,
    #[error("the API server did not answer within 10 s")]
    TimeLimit,
    /// The API server said no, and will again until something changes: code and its words.
    #[error("{message}")]
    Refused { code: u16, message: String },
    /// Whatever may go better next time.
    #[error("{0}")]
    Other(String),
}

impl CallError {
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
            other => Self::Other(other.to_string()),
        }
    }
}

#[derive(Clone)]
pub struct Client {
    kube: kube::Client,
    metrics: Arc<Metrics>,
    leadership: Leadership,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    pub fn new(kube: kube::Client, metrics: Arc<Metrics>, leadership: Leadership) -> Self {
        Self { kube, metrics, leadership }
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let (group, version) = kind.api_version().rsplit_once('/').unwrap_or(("", kind.api_version()));
        let kind_of = GroupVersionKind::gvk(group, version, kind.as_str());
        let resource = ApiResource::from_gvk_with_plural(&kind_of, kind.plural());
        Api::namespaced_with(self.kube.clone(), namespace, &resource)
    }

    async fn call<T>(
        &self,
        verb: &'static str,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, CallError> {
        if !matches!(verb, "get" | "list") && !self.leadership.may_write() {
            return Err(CallError::NotLeading);
        }
        let Ok(result) = tokio::time::timeout(TIME_LIMIT, call).await else {
            self.metrics.called(verb, 0);
            return Err(CallError::TimeLimit);
        };
        let code = match &result {
            Ok(_) => 200,
            Err(kube::Error::Api(status)) => status.code,
            Err(_) => 0,
        };
        self.metrics.called(verb, code);
        result.map_err(CallError::from)
    }

    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Value>, CallError> {
        let object = self.call("get", self.api(kind, namespace).get_opt(name)).await?;
        Ok(object.and_then(|object| serde_json::to_value(object).ok()))
    }

    /// A Secret with its values' lengths in place of the values: nothing else of it is needed.
    pub async fn get_secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, CallError> {
        let api: Api<Secret> = Api::namespaced(self.kube.clone(), namespace);
        self.call("get", api.get_opt(name)).await
    }

    /// Server-side apply. With a uid it is that very object or none, and fields that somebody else has set become ours; without one it
    /// is made.
    pub async fn apply(&self, child: &Child, namespace: &str, uid: Option<&str>) -> Result<Value, CallError> {
        let api = self.api(child.kind, namespace);
        let parameters = PatchParams { force: uid.is_some(), ..PatchParams::apply(MANAGER) };
        let mut object = child.object.clone();
        if let Some(uid) = uid {
            object["metadata"]["uid"] = uid.into();
        }
        let object = self.call("apply", api.patch(&child.name, &parameters, &Patch::Apply(&object))).await?;
        Ok(serde_json::to_value(object).unwrap_or_default())
    }

    /// Makes what must not be there yet.
    pub async fn create(&self, child: &Child, namespace: &str) -> Result<(), CallError> {
        let object: DynamicObject = serde_json::from_value(child.object.clone())
            .map_err(|error| CallError::Other(format!("{} cannot be written: {error}", child.name)))?;
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

    pub async fn delete_pod(&self, namespace: &str, name: &str, uid: &str) -> Result<(), CallError> {
        let api: Api<Pod> = Api::namespaced(self.kube.clone(), namespace);
        let result = self.call("delete", api.delete(name, &only(uid))).await;
        gone_is_good(result.map(drop))
    }

    pub async fn status(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        status: &ChatDeploymentStatus,
    ) -> Result<ChatDeployment, CallError> {
        let api: Api<ChatDeployment> = Api::namespaced(self.kube.clone(), namespace);
        let patch = json!({
            "apiVersion": crate::desired::API_VERSION,
            "kind": crate::desired::KIND,
            // With the uid: a status of one that was deleted must not make or mark its successor.
            "metadata": { "name": name, "namespace": namespace, "uid": (!uid.is_empty()).then_some(uid) },
            "status": status,
        });
        let parameters = PatchParams { force: true, ..PatchParams::apply(MANAGER) };
        self.call("apply", api.patch_status(name, &parameters, &Patch::Apply(&patch))).await
    }

    /// The ChatDeployment of this name, if there is one; one that this version cannot read counts as none. By a list: the operator has
    /// no other use for the right to get one.
    pub async fn deployment(&self, namespace: &str, name: &str) -> Result<Option<ChatDeployment>, CallError> {
        let api: Api<DeserializeGuard<ChatDeployment>> = Api::namespaced(self.kube.clone(), namespace);
        let parameters = ListParams::default().fields(&format!("metadata.name={name}"));
        let found = self.call("list", api.list(&parameters)).await?.items;
        Ok(found.into_iter().find_map(|deployment| deployment.0.ok()))
    }

    /// All children of a kind that carry these labels, and the version of the list.
    pub async fn children(&self, kind: Kind, namespace: &str, labels: &str) -> Result<(Vec<Value>, u64), CallError> {
        let list = self.call("list", self.api(kind, namespace).list(&ListParams::default().labels(labels))).await?;
        let version = record::list_version(&list.metadata);
        Ok((list.items.into_iter().filter_map(|object| serde_json::to_value(object).ok()).collect(), version))
    }

    pub async fn pods(&self, namespace: &str, labels: &str) -> Result<(Vec<Pod>, u64), CallError> {
        let api: Api<Pod> = Api::namespaced(self.kube.clone(), namespace);
        let list = self.call("list", api.list(&ListParams::default().labels(labels))).await?;
        Ok((list.items, record::list_version(&list.metadata)))
    }

    /// Warnings about an object, the newest last.
    pub async fn warnings(&self, namespace: &str, uid: &str) -> Result<Vec<Event>, CallError> {
        let api: Api<Event> = Api::namespaced(self.kube.clone(), namespace);
        let parameters = ListParams::default().fields(&format!("involvedObject.uid={uid},type=Warning")).limit(50);
        let mut events = self.call("list", api.list(&parameters)).await?.items;
        events.sort_by_key(|event| {
            let last = event.last_timestamp.as_ref().map(|time| time.0);
            last.max(event.event_time.as_ref().map(|time| time.0))
        });
        Ok(events)
    }

    pub async fn tell(&self, event: &Event, namespace: &str) -> Result<(), CallError> {
        let api: Api<Event> = Api::namespaced(self.kube.clone(), namespace);
        match self.call("create", api.create(&PostParams::default(), event)).await {
            // The namespace goes away: nobody would read it.
            Err(CallError::Refused { code: 403, message }) if message.contains("being terminated") => Ok(()),
            result => result.map(drop),
        }
    }
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
