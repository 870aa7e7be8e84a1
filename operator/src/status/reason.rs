//! The fixed list of reasons, each with what it means and what to do. docs/operations.md is held to it by a test. Pure: no I/O.

macro_rules! reasons {
    ($($name:ident: $meaning:literal, $remedy:literal;)*) => {
        /// Why a condition is as it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $(#[doc = $meaning] $name),* }

        impl Reason {
            /// All reasons, in the order of the page that lists them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As conditions have it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// What it means, for the documentation.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning),* }
            }

            /// What to do, as a sentence, or nothing.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),* }
            }
        }
    };
}

reasons! {
    AllReady: "every pod is ready and as the spec says, and Redis answers", "";
    ScaledToZero: "no pods are asked for", "Set spec.replicas to have some.";
    Starting: "pods are being started", "";
    Scaling: "pods are added, or taken away one at a time", "";
    RollingOut: "a change reaches the pods, one at a time", "";
    Partitioned: "pods below rollout.partition keep their version, as asked", "Lower rollout.partition to let the change reach them.";
    Paused: "a change waits, as asked", "Set rollout.paused to false to go on.";
    WaitingForSlot: "as many deployments as --max-rollouts allows are rolling", "If that does not end, correct or pause those whose new pods do not come up.";
    WaitingForRedis: "the managed Valkey is changed first", "";
    WaitingForPods: "a change waits until other pods are ready", "";
    DirectoryChanged: "the directory is another one: all pods stop, then start with it", "";
    Complete: "nothing has to be done", "";
    Stalled: "a change does not go on", "See the condition Degraded.";
    AsExpected: "nothing is wrong", "";
    PodsNotReady: "pods are not ready, without a known reason", "Look at them with kubectl describe pod and kubectl logs.";
    ImagePullFailed: "an image cannot be pulled", "Correct spec.image or spec.imagePullSecrets, or make the registry reachable.";
    CrashLooping: "a container ends again and again", "Look at its log with kubectl logs --previous; the last lines say what is wrong.";
    ContainerRefused: "a container cannot be made", "See the message: often a Secret lacks a key, or the image runs as root.";
    Unschedulable: "no node has room, or fits", "Add nodes, or lower pod.resources, or loosen nodeSelector, tolerations and affinity.";
    VolumePending: "Valkey's volume is not there", "Check redis.managed.persistence.storageClassName and that the cluster can make volumes.";
    MountFailed: "a Secret or ConfigMap that a pod needs is missing", "Make the Secret that the message names, with the key that the spec names.";
    NodeAway: "the node of a pod does not answer", "Bring the node back. If it is off for good, delete it (kubectl delete node): its pods then come up elsewhere.";
    QuotaExceeded: "the namespace's quota allows no more pods", "Raise the quota, or lower spec.replicas or pod.resources.";
    CreateRefused: "the cluster refuses to make pods", "See the message: an admission policy or a limit range says no.";
    NameConflict: "an object of somebody else has the name of a child", "Rename or delete that object, or use another metadata.name.";
    Forbidden: "the operator may not write something in this namespace", "Bind its ClusterRole in this namespace, or put the namespace in its --watch-namespace.";
    Denied: "an admission policy or webhook of the cluster denies what the operator writes", "See the message: change what the policy asks for, or let the operator and this namespace be exempt from it. The operator retries within 5 minutes.";
    WriteRefused: "the API server refuses a child", "See the message, and correct the field that it names.";
    InvalidSpec: "the spec cannot be read by this version of the operator", "Upgrade the operator, or take out what it does not know.";
    RedisNotReady: "Redis cannot be used", "See the condition RedisReady.";
    Reachable: "every pod that was asked reaches Redis", "";
    Refused: "nothing answers at the address, the connection broke, or Redis serves nobody", "See the message; if nothing answers, check redis.external.url, that Redis runs, and that network policies let the pods through.";
    UnknownHost: "the host name has no address", "Correct the host in redis.external.";
    Timeout: "Redis does not answer within 2 s", "Check that Redis is not overloaded, and that network policies let the pods through.";
    AuthFailed: "the user or password is wrong, or the user may not run a command", "Correct the Secret of redis.external.auth, or the user's rights in Redis.";
    TlsFailed: "no TLS session can be set up", "See the message, and correct redis.external.tls or Redis' certificate: the CA must have signed it, and the host name must be in it.";
    ReadOnly: "it takes no writes: a replica, still loading its data, or unable to save", "See the message; of a replica, give the address of the master, or use redis.external.sentinel.";
    Full: "Redis has no memory left", "Raise its maxmemory, or redis.managed.resources.limits.memory.";
    PrefixInUse: "another deployment lives under the key prefix", "Give this one its own redis.keyPrefix.";
    NoPods: "there is no pod that could be asked", "";
    PodsNotAnswering: "no pod answers on its admin port", "Check that network policies let the operator reach port 9090 of the pods.";
}
