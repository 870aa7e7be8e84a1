//! A Service for each chat pod, so that clients outside can follow a REDIRECT. Pure: no I/O.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::services::{tcp, web};
use super::{CHAT, Child, Context, Kind};
use crate::api::PerPodType;

/// The kind of Service that each pod gets, if any.
pub fn wanted(context: &Context<'_>) -> Option<&'static str> {
    match context.spec.per_pod.type_ {
        PerPodType::None => None,
        PerPodType::NodePort => Some("NodePort"),
        PerPodType::LoadBalancer => Some("LoadBalancer"),
    }
}

pub fn all(context: &Context<'_>) -> Vec<Child> {
    let Some(type_) = wanted(context) else { return Vec::new() };
    (0..context.facts.ordinals).map(|ordinal| of(context, type_, ordinal)).collect()
}

fn of(context: &Context<'_>, type_: &str, ordinal: i32) -> Child {
    let pod = context.names().pod(ordinal);
    let mut metadata = context.metadata(pod.clone(), CHAT);
    let number = ordinal.to_string();
    let annotations: BTreeMap<_, _> = context
        .spec
        .per_pod
        .annotations
        .iter()
        .map(|(key, value)| (key.clone(), value.replace("{ordinal}", &number)))
        .collect();
    if !annotations.is_empty() {
        metadata.annotations = Some(annotations);
    }
    let mut selector = context.selector(CHAT);
    selector.insert("statefulset.kubernetes.io/pod-name".to_owned(), pod);
    let settings = &context.spec.service;
    let service = Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(type_.to_owned()),
            selector: Some(selector),
            // A room's players reach their pod while it drains, too.
            publish_not_ready_addresses: Some(true),
            ports: Some(vec![tcp(settings.tcp_port), web(context, settings.web_port)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    super::child(Kind::Service, &service)
}
