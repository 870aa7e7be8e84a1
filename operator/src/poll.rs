//! Polls the pods: `GET /status` on their admin port. Does I/O. It never connects to Redis itself.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::desired::CHAT;
use crate::queue::Queue;
use crate::record::{Key, PodRecord};
use crate::status::Report;

const PERIOD: Duration = Duration::from_secs(8);
/// A pod that did not answer is asked again sooner: it may just have started.
const PERIOD_AFTER_FAILURE: Duration = Duration::from_secs(2);
const TIME_LIMIT: Duration = Duration::from_secs(2);
const FRESH: Duration = Duration::from_secs(20);
/// Changed counts alone are worth a reconcile this much later: with the time between two questions that makes 30 s.
const COUNTS_AFTER: Duration = Duration::from_secs(22);
const TICK: Duration = Duration::from_millis(500);
const AT_ONCE: usize = 32;
const LONGEST_ANSWER: usize = 64 * 1024;

/// Of each ChatDeployment its pods, sorted by name.
#[derive(Debug, Default)]
pub struct Reports(Mutex<HashMap<Key, Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    pod: String,
    uid: String,
    next: Instant,
    /// It has answered, or had its time to.
    asked: bool,
    report: Option<(Instant, Report)>,
}

impl Reports {
    /// What these pods of a deployment said of late: not what others of their names did, nor what one says that ends.
    pub fn of(&self, key: &Key, pods: &[PodRecord]) -> BTreeMap<String, Report> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_one_to_ask = |entry: &Entry| pods.iter().any(|pod| pod.uid == entry.uid && address(pod).is_some());
        let fresh = entries.get(key).into_iter().flatten().filter_map(|entry| {
            let (at, report) = entry.report.as_ref()?;
            (at.elapsed() < FRESH && is_one_to_ask(entry)).then(|| (entry.pod.clone(), report.clone()))
        });
        fresh.collect()
    }

    /// Whether each of these pods that can be asked has been: before that, silence means nothing.
    pub fn are_asked(&self, key: &Key, pods: &[PodRecord]) -> bool {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = entries.get(key).map_or(&[][..], Vec::as_slice);
        let is_asked = |pod: &PodRecord| entries.iter().any(|entry| entry.asked && entry.uid == pod.uid);
        pods.iter().filter(|pod| address(pod).is_some()).all(is_asked)
    }
}

/// Goes on until `shutdown`.
pub async fn poll(cache: Arc<Cache>, queue: Arc<Queue>, reports: Arc<Reports>, port: u16, shutdown: CancellationToken) {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = shutdown.cancelled() => return,
        }
        for (key, pod, address) in due(&cache, &reports) {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let (queue, reports) = (Arc::clone(&queue), Arc::clone(&reports));
            tokio::spawn(async move {
                let answer = tokio::time::timeout(TIME_LIMIT, ask(&address, port)).await;
                let report = answer.ok().and_then(Result::ok).and_then(|body| Report::parse(&body));
                match reports.learn(&key, &pod, report) {
                    News::None => {}
                    News::Counts => queue.add_after(&key, COUNTS_AFTER),
                    News::State => queue.add(&key),
                }
                drop(permit);
            });
        }
    }
}

enum News {
    None,
    Counts,
    State,
}

impl Reports {
    fn learn(&self, key: &Key, pod: &str, report: Option<Report>) -> News {
        let now = Instant::now();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get_mut(key).and_then(|entries| entries.iter_mut().find(|entry| entry.pod == pod));
        let Some(entry) = entry else { return News::None };
        let is_first = !std::mem::replace(&mut entry.asked, true);
        let Some(report) = report else {
            entry.next = now + PERIOD_AFTER_FAILURE;
            let was_fresh = entry.report.as_ref().is_some_and(|(at, _)| at.elapsed() >= FRESH);
            if was_fresh {
                entry.report = None;
            }
            return if was_fresh || is_first { News::State } else { News::None };
        };
        let before = entry.report.replace((now, report.clone())).map(|(_, before)| before);
        let is_ok = report.state == "ok";
        entry.next = now + if is_ok { PERIOD } else { PERIOD_AFTER_FAILURE };
        match before {
            Some(before) if before == report => News::None,
            Some(before) if before.state == report.state && before.detail == report.detail => News::Counts,
            _ => News::State,
        }
    }
}

