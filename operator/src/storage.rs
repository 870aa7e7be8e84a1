//! Moves stored ChatDeployments to the version that the definition stores them in, and then notes there that no other is stored. Does
//! I/O; `Definition::outdated` is the decision.

use std::time::Duration;

use kube::api::{Api, GetParams, ListParams, Patch, PatchParams, Request};
use kube::core::PartialObjectMeta;
use kube::{CustomResourceExt, Resource};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::ChatDeployment;
use crate::backoff::{backoff, random};
use crate::client::{CallError, Client, unfit};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// A change of the definition is noticed after this time.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// An API server that has not heard of a changed definition yet stores objects as before.
const HEARD_OF: Duration = Duration::from_secs(10);
const PAGE: u32 = 500;

/// The CustomResourceDefinition, as far as versions need it.
#[derive(Clone, Debug, Deserialize)]
struct Definition {
    metadata: Metadata,
    spec: Spec,
    status: Option<Status>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Spec {
    versions: Vec<Version>,
}

#[derive(Clone, Debug, Deserialize)]
struct Version {
    name: String,
    storage: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    stored_versions: Vec<String>,
}

impl Definition {
    /// The version that objects are stored in, and the others that some may still be stored in, if there are any.
    fn outdated(&self) -> Option<(&str, Vec<&str>)> {
        let version = self.spec.versions.iter().find(|version| version.storage)?;
        let stored = self.status.iter().flat_map(|status| &status.stored_versions);
        let others: Vec<&str> = stored.map(String::as_str).filter(|stored| *stored != version.name).collect();
        (!others.is_empty()).then_some((&version.name, others))
    }
}

/// Looks at the definition now and then until `shutdown`, and moves what has to be moved.
pub async fn keep_moved(client: Client, shutdown: CancellationToken) {
    let mut failures = 0;
    loop {
        let pause = match move_stored(&client).await {
            Ok(()) => {
                failures = 0;
                LOOK_AGAIN
            }
            // Only the leader moves them.
            Err(CallError::NotLeading) => HEARD_OF,
            Err(error) => {
                let delay = backoff(failures, random());
                failures = failures.saturating_add(1);
                tracing::warn!(%error, again_in_seconds = delay.as_secs_f64(), "cannot move stored ChatDeployments to another version; retrying");
                delay
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

async fn move_stored(client: &Client) -> Result<(), CallError> {
    let definition = client.definition().await?;
    let Some((version, others)) = definition.outdated() else { return Ok(()) };
    tokio::time::sleep(HEARD_OF).await;
    let count = client.store_again().await?;
    // Of the definition that was read: a change since then may have named another version.
    client.note_stored_version(&definition, version).await?;
    tracing::info!(count, from = others.join(","), to = version, "moved stored ChatDeployments to another version");
    Ok(())
}

impl Client {
    async fn definition(&self) -> Result<Definition, CallError> {
        let request = Request::new(DEFINITIONS).get(ChatDeployment::crd_name(), &GetParams::default());
        self.call("get", self.kube.request(request.map_err(|error| unfit(&error))?)).await
    }

    /// Writes every ChatDeployment as it is: the API server stores it in the present version, or not at all if it is the same.
    async fn store_again(&self) -> Result<usize, CallError> {
        let all: Api<PartialObjectMeta<ChatDeployment>> = Api::all(self.kube.clone());
        let (mut count, mut parameters) = (0, ListParams::default().limit(PAGE));
        loop {
            let page = self.call("list", all.list_metadata(&parameters)).await?;
            for object in page.items {
                let (namespace, name) = (object.metadata.namespace, object.metadata.name.unwrap_or_default());
                let same = Patch::Merge(json!({ "metadata": { "uid": object.metadata.uid } }));
                let request = Request::new(ChatDeployment::url_path(&(), namespace.as_deref()));
                let request = request.patch_subresource("status", &name, &PatchParams::default(), &same);
                let request = request.map_err(|error| unfit(&error))?;
                match self.call::<Value>("patch", self.kube.request(request)).await {
                    // Deleted, recreated, or written by others all the time: in the present version.
                    Ok(_) | Err(CallError::Refused { code: 404 | 409, .. }) => count += 1,
                    Err(error) => return Err(error),
                }
            }
            let Some(next) = page.metadata.continue_.filter(|token| !token.is_empty()) else { return Ok(count) };
            parameters = ListParams::default().limit(PAGE).continue_token(&next);
        }
    }

    async fn note_stored_version(&self, definition: &Definition, version: &str) -> Result<(), CallError> {
        let patch = Patch::Merge(json!({
            "metadata": { "resourceVersion": definition.metadata.resource_version },
            "status": { "storedVersions": [version] },
        }));
        let request = Request::new(DEFINITIONS).patch_subresource(
            "status",
            ChatDeployment::crd_name(),
            &PatchParams::default(),
            &patch,
        );
        let request = request.map_err(|error| unfit(&error))?;
        self.call::<Value>("patch", self.kube.request(request)).await.map(drop)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn objects_move_only_if_some_may_be_stored_in_another_version() {
        let outdated = |storage: &str, stored: Value| {
            let version = |name: &str| json!({ "name": name, "storage": name == storage, "served": true });
            let definition: Definition = serde_json::from_value(json!({
                "metadata": { "resourceVersion": "1" },
                "spec": { "versions": [version("v1beta1"), version("v1alpha1")] },
                "status": stored,
            }))
            .unwrap();
            definition.outdated().map(|(version, others)| format!("{} to {version}", others.join(",")))
        };
        let stored = |versions: &[&str]| json!({ "storedVersions": versions });
        assert_eq!(outdated("v1alpha1", stored(&["v1alpha1"])), None);
        assert_eq!(outdated("v1beta1", stored(&["v1beta1"])), None);
        assert_eq!(outdated("v1beta1", stored(&["v1alpha1", "v1beta1"])).unwrap(), "v1alpha1 to v1beta1");
        assert_eq!(outdated("v1alpha1", stored(&["v1beta1", "v1alpha1"])).unwrap(), "v1beta1 to v1alpha1");
        assert_eq!(outdated("v1beta1", Value::Null), None);
        assert_eq!(outdated("v1beta1", json!({})), None);
    }
}
