//! Redis and Postgres: what they keep, and what they refuse. Does I/O.

use crate::world::{LONG, SOON, World, until};

fn redis(world: &World, user: &str, words: &[&str]) -> String {
    let secret = world.get(&["secret", "redis", "--namespace=databases"]);
    let password = secret["data"][user].as_str().map(decode).unwrap_or_default();
    let fixed =
        ["exec", "--namespace=databases", "redis-0", "--", "redis-cli", "--no-auth-warning", "--user", user, "--pass"];
    let all: Vec<&str> = fixed.into_iter().chain([password.as_str()]).chain(words.iter().copied()).collect();
    world.kubectl(&all).trim().to_owned()
}

fn decode(text: &str) -> String {
    use base64::Engine as _;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

fn postgres(world: &World, statement: &str) -> String {
    let words = ["exec", "--namespace=databases", "postgres-0", "--", "psql", "--username=postgres", "--tuples-only"];
    world.kubectl(&[&words[..], &["--no-align", "--quiet", "--command", statement]].concat()).trim().to_owned()
}

pub fn keep_their_data(world: &World) {
    let value = world.fresh("value");
    assert_eq!(redis(world, "admin", &["set", "kept", &value]), "OK");
    postgres(world, "CREATE TABLE IF NOT EXISTS kept (value text)");
    postgres(world, &format!("INSERT INTO kept VALUES ('{value}')"));
    for pod in ["redis-0", "postgres-0"] {
        let uid = world.uid("databases", pod);
        // As a lost node would: without a word to the process.
        world.kubectl(&["delete", "pod", pod, "--namespace=databases", "--grace-period=0", "--force"]);
        world.await_successor("databases", pod, &uid);
    }
    assert_eq!(redis(world, "admin", &["get", "kept"]), value);
    assert_eq!(postgres(world, &format!("SELECT count(*) FROM kept WHERE value = '{value}'")), "1");
    world.await_chatd();
}

pub fn passwords_are_made_once(world: &World) {
    let data =
        |name: &str, namespace: &str| world.get(&["secret", name, &format!("--namespace={namespace}")])["data"].clone();
    let all = || {
        [
            data("redis", "databases"),
            data("postgres", "databases"),
            data("chat-token-keys", "chatd"),
            data("redis", "chatd"),
        ]
    };
    let before = all();
    assert_eq!(before[0]["chatd"], before[3]["password"], "chatd has its user's password");
    let uids = || {
        let databases = world.uids("databases", "app.kubernetes.io/name");
        [
            databases,
            world.uids("chatd", "app.kubernetes.io/name"),
            world.uids("chatd-operator", "app.kubernetes.io/name"),
        ]
    };
    let pods = uids();
    assert_eq!(pods.each_ref().map(Vec::len), [2, 3, 2]);
    world.xtask(&["databases"]);
    world.xtask(&["tcp-demo", "--no-forward"]);
    assert_eq!(all(), before);
    assert_eq!(uids(), pods, "nothing has changed, so no pod is replaced");
}

/// Deleting a Secret gives new passwords, everywhere, and keeps the data.
pub fn a_deleted_secret_is_a_new_password(world: &World) {
    let value = world.fresh("value");
    assert_eq!(redis(world, "admin", &["set", "kept", &value]), "OK");
    let before = world.get(&["secret", "redis", "--namespace=databases"])["data"]["chatd"].clone();
    world.kubectl(&["delete", "secret", "redis", "postgres", "--namespace=databases"]);
    world.xtask(&["tcp-demo", "--no-forward"]);
    world.xtask(&["http-demo", "--no-forward"]);
    let after = world.get(&["secret", "redis", "--namespace=chatd"])["data"]["password"].clone();
    assert_ne!(before, after);
    assert_eq!(redis(world, "admin", &["get", "kept"]), value);
    crate::http::both_databases_answer(world);
    until(LONG, "chatd to have read its new password", || {
        let mut player = world.player_at(0);
        player.say("CREATE_ROOM");
        player.read("", SOON).starts_with("ROOM ")
    });
}

pub fn redis_refuses(world: &World) {
    let ask = |words: &[&str]| {
        let fixed = ["exec", "--namespace=databases", "redis-0", "--", "redis-cli"];
        world.try_kubectl(&[&fixed[..], words].concat()).1
    };
    assert!(ask(&["get", "kept"]).contains("NOAUTH"), "without a password");
    assert!(ask(&["--no-auth-warning", "--user", "probe", "--pass", "probe", "get", "kept"]).contains("NOPERM"));
    assert!(redis(world, "chatd", &["get", "http-demo:x"]).contains("NOPERM"), "another's keys");
    assert!(redis(world, "http-demo", &["hget", "chat:room:x", "y"]).contains("NOPERM"), "another's keys");
    assert!(redis(world, "chatd", &["flushall"]).contains("NOPERM"), "no more than it needs");
}
