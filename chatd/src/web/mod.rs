//! The web port: accepts connections, and routes each HTTP/1.1 request: to a page, an API call, or `/ws`. Does I/O.

mod address;
mod api;
mod assets;
mod client;
mod cors;
mod failure;
mod gate;
mod invite;
mod open_rooms;
mod pages;
mod refusals;
mod upgrade;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONNECTION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::connection_limit::ConnectionLimit;
use crate::limits::SharedLimits;
use crate::logging::OnceAMinute;
use crate::protocol::ErrorCode;
use crate::settings::{BasePath, Cidr, Origin};
use crate::shard::message::ShardMessage;
use crate::tcp::{Spread, accept_failed, is_loopback, keep_alive};
use crate::tls::{Port, Tls};
pub(crate) use api::bearer;
use client::Client;
pub(crate) use failure::Failure;
pub(crate) use gate::Gate;
use open_rooms::OpenRooms;
use pages::Pages;
pub use refusals::Refusals;

/// Arguments of the web port.
#[derive(Debug, Clone)]
pub struct WebOptions {
    /// The pod's places for connections, shared with the raw TCP port.
    pub places: ConnectionLimit,
    /// See [`crate::settings::Clients::allowed_origins`].
    pub allowed_origins: Vec<Origin>,
    /// Whose X-Forwarded-For and X-Forwarded-Prefix are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// See [`crate::settings::Clients::web_base_path`].
    pub base_path: BasePath,
    /// Counts whom the gate does not let in.
    pub refusals: Refusals,
    /// Wrong rooms on one connection before it is closed.
    pub max_misses: u32,
    /// `None`: plaintext alone; else TLS alone.
    pub tls: Option<Tls>,
    /// With `--per-ip-limits`.
    pub limits: Option<SharedLimits>,
    /// From connecting to the first request's whole header, TLS handshake included (docs/protocol.md, Keeping alive).
    pub first_line_timeout: Duration,
    /// From one answer to the next request's whole header. Longer than proxies keep their connections, or they would send a
    /// request into one that is being closed.
    pub keep_alive: Duration,
}

const MAX_HEADERS: usize = 16 * 1024;
/// A connection that is not upgraded is used for so long: the first answer after that is its last, and says so.
const LIFE: Duration = Duration::from_mins(2);
/// What stands still so much longer than a connection may be silent has an answer that nobody takes.
const GRACE: Duration = Duration::from_secs(20);
/// How long a connection over the limit has to take its answer; more than [`ConnectionLimit::refusals`] are closed without one.
const REFUSAL_TIME: Duration = Duration::from_secs(2);
/// What is open at the end of the port has so long to get its answer.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What every answer says about what a page may do (docs/protocol.md, HTTP).
const SECURITY: [(HeaderName, HeaderValue); 3] = [
    (
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("same-origin")),
];

#[derive(Debug)]
struct Web {
    gate: Gate,
    trusted_proxies: Vec<Cidr>,
    pages: Pages,
    refusals: Refusals,
    max_misses: u32,
    shards: Vec<UnboundedSender<ShardMessage>>,
    turn: AtomicUsize,
    open_rooms: OpenRooms,
    first_line_timeout: Duration,
    keep_alive: Duration,
    places: ConnectionLimit,
    limits: Option<SharedLimits>,
    tls: Option<Tls>,
}

