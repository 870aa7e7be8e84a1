//! What the server API asks of a room's owner, and what that answers. Plain data and its encoding: no I/O.
//!
//! A call travels to the owner as a JOIN does, and is carried out there. Its answer is a text of JSON: the body that the API gives.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::descriptor::{self, Descriptor, DescriptorError};
use crate::join_token::{Pass, Role};
use crate::protocol::{EventKind, PlayerName, speaker};

/// By what the owner recognises a call that comes again: 128 bits of the caller's Idempotency-Key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallKey(pub u128);

/// What is asked of a room's owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomCall {
    /// What the room is like.
    Get,
    /// The room with this descriptor: made if there is none. `made`: it has been made for this call.
    Create {
        /// In what it differs from the settings.
        #[serde(with = "descriptor::as_json")]
        descriptor: Option<Box<Descriptor>>,
        /// The room is there because of this call.
        made: bool,
    },
    /// Another descriptor for the room.
    Patch(DescriptorPatch),
    /// The room ends for everyone, and does not come back.
    End,
    /// A message for everyone in it.
    Say {
        /// Who seems to say it: [`PlayerName::system`].
        #[serde(deserialize_with = "speaker")]
        from: PlayerName,
        /// Clean text.
        text: Box<str>,
        /// The same call is carried out once.
        key: Option<CallKey>,
    },
    /// An application's event for those in it.
    Send {
        /// Who seems to send it: [`PlayerName::system`].
        #[serde(deserialize_with = "speaker")]
        from: PlayerName,
        /// What kind of event it is.
        kind: EventKind,
        /// Checked JSON.
        data: Box<str>,
        /// Only these get it; `None`: everyone.
        to: Option<Vec<PlayerName>>,
        /// It may be lost.
        volatile: bool,
        /// The same call is carried out once.
        key: Option<CallKey>,
    },
    /// A player's seat ends. `ban_s`: the player is kept out for so long (seconds).
    Kick {
        /// Whose seat.
        name: PlayerName,
        /// For how long (seconds).
        ban_s: Option<u32>,
    },
    /// A place is kept for somebody, and a token made with which to take it, in a room that is listed.
    Reserve {
        /// Who that is.
        pass: Box<Pass>,
        /// The room is made like this if there is none.
        #[serde(with = "descriptor::as_json")]
        descriptor: Option<Box<Descriptor>>,
        /// The room is there because of this call.
        made: bool,
    },
}

impl RoomCall {
    /// Whether the room is to be made if there is none.
    pub fn creates(&self) -> bool {
        matches!(self, RoomCall::Create { .. } | RoomCall::Reserve { descriptor: Some(_), .. })
    }

    /// With which descriptor.
    pub fn descriptor(&self) -> Option<&Descriptor> {
        match self {
            RoomCall::Create { descriptor, .. } | RoomCall::Reserve { descriptor, .. } => descriptor.as_deref(),
            _ => None,
        }
    }

    /// The room has been made for it.
    pub fn has_made_it(&mut self) {
        if let RoomCall::Create { made, .. } | RoomCall::Reserve { made, .. } = self {
            *made = true;
        }
    }

    /// Whether carrying it out twice comes to the same as once, or the owner tells a second one from the first.
    pub fn may_come_again(&self) -> bool {
        !matches!(self, RoomCall::Say { key: None, .. } | RoomCall::Send { key: None, .. })
    }
}

/// Fields of a descriptor that take the place of those that a room has. What is `null` in it goes back to the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorPatch(Box<str>);

impl DescriptorPatch {
    /// A patch as an application wrote it: a JSON object.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn parse(json: &str) -> Result<Self, DescriptorError> {
        Descriptor::default().patched(json)?;
        Ok(Self(json.into()))
    }

    /// The descriptor of a room that has had `before`.
    ///
    /// # Errors
    ///
    /// Together they are longer than a descriptor may be.
    pub fn apply(&self, before: Option<&Descriptor>) -> Result<Descriptor, DescriptorError> {
        before.cloned().unwrap_or_default().patched(&self.0)
    }
}

/// A room as the server API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RoomInfo<'a> {
    /// The room's id.
    pub room: &'a str,
    /// The pod that has it.
    pub pod: &'a str,
    /// Seats of players.
    pub max_players: u32,
    /// Its seats, in the order in which they were taken.
    pub players: Vec<PlayerInfo<'a>>,
    /// In what it differs from the settings.
    #[schema(value_type = Descriptor)]
    pub descriptor: Cow<'a, Descriptor>,
    /// It was made for this call.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub created: bool,
}

/// A place in a room, as the server API's quick join gives it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Place)]
pub struct PlaceInfo<'a> {
    /// The room's id.
    pub room: &'a str,
    /// It was made for this call.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub created: bool,
    /// A join token for it, if the deployment has a secret to sign with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub token: Option<String>,
    /// How long the token lasts (seconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expires_in: Option<u32>,
    /// How long the place is kept (seconds), for who shows a join token with this `sub`. Without it none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub kept_for: Option<u64>,
}

/// A seat as the server API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlayerInfo<'a> {
    /// The player's name.
    pub name: &'a str,
    /// `member`, `moderator` or `viewer`.
    pub role: Role,
    /// The player has no connection; the seat is held.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub away: bool,
    /// What the join token says of the player.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub display: Option<&'a str>,
    /// JSON that the join token carries for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value, required = false)]
    pub info: Option<&'a serde_json::value::RawValue>,
}
