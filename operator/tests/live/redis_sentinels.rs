//! `examples/redis-sentinel.yaml` as it stands, and what ends its servers: a directory that outlives them. Does I/O.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::chat::{Chat, Talker};
use super::world::{World, eventually, redis_image};

const SERVERS: [&str; 3] = ["redis-0", "redis-1", "redis-2"];

impl World {
    fn apply_file(&self, text: &str) {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["--namespace", &self.namespace, "apply", "-f", "-"]).stdin(Stdio::piped());
        let mut kubectl = kubectl.spawn().unwrap();
        kubectl.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(kubectl.wait().unwrap().success());
    }

    /// What a server answers; nothing while its pod is away.
    fn ask_server(&self, pod: &str, words: &[&str]) -> String {
        let output = self.kubectl(&[&["exec", pod, "--container=redis", "--", "redis-cli"], words].concat());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The pod that all Sentinels which answer take for the primary, if it does so itself, and the others follow it.
    fn primary(&self) -> Option<&'static str> {
        let role = |pod: &str| self.ask_server(pod, &["role"]);
        let named = |pod| self.ask_server(pod, &["-p", "26379", "sentinel", "get-master-addr-by-name", "chat"]);
        let primary = SERVERS.into_iter().find(|pod| role(pod).starts_with("master"))?;
        let others = || SERVERS.into_iter().filter(|pod| *pod != primary);
        let follow = others().all(|pod| {
            let role = role(pod);
            role.starts_with("slave") && role.contains(&format!("{primary}.")) && role.contains("connected")
        });
        let agree = SERVERS.into_iter().all(|pod| named(pod).starts_with(&format!("{primary}.")));
        (follow && agree).then_some(primary)
    }

    /// All three are there, and one of them is the primary.
    async fn settled(&self, not: Option<&str>) -> &'static str {
        let mut found = None;
        eventually("one primary, two replicas, and three Sentinels that agree", async || {
            found = self.primary().filter(|primary| Some(*primary) != not);
            found.is_some()
        })
        .await;
        found.unwrap()
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn rooms_outlive_the_primary_of_the_example_with_sentinels() {
    let world = World::new("sentinels").await;
    let example = include_str!("../../../examples/redis-sentinel.yaml");
    world.secret("redis-login", &[("password", "a1b2c3d4")]).await;
    world.apply_file(&example.replace("docker.io/valkey/valkey:9", &redis_image()));
    world.ready().await;
    let pods = world.pods().await;
    let room = Chat::create(&pods[0].ip, 7654);
    let talker = Talker::start(&pods[1].ip, 7654, &room, "alice");
    let record = format!("chat:room:{room}");
    let mut primary = world.settled(None).await;
    assert_eq!(world.ask_server(primary, &["exists", &record]).trim(), "1");

    let goes_on = async |primary: &str| {
        eventually("the room's record is there", async || {
            world.ask_server(primary, &["exists", &record]).trim() == "1"
        })
        .await;
        Chat::create(&pods[2].ip, 7654);
    };

    // At once, without a word to anyone: first the one that began as the primary, then the one that took over.
    for _ in 0..2 {
        world.end_pod(primary).await;
        primary = world.settled(Some(primary)).await;
        goes_on(primary).await;
    }
    // In good order.
    world.kubectl_ok(&["rollout", "restart", "statefulset/redis"]);
    world.kubectl_ok(&["rollout", "status", "statefulset/redis", "--timeout=180s"]);
    goes_on(world.settled(None).await).await;

    let told = talker.end();
    assert!(told.wrong.is_empty() && told.cut == 0 && told.comebacks == 0, "{told:?}");
    world.ready().await;
    assert_eq!(world.pods().await, pods, "no chat pod was replaced");
    world.end().await;
}
