//! The headless Service, which gives each pod a name, and the Service for clients. Pure: no I/O.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{CHAT, Child, Context, Kind};
use crate::api::ServiceType;

pub const TCP_PORT: i32 = 7654;
pub const WEB_PORT: i32 = 8081;
pub const PEER_PORT: i32 = 7755;
pub const ADMIN_PORT: i32 = 9090;
pub const VALKEY_PORT: i32 = 6379;

pub fn headless(context: &Context<'_>) -> Child {
    let service = Service {
        metadata: context.metadata(context.names().headless(), CHAT),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            // Pods find each other, and clients follow a REDIRECT, while a pod drains or has not been probed yet.
            publish_not_ready_addresses: Some(true),
            selector: Some(context.selector(CHAT)),
            ports: Some(vec![
                port("tcp", TCP_PORT, "tcp"),
                port("web", WEB_PORT, "web"),
                port("peer", PEER_PORT, "peer"),
                port("admin", ADMIN_PORT, "admin"),
            ]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    super::child(Kind::Service, &service)
}

pub fn client(context: &Context<'_>) -> Child {
    let settings = &context.spec.service;
    let is_outside = settings.type_ != ServiceType::ClusterIP;
    let mut metadata = context.metadata(context.names().chat(), CHAT);
    if !settings.annotations.is_empty() {
        metadata.annotations = Some(settings.annotations.clone());
    }
    let service = Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(settings.type_.as_str().to_owned()),
            selector: Some(context.selector(CHAT)),
            ports: Some(vec![port("tcp", settings.tcp_port, "tcp"), port("web", settings.web_port, "web")]),
            load_balancer_class: settings.load_balancer_class.clone(),
            external_traffic_policy: settings
                .external_traffic_policy
                .filter(|_| is_outside)
                .map(|policy| policy.as_str().to_owned()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    super::child(Kind::Service, &service)
}

pub fn port(name: &str, port: i32, target: &str) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(target.to_owned())),
        ..ServicePort::default()
    }
}