/// Serves until `shutdown` is ready; WebSockets stay with their shards.
pub async fn serve(
    listener: TcpListener,
    shards: Vec<UnboundedSender<ShardMessage>>,
    options: WebOptions,
    shutdown: impl Future<Output = ()>,
) {
    keep_alive(&listener);
    let mut spread = Spread::default();
    let web = Arc::new(Web {
        gate: Gate { allowed: options.allowed_origins, loopback: is_loopback(&listener) },
        trusted_proxies: options.trusted_proxies,
        pages: Pages::new(options.base_path),
        refusals: options.refusals,
        max_misses: options.max_misses,
        shards,
        turn: AtomicUsize::new(0),
        open_rooms: OpenRooms::default(),
        first_line_timeout: options.first_line_timeout,
        keep_alive: options.keep_alive,
        places: options.places.clone(),
        limits: options.limits,
        tls: options.tls,
    });
    let refusals = Arc::new(Semaphore::new(options.places.refusals()));
    let (end, ending) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut failures = OnceAMinute::default();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, socket) = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => (stream, address.ip().to_canonical()),
                Err(error) => {
                    accept_failed(&error, &mut failures).await;
                    continue;
                }
            },
        };
        spread.set_probes(&stream);
        // A proxy's connection is for many: whose a WebSocket is, its request says.
        let of_proxy = web.trusted_proxies.iter().any(|network| network.contains(socket));
        let permit = web.places.take(Some(socket).filter(|_| !of_proxy));
        let refused = permit.is_err();
        let connection = connection(web.clone(), Arc::new(Client::new(socket, permit)), stream, ending.clone());
        if !refused {
            connections.spawn(connection);
        } else if let Ok(permit) = refusals.clone().try_acquire_owned() {
            connections.spawn(async move {
                let _ = timeout(REFUSAL_TIME, connection).await;
                drop(permit);
            });
        }
    }
    drop((listener, end));
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(LAST_WORDS, all).await;
}

async fn connection(web: Arc<Web>, client: Arc<Client>, stream: TcpStream, mut ending: watch::Receiver<()>) {
    let Some(tls) = &web.tls else {
        return serve_http(web, client, stream, ending).await;
    };
    let accepted = tokio::select! {
        accepted = tls.accept(stream, Port::Web, client.since + web.first_line_timeout) => accepted,
        _ = ending.changed() => return,
    };
    match accepted {
        Ok(stream) => serve_http(web, client, stream, ending).await,
        Err(failed) => tracing::debug!(?failed, "closed a connection: TLS handshake failed"),
    }
}

