//! The fixed list of reasons, each with its meaning and its remedy. docs/chatdeployment.md is generated from it. Pure: no I/O.

macro_rules! reasons {
    ($($name:ident: $meaning:literal, $remedy:literal;)*) => {
        /// The reason of a condition.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $(#[doc = $meaning] $name),* }

        impl Reason {
            /// All reasons, in the order of the page that lists them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As conditions have it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// The meaning, for the documentation.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning),* }
            }

            /// The remedy, as a sentence, or nothing.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),* }
            }
        }
    };
}

reasons! {
    AllReady: "every pod is ready and matches the spec, and Redis answers", "";
    ScaledToZero: "the spec asks for no pods", "Set spec.replicas to start pods.";
    Starting: "pods are being started", "";
    Scaling: "pods are added, or removed one at a time", "";
    ScaledByFreeSeats: "the number of pods follows the free seats, as autoscaling.freeSeats asks", "";
    FreeSeatsLimited: "autoscaling.maxReplicas allows too few pods for the free seats that autoscaling.freeSeats asks for", "Raise autoscaling.maxReplicas or the limits of a pod.";
    RollingOut: "a change is rolled out, one pod at a time", "";
    Partitioned: "pods below rollout.partition keep their version, as configured", "Lower rollout.partition to let the change reach them.";
    Paused: "the rollout is paused by rollout.paused", "Set rollout.paused to false to continue.";
    WaitingForSlot: "as many deployments as --max-rollouts allows are rolling", "If this persists, correct or pause those whose new pods do not become ready.";
    WaitingForRedis: "the change of the managed Valkey goes first", "";
    WaitingForPods: "a change waits until other pods are ready", "";
    DirectoryChanged: "the directory has changed: all pods stop, then start with the new one", "";
    Complete: "the observed state matches the spec", "";
    Stalled: "the rollout makes no progress", "See the condition Degraded.";
    AsExpected: "no problem is known", "";
    PodsNotReady: "pods are not ready, without a known reason", "Look at them with kubectl describe pod and kubectl logs.";
    ImagePullFailed: "an image cannot be pulled", "Correct spec.image or spec.imagePullSecrets, or make the registry reachable.";
    CrashLooping: "a container keeps crashing", "Look at its log with kubectl logs --previous; the last lines say what is wrong.";
    ContainerRefused: "a container cannot be created", "See the message: often a Secret lacks a key, or the image runs as root.";
    Unschedulable: "no node has enough resources, or matches the constraints", "Add nodes, or lower pod.resources, or loosen nodeSelector, tolerations and affinity.";
    VolumePending: "Valkey's volume is not provisioned", "Check redis.managed.persistence.storageClassName and that the cluster can provision volumes.";
    MountFailed: "a Secret or ConfigMap that a pod needs is missing", "Create the Secret that the message names, with the key that the spec names.";
    NodeAway: "the node of a pod does not respond", "Bring the node back. If it is off for good, delete it (kubectl delete node): its pods then start elsewhere.";
    QuotaExceeded: "the namespace's quota allows no more pods", "Raise the quota, or lower spec.replicas or pod.resources.";
    CreateRefused: "the cluster refuses to create pods", "See the message: an admission policy or a limit range forbids them.";
    NameConflict: "an object with a child's name exists and is not managed by this ChatDeployment", "Rename or delete that object, or use another metadata.name.";
    Forbidden: "the operator lacks a permission in this namespace", "Bind its ClusterRole in this namespace, or add the namespace to its --watch-namespace.";
    Denied: "an admission policy or webhook of the cluster denies a write of the operator", "See the message: meet the policy's requirement, or exempt the operator and this namespace from it. The operator retries within 5 minutes.";
    WriteRefused: "the API server refuses a child", "See the message, and correct the field that it names.";
    Reverted: "another writer keeps reverting what the operator writes", "Find the writer (kubectl get --show-managed-fields names the managers of each field), and let only one of them write the field. The operator restores it within 5 minutes.";
    InvalidSpec: "this version of the operator cannot parse the spec", "Upgrade the operator, or remove the fields that it does not know.";
    RedisNotReady: "Redis cannot be used", "See the condition RedisReady.";
    Reachable: "every pod that answered reaches Redis", "";
    Refused: "nothing listens at the address, the connection broke, or Redis serves no clients", "See the message; if nothing listens, check redis.external.url, that Redis runs, and that network policies let the pods through.";
    UnknownHost: "the host name cannot be resolved", "Correct the host in redis.external.";
    Timeout: "Redis does not answer within 2 s", "Check that Redis is not overloaded, and that network policies let the pods through.";
    AuthFailed: "the user or password is wrong, or the user may not run a command", "Correct the Secret of redis.external.auth, or the user's rights in Redis.";
    TlsFailed: "the TLS handshake fails", "See the message, and correct redis.external.tls or Redis' certificate: the CA must have signed it, and the host name must be in it.";
    ReadOnly: "it refuses writes: a replica, still loading its data, or unable to save", "See the message; if it is a replica, give the address of the master, or use redis.external.sentinel.";
    Full: "Redis has no memory left", "Raise its maxmemory, or redis.managed.resources.limits.memory.";
    PrefixInUse: "another deployment uses the key prefix", "Give this one its own redis.keyPrefix.";
    NoPods: "no pod is running that could report", "";
    PodsNotAnswering: "no pod answers on its admin port", "Check that network policies let the operator reach port 9090 of the pods.";
}

impl Reason {
    /// Whether it lasts until somebody changes a spec, a Secret, a right or a policy. Everything else may pass by itself, as when a
    /// node is added or Redis comes back.
    pub fn needs_a_change(self) -> bool {
        matches!(
            self,
            Self::ImagePullFailed
                | Self::CrashLooping
                | Self::ContainerRefused
                | Self::MountFailed
                | Self::QuotaExceeded
                | Self::CreateRefused
                | Self::NameConflict
                | Self::Forbidden
                | Self::Denied
                | Self::WriteRefused
                | Self::Reverted
                | Self::InvalidSpec
                | Self::AuthFailed
                | Self::TlsFailed
                | Self::PrefixInUse
        )
    }
}
