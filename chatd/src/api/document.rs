//! The OpenAPI document of the server API, from the code of its calls. Pure, but for what serves it.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;

use bytes::Bytes;
use utoipa::openapi::RefOr;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::figures::Route;
use super::{Api, answers, body, calls};
use crate::descriptor::{Descriptor, RoomAccess};
use crate::join_token::Role;
use crate::room_call::{PlaceInfo, PlayerInfo, RoomInfo};

#[derive(OpenApi)]
#[openapi(
    info(title = "chatd server API", version = "1", description = "Makes rooms, speaks in them and ends them, through any pod. See docs/api.md."),
    paths(
        calls::list_rooms,
        calls::create_room,
        calls::get_room,
        calls::patch_room,
        calls::delete_room,
        calls::say,
        calls::send,
        calls::kick,
        calls::join,
        calls::pods,
        calls::drain_pod,
    ),
    components(schemas(
        body::NewRoomBody, body::MessageBody, body::EventBody, body::JoinBody, RoomInfo, PlaceInfo, PlayerInfo, Descriptor, RoomAccess, Role,
        answers::Rooms, answers::ListedRoom, answers::Said, answers::Sent, answers::Kicked, answers::Closed, answers::Pods, answers::PodInfo, answers::Error,
        answers::ErrorInfo,
    )),
    security(("key" = [])),
    modifiers(&ForEachCall),
)]
struct Document;

/// What holds for every call.
struct ForEachCall;

impl Modify for ForEachCall {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The secret of a key of --api-keys-file."))
            .build();
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
        let failures = [
            ("400", "`bad_request`, `bad_room`, `bad_name`, `bad_text`, `line_too_long`"),
            ("401", "`auth_required`, `auth_invalid`: no key, or none that is accepted."),
            ("403", "`forbidden`: the key lacks the scope."),
            ("413", "`too_large`"),
            ("503", "`unavailable`, `shutting_down`, `too_many_rooms`: it may have been carried out, or not."),
        ];
        for path in openapi.paths.paths.values_mut() {
            for operation in [&mut path.get, &mut path.post, &mut path.patch, &mut path.delete].into_iter().flatten() {
                for (status, description) in failures {
                    let schema = RefOr::Ref(Ref::from_schema_name("Error"));
                    let content = ContentBuilder::new().schema(Some(schema)).build();
                    let response =
                        ResponseBuilder::new().description(description).content("application/json", content).build();
                    operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
                }
            }
        }
    }
}

/// This document, which needs no key.
pub(super) async fn openapi(State(api): State<Api>) -> Response {
    let document = ([(CONTENT_TYPE, "application/json")], served()).into_response();
    api.answer(Route::Document, std::future::ready(Ok(document))).await
}

/// As it is served at `/v1/openapi.json`, to everyone who asks: made once.
fn served() -> Bytes {
    static SERVED: LazyLock<Bytes> = LazyLock::new(|| document().into());
    SERVED.clone()
}

/// The whole document, as JSON.
pub fn document() -> String {
    // Plain data can always be written.
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
