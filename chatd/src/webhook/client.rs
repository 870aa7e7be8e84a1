//! The HTTP client of the webhook: each connection carries one request at a time, and is kept for the next. Does I/O.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::url::WebhookUrl;

/// How long an attempt may take, from the look-up of the name to the answer's header.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long one of several addresses may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How long the rest of an answer may take; then its connection is closed.
const REST: Duration = Duration::from_secs(1);
/// What is read of an answer's body before the connection can carry the next request; a longer one ends it.
const MAX_BODY: usize = 16 * 1024;
/// The most bytes of an answer's header.
const MAX_HEADER: usize = 16 * 1024;
/// Connections that are kept while nothing is sent, and for how long.
const MAX_IDLE: usize = 8;
const IDLE: Duration = Duration::from_secs(30);

type Connection = SendRequest<Full<Bytes>>;

/// What is sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// webhook-id.
    pub id: String,
    /// webhook-timestamp.
    pub at: u64,
    /// webhook-signature.
    pub signature: String,
    /// The signed body.
    pub body: Bytes,
}

/// What the receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
}

/// Requests to one URL.
#[derive(Debug)]
pub struct Client {
    url: WebhookUrl,
    /// Replaced when the file of the authorities changes.
    tls: RefCell<Option<Arc<ClientConfig>>>,
    idle: RefCell<Vec<(Connection, Instant)>>,
}

impl Client {
    /// `tls`: for an https URL.
    pub fn new(url: WebhookUrl, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { url, tls: RefCell::new(tls), idle: RefCell::default() }
    }

    /// For the connections from now on.
    pub fn set_tls(&self, tls: Arc<ClientConfig>) {
        self.tls.replace(Some(tls));
        self.idle.borrow_mut().clear();
    }

    /// Sends one request.
    ///
    /// # Errors
    /// Why there is no answer, without anything of what was sent.
    pub async fn post(&self, message: Message) -> Result<Answer, String> {
        let (connection, response) = match timeout(ATTEMPT, self.exchange(&message)).await {
            Ok(exchanged) => exchanged?,
            Err(_) => return Err("no answer within 10 s".to_owned()),
        };
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let answer = Answer { status: response.status().as_u16(), retry_after };
        // Within the attempt, so that a receiver which does not end its answers costs no more connections than attempts.
        self.keep(connection, response.into_body()).await;
        Ok(answer)
    }

    async fn exchange(&self, message: &Message) -> Result<(Connection, Response<Incoming>), String> {
        while let Some(mut connection) = self.take_idle() {
            // The receiver may have closed it meanwhile. If it has taken the request before, it gets it twice.
            if let Ok(response) = connection.send_request(self.request(message)?).await {
                return Ok((connection, response));
            }
        }
        let mut connection = self.connect().await?;
        let response = connection.send_request(self.request(message)?).await;
        let response = response.map_err(|error| format!("the connection ended without an answer: {error}"))?;
        Ok((connection, response))
    }

    fn request(&self, message: &Message) -> Result<Request<Full<Bytes>>, String> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.target.as_str())
            .header(HOST, &self.url.authority)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("chatd/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", message.at)
            .header("webhook-signature", &message.signature);
        request.body(Full::new(message.body.clone())).map_err(|error| error.to_string())
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let now = Instant::now();
        idle.retain(|(connection, since)| now < *since + IDLE && connection.is_ready());
        idle.pop().map(|(connection, _)| connection)
    }

    /// Reads the rest of the answer; then the connection is free for the next request.
    async fn keep(&self, mut connection: Connection, body: Incoming) {
        let read = timeout(REST, async {
            Limited::new(body, MAX_BODY).collect().await.is_ok() && connection.ready().await.is_ok()
        });
        if matches!(read.await, Ok(true)) {
            let mut idle = self.idle.borrow_mut();
            if idle.len() < MAX_IDLE {
                idle.push((connection, Instant::now()));
            }
        }
    }

    async fn connect(&self) -> Result<Connection, String> {
        let url = &self.url;
        let stream = self.dial().await?;
        // A request is written at once; a kernel that refuses only makes it slower.
        let _ = stream.set_nodelay(true);
        let tls = self.tls.borrow().clone();
        match tls.filter(|_| url.secure) {
            Some(config) => {
                let name = ServerName::try_from(url.host.clone());
                let name = name.map_err(|_| "no certificate can hold this host name".to_owned())?;
                let stream = TlsConnector::from(config).connect(name, stream).await;
                open(stream.map_err(|error| format!("TLS: {error}"))?).await
            }
            None if url.secure => Err("no TLS".to_owned()),
            None => open(stream).await,
        }
    }

    /// Tries the host's addresses in turn.
    async fn dial(&self) -> Result<TcpStream, String> {
        let WebhookUrl { secure, host, port, .. } = &self.url;
        let found =
            lookup_host((host.as_str(), *port)).await.map_err(|error| format!("cannot find the host: {error}"))?;
        let mut problem = "the host has no address".to_owned();
        // What is not encrypted stays on this machine, whatever its name leads to.
        for address in found.filter(|address: &SocketAddr| *secure || address.ip().is_loopback()) {
            problem = match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => format!("no connection to {address}: {error}"),
                Err(_) => format!("no connection to {address} within 3 s"),
            };
        }
        Err(problem)
    }
}

async fn open<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S) -> Result<Connection, String> {
    let opened = Builder::new().max_buf_size(MAX_HEADER).handshake(TokioIo::new(stream)).await;
    let (sender, connection) = opened.map_err(|error| error.to_string())?;
    // It moves the bytes of the connection, and ends with it. Its error is that of the request.
    spawn_local(async move {
        let _ = connection.await;
    });
    Ok(sender)
}
