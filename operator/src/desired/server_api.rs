//! The server API: its keys' Secret, chatd's arguments for it, and what the status says of it. Pure: no I/O.

use super::Context;
use super::services::API_PORT;
use crate::api::{ApiStatus, ChatDeploymentSpec};

/// Where a pod finds the keys.
pub const API_KEYS: &str = "/etc/chatd/api-keys";
/// The key of the Secret that has them all.
pub const API_KEYS_FILE: &str = "keys.json";

/// The name of the Secret with the keys; none without the API.
pub fn secret(context: &Context<'_>) -> Option<String> {
    let api = Some(&context.spec.api).filter(|api| api.is_served())?;
    Some(api.secret_ref.as_ref().map_or_else(|| context.names().api(), |secret| secret.name.clone()))
}

pub fn arguments(spec: &ChatDeploymentSpec) -> Vec<String> {
    if !spec.api.is_served() {
        return Vec::new();
    }
    vec![format!("--api-listen=0.0.0.0:{API_PORT}"), format!("--api-keys-file={API_KEYS}/{API_KEYS_FILE}")]
}

/// Where callers inside of the cluster reach it, and the Secret with its keys.
pub fn status(context: &Context<'_>) -> Option<ApiStatus> {
    let secret_name = secret(context)?;
    let url = format!("http://{}.{}.svc:{API_PORT}", context.names().api(), context.owner.namespace);
    Some(ApiStatus { url, secret_name })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Facts, Installed, Owner};
    use super::*;

    #[test]
    fn the_status_says_where_the_api_is_and_whose_keys_it_takes() {
        let owner = Owner { name: "chat".into(), namespace: "games".into(), uid: "u".into() };
        let (installed, facts) = (Installed::sample(), Facts::default());
        let of = |api: Value| {
            let spec = serde_json::from_value(json!({ "api": api })).unwrap();
            let context = Context { owner: &owner, spec: &spec, installed: &installed, facts: &facts };
            status(&context).map(|api| (api.url, api.secret_name))
        };
        let url = "http://chat-api.games.svc:8082".to_owned();
        assert_eq!(of(json!({})), None);
        assert_eq!(of(json!({ "type": "ClusterIP" })), Some((url.clone(), "chat-api".to_owned())));
        let own = json!({ "type": "ClusterIP", "secretRef": { "name": "mine" } });
        assert_eq!(of(own), Some((url, "mine".to_owned())));
    }
}
