//! Tells the pods of a deployment that a process is dead: `POST /deaths` on their admin port. Does I/O.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Death, SIGNATURE, Signer};
use crate::cache::{Cache, Deployment};
use crate::client::Client;
use crate::desired::Names;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::poll;
use crate::record::Key;

/// Pods that are told at once, of all deployments.
const AT_ONCE: usize = 32;
/// chatd's own directory may take 2 s to answer.
const TIME_LIMIT: Duration = Duration::from_secs(3);
/// Before each attempt. After the last one the lease has run out by itself.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Of one deployment, one death at a time.
#[derive(Clone)]
struct Notice {
    key: Key,
    death: Death,
    body: String,
    signature: String,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The pod has looked at the lease.
    Heard,
    /// It is of a version that does not know such notices.
    Older,
    /// It refuses, and will again.
    Refused,
    /// Perhaps another time: it is contradicted by a link, or the directory or the pod itself is away.
    NotNow,
}

impl Answer {
    /// Its name in the metrics.
    const fn name(self) -> &'static str {
        match self {
            Self::Heard => "heard",
            Self::Older => "older",
            Self::Refused => "refused",
            Self::NotNow => "failed",
        }
    }
}

/// Goes on until `shutdown`. Only the leader tells.
pub async fn tell(
    cache: Arc<Cache>,
    client: Client,
    leadership: Leadership,
    metrics: Arc<Metrics>,
    port: u16,
    shutdown: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    loop {
        let deaths = tokio::select! {
            deaths = cache.next_deaths() => deaths,
            Some(_) = tasks.join_next() => continue,
            () = shutdown.cancelled() => return,
        };
        if !leadership.may_write() {
            continue;
        }
        for (key, death) in deaths {
            let (cache, client, permits) = (Arc::clone(&cache), client.clone(), Arc::clone(&permits));
            let metrics = Arc::clone(&metrics);
            tasks.spawn(async move {
                if let Some(notice) = notice(&cache, &client, key, death, port).await {
                    tell_all(&cache, &permits, &metrics, notice).await;
                }
            });
        }
    }
}

/// Signed, if the operator has the deployment's key: of a Secret that the user names it reads nothing.
async fn notice(cache: &Cache, client: &Client, key: Key, death: Death, port: u16) -> Option<Notice> {
    let Some(Deployment::Readable(deployment)) = cache.deployment(&key) else { return None };
    if deployment.spec.token_keys.secret_ref.is_some() {
        tracing::debug!(deployment = %key, pod = death.pod, "a process ended; its lease decides, since the token keys are not the operator's");
        return None;
    }
    let secret = match client.get_secret(&key.namespace, &Names::new(&key.name).token_keys()).await {
        Ok(secret) => secret,
        Err(error) => {
            tracing::warn!(deployment = %key, pod = death.pod, %error, "cannot read the token keys; the lease of the ended process decides");
            return None;
        }
    };
    let signer = Signer::of(&secret?.data?)?;
    let body = json!({ "pod": death.pod, "boot": death.boot }).to_string();
    let signature = signer.sign(body.as_bytes());
    Some(Notice { key, death, body, signature, port })
}

async fn tell_all(cache: &Cache, permits: &Arc<Semaphore>, metrics: &Metrics, notice: Notice) {
    let pods = cache.pods(&notice.key);
    // Its own successor has replaced its lease already, or will at its start.
    let others = pods.iter().filter(|pod| pod.name != notice.death.pod).filter_map(poll::address);
    let mut calls = JoinSet::new();
    for address in others {
        let (address, permits, notice) = (address.to_owned(), Arc::clone(permits), notice.clone());
        calls.spawn(async move { tell_one(&address, &permits, &notice).await });
    }
    let asked = calls.len();
    let answers = calls.join_all().await;
    for answer in &answers {
        metrics.told_of_death(answer.name());
    }
    let count = |which: Answer| answers.iter().filter(|answer| **answer == which).count();
    let Notice { key, death, .. } = &notice;
    let (heard, refused, older) = (count(Answer::Heard), count(Answer::Refused), count(Answer::Older));
    if refused > 0 {
        tracing::warn!(deployment = %key, pod = death.pod, boot = death.boot, pods = asked, heard, refused, "pods refused the notice that a process ended; its lease decides there");
    } else {
        tracing::info!(deployment = %key, pod = death.pod, boot = death.boot, pods = asked, heard, older, "told pods that a process ended");
    }
}

