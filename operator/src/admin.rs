//! The operator's own admin port: /livez, /readyz and /metrics. Serves HTTP on a bound listener.
//!
//! Not by `axum::serve`, which bounds neither the connections nor the time that one may take.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::leader::Leadership;
use crate::metrics::{self, DeploymentFigures, Gauges, Metrics};
use crate::queue::Queue;
use crate::scopes::Scopes;

/// From connecting to the end of the one answer that a connection gets.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of a request's head; also the least that hyper takes.
const LONGEST_REQUEST: usize = 8 * 1024;
/// Connections at a time.
const AT_ONCE: usize = 64;

/// What the answers are made of.
#[derive(Clone, Debug)]
pub struct Admin {
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// How many ChatDeployments are known.
    pub cache: Arc<Cache>,
    /// How many wait.
    pub queue: Arc<Queue>,
    /// Whether this process writes.
    pub leadership: Leadership,
    /// Whether all has been listed.
    pub scopes: Scopes,
}

/// Serves until `shutdown`; then what is open is cut.
///
/// When all places are taken, the oldest connection is closed: answers are made at once, so that one has been silent or slow the
/// longest, and a probe of Kubernetes is answered whatever others hold open.
pub async fn serve(listener: TcpListener, admin: Admin, shutdown: CancellationToken) {
    let service = TowerToHyperService::new(router(admin));
    // One request a connection. A client may close its side after its request.
    let mut server = http1::Builder::new();
    server.keep_alive(false).half_close(true).max_buf_size(LONGEST_REQUEST);
    let mut connections = JoinSet::new();
    let mut places: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = shutdown.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of files, most likely: some will be given back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        places.retain(|connection| !connection.is_finished());
        if places.len() >= AT_ONCE
            && let Some(oldest) = places.pop_front()
        {
            oldest.abort();
        }
        let connection = server.serve_connection(TokioIo::new(stream), service.clone());
        places.push_back(connections.spawn(async move {
            // How it ends is the client's affair.
            let _ = tokio::time::timeout(TIME_LIMIT, connection).await;
        }));
        // What has asked already is heard before the next one may push it out.
        tokio::task::yield_now().await;
    }
}

fn router(admin: Admin) -> Router {
    Router::new()
        // That it answers is the proof: one thread does all the work.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "Here are /livez, /readyz and /metrics.\n") })
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.\n") })
        .with_state(admin)
}

