//! Connections of players: where they connect, and events instead of bytes, in either encoding. Does I/O.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::Api;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_util::codec::{Framed, LinesCodec};

use super::tls::Tls;
use super::wire::{self, Command, Encoding, Event};
use crate::admin::Stream;
use crate::cluster;

/// The protocol's longest line is 4,096 bytes.
const LONGEST_LINE: usize = 8 * 1024;

/// Where a connection goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// `host:port`.
    Address(String),
    /// A pod, through the API server.
    Pod(String),
}

/// All places to connect to.
#[derive(Clone)]
pub enum Doors {
    /// Addresses for lines, and for WebSockets; `relay`: no others can be reached.
    Addresses { lines: Vec<String>, web: Vec<String>, relay: bool, tls: Option<Tls> },
    /// Ready pods, kept up to date by somebody else.
    Pods { api: Box<Api<ApiPod>>, ready: Arc<Mutex<Vec<String>>>, tls: Option<Tls> },
}

impl Doors {
    /// One of them, by turns.
    pub fn choose(&self, encoding: Encoding, turn: usize) -> Result<Door> {
        let choose = |names: &[String]| names.get(turn % names.len().max(1)).cloned();
        match self {
            Self::Addresses { lines, web, .. } => {
                let addresses = if encoding == Encoding::Lines { lines } else { web };
                choose(addresses).map(Door::Address).context("no address for this encoding")
            }
            Self::Pods { ready, .. } => {
                let ready = ready.lock().unwrap_or_else(PoisonError::into_inner);
                choose(&ready).map(Door::Pod).context("no pod is ready")
            }
        }
    }

    /// Whether an address that a pod names can be followed: from outside only through a pod.
    pub fn can_redirect(&self) -> bool {
        matches!(self, Self::Addresses { relay: false, .. })
    }

    /// A new connection.
    pub async fn connect(&self, door: &Door, encoding: Encoding) -> Result<Connection> {
        let (stream, host): (Box<dyn Stream>, _) = match (door, self) {
            (Door::Address(address), _) => {
                let stream =
                    TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
                stream.set_nodelay(true)?;
                (Box::new(stream), address.as_str())
            }
            (Door::Pod(pod), Self::Pods { api, .. }) => {
                let port = if encoding == Encoding::Lines { LINES_PORT } else { WEB_PORT };
                (Box::new(cluster::forward(api, pod, port).await?), "localhost")
            }
            (Door::Pod(pod), Self::Addresses { .. }) => bail!("no way to pod {pod}"),
        };
        let (Self::Addresses { tls, .. } | Self::Pods { tls, .. }) = self;
        let stream = match tls {
            Some(tls) => tls.connect(stream, encoding, host).await?,
            None => stream,
        };
        Connection::new(stream, encoding, host).await
    }
}

/// The ports that pods of the operator serve clients on.
const LINES_PORT: u16 = 7654;
const WEB_PORT: u16 = 8081;

/// A connection that speaks the protocol.
pub enum Connection {
    Lines(Box<Framed<Box<dyn Stream>, LinesCodec>>),
    Web(Box<WebSocketStream<Box<dyn Stream>>>),
}

impl Connection {
    async fn new(stream: Box<dyn Stream>, encoding: Encoding, host: &str) -> Result<Self> {
        if encoding == Encoding::Lines {
            let codec = LinesCodec::new_with_max_length(LONGEST_LINE);
            return Ok(Self::Lines(Box::new(Framed::new(stream, codec))));
        }
        let mut request = format!("ws://{host}/ws").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("chatd.v1"));
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Self::Web(Box::new(socket)))
    }

    pub async fn send(&mut self, command: Command<'_>) -> Result<()> {
        match self {
            Self::Lines(framed) => framed.send(wire::line(command)).await?,
            Self::Web(socket) => socket.send(Message::text(wire::frame(command))).await?,
        }
        Ok(())
    }

    /// The next event. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            let event = match self {
                Self::Lines(framed) => wire::from_line(&framed.next().await.ok_or_else(ended)??),
                Self::Web(socket) => match socket.next().await.ok_or_else(ended)?? {
                    Message::Text(text) => wire::from_frame(&text),
                    Message::Close(_) => return Err(ended()),
                    _ => None,
                },
            };
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }
}

fn ended() -> anyhow::Error {
    anyhow!("the connection has ended")
}
