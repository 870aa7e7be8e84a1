//! `/rooms` and `/rooms/<room>` of the admin port: what this pod has, and what the directory says. Serves HTTP.
//!
//! A room's id is an invitation, so they are answered to this machine only, which a port-forward comes from as well: others who may
//! read the admin port, such as Prometheus, learn no ids from it.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{ANSWER_TIME, error, own_names_only};
use crate::directory::{Answer, Key, NoAnswer, Request as Ask};
use crate::hub::InspectedRoom;
use crate::lease::LeaseRecord;
use crate::protocol::{ErrorCode, PlayerName, RoomId};
use crate::record::{Record, RecordedSeat};

/// Rooms of one answer: a thread lists so many well within a millisecond.
pub const PAGE: usize = 1_000;

/// Whether a request comes from this machine.
#[derive(Debug, Clone, Copy)]
pub struct FromHere(pub bool);

/// Whether a connection with these ends comes from this machine, and from nobody else through it: a sidecar of a service mesh passes on
/// what others ask from an address of loopback of its own (Istio's 127.0.0.6), or to the pod's address.
pub(super) fn is_local(client: IpAddr, own: IpAddr) -> bool {
    let localhost = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    localhost.contains(&client.to_canonical()) && own.to_canonical().is_loopback()
}

/// A thread of the pod has ended: so will the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// The pod's rooms and the directory, as the admin port asks for them.
pub trait Rooms: Clone + Send + Sync + 'static {
    /// The pod's name.
    fn pod(&self) -> &str;

    /// The first `most` rooms behind `after`, in the order of their ids.
    fn rooms(
        &self,
        after: Option<RoomId>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<InspectedRoom>, Gone>> + Send;

    /// A room, if this pod owns it.
    fn room(&self, room: RoomId) -> impl Future<Output = Result<Option<InspectedRoom>, Gone>> + Send;

    /// What the directory answers.
    fn stored(&self, ask: Ask) -> impl Future<Output = Result<Result<Answer, NoAnswer>, Gone>> + Send;
}

/// The routes.
pub fn router<R: Rooms>(rooms: R) -> Router {
    Router::new()
        .route("/rooms", get(list::<R>))
        .route("/rooms/{room}", get(one::<R>))
        .route_layer(middleware::from_fn(from_here_only))
        .with_state(rooms)
}

async fn from_here_only(request: Request, next: Next) -> Response {
    if request.extensions().get::<FromHere>().is_some_and(|from| from.0) {
        // A page in a browser on this machine comes from here, too.
        return own_names_only(request, next).await;
    }
    let sentence = "Room ids are invitations: ask from the pod itself, as by kubectl port-forward.";
    error(StatusCode::FORBIDDEN, "forbidden", sentence)
}

/// `?after=<room>` lists what comes behind a room.
async fn list<R: Rooms>(State(rooms): State<R>, RawQuery(query): RawQuery) -> Response {
    let after = query.as_deref().and_then(|query| query.strip_prefix("after="));
    let Ok(after) = after.map(str::parse::<RoomId>).transpose() else {
        return bad_room();
    };
    match tokio::time::timeout(ANSWER_TIME, rooms.rooms(after, PAGE)).await {
        Ok(Ok(list)) => {
            let next = (list.len() == PAGE).then(|| list.last().map(|room| room.room)).flatten();
            Json(json!({ "pod": rooms.pod(), "rooms": list, "next": next })).into_response()
        }
        _ => unanswered(),
    }
}

async fn one<R: Rooms>(State(rooms): State<R>, Path(room): Path<String>) -> Response {
    let Ok(room) = room.parse::<RoomId>() else {
        return bad_room();
    };
    let Ok(Ok(here)) = tokio::time::timeout(ANSWER_TIME, rooms.room(room)).await else {
        return unanswered();
    };
    // The directory answers within its own time, or says that it has not.
    let record = read(&rooms, Key::Room(room)).await;
    let owner = record.as_ref().ok().and_then(|bytes| Record::parse(bytes.as_deref()?));
    let lease = match &owner {
        Some(record) => Some(read(&rooms, Key::Pod(record.pod_id.clone())).await),
        None => None,
    };
    let record_json = told(record, |bytes| Record::parse(bytes).map(|record| of_record(&record)));
    let lease_json = lease.map(|lease| told(lease, |bytes| LeaseRecord::parse(bytes).map(|lease| of_lease(&lease))));
    let answer = json!({ "pod": rooms.pod(), "room": room, "here": here, "record": record_json, "lease": lease_json });
    Json(answer).into_response()
}

async fn read<R: Rooms>(rooms: &R, key: Key) -> Result<Option<bytes::Bytes>, &'static str> {
    match rooms.stored(Ask::Get { key }).await {
        Ok(Ok(Answer::Found(value))) => Ok(value),
        Ok(Err(reason)) => Err(reason.as_str()),
        Ok(Ok(_)) | Err(Gone) => Err("unavailable"),
    }
}

