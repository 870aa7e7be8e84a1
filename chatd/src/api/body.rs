//! The bodies of the server API's calls: from bytes to what is asked, or a sentence about what is wrong. Pure: no I/O.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::quick_join::QuickJoin;
use crate::descriptor::{Descriptor, DescriptorError, MAX_LABELS, MAX_WORD};
use crate::join_token::Pass;
use crate::protocol::{ErrorCode, EventKind, MAX_BAN, MAX_PLAYERS, PlayerName, RoomId, check_data, text};
use crate::room_call::{CallKey, DescriptorPatch, RoomCall};
use crate::room_list::{ListFilter, MAX_LISTED};
use crate::web::Failure;

/// The most bytes of a body: the longest text with every character escaped.
pub const MAX_BODY: usize = 32 * 1024;
/// The most bytes of what JSON's reader says is wrong: it repeats names of fields.
const MAX_REASON: usize = 200;

/// A room that is to be there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRoom)]
pub(super) struct NewRoomBody<'a> {
    /// Its id. Without one the server chooses.
    #[schema(value_type = Option<String>, pattern = "^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$", example = "match-42")]
    room: Option<Cow<'a, str>>,
    /// In what it differs from the deployment's settings.
    #[serde(borrow)]
    #[schema(value_type = Option<Descriptor>)]
    descriptor: Option<&'a RawValue>,
}

/// A text for everyone in the room.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMessage)]
pub(super) struct MessageBody<'a> {
    /// Who seems to say it: `*`, which is the default, or a name; both are shown as the system's, not as a player's.
    #[schema(value_type = Option<String>)]
    from: Option<Cow<'a, str>>,
    /// At most 4000 bytes and 30 line feeds.
    #[schema(value_type = String, max_length = 4000, example = "The match begins.")]
    text: Cow<'a, str>,
}

/// An event of the application's own kind.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEvent)]
pub(super) struct EventBody<'a> {
    /// As of a message.
    #[schema(value_type = Option<String>)]
    from: Option<Cow<'a, str>>,
    /// What kind of event it is.
    #[schema(value_type = String, pattern = "^[a-z0-9_.-]{1,32}$", example = "score")]
    kind: Cow<'a, str>,
    /// Any JSON, at most 4000 bytes.
    #[serde(borrow)]
    #[schema(value_type = serde_json::Value)]
    data: &'a RawValue,
    /// Only these players get it; it has no number then, and is not told again.
    #[schema(value_type = Option<Vec<String>>, max_items = 64)]
    to: Option<Vec<Cow<'a, str>>>,
    /// It may be lost: it has no number, and a slow reader does not get it.
    #[schema(value_type = Option<bool>)]
    volatile: Option<bool>,
}

/// A place in some room for a person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewJoin)]
pub(super) struct JoinBody<'a> {
    /// Your id of the person, as `sub` of join tokens.
    #[schema(value_type = String, min_length = 1, max_length = 128, example = "user-17")]
    sub: Cow<'a, str>,
    /// What the person is to be called in the room.
    #[schema(value_type = Option<String>, example = "ana")]
    name: Option<Cow<'a, str>>,
    /// What pages show beside the name, at most 64 bytes.
    #[schema(value_type = Option<String>)]
    display: Option<Cow<'a, str>>,
    /// Any JSON for the others in the room, at most 512 bytes.
    #[serde(borrow)]
    #[schema(value_type = Option<serde_json::Value>)]
    info: Option<&'a RawValue>,
    /// Only a room of this kind.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 32, example = "duel")]
    kind: Option<Cow<'a, str>>,
    /// Only a room with all of these labels.
    #[schema(value_type = Option<Vec<String>>, max_items = 8)]
    labels: Option<Vec<Cow<'a, str>>>,
    /// What else a new room is like: without `kind` and `labels`, which it has from here.
    #[serde(borrow)]
    #[schema(value_type = Option<Descriptor>)]
    descriptor: Option<&'a RawValue>,
    /// How long the token lasts (seconds); 3600 without it.
    #[schema(minimum = 60, maximum = 86_400)]
    expires_in: Option<u32>,
}

