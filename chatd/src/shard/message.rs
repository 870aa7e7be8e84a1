//! Messages to a shard thread, from the pod's thread and from other shards. Types, and how a question is put to all shards; no I/O but sending.
//!
//! The number of messages in flight is bounded by their causes: accepted connections, requests in flight, link windows.

use std::collections::HashMap;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connection::Connection;
use crate::connection_limit::Permit;
use crate::counters::{Counters, Gauges};
use crate::descriptor::Descriptor;
use crate::directory::{Answer, NoAnswer};
use crate::hub::{Advertised, Carried, InspectedRoom, RoomSummary};
use crate::ids::Ticket;
use crate::join_token::Verifier;
use crate::lease::{LeaseView, Target};
use crate::peer::links::LinkId;
use crate::protocol::token::Keyring;
use crate::protocol::{ErrorCode, PodBoot, RoomId};
use crate::room_call::RoomCall;
use crate::room_list::{ListFilter, ListedRoom, RoomList};
use crate::tls::transport::Transport;

/// The longest that a shard takes to answer: a takeover, and some more.
pub const ANSWER_TIME: Duration = Duration::from_secs(6);

/// A client's socket, as it goes from thread to thread: not registered with any runtime.
#[derive(Debug)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum ClientSocket {
    /// Speaks lines.
    Tcp { stream: TcpStream, tls: Option<Box<Transport>> },
    /// Speaks WebSocket, after the upgrade. `early`: bytes that were read with the upgrade request.
    Web { stream: TcpStream, tls: Option<Box<Transport>>, early: Vec<u8> },
}

/// To a shard.
#[derive(Debug)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum ShardMessage {
    /// A new connection from `address`. `permit` is given back when it is dropped (the pod's connection limit).
    Client { socket: ClientSocket, address: IpAddr, permit: Permit },
    /// A session from another shard ([`crate::hub::Effect::Migrate`]).
    Carried { carried: Box<Carried>, connection: Box<Connection> },
    /// The HTTP API makes a room.
    CreateRoom { auth: Option<String>, reply: oneshot::Sender<Result<RoomId, ErrorCode>> },
    /// The server API makes a room with a new id.
    MakeRoom { descriptor: Option<Box<Descriptor>>, reply: oneshot::Sender<Result<RoomId, ErrorCode>> },
    /// The server API asks the room's owner ([`crate::hub::Hub::call`]). The answer is JSON.
    Call { room: RoomId, call: RoomCall, reply: oneshot::Sender<Result<Bytes, ErrorCode>> },
    /// The server API lists the rooms of this thread.
    ListHere { filter: ListFilter, reply: oneshot::Sender<Vec<ListedRoom>> },
    /// The server API lists the rooms of the other pods.
    ListElsewhere { filter: ListFilter, reply: oneshot::Sender<Result<RoomList, ErrorCode>> },
    /// The server API asks the pod with this boot at this address to hand its rooms over.
    AskToHandOver { boot: PodBoot, address: String, reply: oneshot::Sender<Result<(), ErrorCode>> },
    /// See [`crate::hub::Effect::MakeWay`].
    MakeWay { room: RoomId },
    /// The HTTP API asks for a room's players.
    LookUp { room: RoomId, auth: Option<String>, reply: oneshot::Sender<Result<RoomSummary, ErrorCode>> },
    /// The admin port asks for rooms ([`crate::hub::Hub::inspect_rooms`]).
    InspectRooms { after: Option<RoomId>, most: usize, reply: oneshot::Sender<Vec<InspectedRoom>> },
    /// The admin port asks for a room ([`crate::hub::Hub::inspect`]).
    Inspect { room: RoomId, reply: oneshot::Sender<Option<InspectedRoom>> },
    /// What the directory answered ([`crate::hub::Hub::answered`]).
    Answered { ticket: Ticket, answer: Result<Answer, NoAnswer> },
    /// The connection to the directory is a new one ([`crate::hub::Hub::directory_reset`]).
    DirectoryReset,
    /// How the lease is ([`crate::hub::Hub::lease`]).
    Lease(LeaseView),
    /// The lease was found missing or another's ([`crate::hub::Hub::lease_lost`]).
    LeaseLost,
    /// A link is up.
    PeerUp { boot: PodBoot, link: LinkId },
    /// A link is down.
    PeerDown { boot: PodBoot },
    /// The link is idle ([`crate::hub::Hub::release_link`]).
    ReleaseLink { boot: PodBoot, query: u64 },
    /// A dial failed.
    PeerUnreachable { boot: PodBoot, gone: bool },
    /// See [`crate::hub::Hub::pod_lost_lease`].
    PodLostLease { boot: PodBoot },
    /// Whole encoded frames (each with its length) of rooms of this shard.
    Frames { from: PodBoot, bytes: Vec<u8> },
    /// The token keys have changed.
    Keys(Arc<Keyring>),
    /// The keys of join tokens have changed.
    JoinKeys(Arc<Verifier>),
    /// The pods' public addresses have changed.
    Advertised(Option<Arc<HashMap<String, Advertised>>>),
    /// `deadline`: milliseconds of [`crate::ids::Time::now`].
    Drain { deadline: u64 },
    /// See [`crate::hub::Hub::hand_over`].
    HandOver,
    /// Pods that may take rooms, while this one drains.
    Targets(Vec<Target>),
    /// Also the proof that the thread is responsive.
    Report { reply: oneshot::Sender<Report> },
    /// Close what is left and end the thread.
    Stop,
}

