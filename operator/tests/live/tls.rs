//! TLS with clients: a Secret of type kubernetes.io/tls that a real kubelet brings into the pods, its renewal, and what can be wrong
//! with it. Does I/O. It looks at the pods' files through /proc: the nodes have to be on this machine, as the built-in cluster's are.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use super::chat::Chat;
use super::deaths::process_of;
use super::servers::{Certificates, small};
use super::world::{ChatPod, World, enter, eventually, within};

const HOST: &str = "chat.example.org";
const LINES: i32 = 7654;
const WEB: i32 = 8081;
const ADMIN: i32 = 9090;
/// From the change of a pod's files to the first connection that is given the new certificate.
const TAKEN_WITHIN: Duration = Duration::from_secs(6);

/// What clients trust: an authority of the test, in a file.
struct Trust(PathBuf);

impl Trust {
    fn new(name: &str, certificates: &Certificates) -> Self {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.pem", std::process::id()));
        fs::write(&file, &certificates.ca).unwrap();
        Self(file)
    }

    fn openssl(&self, ip: &str, port: i32) -> Command {
        let mut command = enter("openssl");
        command.args(["s_client", "-quiet", "-verify_return_error", "-verify_hostname", HOST, "-servername", HOST]);
        command.arg("-CAfile").arg(&self.0).args(["-connect", &format!("{ip}:{port}")]);
        command.stderr(Stdio::null());
        command
    }

    fn chat(&self, ip: &str) -> Chat {
        Chat::over(self.openssl(ip, LINES))
    }

    /// Whether a new connection to this port is given a certificate of this authority.
    fn is_served(&self, ip: &str, port: i32) -> bool {
        // With -quiet it would go on after the end of its input.
        let output = self.openssl(ip, port).arg("-no_ign_eof").stdin(Stdio::null()).output().unwrap();
        output.status.success()
    }

    fn page(&self, ip: &str) -> String {
        let mut curl = enter("curl");
        curl.args(["-sS", "--resolve", &format!("{HOST}:{WEB}:{ip}"), "--cacert"]).arg(&self.0);
        let output = curl.arg(format!("https://{HOST}:{WEB}/")).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

/// A WebSocket that says nothing.
struct WebSocket(Chat);

impl WebSocket {
    fn open(trust: &Trust, ip: &str) -> Self {
        let mut chat = Chat::over(trust.openssl(ip, WEB));
        chat.send(&format!(
            "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r"
        ));
        let answer = chat.next().unwrap_or_default();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        Self(chat)
    }
}

impl World {
    async fn pair(&self, certificate: &str, key: &str) {
        let data = json!({ "tls.crt": certificate, "tls.key": key });
        let metadata = json!({ "name": "chat-tls" });
        self.put::<Secret>(json!({ "metadata": metadata, "type": "kubernetes.io/tls", "stringData": data })).await;
    }

    /// Has the kubelets bring a changed Secret into the pods, and returns when each had it at the latest.
    async fn brought(&self, before: &[(ChatPod, OsString)]) -> Instant {
        let mut hurried = Instant::now();
        self.hurry_files().await;
        eventually("every pod has the changed files", async || {
            // A kubelet that had not heard of the Secret's change yet looks again when the pod changes once more.
            if hurried.elapsed() > Duration::from_secs(5) {
                hurried = Instant::now();
                self.hurry_files().await;
            }
            before.iter().all(|(pod, files)| files_of(pod) != *files)
        })
        .await;
        Instant::now()
    }
}

/// The folder that the kubelet's symbolic link names: another one after each change of the files.
fn files_of(pod: &ChatPod) -> OsString {
    let process = process_of(pod).as_raw_nonzero();
    fs::read_link(format!("/proc/{process}/root/etc/chatd/tls/..data")).unwrap().into_os_string()
}

fn refused(pod: &ChatPod) -> bool {
    Chat::page(&pod.ip, ADMIN, "/metrics").iter().any(|line| line == "chatd_file_reload_failures_total 1")
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_secret_is_awaited_served_on_both_ports_and_renewed_without_a_restart() {
    let world = World::new("tls").await;
    let (first, second) = (Certificates::of(HOST), Certificates::of(HOST));
    let (old, new) = (Trust::new("first", &first), Trust::new("second", &second));
    let mut spec = small(&json!({}));
    spec["replicas"] = 2.into();
    spec["tls"] = json!({ "secretRef": { "name": "chat-tls" } });
    let since = Instant::now();
    world.apply(spec).await;
    world.told("chat", since, "MountFailed", "secret \"chat-tls\" not found").await;
    let about = "--field-selector=involvedObject.kind=ChatDeployment,reason=MountFailed";
    let events = world.kubectl_ok(&["get", "events", about, "--output=name"]);
    assert!(!events.is_empty(), "an Event says so too");

    world.pair(&first.server.0, &first.server.1).await;
    world.ready().await;
    let pods = world.pods().await;
    assert_eq!(pods.len(), 2);
    for pod in &pods {
        for port in [LINES, WEB] {
            assert!(old.is_served(&pod.ip, port), "{} {port}", pod.name);
            assert!(!new.is_served(&pod.ip, port), "{} {port}: anything is taken for served", pod.name);
        }
        let page = old.page(&pod.ip);
        assert!(page.contains("<html"), "{page}");
        let plain = Chat::page(&pod.ip, WEB, "/");
        assert_eq!(plain.first().map(String::as_str), Some("HTTP/1.1 400 Bad Request"), "{plain:?}");
    }

    let mut alice = old.chat(&pods[0].ip);
    let room = alice.ask("CREATE_ROOM").strip_prefix("ROOM ").unwrap().to_owned();
    assert!(alice.ask(&format!("JOIN {room} alice")).starts_with("JOINED "));
    let mut bob = old.chat(&pods[1].ip);
    assert!(bob.ask(&format!("JOIN {room} bob RELAY")).starts_with("JOINED "));
    assert_eq!(alice.next().as_deref(), Some("ENTERED bob"));
    let mut web = WebSocket::open(&old, &pods[0].ip);

    // A certificate with another one's key is said to be of no use, and the old pair stays.
    let files = || pods.iter().map(|pod| (pod.clone(), files_of(pod))).collect::<Vec<_>>();
    let before = files();
    world.pair(&second.server.0, &first.server.1).await;
    world.brought(&before).await;
    for pod in &pods {
        within(TAKEN_WITHIN, "the pair is refused", async || refused(pod)).await;
        assert!(old.is_served(&pod.ip, LINES) && old.is_served(&pod.ip, WEB), "{}", pod.name);
    }

    let before = files();
    world.pair(&second.server.0, &second.server.1).await;
    let since = world.brought(&before).await;
    for pod in &pods {
        for port in [LINES, WEB] {
            within(TAKEN_WITHIN.saturating_sub(since.elapsed()), "the new certificate is served", async || {
                new.is_served(&pod.ip, port)
            })
            .await;
        }
        assert!(!old.is_served(&pod.ip, LINES), "{}", pod.name);
    }
    println!("the new pair is served by all {:?} after the last pod's files changed", since.elapsed());

    // Who was connected noticed nothing, and no pod was replaced or restarted.
    bob.send("SAY still here");
    assert_eq!(bob.next().as_deref(), Some("MSG bob still here"));
    assert_eq!(alice.next().as_deref(), Some("MSG bob still here"));
    assert!(web.0.is_open());
    assert_eq!(world.pods().await, pods);
    assert!(pods.iter().all(refused), "no other file was refused");
    world.end().await;
}