async fn tell_one(address: &str, permits: &Semaphore, notice: &Notice) -> Answer {
    let request = request(address, notice);
    for pause in PAUSES {
        tokio::time::sleep(pause).await;
        let Ok(_permit) = permits.acquire().await else { break };
        let call = poll::exchange(address, notice.port, &request);
        let answer = tokio::time::timeout(TIME_LIMIT, call).await.ok().and_then(Result::ok);
        let answer = answer.map_or(Answer::NotNow, |(code, _)| meaning(code));
        if answer != Answer::NotNow {
            return answer;
        }
    }
    Answer::NotNow
}

fn request(address: &str, notice: &Notice) -> String {
    let Notice { body, signature, .. } = notice;
    let length = body.len();
    format!(
        "POST /deaths HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n{SIGNATURE}: {signature}\r\n\r\n{body}"
    )
}

fn meaning(code: u16) -> Answer {
    match code {
        200 => Answer::Heard,
        404 | 405 => Answer::Older,
        400 | 403 => Answer::Refused,
        _ => Answer::NotNow,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::desired::CHAT;
    use crate::metrics::Gauges;
    use crate::record::PodRecord;
    use crate::trimmed::TrimmedPod;

    /// On one port of several addresses of loopback, as pods are. It answers each request with the next of `codes`, and returns them.
    async fn pod(address: SocketAddr, codes: &'static [u16]) -> tokio::task::JoinHandle<Vec<String>> {
        let listener = TcpListener::bind(address).await.unwrap();
        tokio::spawn(async move {
            let mut requests = Vec::new();
            for code in codes {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 1_024];
                let mut length = 0;
                while !request[..length].ends_with(b"}") {
                    length += stream.read(&mut request[length..]).await.unwrap();
                }
                requests.push(String::from_utf8(request[..length].to_vec()).unwrap());
                stream.write_all(format!("HTTP/1.0 {code} X\r\n\r\n{{}}").as_bytes()).await.unwrap();
            }
            requests
        })
    }

    fn record(name: &str, ip: &str) -> PodRecord {
        let labels = json!({ "app.kubernetes.io/component": CHAT });
        let metadata = json!({ "name": name, "uid": name, "labels": labels });
        let pod: TrimmedPod =
            serde_json::from_value(json!({ "metadata": metadata, "status": { "podIP": ip } })).unwrap();
        PodRecord::of(&pod)
    }

    fn notice(port: u16) -> Notice {
        Notice {
            key: Key { namespace: "games".into(), name: "chat".into() },
            death: Death { pod: "chat-0".into(), boot: "00000000000000ab".into() },
            body: "{\"a\":1}".into(),
            signature: "signed".into(),
            port,
        }
    }

    #[tokio::test]
    async fn each_other_pod_is_told_until_it_has_heard() {
        let free = TcpListener::bind("127.0.0.11:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let at = |host: u8| SocketAddr::from(([127, 0, 0, host], port));
        // The first would be the ended one's successor; nobody listens at the last.
        let (hears, later, old) =
            (pod(at(11), &[200]).await, pod(at(12), &[503, 409, 200]).await, pod(at(13), &[404]).await);
        let cache = Cache::default();
        let notice = notice(port);
        for (name, host) in [("chat-0", 10), ("chat-1", 11), ("chat-2", 12), ("chat-3", 13), ("chat-4", 14)] {
            cache.put_pod(&notice.key, record(name, &format!("127.0.0.{host}")));
        }
        let (permits, metrics) = (Arc::new(Semaphore::new(2)), Metrics::default());
        tokio::time::timeout(Duration::from_secs(30), tell_all(&cache, &permits, &metrics, notice)).await.unwrap();
        let text = metrics.encode(Gauges::default()).unwrap();
        for (answer, pods) in [("heard", 2), ("older", 1), ("refused", 0), ("failed", 1)] {
            let line = format!("chatd_operator_death_notices_total{{answer=\"{answer}\"}} {pods}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        let heard = hears.await.unwrap();
        let expected = "POST /deaths HTTP/1.0\r\nHost: 127.0.0.11\r\nContent-Length: 7\r\nChatd-Signature: signed\r\n\r\n{\"a\":1}";
        assert_eq!(heard, [expected]);
        assert_eq!((later.await.unwrap().len(), old.await.unwrap().len()), (3, 1));
    }

    #[tokio::test]
    async fn who_refuses_is_not_asked_again_and_who_is_away_not_for_ever() {
        for (codes, expected) in [(&[403][..], Answer::Refused), (&[400], Answer::Refused), (&[405], Answer::Older)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            drop(listener);
            let pod = pod(address, codes).await;
            assert_eq!(tell_one("127.0.0.1", &Semaphore::new(1), &notice(address.port())).await, expected);
            pod.await.unwrap();
        }
        tokio::time::pause();
        assert_eq!(tell_one("127.0.0.1", &Semaphore::new(1), &notice(1)).await, Answer::NotNow);
    }
}