/// A value that was read, none, or `{"error": ...}`: a state of `/status`, or `unreadable`.
fn told(read: Result<Option<bytes::Bytes>, &'static str>, of: impl Fn(&[u8]) -> Option<Value>) -> Value {
    match read {
        Ok(None) => Value::Null,
        Ok(Some(bytes)) => of(&bytes).unwrap_or_else(|| json!({ "error": "unreadable" })),
        Err(reason) => json!({ "error": reason }),
    }
}

/// Without the hashes of keys, which are of no use to people.
fn of_record(record: &Record) -> Value {
    let seat =
        |(name, seat): (PlayerName, RecordedSeat)| json!({ "name": name, "held": seat.hold, "joining": seat.joining });
    let mut seats: Vec<_> = record.seats().collect();
    seats.sort_unstable_by_key(|(_, seat)| seat.seat.0);
    json!({
        "pod": record.pod_id,
        "boot": record.boot,
        "epoch": record.epoch,
        "serial": record.serial,
        "tcp": record.addr,
        "web": record.web,
        "peer": record.peer,
        "seats": seats.into_iter().map(seat).collect::<Vec<_>>(),
        "former": record.former,
        "ended": record.ended,
    })
}

fn of_lease(lease: &LeaseRecord) -> Value {
    json!({
        "boot": lease.boot,
        "tcp": lease.addr,
        "web": lease.web,
        "peer": lease.peer,
        "rooms": lease.rooms,
        "players": lease.players,
        "draining": lease.draining,
    })
}

fn bad_room() -> Response {
    error(StatusCode::BAD_REQUEST, "bad_room", ErrorCode::BadRoom.sentence())
}

