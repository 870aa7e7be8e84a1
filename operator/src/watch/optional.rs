//! Kinds of others that a cluster has or not: looked for in its API, and watched while they are there. Does I/O.

use std::time::Duration;

use kube::api::{Api, DynamicObject};
use kube::runtime::watcher as full_watcher;
use kube::runtime::watcher::Config;

use super::{Feed, watch_children};
use crate::client::resource;
use crate::desired::Kind;
use crate::record::Child;

/// A kind that comes is noticed within this time.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Never ends. Each watch ends when the kind or the right to read it is gone.
pub(super) async fn watch(client: kube::Client, kind: Kind, feed: Feed, config: Config) {
    let api: Api<DynamicObject> = match feed.namespace.as_deref() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource(kind)),
        None => Api::all_with(client.clone(), &resource(kind)),
    };
    loop {
        if is_served(&client, kind).await {
            let stream = || full_watcher(api.clone(), config.clone());
            let record = |object: &DynamicObject| Child::of_metadata(kind, &object.metadata);
            watch_children(stream, feed.clone(), kind, record).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether the API server has the kind. One that does not answer is asked again later.
async fn is_served(client: &kube::Client, kind: Kind) -> bool {
    let resources = client.list_api_group_resources(kind.api_version()).await;
    resources.is_ok_and(|list| list.resources.iter().any(|resource| resource.name == kind.plural()))
}
