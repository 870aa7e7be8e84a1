//! The validation beyond types and bounds: CEL rules, each with a message that says what to change. No I/O. One table, so that the
//! CRD, its docs and the test that breaks each rule cannot differ.

/// A rule at a place of the object; an empty place is its root. `[]` stands for the items of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Such as `spec.redis.external`.
    pub at: &'static str,
    /// What has to be true; `self` is what stands at the place.
    pub cel: &'static str,
    /// The message if it is violated.
    pub message: &'static str,
}

const fn rule(at: &'static str, cel: &'static str, message: &'static str) -> Rule {
    Rule { at, cel, message }
}

// Parts of patterns, as CEL writes them; together they let in what chatd takes at its start (`redis/url.rs` and `settings/values.rs` there).
macro_rules! port {
    () => {
        ":([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
    };
}
macro_rules! byte {
    () => {
        "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    };
}
macro_rules! ipv6 {
    () => {
        concat!(
            "\\\\[(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}(:[0-9a-fA-F]{1,4}){0,6})?::([0-9a-fA-F]{1,4}(:[0-9a-fA-F]{1,4}){0,6})?",
            // An IPv4 address as the end of one.
            "|(([0-9a-fA-F]{1,4}:){6}|([0-9a-fA-F]{1,4}(:[0-9a-fA-F]{1,4}){0,4})?::([0-9a-fA-F]{1,4}:){0,5})",
            byte!(),
            "([.]",
            byte!(),
            "){3})\\\\]"
        )
    };
}
macro_rules! server {
    () => {
        concat!("([A-Za-z0-9._-]+|", ipv6!(), ")", port!())
    };
}
macro_rules! label {
    () => {
        "[A-Za-z0-9_-]{1,63}"
    };
}

/// All rules, in the order in which docs/chatdeployment.md lists them.
pub const RULES: &[Rule] = &[
    rule(
        "",
        "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",
        "metadata.name must be 1 to 40 characters of a-z, 0-9 and '-', start with a letter and end with a letter or digit: the names of its pods and Services are made from it",
    ),
    rule(
        "spec",
        "!has(self.autoscaling) || (has(self.autoscaling.freeSeats) && !has(self.autoscaling.targetCPUUtilizationPercentage)) || (has(self.pod.resources.requests) && 'cpu' in self.pod.resources.requests) || (has(self.pod.resources.limits) && 'cpu' in self.pod.resources.limits)",
        "autoscaling goes by CPU in per cent of what is requested: set pod.resources.requests.cpu, or autoscaling.freeSeats without a target for CPU",
    ),
    rule(
        "spec.image",
        "self.matches('^[^\\\\s]+$')",
        "image must be an image's name without spaces, such as registry.example.org/chatd:1.2.3",
    ),
    rule(
        "spec.pod.labels",
        "self.all(key, !(key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'app.kubernetes.io/managed-by', 'controller-revision-hash', 'statefulset.kubernetes.io/pod-name', 'apps.kubernetes.io/pod-index']) && !key.startsWith('chatd.dev/'))",
        "pod.labels must not contain labels that the operator or Kubernetes sets itself: app.kubernetes.io/name, instance, component and managed-by, those of StatefulSets, and all of chatd.dev/",
    ),
    rule(
        "spec.pod.labels",
        "self.all(key, self[key].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))",
        "the values of pod.labels must be at most 63 characters of A-Z, a-z, 0-9, '-', '_' and '.', and start and end with a letter or digit",
    ),
    rule(
        "spec.pod.annotations",
        "self.all(key, !key.startsWith('chatd.dev/'))",
        "pod.annotations must not contain annotations of chatd.dev/: the operator sets those itself",
    ),
    rule(
        "spec.rooms",
        "self.seatHoldSeconds <= self.recordTTLSeconds",
        "rooms.seatHoldSeconds must be at most rooms.recordTTLSeconds: a held seat lives no longer than its room's record",
    ),
    rule(
        "spec.rooms",
        "!has(self.access) || self.access != 'Token' || has(self.joinKeys)",
        "rooms.access: Token needs rooms.joinKeys: without keys no join token can be verified, and nobody could join",
    ),
    rule(
        "spec.limits",
        "self.burst >= self.messagesPerSecond",
        "limits.burst must be at least limits.messagesPerSecond",
    ),
    rule(
        "spec.web.allowedOrigins",
        concat!(
            "self.all(origin, origin.matches('^https?://(",
            label!(),
            "([.]",
            label!(),
            ")*[.]?|",
            ipv6!(),
            ")(",
            port!(),
            ")?$'))"
        ),
        "web.allowedOrigins must be origins such as https://chat.example.org, http://localhost:3000 or http://[fd00::7]:3000: no path, no '*', and a port from 1 to 65535",
    ),
    rule(
        "spec.web.trustedProxies",
        "self.all(network, isCIDR(network) && cidr(network) == cidr(network).masked())",
        "web.trustedProxies must be networks such as 10.0.0.0/8 or fd00::/8, with zeros after the prefix",
    ),
    rule(
        "spec.tcp",
        "!has(self.remoteRoomPolicy) || !has(self.onWrongPod)",
        "tcp.onWrongPod is the former name of tcp.remoteRoomPolicy: set only one of them",
    ),
    rule(
        "spec.webhooks.url",
        concat!(
            "self.matches('^(https://([A-Za-z0-9._-]+|",
            ipv6!(),
            ")|http://(localhost|127[.]0[.]0[.]1|\\\\[::1\\\\]))(",
            port!(),
            ")?([/?][A-Za-z0-9._~:/?@!$&()*+,;=%-]*)?$')"
        ),
        "webhooks.url must begin with https://, such as https://app.example.org/chat-events, or with http://localhost for a container of the same pod; without a user, a password and a fragment, and with a port from 1 to 65535",
    ),
    rule(
        "spec.webhooks",
        "!has(self.caSecretRef) || self.url.startsWith('https://')",
        "webhooks.caSecretRef needs an https URL: remove it, or change webhooks.url",
    ),
    rule(
        "spec.api",
        "!has(self.secretRef) || self.type == 'ClusterIP'",
        "api.secretRef needs api.type: ClusterIP; remove it, or change the type",
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
        "!has(self.hostnameTemplate) || (self.hostnameTemplate.matches('^([a-z0-9]([a-z0-9-]*[a-z0-9])?[.])*([a-z0-9][a-z0-9-]*)?[{]ordinal[}]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*[.]?$') && !self.hostnameTemplate.matches('[a-z0-9-]{64}|[a-z0-9{}-]{70}'))",
        "perPod.hostnameTemplate must be a host name with {ordinal} in it, once, for the number of the pod, such as chat-{ordinal}.example.org; between its dots are 1 to 63 characters of a-z, 0-9 and '-'",
    ),
    rule(
        "spec.perPod",
        "!has(self.hostnameTemplate) || self.type != 'None'",
        "perPod.hostnameTemplate needs perPod.type: NodePort or LoadBalancer",
    ),
    rule(
        "spec.redis",
        "self.type == 'Managed' || !has(self.managed)",
        "redis.managed needs redis.type: Managed; remove it, or change the type",
    ),
    rule(
        "spec.redis",
        "self.type == 'External' || !has(self.external)",
        "redis.external needs redis.type: External; remove it, or change the type",
    ),
    rule(
        "spec.redis",
        "self.type != 'External' || has(self.external)",
        "redis.type: External needs redis.external with url or sentinel",
    ),
    rule(
        "spec.redis",
        "self.type != 'Managed' || oldSelf.type != 'Managed' || (has(self.managed) && has(self.managed.persistence)) == (has(oldSelf.managed) && has(oldSelf.managed.persistence))",
        "redis.managed.persistence cannot be added or removed: create a new ChatDeployment, or switch to redis.type: External first",
    ),
    rule(
        "spec.redis.managed.persistence",
        "string(self.size) == string(oldSelf.size) && self.whenDeleted == oldSelf.whenDeleted && has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        "redis.managed.persistence cannot change: create a new ChatDeployment, or switch to redis.type: External first",
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
        "redis.external.url must not contain a user or password: put them in redis.external.auth",
    ),
    rule(
        "spec.redis.external.url",
        concat!(
            "self.contains('@') || ((self.matches('^rediss?://",
            server!(),
            "(/[0-9]{0,9})?$') || self.matches('^rediss?[+]cluster://",
            server!(),
            "(,",
            server!(),
            "){0,15}$')) && !self.matches('[A-Za-z0-9._-]{254}'))"
        ),
        "redis.external.url must be redis://host:port, redis://host:port/database, rediss://host:port for TLS, or redis+cluster://host:port,host:port, with ports from 1 to 65535, IPv6 addresses in brackets and a database of at most 9 digits; for Sentinels use redis.external.sentinel",
    ),
    rule(
        "spec.redis.external",
        "!has(self.tls) || !has(self.url) || self.url.startsWith('rediss')",
        "redis.external.tls needs TLS: use rediss:// in redis.external.url, or remove tls",
    ),
    rule(
        "spec.redis.external.sentinel.masterName",
        "self.matches('^[A-Za-z0-9._-]+$')",
        "redis.external.sentinel.masterName must consist of A-Z, a-z, 0-9, '.', '_' and '-'",
    ),
    rule(
        "spec.redis.external.sentinel.addresses",
        concat!("self.all(address, address.matches('^", server!(), "$') && !address.matches('[A-Za-z0-9._-]{254}'))"),
        "redis.external.sentinel.addresses must each be host:port, such as sentinel-0.sentinel:26379 or [fd00::7]:26379, with a port from 1 to 65535",
    ),
    rule(
        "spec.autoscaling",
        "self.minReplicas <= self.maxReplicas",
        "autoscaling.minReplicas must be at most autoscaling.maxReplicas",
    ),
    rule(
        "spec.autoscaling.freeSeats",
        "type(self) == int ? self >= 1 && self <= 50000000 : self.matches('^[1-9][0-9]?%$')",
        "autoscaling.freeSeats must be a number from 1 to 50000000, or a share from 1% to 99% of all seats, such as 20%",
    ),
];