/// What a call to make a room asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NewRoom {
    pub room: Option<RoomId>,
    pub descriptor: Option<Box<Descriptor>>,
}

/// A room that is to be made is not over at `wall` (Unix ms).
pub(super) fn begins(descriptor: Option<&Descriptor>, wall: u64) -> Result<(), Failure> {
    match descriptor {
        Some(descriptor) if descriptor.has_expired(wall) => Err(bad("The descriptor's expires_at is over.")),
        _ => Ok(()),
    }
}

fn bad(sentence: impl Into<Cow<'static, str>>) -> Failure {
    Failure::bad_request(sentence)
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    let text = std::str::from_utf8(body).map_err(|_| bad("The body must be UTF-8."))?;
    serde_json::from_str(text).map_err(|error| {
        let mut reason = error.to_string();
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        bad(format!("The body is not as it has to be: {reason}."))
    })
}

pub(super) fn new_room(body: &[u8]) -> Result<NewRoom, Failure> {
    // Without a body: a room as the settings have it.
    let body: NewRoomBody<'_> = json(if body.is_empty() { b"{}" } else { body })?;
    let room = body.room.map(|room| room.parse().map_err(|_| Failure::from(ErrorCode::BadRoom))).transpose()?;
    let descriptor = body.descriptor.map(|json| Descriptor::parse(json.get())).transpose();
    let descriptor = descriptor.map_err(|error| bad(format!("The descriptor is wrong: {error}.")))?;
    Ok(NewRoom { room, descriptor: descriptor.filter(|descriptor| !descriptor.is_empty()).map(Box::new) })
}

/// How long the token of a quick join may last, and lasts if the call does not say (seconds).
const TOKEN_LASTS: std::ops::RangeInclusive<u32> = 60..=86_400;
const USUAL_TOKEN: u32 = 3_600;

pub(super) fn quick_join(body: &[u8]) -> Result<QuickJoin, Failure> {
    let body: JoinBody<'_> = json(body)?;
    let wrong = |error: DescriptorError| bad(format!("The descriptor is wrong: {error}."));
    let own = body.descriptor.map_or("{}", RawValue::get);
    // What the call says itself does not stand there in another way.
    let unlisted = own.parse::<Value>().is_ok_and(|own| own.get("listed").is_some_and(|listed| listed != true));
    let own = Descriptor::parse(own).map_err(wrong)?;
    if own.kind.is_some() || !own.labels.is_empty() || own.locked || unlisted {
        return Err(bad(
            "Kind and labels stand beside the descriptor; a room for quick joins is listed and not locked.",
        ));
    }
    let more = json!({ "kind": body.kind, "labels": body.labels, "listed": true }).to_string();
    let descriptor = own.patched(&more).map_err(wrong)?;
    let name = body.name.map(|name| name.parse().map_err(|_| Failure::from(ErrorCode::BadName))).transpose()?;
    let lasts = body.expires_in.unwrap_or(USUAL_TOKEN);
    if !TOKEN_LASTS.contains(&lasts) {
        return Err(bad("A token lasts 60 to 86400 seconds."));
    }
    let pass = Pass::new(&body.sub, name, body.display.as_deref(), body.info.map(RawValue::get), lasts);
    let pass = pass.map_err(|claim| bad(format!("{claim} is not as in a join token.")))?;
    Ok(QuickJoin { pass, descriptor: Box::new(descriptor) })
}

pub(super) fn patch(body: &[u8]) -> Result<RoomCall, Failure> {
    let text = std::str::from_utf8(body).map_err(|_| bad("The body must be UTF-8."))?;
    let patch = DescriptorPatch::parse(text).map_err(|error| bad(format!("The descriptor is wrong: {error}.")))?;
    Ok(RoomCall::Patch(patch))
}

