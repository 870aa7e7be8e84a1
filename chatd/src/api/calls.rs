//! The calls of the server API: what each asks, and its entry in the document. Serves HTTP.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;

use super::figures::Route;
use super::keys::{ApiKey, Scope};
use super::{Api, answers, body, read};
use crate::protocol::{ErrorCode, RoomId};
use crate::room_call::{CallKey, PlaceInfo, RoomCall, RoomInfo};
use crate::shard::now;
use crate::web::Failure;

/// The longest Idempotency-Key.
const MAX_KEY: usize = 128;

type RoomPath = Result<Path<String>, PathRejection>;

#[utoipa::path(
    post, path = "/v1/rooms", tag = "rooms",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters. Without `room`: the same key is for the same room, through any pod.")),
    request_body(content = body::NewRoomBody),
    responses(
        (status = 200, description = "The room was there, with this descriptor.", body = RoomInfo),
        (status = 201, description = "The room has been made.", body = RoomInfo),
        (status = 409, description = "`room_exists`: a room with this id and another descriptor is there.", body = answers::Error),
    )
)]
/// Makes a room, or finds it
pub(super) async fn create_room(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    api.answer(Route::CreateRoom, async {
        let caller = api.caller(&headers, Scope::Write)?;
        let key = idempotency_key(&headers)?;
        let body::NewRoom { room, descriptor } = body::new_room(&read(body).await?)?;
        body::begins(descriptor.as_deref(), now().wall)?;
        let (room, made) = match (room, key) {
            (Some(room), _) => (room, false),
            (None, Some(key)) => (caller.room(key).map_err(|_| Failure::from(ErrorCode::BadRoom))?, false),
            (None, None) => (api.make_room(descriptor.clone()).await?, true),
        };
        Ok(made_or_found(api.call(room, RoomCall::Create { descriptor, made }).await?))
    })
    .await
}

#[utoipa::path(
    get, path = "/v1/rooms", tag = "rooms",
    params(
        ("kind" = Option<String>, Query, description = "Only rooms of this kind."),
        ("label" = Option<Vec<String>>, Query, description = "Only rooms with this label, or with all of these."),
        ("listed" = Option<bool>, Query, description = "Only rooms that may be shown in lists, or only those that may not."),
        ("free" = Option<bool>, Query, description = "`true`: only rooms that are not locked and have a free place."),
        ("limit" = Option<u16>, Query, description = "At most so many; 50 without it.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next` of the answer before."),
    ),
    responses((status = 200, description = "The rooms of all pods that have answered within 2 s, in the order of their ids.", body = answers::Rooms))
)]
/// Lists rooms
pub(super) async fn list_rooms(State(api): State<Api>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    api.answer(Route::ListRooms, async {
        api.caller(&headers, Scope::Read)?;
        Ok(Json(api.list(body::filter(query.as_deref())?).await?).into_response())
    })
    .await
}

#[utoipa::path(
    get, path = "/v1/rooms/{room}", tag = "rooms",
    params(("room" = String, Path, description = "The room's id.")),
    responses(
        (status = 200, description = "The room, with its pod, players and descriptor.", body = RoomInfo),
        (status = 404, description = "`room_not_found`", body = answers::Error),
    )
)]
/// Shows a room
pub(super) async fn get_room(State(api): State<Api>, headers: HeaderMap, room: RoomPath) -> Response {
    api.answer(Route::GetRoom, async {
        api.caller(&headers, Scope::Read)?;
        Ok(json(StatusCode::OK, api.call(room_of(room)?, RoomCall::Get).await?))
    })
    .await
}

#[utoipa::path(
    patch, path = "/v1/rooms/{room}", tag = "rooms",
    params(("room" = String, Path, description = "The room's id.")),
    request_body(content = crate::descriptor::Descriptor, description = "Fields that are to change; `null` goes back to the deployment's setting."),
    responses(
        (status = 200, description = "The room with its new descriptor.", body = RoomInfo),
        (status = 404, description = "`room_not_found`", body = answers::Error),
        (status = 409, description = "`state_full`: the state is too long to be kept.", body = answers::Error),
    )
)]
/// Changes a room's descriptor
pub(super) async fn patch_room(State(api): State<Api>, headers: HeaderMap, room: RoomPath, body: Body) -> Response {
    api.answer(Route::PatchRoom, async {
        api.caller(&headers, Scope::Write)?;
        let (room, call) = (room_of(room)?, body::patch(&read(body).await?)?);
        Ok(json(StatusCode::OK, api.call(room, call).await?))
    })
    .await
}

