//! NetworkPolicies: clients can reach client ports, pods can reach pods, the application's backend the server API, and only chat pods
//! the managed Valkey. Pure: no I/O.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::services::VALKEY_PORT;
use super::{CHAT, Child, Context, Kind, MANAGER, VALKEY};
use crate::api::MonitoringType;

pub fn chat(context: &Context<'_>) -> Child {
    let mut readers = vec![operator(context)];
    if context.spec.monitoring.type_ == MonitoringType::Auto {
        readers.extend(context.installed.monitoring_namespaces.iter().map(|name| namespace(name)));
    }
    readers.extend(context.spec.network_policy.monitoring_from.iter().cloned());
    let mut rules = vec![
        allow(&["tcp", "web"], None),
        allow(&["peer", "admin"], Some(vec![pods(context.selector(CHAT))])),
        allow(&["admin"], Some(readers)),
    ];
    if context.spec.api.is_served() {
        let mut callers = vec![pods(BTreeMap::new())];
        callers.extend(context.spec.network_policy.api_from.iter().cloned());
        rules.push(allow(&["api"], Some(callers)));
    }
    policy(context, context.names().chat(), CHAT, rules)
}

pub fn valkey(context: &Context<'_>) -> Child {
    let ports = Some(vec![port(IntOrString::Int(VALKEY_PORT))]);
    let from = Some(vec![pods(context.selector(CHAT))]);
    policy(context, context.names().valkey(), VALKEY, vec![NetworkPolicyIngressRule { from, ports }])
}

fn policy(context: &Context<'_>, name: String, component: &str, rules: Vec<NetworkPolicyIngressRule>) -> Child {
    let policy = NetworkPolicy {
        metadata: context.metadata(name, component),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labelled(context.selector(component))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(rules),
            ..NetworkPolicySpec::default()
        }),
    };
    super::child(Kind::NetworkPolicy, &policy)
}

fn operator(context: &Context<'_>) -> NetworkPolicyPeer {
    let labels = ("app.kubernetes.io/name".to_owned(), MANAGER.to_owned());
    NetworkPolicyPeer {
        pod_selector: Some(labelled(BTreeMap::from([labels]))),
        ..namespace(&context.installed.operator_namespace)
    }
}

fn namespace(name: &str) -> NetworkPolicyPeer {
    let label = ("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    let namespace_selector = Some(labelled(BTreeMap::from([label])));
    NetworkPolicyPeer { namespace_selector, ..NetworkPolicyPeer::default() }
}

/// Pods of this namespace; without labels all of them.
fn pods(labels: BTreeMap<String, String>) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(labelled(labels)), ..NetworkPolicyPeer::default() }
}

fn labelled(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels).filter(|labels| !labels.is_empty()), ..LabelSelector::default() }
}

fn allow(ports: &[&str], from: Option<Vec<NetworkPolicyPeer>>) -> NetworkPolicyIngressRule {
    let ports = ports.iter().map(|name| port(IntOrString::String((*name).to_owned()))).collect();
    NetworkPolicyIngressRule { from, ports: Some(ports) }
}

fn port(port: IntOrString) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(port), protocol: Some("TCP".to_owned()), ..NetworkPolicyPort::default() }
}
