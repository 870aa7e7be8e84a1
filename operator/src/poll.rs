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

use crate::cache::{Cache, Deployment};
use crate::desired::CHAT;
use crate::queue::Queue;
use crate::record::{Key, PodRecord};
use crate::status::Report;

const PERIOD: Duration = Duration::from_secs(8);
/// A pod that refused is asked again sooner: it may just have started.
const PERIOD_AFTER_FAILURE: Duration = Duration::from_secs(2);
/// One that lets the time run out costs that time with each question: it is asked ever more seldom, but often enough that one which comes
/// back is noticed before its report would be old.
const LONGEST_PERIOD_OF_SILENT: Duration = Duration::from_secs(12);
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// A pod is not asked again before the last question was answered or its time has run out.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
const FRESH: Duration = Duration::from_secs(20);
/// Changed counts alone are worth a reconcile this much later: with the time between two questions that makes 30 s.
const COUNTS_AFTER: Duration = Duration::from_secs(22);
const TICK: Duration = Duration::from_millis(500);
const AT_ONCE: usize = 32;
/// Silent pods, which hold a place for the whole time, have places of their own: some hundred of them must not keep the others waiting.
const SILENT_AT_ONCE: usize = 32;
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
    /// How often in a row it has let the time run out.
    silences: u8,
    report: Option<(Instant, Report)>,
}

impl Reports {
    /// Recent reports of these pods of a deployment, by uid; reports of draining pods are left out.
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
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let places_of_silent = Arc::new(Semaphore::new(SILENT_AT_ONCE));
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = shutdown.cancelled() => return,
        }
        for Question { key, pod, address, is_silent } in due(&cache, &reports, places_of_silent.available_permits()) {
            let places = if is_silent { &places_of_silent } else { &places };
            let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
            let (cache, queue, reports) = (Arc::clone(&cache), Arc::clone(&queue), Arc::clone(&reports));
            tokio::spawn(async move {
                let heard = match tokio::time::timeout(TIME_LIMIT, ask(&address, port)).await {
                    Ok(answer) => {
                        answer.ok().and_then(|body| Report::parse(&body)).map_or(Heard::Refusal, Heard::Report)
                    }
                    Err(_) => Heard::Nothing,
                };
                match reports.learn(&key, &pod, heard) {
                    News::None => {}
                    News::Counts if scales_by_seats(&cache, &key) => queue.add(&key),
                    News::Counts => queue.add_after(&key, COUNTS_AFTER),
                    News::State => queue.add(&key),
                }
                drop(place);
            });
        }
    }
}

/// Whether changed counts may ask for another number of pods.
fn scales_by_seats(cache: &Cache, key: &Key) -> bool {
    let Some(Deployment::Readable(deployment)) = cache.deployment(key) else { return false };
    deployment.spec.scales_by_free_seats()
}

/// A pod to ask now.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    key: Key,
    pod: String,
    address: String,
    /// It is expected to let the time run out.
    is_silent: bool,
}

/// What came of a question.
enum Heard {
    Report(Report),
    /// It was answered otherwise, and at once: nothing listens there yet, or it is no report.
    Refusal,
    /// The time ran out.
    Nothing,
}

enum News {
    None,
    Counts,
    State,
}

impl Reports {
    fn learn(&self, key: &Key, pod: &str, heard: Heard) -> News {
        let now = Instant::now();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get_mut(key).and_then(|entries| entries.iter_mut().find(|entry| entry.pod == pod));
        let Some(entry) = entry else { return News::None };
        let is_first = !std::mem::replace(&mut entry.asked, true);
        // One that is old is not told any more, whether or not anybody has asked since.
        let before = entry.report.take_if(|(at, _)| at.elapsed() >= FRESH);
        let has_grown_old = before.is_some();
        entry.silences = if matches!(heard, Heard::Nothing) { entry.silences.saturating_add(1) } else { 0 };
        let Heard::Report(report) = heard else {
            let factor = u32::from(entry.silences).max(1);
            entry.next = now + (PERIOD_AFTER_FAILURE * factor).min(LONGEST_PERIOD_OF_SILENT);
            return if has_grown_old || is_first { News::State } else { News::None };
        };
        let before = entry.report.replace((now, report.clone())).map(|(_, before)| before);
        let is_ok = report.state == "ok";
        entry.next = now + if is_ok { PERIOD } else { PERIOD_AFTER_FAILURE };
        match before {
            Some(before) if before == report => News::None,
            Some(before) if before.is_same_but_for_counts(&report) => News::Counts,
            _ => News::State,
        }
    }
}

