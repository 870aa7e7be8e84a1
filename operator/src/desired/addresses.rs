//! The pods' addresses outside the cluster, and the ConfigMap that passes them to the pods. Pure: no I/O.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde::Serialize;

use crate::api::{Endpoints, ServiceType};

use super::{CHAT, Child, Context, Kind, pod_services};

/// The file in the ConfigMap, which chatd reads again when it changes.
pub const FILE: &str = "addresses.json";

/// Where clients outside reach one pod. Both or none: a pod with one address only is not there yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodAddress {
    /// `host:port` of raw TCP.
    pub tcp: String,
    /// `host:port` of HTTP and WebSockets.
    pub web: String,
}

/// What was seen of one pod's Service and node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// From the load balancer's status.
    pub ingress: Option<String>,
    /// The node port of `tcp`, in the pod's own Service.
    pub tcp_node_port: Option<i32>,
    /// The node port of `web`, in the pod's own Service.
    pub web_node_port: Option<i32>,
    /// The address of the node that the pod runs on.
    pub host: Option<String>,
}

/// The address of the pod `ordinal`, once it is known.
pub fn address(context: &Context<'_>, ordinal: i32, seen: &Seen) -> Option<PodAddress> {
    let named = context.spec.per_pod.hostname_template.as_ref();
    let named = named.map(|template| template.replace("{ordinal}", &ordinal.to_string()));
    match pod_services::wanted(context)? {
        "LoadBalancer" => {
            // A name is no use before the balancer is there.
            let ingress = seen.ingress.clone()?;
            let host = named.unwrap_or(ingress);
            let service = &context.spec.service;
            Some(PodAddress { tcp: join(&host, service.tcp_port), web: join(&host, service.web_port) })
        }
        _ => {
            let host = named.or_else(|| seen.host.clone())?;
            Some(PodAddress { tcp: join(&host, seen.tcp_node_port?), web: join(&host, seen.web_node_port?) })
        }
    }
}

/// The addresses of all pods that have one.
pub fn addresses(context: &Context<'_>, seen: &BTreeMap<i32, Seen>) -> BTreeMap<String, PodAddress> {
    seen.iter()
        .filter_map(|(ordinal, seen)| Some((context.names().pod(*ordinal), address(context, *ordinal, seen)?)))
        .collect()
}

/// Where clients come in, for the status. `ingress`: the address of the load balancer, once it has one.
pub fn endpoints(context: &Context<'_>, ingress: Option<&str>) -> Endpoints {
    let service = &context.spec.service;
    let host = if service.type_ == ServiceType::LoadBalancer {
        ingress.map(str::to_owned)
    } else {
        Some(format!("{}.{}.svc", context.names().chat(), context.owner.namespace))
    };
    let at = |port: i32| host.as_ref().map(|host| join(host, port));
    Endpoints { tcp: at(service.tcp_port), web: at(service.web_port) }
}

fn join(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// While it lacks a pod, sessions for that pod are relayed.
pub fn config_map(context: &Context<'_>) -> Option<Child> {
    pod_services::wanted(context)?;
    let text = serde_json::to_string_pretty(&context.facts.addresses).unwrap_or_default();
    let config_map = ConfigMap {
        metadata: context.metadata(context.names().addresses(), CHAT),
        data: Some(BTreeMap::from([(FILE.to_owned(), text + "\n")])),
        ..ConfigMap::default()
    };
    Some(super::child(Kind::ConfigMap, &config_map))
}

#[cfg(test)]
mod tests {
    use super::super::{Facts, Installed, Owner};
    use super::*;
    use crate::api::ChatDeploymentSpec;

    #[test]
    fn an_address_of_ipv6_stands_in_brackets() {
        let owner = Owner { name: "chat".into(), namespace: "games".into(), uid: "u".into() };
        let installed = Installed::sample();
        let mut spec = ChatDeploymentSpec::default();
        let facts = Facts::default();
        let tcp = |spec: &ChatDeploymentSpec, ingress| {
            endpoints(&Context { owner: &owner, spec, installed: &installed, facts: &facts }, ingress).tcp
        };
        assert_eq!(tcp(&spec, None).as_deref(), Some("chat.games.svc:7654"));
        spec.service.type_ = ServiceType::LoadBalancer;
        assert_eq!(tcp(&spec, None), None);
        assert_eq!(tcp(&spec, Some("fd00::1")).as_deref(), Some("[fd00::1]:7654"));
        assert_eq!(tcp(&spec, Some("lb.example.org")).as_deref(), Some("lb.example.org:7654"));
    }
}
