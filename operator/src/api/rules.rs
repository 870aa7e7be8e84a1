//! What the API server checks beyond types and bounds: CEL rules, each with a sentence that says what to change. No I/O.
//! One table, so that the CRD, its docs and the test that breaks each rule cannot differ.

/// A rule at a place of the object; an empty place is its root. `[]` stands for the items of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub at: &'static str,
    pub cel: &'static str,
    pub message: &'static str,
}

const fn rule(at: &'static str, cel: &'static str, message: &'static str) -> Rule {
    Rule { at, cel, message }
}

pub const RULES: &[Rule] = &[
    rule(
        "",
        "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",
        "metadata.name must be 1 to 40 characters of a-z, 0-9 and '-', start with a letter and end with a letter or digit: the names of its pods and Services are made from it",
    ),
    rule(
        "spec",
        "!has(self.autoscaling) || (has(self.pod.resources.requests) && 'cpu' in self.pod.resources.requests) || (has(self.pod.resources.limits) && 'cpu' in self.pod.resources.limits)",
        "autoscaling goes by CPU in per cent of what is requested: set pod.resources.requests.cpu",
    ),
    rule(
        "spec.image",
        "self.matches('^[^\\\\s]+$')",
        "image must be an image's name without spaces, such as registry.example.org/chatd:1.2.3",
    ),
    rule(
        "spec.pod.labels",
        "self.all(key, !(key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'app.kubernetes.io/managed-by', 'controller-revision-hash', 'statefulset.kubernetes.io/pod-name', 'apps.kubernetes.io/pod-index']) && !key.startsWith('chatd.dev/'))",
        "pod.labels must not hold labels that the operator or Kubernetes sets itself: app.kubernetes.io/name, instance, component and managed-by, those of StatefulSets, and all of chatd.dev/",
    ),
    rule(
        "spec.pod.labels",
        "self.all(key, self[key].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))",
        "the values of pod.labels must be at most 63 characters of A-Z, a-z, 0-9, '-', '_' and '.', and start and end with a letter or digit",
    ),
    rule(
        "spec.pod.annotations",
        "self.all(key, !key.startsWith('chatd.dev/'))",
        "pod.annotations must not hold annotations of chatd.dev/: the operator sets those itself",
    ),
    rule(
        "spec.rooms",
        "self.seatHoldSeconds <= self.recordTTLSeconds",
        "rooms.seatHoldSeconds must be at most rooms.recordTTLSeconds: a held seat lives no longer than its room's record",
    ),
    rule(
        "spec.limits",
        "self.burst >= self.messagesPerSecond",
        "limits.burst must be at least limits.messagesPerSecond",
    ),
    rule(
        "spec.web.allowedOrigins",
        "self.all(origin, origin.matches('^https?://([A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?|\\\\[[0-9a-fA-F:.]+\\\\])(:[1-9][0-9]{0,4})?$'))",
        "web.allowedOrigins must be origins such as https://chat.example.org or http://localhost:3000: no path, no '*'",
    ),
    rule(
        "spec.web.trustedProxies",
        "self.all(network, isCIDR(network) && cidr(network) == cidr(network).masked())",
        "web.trustedProxies must be networks such as 10.0.0.0/8 or fd00::/8, with zeros after the prefix",
    ),
    rule("spec.service", "self.tcpPort != self.webPort", "service.tcpPort and service.webPort must differ"),
    rule(
        "spec.service",
        "!has(self.loadBalancerClass) || self.type == 'LoadBalancer'",
        "service.loadBalancerClass needs service.type: LoadBalancer",
    ),
    rule(
        "spec.service",
        "!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'",
        "service.externalTrafficPolicy needs service.type: NodePort or LoadBalancer",
    ),
    rule(
        "spec.service",
        "self.type != 'LoadBalancer' || oldSelf.type != 'LoadBalancer' || (has(self.loadBalancerClass) == has(oldSelf.loadBalancerClass) && (!has(self.loadBalancerClass) || self.loadBalancerClass == oldSelf.loadBalancerClass))",
        "service.loadBalancerClass cannot change while service.type is LoadBalancer: set service.type to ClusterIP first",
    ),
    rule(
        "spec.perPod",
        "!has(self.hostnameTemplate) || self.hostnameTemplate.matches('^[a-z0-9.-]*[{]ordinal[}][a-z0-9.-]*$')",
        "perPod.hostnameTemplate must be a host name with {ordinal} in it, once, for the number of the pod, such as chat-{ordinal}.example.org",
    ),
    rule(
        "spec.perPod",
        "!has(self.hostnameTemplate) || self.type != 'None'",
        "perPod.hostnameTemplate needs perPod.type: NodePort or LoadBalancer",
    ),
    rule(
        "spec.redis",
        "self.type == 'Managed' || !has(self.managed)",
        "redis.managed needs redis.type: Managed; take it out, or change the type",
    ),
    rule(
        "spec.redis",
        "self.type == 'External' || !has(self.external)",
        "redis.external needs redis.type: External; take it out, or change the type",
    ),
    rule(
        "spec.redis",
        "self.type != 'External' || has(self.external)",
        "redis.type: External needs redis.external with url or sentinel",
    ),
    rule(
        "spec.redis",
        "self.type != 'Managed' || oldSelf.type != 'Managed' || (has(self.managed) && has(self.managed.persistence)) == (has(oldSelf.managed) && has(oldSelf.managed.persistence))",
        "redis.managed.persistence cannot be added or taken out: make a new ChatDeployment, or go by way of redis.type: External",
    ),
    rule(
        "spec.redis.managed.persistence",
        "string(self.size) == string(oldSelf.size) && self.whenDeleted == oldSelf.whenDeleted && has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        "redis.managed.persistence cannot change: make a new ChatDeployment, or go by way of redis.type: External",
    ),
    rule(
        "spec.redis.keyPrefix",
        "self.matches('^[!-~]+$') && !self.matches('[*?{}\\\\[\\\\]\\\\\\\\]')",
        "redis.keyPrefix must be printable ASCII without spaces and without any of * ? [ ] { } \\",
    ),
    rule(
        "spec.redis.managed.image",
        "self.matches('^[^\\\\s]+$')",
        "redis.managed.image must be an image's name without spaces, such as valkey/valkey:9",
    ),
    rule(
        "spec.redis.external",
        "has(self.url) != has(self.sentinel)",
        "redis.external needs exactly one of url and sentinel",
    ),
    rule(
        "spec.redis.external.url",
        "!self.contains('@')",
        "redis.external.url must hold no user and no password: put them in redis.external.auth",
    ),
    rule(
        "spec.redis.external.url",
        "self.contains('@') || self.matches('^rediss?://[^/,?#@]+:[0-9]{1,5}(/[0-9]*)?$') || self.matches('^rediss?[+]cluster://[^/,?#@]+:[0-9]{1,5}(,[^/,?#@]+:[0-9]{1,5}){0,15}$')",
        "redis.external.url must be redis://host:port, redis://host:port/database, rediss://host:port for TLS, or redis+cluster://host:port,host:port; for Sentinels use redis.external.sentinel",
    ),
    rule(
        "spec.redis.external",
        "!has(self.tls) || !has(self.url) || self.url.startsWith('rediss')",
        "redis.external.tls needs TLS: let redis.external.url start with rediss://, or take tls out",
    ),
    rule(
        "spec.redis.external.sentinel.masterName",
        "self.matches('^[A-Za-z0-9._-]+$')",
        "redis.external.sentinel.masterName must be of A-Z, a-z, 0-9, '.', '_' and '-'",
    ),
    rule(
        "spec.redis.external.sentinel.addresses",
        "self.all(address, address.matches('^([A-Za-z0-9._-]+|\\\\[[0-9a-fA-F:.]+\\\\]):[1-9][0-9]{0,4}$'))",
        "redis.external.sentinel.addresses must each be host:port, such as sentinel-0.sentinel:26379",
    ),
    rule(
        "spec.autoscaling",
        "self.minReplicas <= self.maxReplicas",
        "autoscaling.minReplicas must be at most autoscaling.maxReplicas",
    ),
];
