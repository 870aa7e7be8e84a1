//! The server API, by which an application's backend makes rooms, speaks in them and ends them (docs/api.md). Serves HTTP, and sends
//! messages to the shards and to the pod's thread.
//!
//! A call about a room goes to the shard that the room belongs to, which takes it to the room's owner (`hub/calls.rs`).

pub mod answers;
mod body;
mod calls;
mod document;
pub mod figures;
pub mod keys;
mod quick_join;

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::admin::{self, ServeLimits};
use crate::descriptor::Descriptor;
use crate::directory::{Answer, Request as Ask};
use crate::lease::LeaseRecord;
use crate::pod::message::PodMessage;
use crate::protocol::{ErrorCode, PodBoot, RoomId};
use crate::room_call::RoomCall;
use crate::room_list::{ListFilter, RoomList};
use crate::shard::message::{ShardMessage, ask_one, list_all};
use crate::web::{Failure, bearer};
use figures::{ApiFigures, Route};
use keys::{ApiKey, ApiKeys, Scope};

pub use document::document;

/// Connections at a time, of the files that are left for others than clients.
const CONNECTIONS: usize = 256;
/// From the header to the whole body.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Arguments of the API.
#[derive(Debug)]
pub struct ApiStart {
    /// The mailboxes of the shard threads, by number.
    pub shards: Vec<UnboundedSender<ShardMessage>>,
    /// The pod's thread, which asks the directory.
    pub pod: UnboundedSender<PodMessage>,
    /// This process.
    pub boot: PodBoot,
    /// See [`crate::settings::Settings::deployment_uid`].
    pub deployment_uid: String,
    /// Rooms that a pod may have.
    pub max_rooms: u64,
    /// The keys that are good now.
    pub keys: watch::Receiver<Arc<ApiKeys>>,
    /// Counts the answers.
    pub figures: ApiFigures,
    /// How long a connection may be silent between two calls.
    pub keep_alive: Duration,
    /// From the system's secure random source.
    pub seed: [u8; 32],
}

/// What the handlers share. Cheap to clone.
#[derive(Debug, Clone)]
struct Api(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: ApiStart,
    turn: AtomicUsize,
    random: Mutex<StdRng>,
}

/// Serves the API until the process ends: also while the pod drains, as any pod takes any call.
pub async fn serve(listener: TcpListener, start: ApiStart) {
    let limits = ServeLimits { connections: CONNECTIONS, header_time: start.keep_alive };
    let random = Mutex::new(StdRng::from_seed(start.seed));
    let api = Api(Arc::new(Inner { start, turn: AtomicUsize::new(0), random }));
    admin::serve_within(limits, listener, router(api), std::future::pending()).await;
}

fn router(api: Api) -> Router {
    let room = get(calls::get_room).patch(calls::patch_room).delete(calls::delete_room);
    Router::new()
        .route("/v1/rooms", get(calls::list_rooms).post(calls::create_room))
        .route("/v1/rooms/{room}", room)
        .route("/v1/rooms/{room}/messages", post(calls::say))
        .route("/v1/rooms/{room}/events", post(calls::send))
        .route("/v1/rooms/{room}/players/{name}", delete(calls::kick))
        .route("/v1/join", post(calls::join))
        .route("/v1/pods", get(calls::pods))
        .route("/v1/pods/{pod}/drain", post(calls::drain_pod))
        .route("/v1/openapi.json", get(document::openapi))
        .fallback(calls::nothing)
        .method_not_allowed_fallback(calls::no_such_method)
        .with_state(api)
}

impl Api {
    /// The answer to a call, counted.
    async fn answer(&self, route: Route, call: impl Future<Output = Result<Response, Failure>>) -> Response {
        let response = call.await.unwrap_or_else(Failure::into_response);
        self.0.start.figures.count(route, response.status().as_u16());
        response
    }

    /// Whose call it is, if the key that it shows is good for it (RFC 6750 section 2.1).
    fn caller(&self, headers: &HeaderMap, scope: Scope) -> Result<Arc<ApiKey>, Failure> {
        let refuse = |status, code: ErrorCode, sentence| Failure::new(status, code.as_str(), sentence);
        let Some(secret) = bearer(headers) else {
            let sentence = "A key of the API is needed: Authorization: Bearer <secret>.";
            return Err(refuse(StatusCode::UNAUTHORIZED, ErrorCode::AuthRequired, sentence));
        };
        let keys = self.0.start.keys.borrow().clone();
        let Some(key) = keys.find(&secret) else {
            return Err(refuse(StatusCode::UNAUTHORIZED, ErrorCode::AuthInvalid, "This key is not accepted."));
        };
        if key.may(scope) {
            return Ok(key);
        }
        tracing::debug!(key = key.id, ?scope, "a key of the API lacks a scope");
        let sentence = "This key does not have the scope that the call needs.";
        Err(refuse(StatusCode::FORBIDDEN, ErrorCode::Forbidden, sentence))
    }

    /// Asks the owner of a room, wherever it is.
    async fn call(&self, room: RoomId, call: RoomCall) -> Result<Bytes, Failure> {
        let refused = if call == RoomCall::Get { of_looking } else { of_owner };
        self.ask(room, call).await.map_err(refused)
    }

    async fn ask(&self, room: RoomId, call: RoomCall) -> Result<Bytes, ErrorCode> {
        let shards = &self.0.start.shards;
        let shard = shards.get(room.shard(shards.len()));
        ask_one(shard, |reply| ShardMessage::Call { room, call, reply }).await
    }