async fn serve_http<S>(web: Arc<Web>, client: Arc<Client>, stream: S, mut ending: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(web.keep_alive).max_buf_size(MAX_HEADERS);
    server.keep_alive(client.refused.is_none());
    let service = service_fn(|request| {
        let (web, client) = (web.clone(), client.clone());
        async move { Ok::<_, Infallible>(web.answer(&client, request).await) }
    });
    let mut connection = std::pin::pin!(server.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let mut due = client.since + web.first_line_timeout;
    loop {
        tokio::select! {
            // How it ends is the client's affair.
            _ = &mut connection => return,
            _ = ending.changed() => break,
            () = sleep_until(due) => {}
        }
        match client.asked().map(|at| at + web.keep_alive + GRACE) {
            Some(at) if at > Instant::now() => due = at,
            _ => return,
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}

impl Web {
    async fn answer(&self, client: &Client, request: Request<Incoming>) -> Response {
        client.keep_pace().await;
        let base = self.base(client, request.headers());
        let is_api = is_api(&base, request.uri().path());
        let listed = self.gate.listed_origin(request.headers());
        let is_for_people = pages::is_for_people(base.strip(request.uri().path()), request.headers());
        let mut response = self.respond(client, &base, request).await.unwrap_or_else(|failure| {
            if is_for_people { pages::of_failure(failure, &base) } else { failure.into_response() }
        });
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.extend(SECURITY);
        if is_api {
            cors::allow(listed, headers);
        }
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        let is_last = client.has_no_place()
            || self.places.draining()
            || client.since.elapsed() >= LIFE
            || self.has_missed_too_often(client);
        if is_last && !switches {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn respond(
        &self,
        client: &Client,
        base: &BasePath,
        mut request: Request<Incoming>,
    ) -> Result<Response, Failure> {
        if let Some(code) = client.refused {
            return Err(code.into());
        }
        let upgrade = hyper::upgrade::on(&mut request);
        let (parts, body) = request.into_parts();
        self.gate.check_host(&parts).inspect_err(|failure| self.refused_host(&parts, failure))?;
        if parts.method == Method::OPTIONS {
            let is_api = is_api(base, parts.uri.path());
            if is_api {
                self.check_origin(client, &parts)?;
            }
            return Ok(cors::options(is_api));
        }
        if parts.uri.query().is_some_and(has_token) {
            return Err(Failure::token_in_address());
        }
        match base.strip(parts.uri.path()) {
            "/ws" => self.web_socket(client, &parts, upgrade),
            "/api/rooms" if parts.method != Method::POST => self.list(&parts).await,
            "/api/rooms" => self.create_room(client, base, &parts, body).await,
            path => match path.strip_prefix("/api/rooms/") {
                Some(room) => self.look_up(client, &parts, room).await,
                None => self.pages.answer(base, path, &parts.uri, &parts.method, &parts.headers),
            },
        }
    }

    fn web_socket(
        &self,
        client: &Client,
        parts: &Parts,
        upgrade: hyper::upgrade::OnUpgrade,
    ) -> Result<Response, Failure> {
        self.check_origin(client, parts)?;
        let handshake = upgrade::Handshake::check(parts)?;
        let shard = self.next_shard()?.clone();
        let permit = client.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
        let address = self.address(client, parts);
        let permit = permit.ok_or(Failure::from(ErrorCode::TooManyConnections))?.belongs_to(address)?;
        tokio::spawn(upgrade::hand_over(upgrade, address, permit, shard));
        Ok(handshake.into_response())
    }

    /// The path under which the client sees this server.
    fn base(&self, client: &Client, headers: &HeaderMap) -> BasePath {
        let is_trusted = self.trusted_proxies.iter().any(|network| network.contains(client.socket));
        let forwarded = is_trusted.then(|| pages::forwarded_prefix(headers)).flatten();
        forwarded.unwrap_or_else(|| self.pages.base().clone())
    }

    fn check_origin(&self, client: &Client, parts: &Parts) -> Result<(), Failure> {
        let headers = &parts.headers;
        let trusted = self.trusted_proxies.iter().any(|network| network.contains(client.socket));
        self.gate.check_origin(headers, trusted).inspect_err(|_| {
            let (_, origin) = gate::for_log(headers);
            let is_forwarded =
                |origin: &String| origin.parse().is_ok_and(|origin| gate::is_forwarded(&origin, headers));
            let through = origin.as_ref().filter(|origin| is_forwarded(origin)).map(|_| client.socket);
            self.refusals.origin(origin, through);
        })
    }

    fn refused_host(&self, parts: &Parts, failure: &Failure) {
        if *failure == Failure::bad_host() {
            self.refusals.host(gate::for_log(&parts.headers).0.as_deref());
        }
    }

    fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn next_shard(&self) -> Result<&UnboundedSender<ShardMessage>, Failure> {
        self.shards.get(self.next_turn() % self.shards.len().max(1)).ok_or(Failure::from(ErrorCode::ShuttingDown))
    }

    fn has_missed_too_often(&self, client: &Client) -> bool {
        client.misses.load(Ordering::Relaxed) >= self.max_misses
    }

    fn address(&self, client: &Client, parts: &Parts) -> IpAddr {
        address::client_address(client.socket, &parts.headers, &self.trusted_proxies)
    }
}

/// Whether a query has a join token in it, by its name or form: addresses end up in logs, histories and Referer headers.
fn has_token(query: &str) -> bool {
    const NAMES: [&str; 5] = ["auth", "token", "access_token", "jwt", "authorization"];
    // Whatever it is called: the header of each JWT begins so, `{"` in base64.
    let shows_one = |value: &str| value.starts_with("eyJ") && value.matches('.').count() == 2;
    query.split(['&', ';']).any(|field| {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        NAMES.contains(&name.to_ascii_lowercase().as_str()) || shows_one(value)
    })
}

/// Whether a path is the API's, which pages of other origins may use.
fn is_api(base: &BasePath, path: &str) -> bool {
    base.strip(path).starts_with("/api/")
}