/// The pods to poll now: of the silent ones at most `silent`, those that have waited longest. Forgets pods that are gone.
fn due(cache: &Cache, reports: &Reports, silent: usize) -> Vec<Question> {
    let now = Instant::now();
    let mut due = Vec::new();
    let mut due_silent = Vec::new();
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
                    Entry {
                        pod: pod.name.clone(),
                        uid: pod.uid.clone(),
                        next: now,
                        asked: false,
                        silences: 0,
                        report: None,
                    },
                );
                place
            });
            let entry = &mut entries[place];
            if entry.next > now {
                continue;
            }
            let is_silent = entry.silences > 0 || pod.silent_node.is_some();
            let question = Question { key: key.clone(), pod: pod.name.clone(), address: address.to_owned(), is_silent };
            if is_silent {
                due_silent.push((entry.next, question));
            } else {
                entry.next = now + ANSWERED_WITHIN;
                due.push(question);
            }
        }
    });
    due_silent.sort_by_key(|(since, _)| *since);
    for (_, question) in due_silent.into_iter().take(silent) {
        let entries = all.get_mut(&question.key).into_iter().flatten();
        entries.filter(|entry| entry.pod == question.pod).for_each(|entry| entry.next = now + ANSWERED_WITHIN);
        due.push(question);
    }
    due
}

/// Where a pod can be asked, if it is one to ask.
pub(crate) fn address(pod: &PodRecord) -> Option<&str> {
    pod.ip.as_deref().filter(|_| pod.component == CHAT && !pod.is_terminating)
}

/// The body of a pod's answer.
async fn ask(address: &str, port: u16) -> io::Result<Vec<u8>> {
    let request = format!("GET /status HTTP/1.0\r\nHost: {address}\r\n\r\n");
    match exchange(address, port, &request).await? {
        (200, body) => Ok(body),
        _ => Err(io::Error::other("no report")),
    }
}

/// The status code and the body of a pod's answer. HTTP/1.0: the answer ends with the connection.
pub(crate) async fn exchange(address: &str, port: u16, request: &str) -> io::Result<(u16, Vec<u8>)> {
    let ip: std::net::IpAddr = address.parse().map_err(|_| io::Error::other("not an address"))?;
    let mut stream = TcpStream::connect((ip, port)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER as u64).read_to_end(&mut answer).await?;
    read(&answer).ok_or_else(|| io::Error::other("not an answer of chatd"))
}