/// Who is to be asked now. Pods that are gone are forgotten.
fn due(cache: &Cache, reports: &Reports) -> Vec<(Key, String, String)> {
    let now = Instant::now();
    let mut due = Vec::new();
    let mut all = reports.0.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|key, _| cache.deployment(key).is_some());
    cache.visit_pods(|key, pods| {
        if !all.contains_key(key) {
            all.insert(key.clone(), Vec::new());
        }
        let Some(entries) = all.get_mut(key) else { return };
        entries.retain(|entry| {
            let pod = pods.binary_search_by(|pod| pod.name.cmp(&entry.pod)).ok().map(|place| &pods[place]);
            pod.is_some_and(|pod| pod.uid == entry.uid && address(pod).is_some())
        });
        for pod in pods {
            let Some(address) = address(pod) else { continue };
            let place = entries.binary_search_by(|entry| entry.pod.cmp(&pod.name)).unwrap_or_else(|place| {
                entries.reserve_exact(1);
                entries.insert(
                    place,
                    Entry { pod: pod.name.clone(), uid: pod.uid.clone(), next: now, asked: false, report: None },
                );
                place
            });
            if entries[place].next <= now {
                // Not again before this one has been answered or has run out.
                entries[place].next = now + TIME_LIMIT * 4;
                due.push((key.clone(), pod.name.clone(), address.to_owned()));
            }
        }
    });
    due
}

/// Where a pod can be asked, if it is one to ask.
fn address(pod: &PodRecord) -> Option<&str> {
    pod.ip.as_deref().filter(|_| pod.component == CHAT && !pod.is_terminating)
}

/// The body of a pod's answer.
async fn ask(address: &str, port: u16) -> io::Result<Vec<u8>> {
    let ip: std::net::IpAddr = address.parse().map_err(|_| io::Error::other("not an address"))?;
    let mut stream = TcpStream::connect((ip, port)).await?;
    // HTTP/1.0: the answer ends with the connection.
    stream.write_all(format!("GET /status HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER as u64).read_to_end(&mut answer).await?;
    body(&answer).map(<[u8]>::to_vec).ok_or_else(|| io::Error::other("not an answer of chatd"))
}

fn body(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let code = line.split(|byte| *byte == b' ').nth(1)?;
    (code == b"200").then(|| &answer[end + 4..])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn only_a_whole_answer_of_200_has_a_body() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}"), Some(&b"{}"[..]));
        assert_eq!(body(b"HTTP/1.1 503 No\r\n\r\n{}"), None);
        assert_eq!(body(b"HTTP/1.1 200 OK\r\n"), None);
    }

    #[test]
    fn a_pods_silence_counts_once_it_has_been_asked() {
        let key = Key { namespace: "games".into(), name: "chat".into() };
        let pod = PodRecord {
            name: "chat-0".into(),
            uid: "u".into(),
            component: CHAT.into(),
            revision: String::new(),
            directory: String::new(),
            is_ready: false,
            is_terminating: false,
            ip: Some("127.0.0.1".into()),
            host: None,
            problem: None,
            problem_until: None,
            silent_node: None,
            is_set_up: true,
            version: 1,
        };
        let (cache, reports) = (Cache::default(), Reports::default());
        cache.put_deployment(&key, 1, crate::cache::Deployment::Unreadable { generation: 1, why: String::new() });
        cache.put_pod(&key, pod.clone());
        assert!(!reports.are_asked(&key, std::slice::from_ref(&pod)), "it is not known yet");
        assert_eq!(due(&cache, &reports).len(), 1);
        assert!(!reports.are_asked(&key, std::slice::from_ref(&pod)), "the answer is on its way");
        assert!(matches!(reports.learn(&key, "chat-0", None), News::State), "it is silent");
        assert!(reports.are_asked(&key, std::slice::from_ref(&pod)));
        assert!(matches!(reports.learn(&key, "chat-0", None), News::None), "as it was");
        let report = Report { state: "timeout".into(), detail: String::new(), rooms: 0, players: 0 };
        reports.learn(&key, "chat-0", Some(report));
        assert_eq!(reports.of(&key, std::slice::from_ref(&pod)).len(), 1);
        let successor = PodRecord { uid: "u2".into(), ..pod.clone() };
        assert_eq!(reports.of(&key, &[successor]).len(), 0, "another pod of its name did not say that");
        let ending = PodRecord { is_terminating: true, ..pod.clone() };
        assert_eq!(reports.of(&key, &[ending]).len(), 0, "it is being replaced");
    }

    #[tokio::test]
    async fn a_pod_is_asked_over_its_admin_port() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 256];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /status HTTP/1.0\r\n"));
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n{\"rooms\":1}").await.unwrap();
        });
        assert_eq!(ask("127.0.0.1", port).await.unwrap(), b"{\"rooms\":1}");
        server.await.unwrap();
    }
}