/// A shard's figures.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Since the shard's start.
    pub counters: Counters,
    /// Now.
    pub gauges: Gauges,
    /// See [`crate::hub::Hub::drained`].
    pub drained: bool,
}

/// A shard's answer.
///
/// # Errors
///
/// Those of the answer; `shutting_down` by one that has ended, `unavailable` where there is none within [`ANSWER_TIME`].
pub async fn ask_one<T>(
    shard: Option<&UnboundedSender<ShardMessage>>,
    question: impl FnOnce(oneshot::Sender<Result<T, ErrorCode>>) -> ShardMessage,
) -> Result<T, ErrorCode> {
    let (reply, answer) = oneshot::channel();
    let sent = shard.and_then(|shard| shard.send(question(reply)).ok());
    sent.ok_or(ErrorCode::ShuttingDown)?;
    match timeout(ANSWER_TIME, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(ErrorCode::ShuttingDown),
        Err(_) => Err(ErrorCode::Unavailable),
    }
}

/// The rooms of all pods that fit, in the order of their ids. `turn`: which shard asks the other pods.
///
/// # Errors
///
/// As of [`ask_one`].
pub async fn list_all(
    shards: &[UnboundedSender<ShardMessage>],
    turn: usize,
    filter: &ListFilter,
) -> Result<RoomList, ErrorCode> {
    let (elsewhere, here) = tokio::join!(list_elsewhere(shards, turn, filter), list_here(shards, filter));
    let RoomList { mut rooms, mut incomplete } = elsewhere?;
    rooms.extend(here?);
    incomplete.sort_unstable();
    Ok(RoomList { rooms: filter.first(rooms), incomplete })
}

/// The rooms of this pod that fit, in no order.
///
/// # Errors
///
/// As of [`ask_one`].
pub async fn list_here(
    shards: &[UnboundedSender<ShardMessage>],
    filter: &ListFilter,
) -> Result<Vec<ListedRoom>, ErrorCode> {
    let here = ask_all(shards, |reply| ShardMessage::ListHere { filter: filter.clone(), reply });
    let here = timeout(ANSWER_TIME, here).await.map_err(|_| ErrorCode::Unavailable)?;
    Ok(here.ok_or(ErrorCode::ShuttingDown)?.into_iter().flatten().collect())
}

/// Those of the other pods, in no order. `turn`: which shard asks them.
///
/// # Errors
///
/// As of [`ask_one`].
pub async fn list_elsewhere(
    shards: &[UnboundedSender<ShardMessage>],
    turn: usize,
    filter: &ListFilter,
) -> Result<RoomList, ErrorCode> {
    let shard = shards.get(turn % shards.len().max(1));
    ask_one(shard, |reply| ShardMessage::ListElsewhere { filter: filter.clone(), reply }).await
}

/// The answers of all shards to one question each, in the order of the shards. `None`: a shard has ended.
pub async fn ask_all<T>(
    shards: &[UnboundedSender<ShardMessage>],
    question: impl Fn(oneshot::Sender<T>) -> ShardMessage,
) -> Option<Vec<T>> {
    let ask = |shard: &UnboundedSender<ShardMessage>| {
        let (reply, answer) = oneshot::channel();
        shard.send(question(reply)).ok().map(|()| answer)
    };
    // All are asked before the first is waited for.
    let asked: Option<Vec<_>> = shards.iter().map(ask).collect();
    let mut answers = Vec::new();
    for answer in asked? {
        answers.push(answer.await.ok()?);
    }
    Some(answers)
}
