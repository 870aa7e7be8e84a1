//! The operator's own admin port: /livez, /readyz and /metrics. Serves HTTP on a bound listener.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::leader::Leadership;
use crate::metrics::{Gauges, Metrics};
use crate::queue::Queue;
use crate::scopes::Scopes;

const TIME_LIMIT: Duration = Duration::from_secs(5);
const LONGEST_REQUEST: usize = 8 * 1024;
const AT_ONCE: usize = 64;

/// What the answers are made of.
#[derive(Clone, Debug)]
pub struct Admin {
    pub metrics: Arc<Metrics>,
    pub cache: Arc<Cache>,
    pub queue: Arc<Queue>,
    pub leadership: Leadership,
    pub scopes: Scopes,
}

/// Serves until `shutdown`.
pub async fn serve(listener: TcpListener, admin: Admin, shutdown: CancellationToken) {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of files, most likely: some will be given back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let admin = admin.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(TIME_LIMIT, answer(stream, &admin)).await;
            drop(permit);
        });
    }
}

async fn answer(mut stream: TcpStream, admin: &Admin) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let length = stream.read(&mut part).await?;
        if length == 0 || request.len() + length > LONGEST_REQUEST {
            return Ok(());
        }
        request.extend_from_slice(&part[..length]);
    }
    let text = String::from_utf8_lossy(&request);
    let mut words = text.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (code, type_, body) = admin.respond(method, path);
    let head = format!(
        "HTTP/1.1 {code}\r\nContent-Type: {type_}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

impl Admin {
    fn respond(&self, method: &str, path: &str) -> (&'static str, &'static str, String) {
        let plain = "text/plain; charset=utf-8";
        if method != "GET" {
            return ("405 Method Not Allowed", plain, "Only GET.\n".to_owned());
        }
        match path.split('?').next().unwrap_or_default() {
            // That it answers is the proof: one thread does all the work.
            "/livez" => ("200 OK", plain, "ok\n".to_owned()),
            "/readyz" if self.scopes.are_synced() => ("200 OK", plain, "ok\n".to_owned()),
            "/readyz" => ("503 Service Unavailable", plain, "The first lists are being read.\n".to_owned()),
            "/metrics" => {
                let gauges = Gauges {
                    queue_depth: self.queue.depth(),
                    is_leader: self.leadership.may_write(),
                    deployments: self.cache.deployments().len(),
                    left_out: self.scopes.left_out(),
                };
                let type_ = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ("200 OK", type_, self.metrics.text(gauges))
            }
            _ => ("404 Not Found", plain, "Here are /livez, /readyz and /metrics.\n".to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scopes::List;

    #[tokio::test]
    async fn it_is_ready_when_the_first_lists_are_read() {
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
        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        assert!(ask("/livez").await.starts_with("HTTP/1.1 200"));
        assert!(ask("/readyz").await.starts_with("HTTP/1.1 503"));
        scopes.list_is(None, List::Unread, List::Read);
        assert!(ask("/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(ask("/metrics").await.contains("chatd_operator_leader 1"));
        assert!(ask("/other").await.starts_with("HTTP/1.1 404"));
        shutdown.cancel();
        server.await.unwrap();
    }
}
