//! Addresses outside of the cluster: node ports that are followed for real, and load balancers, whose controller the test plays. Does I/O.

use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::chat::Chat;
use super::servers::small;
use super::world::{World, eventually};

impl World {
    /// What a controller of load balancers does.
    async fn balance(&self, service: &str, ingress: Value) {
        let patch = json!({ "status": { "loadBalancer": { "ingress": [ingress] } } });
        let services = self.api::<Service>();
        services.patch_status(service, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Where `chat-0` sends a client whose room is in `chat-1`.
    async fn redirect(&self) -> String {
        let pods = self.pods().await;
        let room = Chat::create(&pods[1].ip, 7654);
        let mut client = Chat::connect(&pods[0].ip, 7654);
        client.ask(&format!("JOIN {room} alice REDIRECT"))
    }

    async fn redirected_to(&self, start: &str) -> String {
        let mut answer = String::new();
        eventually(&format!("a redirect to {start}"), async || {
            answer = self.redirect().await;
            answer.starts_with(&format!("REDIRECT {start}"))
        })
        .await;
        answer
    }

    async fn addresses(&self) -> Value {
        let map = self.api::<ConfigMap>().get_opt("chat-addresses").await.unwrap();
        let text = map.and_then(|map| map.data?.remove("addresses.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

fn two(service: &Value, per_pod: &Value) -> Value {
    let mut spec = small(&json!({}));
    spec["replicas"] = 2.into();
    spec["service"] = service.clone();
    spec["perPod"] = per_pod.clone();
    spec
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn balancers_of_pods_are_what_redirects_name_once_they_have_an_address() {
    let world = World::new("balanced").await;
    let service = json!({ "type": "LoadBalancer", "loadBalancerClass": "test.example/none", "tcpPort": 7000 });
    let per_pod =
        json!({ "type": "LoadBalancer", "annotations": { "example.org/name": "chat-{ordinal}.example.org" } });
    world.apply(two(&service, &per_pod)).await;
    world.ready().await;
    assert_eq!(world.status_of("chat").await.endpoints.unwrap_or_default().tcp, None, "not known yet");
    assert_eq!(world.addresses().await, json!({}));
    // Until a pod's address is known, its sessions are relayed, whatever the client asks for.
    assert!(world.redirect().await.starts_with("JOINED "));

    world.balance("chat", json!({ "hostname": "chat.example.org" })).await;
    world.balance("chat-0", json!({ "ip": "203.0.113.10" })).await;
    world.balance("chat-1", json!({ "ip": "203.0.113.11" })).await;
    eventually("the addresses are known", async || {
        world.addresses().await
            == json!({
                "chat-0": { "tcp": "203.0.113.10:7000", "web": "203.0.113.10:8081" },
                "chat-1": { "tcp": "203.0.113.11:7000", "web": "203.0.113.11:8081" },
            })
    })
    .await;
    eventually("the endpoint is said", async || {
        let endpoints = world.status_of("chat").await.endpoints.unwrap_or_default();
        endpoints.tcp.as_deref() == Some("chat.example.org:7000")
            && endpoints.web.as_deref() == Some("chat.example.org:8081")
    })
    .await;
    let annotations = world.api::<Service>().get("chat-1").await.unwrap().metadata.annotations.unwrap();
    assert_eq!(annotations["example.org/name"], "chat-1.example.org");
    let pods = world.pods().await;
    world.hurry_files().await;
    world.redirected_to("203.0.113.11:7000 ").await;
    // A balancer that moves.
    world.balance("chat-1", json!({ "ip": "203.0.113.12" })).await;
    eventually("the new address is known", async || world.addresses().await["chat-1"]["tcp"] == "203.0.113.12:7000")
        .await;
    world.hurry_files().await;
    world.redirected_to("203.0.113.12:7000 ").await;
    assert_eq!(world.pods().await, pods, "no pod was replaced");
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_redirect_to_a_node_port_leads_to_the_room() {
    let world = World::new("nodeport").await;
    let service = json!({ "type": "NodePort", "externalTrafficPolicy": "Local" });
    world.apply(two(&service, &json!({ "type": "NodePort" }))).await;
    world.ready().await;
    eventually("both addresses are known", async || {
        world.addresses().await.as_object().is_some_and(|addresses| addresses.len() == 2)
    })
    .await;
    world.hurry_files().await;
    let port = world.addresses().await["chat-1"]["tcp"].as_str().unwrap().to_owned();
    let answer = world.redirected_to(&port).await;
    let mut words = answer.split(' ').skip(1);
    let (host, port) = words.next().unwrap().rsplit_once(':').unwrap();
    let room = words.next().unwrap();
    let mut client = Chat::connect(host, port.parse().unwrap());
    let joined = client.ask(&format!("JOIN {room} alice REDIRECT"));
    assert!(joined.starts_with(&format!("JOINED {room} alice ")), "{joined}");
    assert_eq!(client.ask("SAY hello"), "MSG alice hello");
    world.end().await;
}
