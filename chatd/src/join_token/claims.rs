//! What a join token claims, once its signature is verified. Pure: no I/O.

use super::failure::Failure;
use super::json::Json;
use super::{LEEWAY, Once, Role, Subject, TokenId};
use crate::descriptor::{Descriptor, MAX_TIME};
use crate::protocol::{PlayerName, Profile, RoomId, text};

/// The most bytes of `sub` and of `jti`.
const MAX_ID: usize = 128;
/// The most bytes of `display`.
const MAX_DISPLAY: usize = 64;
/// The most bytes of `info`, as JSON without spaces.
const MAX_JSON: usize = 512;

/// The rooms that a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rooms {
    One(Box<str>),
    /// All whose id begins so.
    Prefix(Box<str>),
}

/// What `create` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Create {
    /// A room as the deployment's settings have it.
    Default,
    /// A room with this descriptor.
    Descriptor(Box<Descriptor>),
}

/// What a verified token is good for. Whether now is its time is another question: see [`Grant::check_time`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    sub: Box<str>,
    /// Unix seconds.
    expires: u64,
    not_before: u64,
    rooms: Rooms,
    name: Option<PlayerName>,
    role: Role,
    /// Shown beside the name.
    pub display: Option<Box<str>>,
    /// What the application wants others to see: JSON.
    pub info: Option<Box<str>>,
    /// JOIN makes the room if it is not there.
    pub create: Option<Create>,
    /// The `jti` of a token that is good for one JOIN.
    pub once: Option<Box<str>>,
}

impl Grant {
    /// The grant in `payload`. `issuer` and `audience`: as the settings want them.
    pub(super) fn new(payload: &Json, issuer: Option<&str>, audience: Option<&str>) -> Result<Self, Failure> {
        if !matches!(payload, Json::Object(_)) {
            return Err(Failure::Malformed);
        }
        if issuer.is_some_and(|issuer| payload.get("iss").and_then(Json::text) != Some(issuer)) {
            return Err(Failure::Issuer);
        }
        if audience.is_some_and(|audience| !is_for(payload.get("aud"), audience)) {
            return Err(Failure::Audience);
        }
        let once = match payload.get("once") {
            None | Some(Json::Bool(false)) => false,
            Some(Json::Bool(true)) => true,
            Some(_) => return Err(Failure::Claim("once")),
        };
        let jti = optional(payload, "jti", id)?;
        if once && jti.is_none() {
            return Err(Failure::Claim("jti"));
        }
        Ok(Self {
            sub: optional(payload, "sub", id)?.ok_or(Failure::Claim("sub"))?,
            expires: optional(payload, "exp", time)?.ok_or(Failure::Claim("exp"))?,
            not_before: optional(payload, "nbf", time)?.unwrap_or_default(),
            rooms: optional(payload, "room", rooms)?.ok_or(Failure::Claim("room"))?,
            name: optional(payload, "name", |name| name.text()?.parse().ok())?,
            role: optional(payload, "role", |role| Role::from_word(role.text()?))?.unwrap_or_default(),
            display: optional(payload, "display", display)?,
            info: optional(payload, "info", |info| short(info.compact()))?,
            create: payload.get("create").map(create).transpose()?.flatten(),
            once: jti.filter(|_| once),
        })
    }

    /// Whether the token is valid at `now` (Unix seconds).
    ///
    /// # Errors
    ///
    /// It is not yet, or not any more.
    pub fn check_time(&self, now: u64) -> Result<(), Failure> {
        if now.saturating_add(LEEWAY) < self.not_before {
            return Err(Failure::NotYet);
        }
        if now >= self.expires.saturating_add(LEEWAY) { Err(Failure::Expired) } else { Ok(()) }
    }

    /// Whether it is for this room.
    ///
    /// # Errors
    ///
    /// It is for others.
    pub fn check_room(&self, room: RoomId) -> Result<(), Failure> {
        let is_for = match &self.rooms {
            Rooms::One(id) => **id == *room.as_str(),
            Rooms::Prefix(prefix) => room.as_str().starts_with(&**prefix),
        };
        is_for.then_some(()).ok_or(Failure::Room)
    }

    /// Whether its holder may make a room whose id the server chooses, at `wall` (Unix ms).
    ///
    /// # Errors
    ///
    /// It does not say `create`, or not for all rooms, or for one that has ended by then.
    pub fn check_create(&self, wall: u64) -> Result<(), Failure> {
        let is_for_all = matches!(&self.rooms, Rooms::Prefix(prefix) if prefix.is_empty());
        (is_for_all && self.creates(wall)).then_some(()).ok_or(Failure::Create)
    }

    /// Of a token that is good for one JOIN.
    pub fn once(&self) -> Option<Once> {
        let jti = self.once.as_deref()?;
        Some(Once { token: TokenId::new(jti), expires: self.expires })
    }