fn read(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let line = std::str::from_utf8(answer.split(|byte| *byte == b'\r').next()?).ok()?;
    Some((line.split(' ').nth(1)?.parse().ok()?, answer[end + 4..].to_vec()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn only_a_whole_answer_has_a_code_and_a_body() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}"), Some((200, b"{}".to_vec())));
        assert_eq!(read(b"HTTP/1.1 503 No\r\n\r\n{}"), Some((503, b"{}".to_vec())));
        for half in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"\r\n\r\n", b"HTTP/1.1 two OK\r\n\r\n"] {
            assert_eq!(read(half), None);
        }
    }

    fn key() -> Key {
        Key { namespace: "games".into(), name: "chat".into() }
    }

    fn pod(ordinal: usize) -> PodRecord {
        PodRecord {
            name: format!("chat-{ordinal}"),
            uid: format!("u{ordinal}"),
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
            ended: None,
            version: 1,
        }
    }

    fn cache(pods: impl IntoIterator<Item = PodRecord>) -> Cache {
        let cache = Cache::default();
        cache.put_deployment(&key(), 1, crate::cache::Deployment::Unreadable { generation: 1, why: String::new() });
        pods.into_iter().for_each(|pod| {
            cache.put_pod(&key(), pod);
        });
        cache
    }

    fn report(state: &str) -> Heard {
        Heard::Report(Report { state: state.into(), ..Report::default() })
    }

    #[test]
    fn a_pods_silence_counts_once_it_has_been_asked() {
        let (key, pod) = (key(), pod(0));
        let (cache, reports) = (cache([pod.clone()]), Reports::default());
        assert!(!reports.are_asked(&key, std::slice::from_ref(&pod)), "it is not known yet");
        assert_eq!(due(&cache, &reports, 1).len(), 1);
        assert!(!reports.are_asked(&key, std::slice::from_ref(&pod)), "the answer is on its way");
        assert!(matches!(reports.learn(&key, "chat-0", Heard::Nothing), News::State), "it is silent");
        assert!(reports.are_asked(&key, std::slice::from_ref(&pod)));
        assert!(matches!(reports.learn(&key, "chat-0", Heard::Nothing), News::None), "as it was");
        reports.learn(&key, "chat-0", report("timeout"));
        assert_eq!(reports.of(&key, std::slice::from_ref(&pod)).len(), 1);
        let successor = PodRecord { uid: "another".into(), ..pod.clone() };
        assert_eq!(reports.of(&key, &[successor]).len(), 0, "another pod of its name did not say that");
        let ending = PodRecord { is_terminating: true, ..pod.clone() };
        assert_eq!(reports.of(&key, &[ending]).len(), 0, "it is being replaced");
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_that_comes_back_after_it_had_grown_old_is_news() {
        let (cache, reports) = (cache([pod(0)]), Reports::default());
        due(&cache, &reports, 1);
        assert!(matches!(reports.learn(&key(), "chat-0", report("ok")), News::State));
        assert!(matches!(reports.learn(&key(), "chat-0", report("ok")), News::None));
        // Nobody came to ask it, and the status was written without it.
        tokio::time::advance(FRESH).await;
        assert!(reports.of(&key(), &[pod(0)]).is_empty());
        assert!(matches!(reports.learn(&key(), "chat-0", report("ok")), News::State), "it is the same, but told again");
        tokio::time::advance(FRESH).await;
        assert!(matches!(reports.learn(&key(), "chat-0", Heard::Refusal), News::State), "it is not told any more");
        assert!(matches!(reports.learn(&key(), "chat-0", Heard::Refusal), News::None));
    }

    #[tokio::test(start_paused = true)]
    async fn hundreds_of_silent_pods_neither_delay_another_nor_forget_one_of_themselves() {
        const SILENT: usize = 400;
        let ip = |ordinal: usize| format!("127.1.{}.{}", ordinal / 100, ordinal % 100 + 1);
        let of = |ordinal| PodRecord { ip: Some(ip(ordinal)), ..pod(ordinal) };
        let healthy = ip(SILENT);
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<HashMap<String, Vec<Instant>>>>::default();
        let (asked_at, answers) = (Arc::clone(&asked), healthy.clone());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let address = stream.local_addr().unwrap().ip().to_string();
                let answers = address == answers;
                asked_at.lock().unwrap().entry(address).or_default().push(Instant::now());
                tokio::spawn(async move {
                    let mut request = [0; 256];
                    // Who is silent reads until the other gives up.
                    while stream.read(&mut request).await.is_ok_and(|length| length > 0 && !answers) {}
                    let body = r#"{"rooms":1,"players":1,"directory":{"state":"ok"}}"#;
                    let _ = stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{body}").as_bytes()).await;
                });
            }
        });
        let (cache, reports) = (Arc::new(cache((0..=SILENT).map(of))), Arc::<Reports>::default());
        let shutdown = CancellationToken::new();
        let polling = poll(Arc::clone(&cache), Arc::default(), Arc::clone(&reports), port, shutdown.clone());
        let polling = tokio::spawn(polling);
        // The first round is for finding out who is silent.
        tokio::time::sleep(Duration::from_mins(1)).await;
        asked.lock().unwrap().clear();
        tokio::time::sleep(Duration::from_mins(3)).await;
        assert!(reports.of(&key(), &[of(SILENT)]).contains_key(&pod(SILENT).name));
        shutdown.cancel();
        polling.await.unwrap();
        let asked = asked.lock().unwrap();
        let longest = |ip: &str| asked[ip].windows(2).map(|two| two[1] - two[0]).max().unwrap();
        assert!(longest(&healthy) <= PERIOD + TICK, "{:?}", longest(&healthy));
        let turns = u32::try_from(SILENT / SILENT_AT_ONCE + 2).unwrap();
        let slowest = (0..SILENT).map(|ordinal| longest(&ip(ordinal))).max().unwrap();
        assert!(slowest <= (TIME_LIMIT + TICK) * turns, "{slowest:?}");
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
