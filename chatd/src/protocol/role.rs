//! What somebody may do in a room. Pure: no I/O.

use serde::{Deserialize, Serialize};

/// What the holder of a token may do in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Plays and talks.
    #[default]
    Member,
    /// As a member, and keeps order.
    Moderator,
    /// Hears.
    Viewer,
}

impl Role {
    /// The role that a token calls so.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "member" => Self::Member,
            "moderator" => Self::Moderator,
            "viewer" => Self::Viewer,
            _ => return None,
        })
    }

    /// The word in a token, and in what others are told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Moderator => "moderator",
            Self::Viewer => "viewer",
        }
    }
}
