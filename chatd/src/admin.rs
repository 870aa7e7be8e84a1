//! The admin port: /livez, /readyz, /metrics and /status, whose content is a [`Snapshot`]; /rooms; and /deaths, where the operator says
//! which process is dead. Serves HTTP.

mod deaths;
pub mod rooms;
mod table;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::lease::DirectoryState;
use crate::metrics::{self, Snapshot};
use crate::pod::notices::Notices;
use crate::tcp::{is_loopback, keep_alive};
use crate::web::Gate;
use table::Table;

/// A pod whose threads have not all reported within this time is unresponsive.
pub const ANSWER_TIME: Duration = Duration::from_secs(1);
/// Connections at a time.
const MAX_CONNECTIONS: usize = 64;
/// From connecting, or from one answer, to the next request's whole header.
const HEADER_TIME: Duration = Duration::from_secs(10);
const MAX_HEADER: usize = 16 * 1024;

/// The pod, as its admin port asks it.
pub trait Pod: Clone + Send + Sync + 'static {
    /// False only before the first lease and while the lease is refused. Answers without asking any other thread.
    fn ready(&self) -> bool;

    /// The pod's state with the reports of all its threads: a complete answer proves that each of them is responsive.
    fn snapshot(&self) -> impl Future<Output = Snapshot> + Send;
}

/// The routes of the admin port, but for [`rooms::router`].
pub fn router<P: Pod>(pod: P, notices: Notices) -> Router {
    Router::new()
        .route("/livez", get(livez::<P>))
        .route("/readyz", get(readyz::<P>))
        .route("/metrics", get(metrics::<P>))
        .route("/status", get(status::<P>))
        .with_state(pod)
        .route("/deaths", post(deaths::deaths).with_state(notices))
        .fallback(|| async {
            error(
                StatusCode::NOT_FOUND,
                "not_found",
                "Here are /livez, /readyz, /metrics, /status, /rooms and /deaths.",
            )
        })
        .method_not_allowed_fallback(|| async {
            error(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Only GET and HEAD are answered here, and by /deaths only POST.",
            )
        })
}

/// How much a port serves at a time, and how long it waits.
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// When all are taken, the one that has been silent for longest is closed.
    pub connections: usize,
    /// From connecting, or from one answer, to the next request's whole header.
    pub header_time: Duration,
}

/// Serves `router` on `listener` until `shutdown`; then what is open is cut.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let limits = ServeLimits { connections: MAX_CONNECTIONS, header_time: HEADER_TIME };
    serve_within(limits, listener, router, shutdown).await;
}