async fn readyz(State(admin): State<Admin>) -> Response {
    if admin.scopes.are_synced() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "The first lists are being read.\n").into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut states = Vec::new();
    if admin.leadership.may_write() {
        admin.cache.visit_deployments(|key, deployment| states.push(DeploymentFigures::of(key, deployment)));
    }
    let gauges = Gauges {
        queue_depth: admin.queue.depth(),
        is_leader: admin.leadership.may_write(),
        deployments: admin.cache.deployments().len(),
        left_out: admin.scopes.left_out(),
        states,
    };
    match admin.metrics.encode(gauges) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "The metrics cannot be written.\n").into_response(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::scopes::List;

    /// An admin port, and what ends it.
    struct Port {
        address: SocketAddr,
        scopes: Scopes,
        shutdown: CancellationToken,
        server: JoinHandle<()>,
    }

    impl Port {
        async fn open() -> Self {
            let scopes = Scopes::new(&[], 1);
            let admin = Admin {
                metrics: Arc::default(),
                cache: Arc::default(),
                queue: Arc::default(),
                leadership: Leadership::always(),
                scopes: scopes.clone(),
            };
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let shutdown = CancellationToken::new();
            let server = tokio::spawn(serve(listener, admin, shutdown.clone()));
            Self { address, scopes, shutdown, server }
        }

        /// A connection over which `request` has been sent.
        async fn send(&self, request: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream
        }

        /// The whole answer, until the port closes the connection.
        async fn ask(&self, request: &str) -> String {
            read(self.send(request).await).await
        }

        async fn get(&self, path: &str) -> String {
            self.ask(&format!("GET {path} HTTP/1.1\r\n\r\n")).await
        }
    }

    /// Comes without having to wait until silent connections end by themselves.
    async fn read(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        tokio::time::timeout(TIME_LIMIT / 2, stream.read_to_string(&mut answer))
            .await
            .expect("an end in time")
            .unwrap();
        answer
    }

    #[tokio::test]
    async fn it_is_ready_when_the_first_lists_are_read() {
        let port = Port::open().await;
        assert!(port.get("/livez").await.starts_with("HTTP/1.1 200"));
        assert!(port.get("/readyz").await.starts_with("HTTP/1.1 503"));
        port.scopes.list_is(None, List::Unread, List::Read);
        assert!(port.get("/readyz?verbose").await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn metrics_are_open_metrics() {
        let answer = Port::open().await.get("/metrics").await;
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200") && head.contains("\r\nconnection: close"), "{head}");
        assert!(head.contains(&format!("\r\ncontent-type: {}", metrics::CONTENT_TYPE)), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}", text.len())), "{head}");
        assert!(text.contains("\nchatd_operator_leader 1\n") && text.ends_with("# EOF\n"), "{text}");
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        let port = Port::open().await;
        for path in ["/", "/other", "/livez/", "/metrics/x", "*"] {
            assert!(port.get(path).await.starts_with("HTTP/1.1 404"), "{path}");
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = port.ask(&format!("{method} /livez HTTP/1.1\r\nContent-Length: 0\r\n\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET,HEAD"), "{answer}");
        }
        assert!(port.ask("no request\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    }

    #[tokio::test]
    async fn head_is_answered_by_the_head_of_get() {
        let port = Port::open().await;
        let head = port.ask("HEAD /metrics HTTP/1.1\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-length: "), "{head}");
        assert!(head.ends_with("\r\n\r\n") && !head.contains("chatd_operator"), "{head}");
    }

    #[tokio::test]
    async fn a_connection_gets_one_answer() {
        let port = Port::open().await;
        let request = "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
        let answer = port.ask(&request.repeat(2)).await;
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
        assert!(port.ask("GET /livez HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200"));
    }

    #[tokio::test]
    async fn a_request_may_come_in_parts_and_its_client_close_its_side() {
        let port = Port::open().await;
        let mut stream = port.send("GET /livez HT").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(b"TP/1.1\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(read(stream).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_is_refused() {
        let port = Port::open().await;
        let longest = "x".repeat(LONGEST_REQUEST);
        let mut stream = port.send(&format!("GET /livez HTTP/1.1\r\nX: {longest}")).await;
        let mut answer = Vec::new();
        // Closed with what it has not read: the answer may get lost.
        let _ = tokio::time::timeout(TIME_LIMIT / 2, stream.read_to_end(&mut answer)).await.expect("an end in time");
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"));
    }

    #[tokio::test]
    async fn who_sends_nothing_or_half_a_request_is_cut() {
        let port = Port::open().await;
        let started = tokio::time::Instant::now();
        let streams = [port.send("").await, port.send("GET /livez HTTP/1.1\r\n").await];
        for mut stream in streams {
            let mut answer = String::new();
            let end = tokio::time::timeout(2 * TIME_LIMIT, stream.read_to_string(&mut answer)).await.expect("an end");
            assert!(end.is_ok() && answer.is_empty(), "{answer}");
        }
        assert!(started.elapsed() >= TIME_LIMIT);
    }

    #[tokio::test]
    async fn when_all_places_are_taken_the_oldest_connection_makes_way() {
        let port = Port::open().await;
        let mut silent = Vec::new();
        for number in 0..2 * AT_ONCE {
            silent.push(port.send(["", "GET /livez HT"][number % 2]).await);
        }
        for _ in 0..3 {
            assert!(port.get("/livez").await.starts_with("HTTP/1.1 200"));
        }
        assert_eq!(read(silent.remove(0)).await, "");
        let mut last = silent.pop().unwrap();
        last.write_all(b"TP/1.1\r\n\r\n").await.unwrap();
        assert!(read(last).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn it_ends_at_once_whatever_is_open() {
        let port = Port::open().await;
        let open = port.send("GET /livez HT").await;
        assert!(port.get("/livez").await.starts_with("HTTP/1.1 200"));
        port.shutdown.cancel();
        tokio::time::timeout(TIME_LIMIT / 2, port.server).await.expect("an end in time").unwrap();
        assert_eq!(read(open).await, "");
        assert!(TcpStream::connect(port.address).await.is_err());
    }
}