    /// Whether it may be used for something else than JOIN.
    ///
    /// # Errors
    ///
    /// It is good for one JOIN.
    pub fn check_uses(&self) -> Result<(), Failure> {
        if self.once.is_some() { Err(Failure::Once) } else { Ok(()) }
    }

    /// Whether its holder may be called so.
    ///
    /// # Errors
    ///
    /// It names another player.
    pub fn check_name(&self, name: PlayerName) -> Result<(), Failure> {
        self.name.is_none_or(|own| own == name).then_some(()).ok_or(Failure::Name)
    }

    /// What it says of its holder for others to see.
    pub fn profile(&self) -> Option<Profile> {
        let (display, info) = (self.display.clone(), self.info.clone());
        (display.is_some() || info.is_some()).then_some(Profile { display, info })
    }

    /// What is to be different in a room that its holder makes.
    pub fn descriptor(&self) -> Option<&Descriptor> {
        match &self.create {
            Some(Create::Descriptor(descriptor)) => Some(descriptor),
            Some(Create::Default) | None => None,
        }
    }

    /// Whether its holder may make a room by entering it at `wall` (Unix ms). One that would have ended already is not made.
    pub fn creates(&self, wall: u64) -> bool {
        self.create.is_some() && !self.descriptor().is_some_and(|descriptor| descriptor.has_expired(wall))
    }

    /// What goes with the seat that it is used for.
    pub fn seat(&self, room: RoomId) -> super::SeatAuth {
        super::SeatAuth { sub: Subject::new(room, &self.sub), expires: self.expires, role: self.role }
    }
}

/// A claim that may be absent (or `null`), and must be in order where it is there.
fn optional<T>(
    payload: &Json,
    name: &'static str,
    read: impl FnOnce(&Json) -> Option<T>,
) -> Result<Option<T>, Failure> {
    payload.get(name).map(|claim| read(claim).ok_or(Failure::Claim(name))).transpose()
}

/// RFC 7519 section 4.1.3: one, or a list of them.
fn is_for(audience: Option<&Json>, expected: &str) -> bool {
    match audience {
        Some(Json::Text(one)) => one == expected,
        Some(Json::List(list)) => {
            list.iter().all(|one| one.text().is_some()) && list.iter().any(|one| one.text() == Some(expected))
        }
        _ => false,
    }
}

fn id(claim: &Json) -> Option<Box<str>> {
    identity(claim.text()?)
}

/// What may be a `sub` or `jti`.
pub(super) fn identity(text: &str) -> Option<Box<str>> {
    (1..=MAX_ID).contains(&text.len()).then(|| text.into())
}

/// RFC 7519 section 2, NumericDate: seconds, possibly with a fraction.
#[allow(clippy::cast_sign_loss, reason = "negative ones are none")]
fn time(claim: &Json) -> Option<u64> {
    let Json::Number(number) = claim else {
        return None;
    };
    let seconds = number.as_f64().filter(|seconds| *seconds >= 0.0)?;
    Some(number.as_u64().unwrap_or(seconds as u64)).filter(|seconds| *seconds <= MAX_TIME)
}

fn rooms(claim: &Json) -> Option<Rooms> {
    let text = claim.text()?;
    match text.strip_suffix('*') {
        Some(prefix) => is_part_of_an_id(prefix).then(|| Rooms::Prefix(prefix.into())),
        None => (!text.is_empty() && is_part_of_an_id(text)).then(|| Rooms::One(text.into())),
    }
}

/// What could be part of a room's id: so that a mistake in a backend shows at its first token.
fn is_part_of_an_id(text: &str) -> bool {
    let is_of_ids = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    text.len() <= 64 && text.bytes().all(is_of_ids)
}

fn display(claim: &Json) -> Option<Box<str>> {
    displayed(claim.text()?)
}

/// What may be a `display`.
pub(super) fn displayed(text: &str) -> Option<Box<str>> {
    let display = text::clean_str(text).ok()?;
    (display.len() <= MAX_DISPLAY && !display.contains(char::is_control)).then(|| display.trim().into())
}

fn create(claim: &Json) -> Result<Option<Create>, Failure> {
    match claim {
        Json::Bool(create) => Ok(create.then_some(Create::Default)),
        Json::Object(_) => {
            let descriptor = Descriptor::parse(&claim.compact()).map_err(Failure::Descriptor)?;
            Ok(Some(Create::Descriptor(Box::new(descriptor))))
        }
        _ => Err(Failure::Claim("create")),
    }
}

/// What may be an `info`.
pub(super) fn short(json: String) -> Option<Box<str>> {
    (json.len() <= MAX_JSON).then(|| json.into())
}