/// [`serve`] within other limits.
pub async fn serve_within(
    limits: ServeLimits,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    // Otherwise a client that does not read, or is cut off, would keep its slot.
    keep_alive(&listener);
    let router = if is_loopback(&listener) { router.layer(middleware::from_fn(own_names_only)) } else { router };
    let table = Arc::new(Table::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = &mut shutdown => return,
        };
        let Ok((stream, client)) = accepted else {
            // Out of files, most likely: other connections need to end first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let place = table.make_place();
        let key = place.key;
        let service = TowerToHyperService::new(router.clone());
        let from_here = rooms::FromHere(stream.local_addr().is_ok_and(|own| rooms::is_local(client.ip(), own.ip())));
        let connection = connections.spawn(async move {
            let service = service_fn(|mut request: hyper::Request<Incoming>| {
                request.extensions_mut().insert(from_here);
                let asked = place.ask();
                let answer = service.call(request);
                async move {
                    let _asked = asked;
                    answer.await
                }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(limits.header_time).max_buf_size(MAX_HEADER);
            // How a connection of a scraper ends is of no interest.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
        table.entered(key, connection);
        // What has asked already is heard before the next one may push it out.
        tokio::task::yield_now().await;
    }
}

/// A page must not read it under a name of its own that resolves to here (DNS rebinding).
async fn own_names_only(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let gate = Gate { allowed: Vec::new(), loopback: true };
    match gate.check_host(&parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(failure) => failure.into_response(),
    }
}

async fn livez<P: Pod>(State(pod): State<P>) -> Response {
    match ask(&pod).await {
        Ok(_) => "ok\n".into_response(),
        Err(unanswered) => unanswered,
    }
}

async fn readyz<P: Pod>(State(pod): State<P>) -> Response {
    if pod.ready() {
        return "ok\n".into_response();
    }
    let sentence = "This pod has no lease in the directory yet, or may not have one; /status says why.";
    error(StatusCode::SERVICE_UNAVAILABLE, "not_ready", sentence)
}

async fn metrics<P: Pod>(State(pod): State<P>) -> Response {
    match ask(&pod).await.map(Snapshot::encode) {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Ok(Err(_)) => error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The metrics cannot be written."),
        Err(unanswered) => unanswered,
    }
}

async fn status<P: Pod>(State(pod): State<P>) -> Response {
    match ask(&pod).await {
        Ok(snapshot) => match snapshot.directory {
            Some(directory) => Json(status_json(&snapshot, directory)).into_response(),
            None => {
                let sentence = "The directory has not had its time to answer yet; ask again in 2 s.";
                error(StatusCode::SERVICE_UNAVAILABLE, "not_ready", sentence)
            }
        },
        Err(unanswered) => unanswered,
    }
}

/// What `/status` says; fields are only ever added. `since` is in Unix seconds.
fn status_json(snapshot: &Snapshot, directory: DirectoryState) -> serde_json::Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": snapshot.ready,
        "draining": snapshot.draining,
        "rooms": snapshot.gauges.rooms,
        "players": snapshot.gauges.players,
        "heldSeats": snapshot.gauges.held_seats,
        "roomPlaces": snapshot.room_places,
        "connections": snapshot.connection_places_used,
        "connectionPlaces": snapshot.connection_places,
        "directory": {
            "state": directory.as_str(),
            "since": snapshot.directory_since,
            "detail": snapshot.directory_detail,
        },
    })
}

async fn ask<P: Pod>(pod: &P) -> Result<Snapshot, Response> {
    tokio::time::timeout(ANSWER_TIME, pod.snapshot()).await.map_err(|_| {
        error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "A thread of this pod has not answered within 1 s.")
    })
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({"error": {"code": code, "message": message}}))).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::directory::NoAnswer;
    use crate::protocol::token::Keyring;

    #[derive(Clone)]
    struct Figures {
        snapshot: Snapshot,
        stuck: bool,
    }

    impl Pod for Figures {
        fn ready(&self) -> bool {
            self.snapshot.ready
        }

        async fn snapshot(&self) -> Snapshot {
            if self.stuck {
                std::future::pending::<()>().await;
            }
            self.snapshot.clone()
        }
    }

    /// Nobody is told anything.
    fn notices() -> Notices {
        Notices::new(Arc::new(Keyring::generate(&mut StdRng::seed_from_u64(1))), unbounded_channel().0)
    }

    /// Starts an admin port with these figures, asks `requests` and returns the answers.
    fn answers(figures: Figures, requests: &[&str]) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let server = tokio::spawn(serve(listener, router(figures, notices()), async { drop(stopped.await) }));
            let mut answers = Vec::new();
            for request in requests {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let (request, host) = request.split_once(" @").unwrap_or((request, "localhost"));
                let text = format!("{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
                stream.write_all(text.as_bytes()).await.unwrap();
                let mut answer = String::new();
                let read = stream.read_to_string(&mut answer);
                tokio::time::timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
                answers.push(answer);
            }
            drop(stop);
            tokio::time::timeout(Duration::from_secs(10), server).await.unwrap().unwrap();
            answers
        })
    }

    /// What comes without having to wait until silent connections end by themselves.
    async fn within<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(HEADER_TIME / 2, what).await.expect("in time")
    }

    #[test]
    fn of_silent_connections_the_oldest_makes_way() {
        let snapshot = Snapshot { ready: true, ..Snapshot::default() };
        let figures = Figures { snapshot, stuck: false };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(serve(listener, router(figures, notices()), std::future::pending()));
            // Silent from the start, in the middle of a header, and after an answer.
            let words = ["", "GET /livez HT", "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"];
            let mut silent = Vec::new();
            for number in 0..3 * MAX_CONNECTIONS {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(words[number % 3].as_bytes()).await.unwrap();
                silent.push(stream);
            }
            for _ in 0..2 {
                let mut probe = TcpStream::connect(address).await.unwrap();
                probe.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
                let mut answer = String::new();
                within(probe.read_to_string(&mut answer)).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            }
            let closed = within(silent[0].read(&mut [0; 1])).await;
            assert!(closed.is_err() || closed.is_ok_and(|count| count == 0));
            let last = silent.last_mut().unwrap();
            let _ = within(last.read(&mut [0; 200])).await;
            last.write_all(words[2].as_bytes()).await.unwrap();
            let mut answers = [0; 200];
            assert!(within(last.read(&mut answers)).await.unwrap() > 0);
        });
    }

    fn body(answer: &str) -> serde_json::Value {
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    #[test]
    fn a_pod_that_is_well() {
        let mut snapshot = Snapshot { ready: true, directory_since: 1_795_461_000, ..Snapshot::default() };
        snapshot.gauges.rooms = 2;
        snapshot.gauges.players = 5;
        snapshot.gauges.held_seats = 1;
        (snapshot.room_places, snapshot.connection_places, snapshot.connection_places_used) = (10, 20, 4);
        snapshot.directory = Some(DirectoryState::Away(NoAnswer::ReadOnly));
        snapshot.directory_detail = "it is read-only".to_owned();
        let requests = [
            "GET /livez",
            "GET /readyz",
            "GET /metrics",
            "GET /status",
            "GET /",
            "POST /status",
            "GET /deaths",
            "POST /deaths",
        ];
        let answers = answers(Figures { snapshot, stuck: false }, &requests);
        let status = |index: usize| answers[index][9..12].parse::<u16>().unwrap();
        assert_eq!((0..requests.len()).map(status).collect::<Vec<_>>(), [200, 200, 200, 200, 404, 405, 405, 403]);
        assert!(answers[2].contains(metrics::CONTENT_TYPE) && answers[2].ends_with("# EOF\n"), "{}", answers[2]);
        let expected = json!({
            "version": env!("CARGO_PKG_VERSION"), "ready": true, "draining": false, "rooms": 2, "players": 5,
            "heldSeats": 1, "roomPlaces": 10, "connections": 4, "connectionPlaces": 20,
            "directory": {"state": "read_only", "since": 1_795_461_000, "detail": "it is read-only"},
        });
        assert_eq!(body(&answers[3]), expected);
        assert_eq!(body(&answers[4])["error"]["code"], "not_found");
        assert_eq!(body(&answers[5])["error"]["code"], "method_not_allowed");
    }

    #[test]
    fn on_loopback_a_page_with_a_name_of_its_own_gets_nothing() {
        let directory = Some(DirectoryState::Ok);
        let figures = Figures { snapshot: Snapshot { ready: true, directory, ..Snapshot::default() }, stuck: false };
        let requests = ["GET /status @evil.example:9090", "GET /metrics @evil.example", "GET /status @127.0.0.1:9090"];
        let answers = answers(figures, &requests);
        for answer in &answers[..2] {
            assert!(answer.starts_with("HTTP/1.1 421") && body(answer)["error"]["code"] == "bad_host", "{answer}");
        }
        assert!(answers[2].starts_with("HTTP/1.1 200"), "{}", answers[2]);
    }

    #[test]
    fn a_pod_without_a_lease_lives_but_is_not_ready() {
        let figures = Figures { snapshot: Snapshot::default(), stuck: false };
        let answers = answers(figures, &["GET /livez", "GET /readyz", "GET /status"]);
        assert!(answers[0].starts_with("HTTP/1.1 200"));
        // The directory's state is unknown yet, so it is left out.
        for answer in &answers[1..] {
            assert!(answer.starts_with("HTTP/1.1 503") && body(answer)["error"]["code"] == "not_ready", "{answer}");
        }
    }

    #[test]
    fn a_thread_that_stands_still_is_seen() {
        let snapshot = Snapshot { ready: true, ..Snapshot::default() };
        let answers = answers(Figures { snapshot, stuck: true }, &["GET /livez", "GET /readyz", "GET /status"]);
        assert!(answers[0].starts_with("HTTP/1.1 503"));
        assert!(answers[1].starts_with("HTTP/1.1 200"));
        assert_eq!(body(&answers[2])["error"]["code"], "unavailable");
    }
}