pub(super) fn message(body: &[u8], key: Option<CallKey>) -> Result<RoomCall, Failure> {
    let body: MessageBody<'_> = json(body)?;
    let text = text::clean_str(&body.text)?.into();
    Ok(RoomCall::Say { from: speaker(body.from)?, text, key })
}

pub(super) fn event(body: &[u8], key: Option<CallKey>) -> Result<RoomCall, Failure> {
    let body: EventBody<'_> = json(body)?;
    let kind: EventKind = body.kind.parse().map_err(|error| bad(format!("The event is wrong: {error}.")))?;
    let data = body.data.get();
    check_data(data).map_err(|code| match code {
        ErrorCode::LineTooLong => bad("The data of an event is at most 4000 bytes."),
        _ => bad(
            "The data must be JSON that all readers read alike: no key twice, no number too great, at most 32 levels.",
        ),
    })?;
    let to = body.to.map(|names| {
        if names.len() > MAX_PLAYERS as usize {
            return Err(bad("An event is to at most 64 players."));
        }
        names.iter().map(|name| name.parse().map_err(|_| Failure::from(ErrorCode::BadName))).collect()
    });
    let (to, volatile) = (to.transpose()?, body.volatile.unwrap_or(false));
    Ok(RoomCall::Send { from: speaker(body.from)?, kind, data: data.into(), to, volatile, key })
}

/// Rooms of an answer, if the query does not say.
const USUAL_LIMIT: u16 = 50;

/// Which rooms a query means: each of its fields is there once at most.
pub(super) fn filter(query: Option<&str>) -> Result<ListFilter, Failure> {
    let sentence =
        "The query may have kind, listed=true|false, free=true, limit from 1 to 100 and cursor, each once, and label.";
    let mut filter = ListFilter { limit: USUAL_LIMIT, ..ListFilter::default() };
    let mut seen = Vec::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let word = || Some(value.as_ref()).filter(|word| (1..=MAX_WORD).contains(&word.len())).map(Into::into);
        let is_right = match &*name {
            "kind" => std::mem::replace(&mut filter.kind, word()).is_none() && filter.kind.is_some(),
            // A room has so many at most.
            "label" if filter.labels.len() < MAX_LABELS => {
                filter.labels.extend(word());
                word().is_some()
            }
            "free" => {
                filter.free = true;
                value == "true"
            }
            "listed" => {
                filter.listed = value.parse().ok();
                filter.listed.is_some()
            }
            "limit" => {
                filter.limit = value.parse().unwrap_or_default();
                (1..=MAX_LISTED).contains(&filter.limit)
            }
            "cursor" => {
                filter.after = value.parse().ok();
                filter.after.is_some()
            }
            _ => false,
        };
        if !is_right || name != "label" && seen.contains(&name) {
            return Err(bad(sentence));
        }
        seen.push(name);
    }
    Ok(filter)
}

/// `ban_s` of a query, which has nothing else.
pub(super) fn ban(query: Option<&str>) -> Result<Option<u32>, Failure> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(None);
    };
    let seconds = query.strip_prefix("ban_s=").and_then(|seconds| seconds.parse().ok());
    let seconds = seconds.filter(|seconds| (1..=MAX_BAN).contains(seconds));
    seconds.map(Some).ok_or_else(|| bad("The query may be ban_s=<seconds>, from 1 to 2592000, and nothing else."))
}

/// The player of a path.
pub(super) fn player(name: &str) -> Result<PlayerName, Failure> {
    name.parse().map_err(|_| ErrorCode::BadName.into())
}

fn speaker(from: Option<Cow<'_, str>>) -> Result<PlayerName, Failure> {
    let name = from.as_deref().filter(|from| *from != "*").unwrap_or_default();
    if name.is_empty() && from.as_deref() == Some("") {
        return Err(ErrorCode::BadName.into());
    }
    PlayerName::system(name).map_err(|_| ErrorCode::BadName.into())
}
