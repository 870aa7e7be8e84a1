//! Asks the admin port of a chatd process, over a stream that is there already. Does I/O.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::inspected::{Page, Room, Told};
use crate::metrics::Figures;
use crate::observed::Report;

/// For one pod, from connecting to its last answer: chatd itself answers within 1 s, or says that it cannot.
pub const LIMIT: Duration = Duration::from_secs(5);
/// More than the metrics of any chatd, and than a page of rooms.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// A byte stream to an admin port.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// A connection to an admin port.
pub struct Admin {
    sender: http1::SendRequest<Empty<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Admin {
    /// Over a stream to the port.
    pub async fn new(stream: impl Stream) -> Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: tokio::spawn(connection).abort_handle() })
    }

    /// At an address.
    pub async fn connect(address: &str) -> Result<Self> {
        Self::new(TcpStream::connect(address).await.context("cannot connect")?).await
    }

    /// What the process says of itself.
    pub async fn report(&mut self) -> Result<Report> {
        let mut report: Report = self.json("/status").await?;
        // Another program at this address could answer any JSON.
        ensure!(!report.version.is_empty(), "/status is not what chatd answers");
        report.figures = Figures::parse(&self.metrics().await?);
        Ok(report)
    }

    /// The text of its metrics.
    pub async fn metrics(&mut self) -> Result<String> {
        let metrics = self.get("/metrics").await?;
        Ok(String::from_utf8_lossy(&metrics).into_owned())
    }

    /// All rooms that the process owns.
    pub async fn rooms(&mut self) -> Result<Vec<Room>> {
        let (mut rooms, mut path) = (Vec::new(), "/rooms".to_owned());
        loop {
            let page: Page = self.json(&path).await?;
            let is_further = page.next > rooms.last().map(|room: &Room| room.id.clone());
            rooms.extend(page.rooms);
            match page.next {
                Some(next) if is_further => path = format!("/rooms?after={next}"),
                _ => return Ok(rooms),
            }
        }
    }

    /// What the process, the record and the lease say of a room.
    pub async fn room(&mut self, room: &str) -> Result<Told> {
        self.json(&format!("/rooms/{room}")).await
    }

    async fn json<T: DeserializeOwned>(&mut self, path: &str) -> Result<T> {
        let answer = self.get(path).await?;
        serde_json::from_slice(&answer).with_context(|| format!("{path} is not what chatd answers"))
    }

    async fn get(&mut self, path: &str) -> Result<Bytes> {
        self.sender.ready().await.context("the connection has ended")?;
        let request = Request::get(path).header("host", "localhost").body(Empty::new())?;
        let answer = self.sender.send_request(request).await.with_context(|| format!("no answer to GET {path}"))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed).with_context(|| format!("GET {path}"))?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let error: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        match error["error"]["message"].as_str() {
            Some(message) => bail!("GET {path}: {status}: {message}"),
            None => bail!("GET {path}: {status}"),
        }
    }
}

/// What comes of asking, unless it takes too long.
pub async fn in_time<T>(asking: impl Future<Output = Result<T>>) -> Result<T> {
    let asked = tokio::time::timeout(LIMIT, asking).await;
    asked.unwrap_or_else(|_| Err(anyhow!("no answer within {} s", LIMIT.as_secs())))
}

/// Asks the process with this admin port.
pub async fn ask_at<T>(address: &str, ask: impl AsyncFnOnce(&mut Admin) -> Result<T>) -> Result<T> {
    let asking = async { ask(&mut Admin::connect(address).await?).await };
    in_time(asking).await.with_context(|| format!("the admin port {address}"))
}
