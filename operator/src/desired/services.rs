//! The headless Service, which gives each pod a name, the Service for clients, and that of the server API. Pure: no I/O.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{CHAT, Child, Context, Kind};
use crate::api::ServiceType;

pub const TCP_PORT: i32 = 7654;
pub const WEB_PORT: i32 = 8081;
pub const API_PORT: i32 = 8082;
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
                tcp(TCP_PORT),
                web(context, WEB_PORT),
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
            ports: Some(vec![tcp(settings.tcp_port), web(context, settings.web_port)]),
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

/// The server API, for whom it is inside of the cluster: of its own, so that no load balancer for clients has its port.
pub fn api(context: &Context<'_>) -> Option<Child> {
    context.spec.api.is_served().then(|| {
        let service = Service {
            metadata: context.metadata(context.names().api(), CHAT),
            spec: Some(ServiceSpec {
                type_: Some("ClusterIP".to_owned()),
                selector: Some(context.selector(CHAT)),
                ports: Some(vec![ServicePort {
                    app_protocol: Some("http".to_owned()),
                    ..port("api", API_PORT, "api")
                }]),
                ..ServiceSpec::default()
            }),
            ..Service::default()
        };
        super::child(Kind::Service, &service)
    })
}

/// The port of raw TCP clients: a mesh or a gateway must not look for HTTP there, which would wait for the client to speak first.
pub fn tcp(number: i32) -> ServicePort {
    ServicePort { app_protocol: Some("tcp".to_owned()), ..port("tcp", number, "tcp") }
}

/// The port of browsers. Gateways and ingress controllers know by the protocol whether to speak TLS there, and that connections are
/// upgraded and last. A load balancer that would ask `http` ports for a page does not know this protocol, and probes by TCP as before.
pub fn web(context: &Context<'_>, number: i32) -> ServicePort {
    let protocol = if context.spec.tls.is_some() { "https" } else { "kubernetes.io/ws" };
    ServicePort { app_protocol: Some(protocol.to_owned()), ..port("web", number, "web") }
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
