//! Redis servers of others, in every way that `redis.external` can name one, and every way in which one can be of no use. Does I/O.

use serde_json::json;

use super::chat::Chat;
use super::servers::{Certificates, external, small};
use super::world::{World, eventually};

/// Without a password Redis would answer its own machine only.
const PLAIN: [&str; 5] = ["redis-server", "--save", "", "--protected-mode", "no"];

fn server<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&PLAIN, more].concat()
}

const TLS: [&str; 10] = [
    "--port",
    "0",
    "--tls-port",
    "6379",
    "--tls-cert-file",
    "/etc/redis/server.crt",
    "--tls-key-file",
    "/etc/redis/server.key",
    "--tls-ca-cert-file",
    "/etc/redis/ca.crt",
];

impl World {
    async fn tls_secrets(&self, certificates: &Certificates) {
        let (server, client) = (&certificates.server, &certificates.client);
        let ca = certificates.ca.as_str();
        self.secret("server", &[("server.crt", &server.0), ("server.key", &server.1), ("ca.crt", ca)]).await;
        self.secret("ca", &[("ca.crt", ca)]).await;
        self.secret("client", &[("tls.crt", &client.0), ("tls.key", &client.1)]).await;
    }

    /// That the condition says what to do is checked too.
    async fn refused_because(&self, name: &str, reason: &str, remedy: &str) {
        let message = self.said(name, "RedisReady", &format!("False/{reason}")).await;
        assert!(message.contains(remedy), "{name}: {message:?} does not say {remedy:?}");
        let message = self.said(name, "Degraded", "True/RedisNotReady").await;
        assert!(message.contains("RedisReady"), "{message}");
        assert!(!self.condition_of(name, "Ready").await.starts_with("True"), "{name}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_keeps_redis_from_being_used_is_said_with_what_to_do_and_heals() {
    let world = World::new("redis-away").await;
    world.redis("locked", 6379, &server(&["--requirepass", "right"]), None).await;
    world.redis("replica", 6379, &server(&["--replicaof", "127.0.0.1", "1"]), None).await;
    world.redis("full", 6379, &server(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]), None).await;
    world.service("nobody", 6379).await;
    world.secret("wrong", &[("password", "wrong")]).await;
    let url = |host: &str| format!("redis://{}:6379", world.host(host));
    let auth = json!({ "auth": { "passwordSecretRef": { "name": "wrong", "key": "password" } } });
    for (name, host, more) in [
        ("refused", "nobody", json!({})),
        ("unknown", "not-yet", json!({})),
        ("auth", "locked", auth),
        ("nologin", "locked", json!({})),
        ("read-only", "replica", json!({})),
        ("full-up", "full", json!({})),
    ] {
        world.apply_as(name, external(&url(host), "chat:", &more)).await;
    }
    world.refused_because("refused", "Refused", "check redis.external.url").await;
    world.refused_because("unknown", "UnknownHost", "Correct the host").await;
    world.refused_because("auth", "AuthFailed", "Correct the Secret").await;
    world.refused_because("nologin", "AuthFailed", "redis.external.auth").await;
    world.refused_because("read-only", "ReadOnly", "address of the master").await;
    world.refused_because("full-up", "Full", "maxmemory").await;

    world.redis_pod("nobody", 6379, &PLAIN, None).await;
    world.redis("not-yet", 6379, &PLAIN, None).await;
    world.secret("wrong", &[("password", "right")]).await;
    world.hurry_files().await;
    world.redis_cli("replica", &["replicaof", "no", "one"]);
    world.redis_cli("full", &["config", "set", "maxmemory", "0"]);
    for name in ["refused", "unknown", "auth", "read-only", "full-up"] {
        world.ready_as(name).await;
    }
    let prefix = json!({ "auth": { "passwordSecretRef": { "name": "wrong", "key": "password" } } });
    world.apply_as("nologin", external(&url("locked"), "other:", &prefix)).await;
    world.ready_as("nologin").await;
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn tls_with_an_authority_and_client_certificates_of_ones_own_that_are_renewed() {
    let world = World::new("redis-tls").await;
    let host = world.host("secure");
    let certificates = Certificates::of(&host);
    world.tls_secrets(&certificates).await;
    let stranger = Certificates::of(&host);
    world.secret("other-ca", &[("ca.crt", &stranger.ca)]).await;
    let arguments = server(&TLS);
    world.redis("secure", 6379, &arguments, Some("server")).await;

    let url = format!("rediss://{host}:6379");
    let ca = |name: &str| json!({ "name": name, "key": "ca.crt" });
    let whole = json!({ "tls": { "caSecretRef": ca("ca"), "clientCertificateSecretRef": { "name": "client" } } });
    world.apply_as("tls", external(&url, "tls:", &whole)).await;
    world.apply_as("stranger", external(&url, "a:", &json!({ "tls": { "caSecretRef": ca("other-ca") } }))).await;
    world.apply_as("nobody", external(&url, "b:", &json!({ "tls": { "caSecretRef": ca("ca") } }))).await;
    world.ready_as("tls").await;
    world.refused_because("stranger", "TlsFailed", "the CA must have signed").await;
    world.refused_because("nobody", "TlsFailed", "redis.external.tls").await;

    // New credentials: the pods reload their files, and none is replaced.
    let pod = world.pods_of("tls").await.remove(0);
    let room = Chat::create(&pod.ip, 7654);
    world.tls_secrets(&Certificates::of(&host)).await;
    world.end_pod("secure").await;
    world.redis_pod("secure", 6379, &arguments, Some("server")).await;
    world.hurry_files().await;
    eventually("the new certificates are taken", async || {
        world.redis_cli("secure", &tls_cli(&["exists", &format!("tls:room:{room}")])) == "1"
    })
    .await;
    world.ready_as("tls").await;
    assert_eq!(world.pods_of("tls").await, [pod]);
    world.end().await;
}

fn tls_cli<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let files = ["--tls", "--insecure", "--cert", "/etc/redis/server.crt", "--key", "/etc/redis/server.key"];
    [&files, more].concat()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_user_with_few_rights_sentinels_with_a_password_and_a_cluster() {
    let world = World::new("redis-kinds").await;
    world.secret("login", &[("password", "secret"), ("sentinel", "watchword")]).await;
    let key = |key: &str| json!({ "name": "login", "key": key });

    // The rights of docs/operations.md, and no others.
    world.redis("limited", 6379, &PLAIN, None).await;
    let rights = "reset on >secret resetkeys ~chat:* resetchannels -@all +get +set +del +pexpire +zadd +zrem +zrange \
        +eval +evalsha +role +select +cluster|slots +asking";
    let mut words = vec!["acl", "setuser", "chat"];
    words.extend(rights.split_whitespace());
    assert_eq!(world.redis_cli("limited", &words), "OK");
    assert_eq!(world.redis_cli("limited", &["acl", "setuser", "default", "off"]), "OK");
    let auth = json!({ "auth": { "username": "chat", "passwordSecretRef": key("password") } });
    world.apply_as("by-limited", external(&format!("redis://{}:6379/3", world.host("limited")), "chat:", &auth)).await;

    world.redis("cluster", 6379, &server(&["--cluster-enabled", "yes"]), None).await;
    world.redis_cli("cluster", &["cluster", "addslotsrange", "0", "16383"]);
    let cluster = format!("redis+cluster://{}:6379", world.host("cluster"));
    world.apply_as("by-cluster", external(&cluster, "chat:", &json!({}))).await;

    let with_password = ["--requirepass", "secret", "--masterauth", "secret"];
    world.redis("first", 6379, &server(&with_password), None).await;
    let first = world.host("first");
    let follows = ["--replicaof", &first, "6379"];
    world.redis("second", 6379, &server(&[&with_password[..], &follows].concat()), None).await;
    let watch = format!(
        "printf '%s\\n' 'port 26379' 'requirepass watchword' 'sentinel resolve-hostnames yes' \
         'sentinel monitor main {first} 6379 1' 'sentinel auth-pass main secret' > /data/sentinel.conf; \
         exec redis-server /data/sentinel.conf --sentinel"
    );
    world.redis("sentinel", 26379, &["sh", "-c", &watch], None).await;
    let sentinel = json!({
        "masterName": "main", "addresses": [format!("{}:26379", world.host("sentinel"))],
        "passwordSecretRef": key("sentinel"),
    });
    let external_of = |sentinel: serde_json::Value| {
        let auth = json!({ "passwordSecretRef": key("password") });
        small(&json!({ "type": "External", "external": { "sentinel": sentinel, "auth": auth } }))
    };
    world.apply_as("watched", external_of(sentinel)).await;
    for name in ["by-limited", "by-cluster", "watched"] {
        world.ready_as(name).await;
    }

    // The Sentinel makes the other one the master: the pods follow, and none is replaced.
    let pods = world.pods_of("watched").await;
    let room = Chat::create(&pods[0].ip, 7654);
    let sentinel_cli = ["-p", "26379", "-a", "watchword", "--no-auth-warning", "sentinel"];
    eventually("the Sentinel knows the replica", async || {
        let answer = world.redis_cli("sentinel", &[&sentinel_cli[..], &["failover", "main"]].concat());
        answer == "OK"
    })
    .await;
    let as_owner = ["-a", "secret", "--no-auth-warning"];
    eventually("the second is the master, and is written to", async || {
        let role = world.redis_cli("second", &[&as_owner[..], &["role"]].concat());
        let lease = world.redis_cli("second", &[&as_owner[..], &["pttl", "chat:pod:watched-0"]].concat());
        role.starts_with("master") && lease.parse::<i64>().is_ok_and(|left| left > 8_000)
    })
    .await;
    let key = format!("chat:room:{room}");
    eventually("the room is there", async || {
        world.redis_cli("second", &[&as_owner[..], &["exists", &key]].concat()) == "1"
    })
    .await;
    world.ready_as("watched").await;
    assert_eq!(world.pods_of("watched").await, pods);
    world.end().await;
}
