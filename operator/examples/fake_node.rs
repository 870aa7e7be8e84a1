//! A node that runs nothing and says of every pod on it that it is ready, so that thousands fit on one machine: for `bench/operator`.
//! Does I/O: the API server, and `GET /status` on port 9090, by which the operator asks pods. Runs until it is ended.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const NAME: &str = "fake";
const MANAGER: &str = "fake-node";
/// A kubelet writes its Lease this often; after 40 s without, its pods count as lost.
const RENEW_EVERY: Duration = Duration::from_secs(10);
const AT_ONCE: usize = 16;
const ANSWER: &str = r#"{"version":"0","ready":true,"draining":false,"rooms":0,"players":0,"directory":{"state":"ok","since":0,"detail":""}}"#;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let config = kube::Config::infer().await?;
    let address = address_towards(config.cluster_url.host().unwrap_or_default())?;
    let client = kube::Client::try_from(config)?;
    let listener = TcpListener::bind((address, 9090)).await?;
    register(&client, address).await?;
    println!("node {NAME} is ready; its pods are at {address}");
    tokio::try_join!(renew(&client), answer(listener), run_pods(&client, address))?;
    Ok(())
}

/// The address of this machine by which the API server is reached: all pods have it, as pods in their node's network do.
fn address_towards(host: &str) -> Result<IpAddr, Failure> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Nothing is sent.
    socket.connect((host, 9))?;
    Ok(socket.local_addr()?.ip())
}

async fn register(client: &kube::Client, address: IpAddr) -> Result<(), Failure> {
    let nodes = Api::<Node>::all(client.clone());
    let parameters = PatchParams::apply(MANAGER).force();
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": NAME, "labels": { "kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux" } },
    });
    nodes.patch(NAME, &parameters, &Patch::Apply(node)).await?;
    let room = json!({ "cpu": "100k", "memory": "100Ti", "pods": "100k" });
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Fake", "message": "", "lastHeartbeatTime": now, "lastTransitionTime": now,
    });
    let status = json!({
        "capacity": room, "allocatable": room, "conditions": [ready],
        "addresses": [{ "type": "InternalIP", "address": address.to_string() }],
    });
    nodes.patch_status(NAME, &PatchParams::default(), &Patch::Merge(json!({ "status": status }))).await?;
    Ok(())
}

async fn renew(client: &kube::Client) -> Result<(), Failure> {
    let leases = Api::<Lease>::namespaced(client.clone(), "kube-node-lease");
    loop {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": NAME },
            "spec": { "holderIdentity": NAME, "leaseDurationSeconds": 40, "renewTime": now },
        });
        leases.patch(NAME, &PatchParams::apply(MANAGER).force(), &Patch::Apply(lease)).await?;
        tokio::time::sleep(RENEW_EVERY).await;
    }
}

/// What every pod says of itself.
async fn answer(listener: TcpListener) -> Result<(), Failure> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut request = [0; 1024];
            // Clients send their request in one piece.
            if stream.read(&mut request).await.is_ok() {
                let _ = stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{ANSWER}").as_bytes()).await;
            }
        });
    }
}

/// Pods that the scheduler has put here become ready at once, and go at once when they are deleted.
async fn run_pods(client: &kube::Client, address: IpAddr) -> Result<(), Failure> {
    let here = watcher::Config::default().fields(&format!("spec.nodeName={NAME}"));
    let pods = watcher(Api::<Pod>::all(client.clone()), here).default_backoff().applied_objects();
    pods.map_err(Failure::from).try_for_each_concurrent(AT_ONCE, async |pod| settle(client, &pod, address).await).await
}

async fn settle(client: &kube::Client, pod: &Pod, address: IpAddr) -> Result<(), Failure> {
    let (Some(name), Some(namespace)) = (&pod.metadata.name, &pod.metadata.namespace) else { return Ok(()) };
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let is_running = pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
    let result = if pod.metadata.deletion_timestamp.is_some() {
        pods.delete(name, &DeleteParams::default().grace_period(0)).await.map(drop)
    } else if is_running {
        Ok(())
    } else {
        pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status(address))).await.map(drop)
    };
    match result {
        // Gone, or another one of that name meanwhile: the watch tells.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        result => Ok(result?),
    }
}

fn status(address: IpAddr) -> Value {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
        .map(|type_| json!({ "type": type_, "status": "True", "lastTransitionTime": now }));
    json!({ "status": {
        "phase": "Running", "conditions": conditions, "startTime": now, "hostIP": address.to_string(),
        "podIP": address.to_string(), "podIPs": [{ "ip": address.to_string() }],
    } })
}