#[utoipa::path(
    delete, path = "/v1/rooms/{room}", tag = "rooms",
    params(("room" = String, Path, description = "The room's id.")),
    responses(
        (status = 200, description = "The room has ended for everyone.", body = answers::Closed),
        (status = 404, description = "`room_not_found`: also after it has ended.", body = answers::Error),
    )
)]
/// Ends a room
pub(super) async fn delete_room(State(api): State<Api>, headers: HeaderMap, room: RoomPath) -> Response {
    api.answer(Route::DeleteRoom, async {
        api.caller(&headers, Scope::Write)?;
        Ok(json(StatusCode::OK, api.call(room_of(room)?, RoomCall::End).await?))
    })
    .await
}

#[utoipa::path(
    post, path = "/v1/rooms/{room}/messages", tag = "rooms",
    params(
        ("room" = String, Path, description = "The room's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters. The room says one text for one key."),
    ),
    request_body(content = body::MessageBody),
    responses(
        (status = 200, description = "Everyone in the room is told.", body = answers::Said),
        (status = 404, description = "`room_not_found`", body = answers::Error),
    )
)]
/// Says a text in a room
pub(super) async fn say(State(api): State<Api>, headers: HeaderMap, room: RoomPath, body: Body) -> Response {
    api.answer(Route::Say, async {
        let caller = api.caller(&headers, Scope::Write)?;
        let room = room_of(room)?;
        let key = call_key(&headers, &caller, "say", room)?;
        let call = body::message(&read(body).await?, key)?;
        Ok(json(StatusCode::OK, api.call(room, call).await?))
    })
    .await
}

#[utoipa::path(
    post, path = "/v1/rooms/{room}/events", tag = "rooms",
    params(
        ("room" = String, Path, description = "The room's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "As of a message."),
    ),
    request_body(content = body::EventBody),
    responses(
        (status = 200, description = "Those whom it is for are told.", body = answers::Sent),
        (status = 404, description = "`room_not_found`", body = answers::Error),
    )
)]
/// Sends an event of the application's own kind
pub(super) async fn send(State(api): State<Api>, headers: HeaderMap, room: RoomPath, body: Body) -> Response {
    api.answer(Route::Send, async {
        let caller = api.caller(&headers, Scope::Write)?;
        let room = room_of(room)?;
        let key = call_key(&headers, &caller, "send", room)?;
        let call = body::event(&read(body).await?, key)?;
        Ok(json(StatusCode::OK, api.call(room, call).await?))
    })
    .await
}

#[utoipa::path(
    delete, path = "/v1/rooms/{room}/players/{name}", tag = "rooms",
    params(
        ("room" = String, Path, description = "The room's id."),
        ("name" = String, Path, description = "The player's name."),
        ("ban_s" = Option<u32>, Query, description = "For how long the player is kept out, in seconds.", minimum = 1, maximum = 2_592_000),
    ),
    responses(
        (status = 200, description = "The seat has ended.", body = answers::Kicked),
        (status = 404, description = "`room_not_found`, `player_not_found`", body = answers::Error),
    )
)]
/// Ends a player's seat
pub(super) async fn kick(
    State(api): State<Api>,
    headers: HeaderMap,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response {
    api.answer(Route::Kick, async {
        api.caller(&headers, Scope::Write)?;
        let Path((room, name)) = path.map_err(|_| Failure::from(ErrorCode::BadName))?;
        let (room, name) = (room_id(&room)?, body::player(&name)?);
        let ban_s = body::ban(query.as_deref())?;
        Ok(json(StatusCode::OK, api.call(room, RoomCall::Kick { name, ban_s }).await?))
    })
    .await
}

#[utoipa::path(
    post, path = "/v1/join", tag = "rooms",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 128 visible ASCII characters. The same key makes one room at most.")),
    request_body(content = body::JoinBody),
    responses(
        (status = 200, description = "A place in a room that was there.", body = PlaceInfo),
        (status = 201, description = "A place in a room that has been made.", body = PlaceInfo),
    )
)]
/// Finds a place for a person in some room
pub(super) async fn join(State(api): State<Api>, headers: HeaderMap, body: Body) -> Response {
    api.answer(Route::Join, async {
        let caller = api.caller(&headers, Scope::Write)?;
        let key = idempotency_key(&headers)?.map(|key| caller.room_to_join(key));
        let own = key.transpose().map_err(|_| Failure::from(ErrorCode::BadRoom))?;
        let join = body::quick_join(&read(body).await?)?;
        body::begins(Some(&join.descriptor), now().wall)?;
        Ok(made_or_found(api.quick_join(&join, own).await?))
    })
    .await
}

