//! A proxy between one operator and the API server: plain HTTP on loopback, the kubeconfig's identity behind it. It lets things go
//! wrong as its rules say, and writes down what was really carried out. Does I/O.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::process::Operator;
use super::rules::{Call, Case, Rules, Verdict};

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// A write as the API server answered it, whether or not the operator heard of that.
#[derive(Clone, Debug)]
pub struct Done {
    pub call: Call,
    pub code: u16,
    /// Of what was made, or was to be deleted.
    pub name: String,
    pub uid: String,
}

pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
    task: AbortHandle,
}

struct State {
    upstream: kube::Client,
    rules: Mutex<Rules>,
    done: Mutex<Vec<Done>>,
    /// Answers to reads, by path and query.
    earlier: Mutex<BTreeMap<String, Vec<Bytes>>>,
    operator: Mutex<Option<Operator>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.state.operator.lock().unwrap().take();
    }
}

impl Proxy {
    pub async fn start(upstream: kube::Client, case: Case) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            upstream,
            rules: Mutex::new(Rules::new(case)),
            done: Mutex::default(),
            earlier: Mutex::default(),
            operator: Mutex::default(),
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&state))).abort_handle();
        Self { address, state, task }
    }

    /// The operator that is ended, and started again, when the rules say so.
    pub fn put_operator(&self, operator: Operator) {
        *self.state.operator.lock().unwrap() = Some(operator);
    }

    pub fn rules<T>(&self, look: impl FnOnce(&mut Rules) -> T) -> T {
        look(&mut self.state.rules.lock().unwrap())
    }

    pub fn done(&self) -> Vec<Done> {
        self.state.done.lock().unwrap().clone()
    }

    /// How often the operator was started, and whether it has ended by itself.
    pub fn starts(&self) -> (u32, bool) {
        let mut operator = self.state.operator.lock().unwrap();
        operator.as_mut().map_or((0, false), |operator| (operator.starts(), operator.has_ended()))
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let state = Arc::clone(&state);
        let service = service_fn(move |request| Arc::clone(&state).handle(request));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

impl State {
    /// An error closes the connection without an answer.
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let call = Call::of(head.method.as_str(), head.uri.path(), head.uri.query().unwrap_or_default());
        let verdict = self.rules.lock().unwrap().judge(&call);
        match verdict {
            Verdict::HangUp => return Err(io::Error::other("hung up")),
            Verdict::Refuse(code) => return Ok(refusal(code)),
            Verdict::EndBefore => {
                self.end_operator();
                return Err(io::Error::other("ended before"));
            }
            _ => {}
        }
        let question = head.uri.to_string();
        if verdict == Verdict::Stale
            && let Some(body) = self.earlier.lock().unwrap().get(&question).and_then(|answers| answers.first())
        {
            return Ok(whole(200, body.clone()));
        }
        let mut forwarded = Request::builder().method(head.method).uri(head.uri);
        for name in ["content-type", "accept"] {
            if let Some(value) = head.headers.get(name) {
                forwarded = forwarded.header(name, value);
            }
        }
        let forwarded = forwarded.body(kube::client::Body::from(body.clone())).unwrap();
        let response = self.upstream.send(forwarded).await.map_err(io::Error::other)?;
        if call.verb == "watch" && response.status().is_success() {
            return Ok(watch(self, call, response, verdict));
        }
        let code = response.status().as_u16();
        let answer = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        if call.is_write() {
            self.note(call, code, &body, &answer);
        } else if code == 200 {
            let mut earlier = self.earlier.lock().unwrap();
            let answers = earlier.entry(question).or_default();
            answers.push(answer.clone());
            // The one before the last is what a reading that is late would say.
            if answers.len() > 2 {
                answers.remove(0);
            }
        }
        match verdict {
            Verdict::Slow(time) => tokio::time::sleep(Duration::from_millis(time)).await,
            Verdict::LoseAnswer => return Err(io::Error::other("answer lost")),
            Verdict::EndAfter => {
                self.end_operator();
                return Err(io::Error::other("ended after"));
            }
            _ => {}
        }
        Ok(whole(code, answer))
    }

    fn end_operator(&self) {
        if let Some(operator) = self.operator.lock().unwrap().as_mut() {
            operator.end_and_start();
        }
    }

    fn note(&self, call: Call, code: u16, asked: &[u8], answer: &[u8]) {
        let asked: Value = serde_json::from_slice(asked).unwrap_or_default();
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let uid = if call.verb == "delete" { &asked["preconditions"]["uid"] } else { &answer["metadata"]["uid"] };
        let uid = uid.as_str().unwrap_or_default().to_owned();
        let made = answer["metadata"]["name"].as_str().unwrap_or_default();
        let name = if call.name.is_empty() { made.to_owned() } else { call.name.clone() };
        self.done.lock().unwrap().push(Done { call, code, name, uid });
    }
}

/// What is left of a watch: lines are passed on one by one.
struct Watch {
    state: Arc<State>,
    call: Call,
    body: BodyStream<kube::client::Body>,
    read: Vec<u8>,
    ends: Option<(Instant, bool)>,
}

fn watch(state: Arc<State>, call: Call, response: Response<kube::client::Body>, verdict: Verdict) -> Answer {
    let ends = match verdict {
        Verdict::Cut { after, expired } => Some((Instant::now() + Duration::from_millis(after), expired)),
        _ => None,
    };
    let body = BodyStream::new(response.into_body());
    let watch = Watch { state, call, body, read: Vec::new(), ends };
    let lines = stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        match watch.next().await {
            Some(Ok(line)) => Some((Ok(Frame::data(line)), Some(watch))),
            Some(Err(error)) => Some((Err(error), None)),
            None => None,
        }
    });
    answer(200, StreamBody::new(lines).boxed_unsync())
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Bytes, io::Error>> {
        loop {
            while let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                if !self.state.rules.lock().unwrap().drops(&self.call, &line) {
                    return Some(Ok(line.into()));
                }
            }
            let until = self.ends.map(|(at, _)| at);
            let frame = tokio::select! {
                frame = self.body.next() => frame?,
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    let expired = self.ends.take().is_some_and(|(_, expired)| expired);
                    if !expired {
                        return Some(Err(io::Error::other("cut")));
                    }
                    let line = json!({ "type": "ERROR", "object": status(410) }).to_string() + "\n";
                    return Some(Ok(line.into()));
                }
            };
            match frame {
                Ok(frame) => self.read.extend(frame.into_data().unwrap_or_default()),
                Err(error) => return Some(Err(io::Error::other(error))),
            }
        }
    }
}

fn status(code: u16) -> Value {
    let reason = match code {
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason,
        "message": "a fault of the test",
    })
}

fn refusal(code: u16) -> Answer {
    let mut answer = whole(code, status(code).to_string().into());
    if code == 429 {
        answer.headers_mut().insert("retry-after", hyper::header::HeaderValue::from_static("1"));
    }
    answer
}

fn whole(code: u16, body: Bytes) -> Answer {
    answer(code, Full::new(body).map_err(|never| match never {}).boxed_unsync())
}

fn answer(code: u16, body: UnsyncBoxBody<Bytes, io::Error>) -> Answer {
    Response::builder().status(code).header("content-type", "application/json").body(body).unwrap()
}