    async fn make_room(&self, descriptor: Option<Box<Descriptor>>) -> Result<RoomId, Failure> {
        ask_one(self.next_shard(), |reply| ShardMessage::MakeRoom { descriptor, reply }).await.map_err(of_owner)
    }

    /// The rooms of all pods that fit.
    async fn list(&self, filter: ListFilter) -> Result<answers::Rooms, Failure> {
        let all = list_all(&self.0.start.shards, self.next_turn(), &filter);
        let RoomList { rooms, incomplete } = all.await.map_err(of_looking)?;
        let is_full = rooms.len() >= usize::from(filter.limit);
        let next = rooms.last().filter(|_| is_full).map(|last| last.room.to_string());
        Ok(answers::Rooms { rooms: rooms.into_iter().map(Into::into).collect(), next, incomplete })
    }

    async fn pods(&self) -> Result<answers::Pods, Failure> {
        let mut pods: Vec<_> = self.leases().await?.into_iter().map(|(pod, lease)| self.pod(pod, &lease)).collect();
        pods.sort_unstable_by(|left, right| left.pod.cmp(&right.pod));
        Ok(answers::Pods { pods })
    }

    /// The leases of this deployment's pods.
    async fn leases(&self) -> Result<Vec<(String, LeaseRecord)>, Failure> {
        let start = &self.0.start;
        let (reply, answer) = oneshot::channel();
        let asked = start.pod.send(PodMessage::Ask { request: Ask::Pods, reply });
        asked.map_err(|_| Failure::from(ErrorCode::ShuttingDown))?;
        // The directory answers within its own time, or says that it has not.
        let Ok(Answer::Pods(leases)) = answer.await.map_err(|_| Failure::from(ErrorCode::ShuttingDown))? else {
            return Err(ErrorCode::Unavailable.into());
        };
        let leases = leases.into_iter().filter_map(|(pod, lease)| Some((pod, LeaseRecord::parse(&lease)?)));
        Ok(leases.filter(|(_, lease)| lease.uid == start.deployment_uid).collect())
    }

    fn pod(&self, pod: String, lease: &LeaseRecord) -> answers::PodInfo {
        let &LeaseRecord { rooms, players, draining, .. } = lease;
        let free_rooms = if draining { 0 } else { self.0.start.max_rooms.saturating_sub(rooms) };
        answers::PodInfo { pod, rooms, free_rooms, players, draining }
    }

    /// The pod with this name begins to hand its rooms over, if it does not do so yet.
    async fn drain(&self, name: &str) -> Result<answers::PodInfo, Failure> {
        let start = &self.0.start;
        let mut leases = self.leases().await?;
        let found = leases.iter().position(|(pod, _)| pod == name);
        let (pod, mut lease) = leases.swap_remove(found.ok_or_else(no_such_pod)?);
        if !lease.draining && leases.iter().all(|(_, other)| other.draining) {
            let sentence = "No other pod would take the rooms of this one.";
            return Err(Failure::from(ErrorCode::Unavailable).with_message(sentence));
        }
        if lease.boot == start.boot {
            start.pod.send(PodMessage::HandOver).map_err(|_| Failure::from(ErrorCode::ShuttingDown))?;
        } else {
            let (boot, address) = (lease.boot, lease.peer.clone());
            let asked = ask_one(self.next_shard(), |reply| ShardMessage::AskToHandOver { boot, address, reply });
            let sentence = "The pod does not answer in time; whether it hands its rooms over is not known.";
            asked.await.map_err(|code| Failure::from(code).with_message(sentence))?;
        }
        // Its lease says so in a moment.
        lease.draining = true;
        Ok(self.pod(pod, &lease))
    }

    fn with_random<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        // A panic leaves another state behind, and no worse one.
        draw(&mut self.0.random.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What concerns no room goes to the shards by turns.
    fn next_shard(&self) -> Option<&UnboundedSender<ShardMessage>> {
        let shards = &self.0.start.shards;
        shards.get(self.next_turn() % shards.len().max(1))
    }

    fn next_turn(&self) -> usize {
        self.0.turn.fetch_add(1, Ordering::Relaxed)
    }
}

fn no_such_pod() -> Failure {
    Failure::not_found().with_message("There is no such pod.")
}

/// What a room's owner refuses, in words for an application.
fn of_owner(code: ErrorCode) -> Failure {
    match code {
        ErrorCode::RoomNotFound => Failure::new(StatusCode::NOT_FOUND, code.as_str(), "There is no such room."),
        ErrorCode::Unavailable => {
            let sentence =
                "The room or the directory does not answer in time; whether this was carried out is not known.";
            Failure::from(code).with_message(sentence)
        }
        // All else has been checked here.
        ErrorCode::BadCommand => Failure::bad_request("Together the fields of the descriptor are too long."),
        code => code.into(),
    }
}

/// The same where the call changes nothing.
fn of_looking(code: ErrorCode) -> Failure {
    if code == ErrorCode::Unavailable { code.into() } else { of_owner(code) }
}

async fn read(body: Body) -> Result<Bytes, Failure> {
    let whole = timeout(BODY_TIME, Limited::new(body, body::MAX_BODY).collect()).await;
    let whole = whole.map_err(|_| Failure::bad_request("The body did not come in time."))?;
    let too_large =
        |_| Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "A body is at most 32768 bytes, and has to end.");
    Ok(whole.map_err(too_large)?.to_bytes())
}