#[utoipa::path(
    get, path = "/v1/pods", tag = "pods",
    responses((status = 200, description = "All pods, by their leases.", body = answers::Pods))
)]
/// Lists the pods
pub(super) async fn pods(State(api): State<Api>, headers: HeaderMap) -> Response {
    api.answer(Route::Pods, async {
        api.caller(&headers, Scope::Read)?;
        Ok(Json(api.pods().await?).into_response())
    })
    .await
}

#[utoipa::path(
    post, path = "/v1/pods/{pod}/drain", tag = "pods",
    params(("pod" = String, Path, description = "The pod's name.")),
    responses(
        (status = 202, description = "The pod hands its rooms over, and goes on.", body = answers::PodInfo),
        (status = 404, description = "`not_found`: there is no such pod.", body = answers::Error),
    )
)]
/// Moves all rooms of a pod to other pods
pub(super) async fn drain_pod(
    State(api): State<Api>,
    headers: HeaderMap,
    pod: Result<Path<String>, PathRejection>,
) -> Response {
    api.answer(Route::DrainPod, async {
        api.caller(&headers, Scope::Write)?;
        let Path(pod) = pod.map_err(|_| super::no_such_pod())?;
        Ok((StatusCode::ACCEPTED, Json(api.drain(&pod).await?)).into_response())
    })
    .await
}

pub(super) async fn nothing(State(api): State<Api>) -> Response {
    api.answer(Route::Other, async { Err(Failure::not_found()) }).await
}

pub(super) async fn no_such_method(State(api): State<Api>) -> Response {
    let sentence = "This address does not know this method.";
    let failure = Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", sentence);
    api.answer(Route::Other, async { Err(failure) }).await
}

fn room_of(path: RoomPath) -> Result<RoomId, Failure> {
    let Path(room) = path.map_err(|_| Failure::from(ErrorCode::BadRoom))?;
    room_id(&room)
}

fn room_id(text: &str) -> Result<RoomId, Failure> {
    text.parse().map_err(|_| ErrorCode::BadRoom.into())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let mut all = headers.get_all("idempotency-key").iter();
    let (first, second) = (all.next(), all.next());
    let Some(first) = first else {
        return Ok(None);
    };
    let key = first.to_str().ok().filter(|key| {
        second.is_none() && (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    });
    let sentence = "An Idempotency-Key is 1 to 128 visible ASCII characters, once.";
    key.map(Some).ok_or_else(|| Failure::bad_request(sentence))
}

fn call_key(headers: &HeaderMap, caller: &ApiKey, what: &str, room: RoomId) -> Result<Option<CallKey>, Failure> {
    Ok(idempotency_key(headers)?.map(|key| caller.call_key(what, room, key)))
}

/// An answer that says whether a room was made for it.
fn made_or_found(answer: Bytes) -> Response {
    json(if is_created(&answer) { StatusCode::CREATED } else { StatusCode::OK }, answer)
}

fn is_created(answer: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Created {
        #[serde(default)]
        created: bool,
    }
    serde_json::from_slice(answer).is_ok_and(|Created { created }| created)
}

fn json(status: StatusCode, body: Bytes) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