fn unanswered() -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "A thread of this pod has not answered within 1 s.")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

    use axum::body::Body;
    use bytes::Bytes;
    use http_body_util::BodyExt;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;
    use crate::protocol::{Ownership, PodBoot};
    use crate::record::Owner;

    /// A pod with rooms `aaaaaaaa`, `aaaaaaab`, ... and a directory.
    #[derive(Clone, Default)]
    struct Stub {
        rooms: usize,
        stored: HashMap<Key, Result<Option<Bytes>, NoAnswer>>,
        /// A thread stands still.
        stuck: bool,
    }

    impl Stub {
        fn inspected(number: usize) -> InspectedRoom {
            let digit = |shift: usize| char::from(b'a' + (number / 26_usize.pow(shift as u32) % 26) as u8);
            let room: String = (0..8).rev().map(digit).collect();
            InspectedRoom {
                room: room.parse().unwrap(),
                state: "serving",
                epoch: 7,
                boot: PodBoot(1),
                seq: 3,
                written: true,
                quiet_ms: None,
                descriptor: None,
                players: Vec::new(),
            }
        }
    }

    impl Rooms for Stub {
        fn pod(&self) -> &'static str {
            "chat-0"
        }

        async fn rooms(&self, after: Option<RoomId>, most: usize) -> Result<Vec<InspectedRoom>, Gone> {
            let rooms = (0..self.rooms).map(Self::inspected);
            Ok(rooms.filter(|room| after.is_none_or(|after| room.room > after)).take(most).collect())
        }

        async fn room(&self, room: RoomId) -> Result<Option<InspectedRoom>, Gone> {
            if self.stuck {
                std::future::pending::<()>().await;
            }
            Ok((0..self.rooms).map(Self::inspected).find(|inspected| inspected.room == room))
        }

        async fn stored(&self, ask: Ask) -> Result<Result<Answer, NoAnswer>, Gone> {
            let Ask::Get { key } = ask else { return Err(Gone) };
            Ok(self.stored.get(&key).cloned().unwrap_or(Ok(None)).map(Answer::Found))
        }
    }

    /// The status and the body of a GET from this machine, or from another one.
    fn get(stub: &Stub, path: &str, host: &str, from: Option<FromHere>) -> (u16, Value) {
        let mut request = Request::get(path).header("host", host).body(Body::empty()).unwrap();
        if let Some(from) = from {
            request.extensions_mut().insert(from);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let answer = TowerToHyperService::new(router(stub.clone())).call(request).await.unwrap();
            let status = answer.status().as_u16();
            (status, serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap())
        })
    }

    fn here(stub: &Stub, path: &str) -> (u16, Value) {
        get(stub, path, "localhost:9090", Some(FromHere(true)))
    }

    #[test]
    fn ids_of_rooms_are_told_to_this_machine_only() {
        let stub = Stub { rooms: 1, ..Stub::default() };
        for path in ["/rooms", "/rooms/aaaaaaaa"] {
            assert_eq!(here(&stub, path).0, 200);
            for from in [None, Some(FromHere(false))] {
                let (status, body) = get(&stub, path, "localhost", from);
                assert_eq!((status, &body["error"]["code"]), (403, &"forbidden".into()));
            }
            let page = get(&stub, path, "evil.example", Some(FromHere(true)));
            assert_eq!((page.0, &page.1["error"]["code"]), (421, &"bad_host".into()));
        }
        assert_eq!(here(&stub, "/rooms/AAAAAAAA").0, 400);
        assert_eq!(here(&stub, "/rooms?after=-x").0, 400);
    }

    #[test]
    fn a_sidecar_that_passes_on_what_others_ask_is_not_this_machine() {
        let local = |client: &str, own: &str| is_local(client.parse().unwrap(), own.parse().unwrap());
        assert!(
            local("127.0.0.1", "127.0.0.1") && local("::1", "::1") && local("::ffff:127.0.0.1", "::ffff:127.0.0.1")
        );
        assert!(!local("127.0.0.6", "127.0.0.1") && !local("::ffff:127.0.0.6", "::ffff:127.0.0.1"));
        assert!(!local("127.0.0.1", "10.0.0.7") && !local("127.0.0.6", "10.0.0.7") && !local("10.0.0.7", "10.0.0.7"));

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let stub = Stub { rooms: 1, ..Stub::default() };
            tokio::spawn(super::super::serve(listener, router(stub), std::future::pending()));
            for (source, status) in [("127.0.0.1:0", "200"), ("127.0.0.6:0", "403")] {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(source.parse().unwrap()).unwrap();
                let mut stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await.unwrap();
                stream.write_all(b"GET /rooms HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
            }
        });
    }

    #[test]
    fn rooms_come_page_by_page() {
        let stub = Stub { rooms: 2 * PAGE + 1, ..Stub::default() };
        let (mut path, mut rooms, mut pages) = ("/rooms".to_owned(), Vec::new(), 0);
        loop {
            let (status, page) = here(&stub, &path);
            assert_eq!((status, &page["pod"]), (200, &"chat-0".into()));
            rooms.extend(page["rooms"].as_array().unwrap().iter().map(|room| room["room"].clone()));
            pages += 1;
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/rooms?after={next}");
        }
        assert_eq!((rooms.len(), pages), (2 * PAGE + 1, 3));
        rooms.dedup();
        assert_eq!(rooms.len(), 2 * PAGE + 1);
    }

    #[test]
    fn of_a_room_owner_record_and_lease_are_told() {
        let room: RoomId = "aaaaaaaa".parse().unwrap();
        let address = "10.0.0.1:7654".to_owned();
        let owner = Owner {
            ownership: Ownership { epoch: 7, boot: PodBoot(1) },
            pod_id: "chat-0".to_owned(),
            tcp: address.clone(),
            web: address.clone(),
            peer: address,
        };
        let seat = RecordedSeat { seat: crate::protocol::SeatId(4), hold: true, joining: false, key: None, auth: None };
        let record = Record::new(&owner, [("alice".parse().unwrap(), seat)].into_iter()).to_bytes();
        let lease = Bytes::from(r#"{"uid":"u","boot":"0000000000000001","addr":"a","peer":"p","web":"w","rooms":5}"#);
        let mut stub = Stub { rooms: 1, ..Stub::default() };
        assert_eq!(here(&stub, "/rooms/aaaaaaaa").1["record"], Value::Null);
        stub.stored.insert(Key::Room(room), Ok(Some(record)));
        stub.stored.insert(Key::Pod("chat-0".to_owned()), Ok(Some(lease)));
        let (status, body) = here(&stub, "/rooms/aaaaaaaa");
        assert_eq!((status, &body["here"]["seq"], &body["record"]["epoch"]), (200, &3.into(), &7.into()), "{body}");
        assert_eq!(body["record"]["seats"], json!([{ "name": "alice", "held": true, "joining": false }]));
        assert_eq!((&body["lease"]["rooms"], &body["lease"]["boot"]), (&5.into(), &body["record"]["boot"]));

        stub.stored.insert(Key::Pod("chat-0".to_owned()), Err(NoAnswer::Timeout));
        assert_eq!(here(&stub, "/rooms/aaaaaaaa").1["lease"]["error"], "timeout");
        stub.stored.insert(Key::Room(room), Ok(Some(Bytes::from("rubbish"))));
        let body = here(&stub, "/rooms/aaaaaaaa").1;
        assert_eq!((&body["record"]["error"], &body["lease"]), (&"unreadable".into(), &Value::Null));
        stub.stuck = true;
        assert_eq!(here(&stub, "/rooms/aaaaaaaa").0, 503);
    }
}
