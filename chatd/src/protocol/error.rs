//! Every error code with its sentence and its effect on the connection. Pure: no I/O.

/// An error code of the protocol. Its sentence never contains client input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum ErrorCode {
    /// Not a command here.
    BadCommand,
    /// Not a room id.
    BadRoom,
    /// Not a player's name.
    BadName,
    /// Not a text.
    BadText,
    /// A line above [`super::MAX_LINE`], or a text above [`super::MAX_TEXT`].
    LineTooLong,
    /// No room has this id.
    RoomNotFound,
    /// All seats are taken, held ones included.
    RoomFull,
    /// Someone in the room has this name.
    NameTaken,
    /// Not a token of this room, or its seat has ended.
    BadToken,
    /// LEAVE first.
    AlreadyInRoom,
    /// JOIN first.
    NotInRoom,
    /// Too fast: the command was dropped.
    RateLimited,
    /// The pod is full.
    TooManyConnections,
    /// No pod has a place for a new room.
    TooManyRooms,
    /// The room's pod or the directory does not answer in time.
    Unavailable,
    /// Nothing came from the client for too long.
    Timeout,
    /// The client did not read what was sent.
    SlowConsumer,
    /// The pod ends.
    ShuttingDown,
    /// The room is at another pod.
    Moved,
    /// The seat was resumed by another connection.
    Replaced,
    /// The client's address has as many connections as it may have.
    TooManyFromAddress,
    /// All connections together hold too much, and this one the most.
    Overloaded,
    /// A join token is needed.
    AuthRequired,
    /// The join token is not accepted.
    AuthInvalid,
    /// The join token has expired.
    AuthExpired,
    /// The join token does not allow it.
    Forbidden,
    /// The key of the room's state has another version.
    VersionConflict,
    /// The room's state has no place for this.
    StateFull,
    /// A moderator keeps this player out.
    Banned,
    /// A moderator has ended the seat.
    Kicked,
    /// Nobody in the room has this name.
    PlayerNotFound,
    /// Nobody new comes into the room.
    RoomLocked,
    /// The room has ended.
    Closed,
    /// A room with this id and another descriptor is there.
    RoomExists,
}

impl ErrorCode {
    /// Every code, in the order of the protocol's table.
    pub const ALL: [ErrorCode; 34] = [
        ErrorCode::BadCommand,
        ErrorCode::BadRoom,
        ErrorCode::BadName,
        ErrorCode::BadText,
        ErrorCode::LineTooLong,
        ErrorCode::RoomNotFound,
        ErrorCode::RoomExists,
        ErrorCode::RoomFull,
        ErrorCode::RoomLocked,
        ErrorCode::NameTaken,
        ErrorCode::BadToken,
        ErrorCode::AuthRequired,
        ErrorCode::AuthInvalid,
        ErrorCode::AuthExpired,
        ErrorCode::Forbidden,
        ErrorCode::VersionConflict,
        ErrorCode::StateFull,
        ErrorCode::Banned,
        ErrorCode::PlayerNotFound,
        ErrorCode::AlreadyInRoom,
        ErrorCode::NotInRoom,
        ErrorCode::RateLimited,
        ErrorCode::TooManyConnections,
        ErrorCode::TooManyFromAddress,
        ErrorCode::TooManyRooms,
        ErrorCode::Unavailable,
        ErrorCode::Timeout,
        ErrorCode::SlowConsumer,
        ErrorCode::Overloaded,
        ErrorCode::ShuttingDown,
        ErrorCode::Moved,
        ErrorCode::Replaced,
        ErrorCode::Kicked,
        ErrorCode::Closed,
    ];

    /// What may answer a guess at a room, or at a token of either kind: so many of them end a connection.
    pub const GUESSES: [ErrorCode; 5] = [
        ErrorCode::RoomNotFound,
        ErrorCode::BadToken,
        ErrorCode::AuthRequired,
        ErrorCode::AuthInvalid,
        ErrorCode::Forbidden,
    ];

    /// The word in both encodings, in metrics and as a WebSocket's close reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BadCommand => "bad_command",
            ErrorCode::BadRoom => "bad_room",
            ErrorCode::BadName => "bad_name",
            ErrorCode::BadText => "bad_text",
            ErrorCode::LineTooLong => "line_too_long",
            ErrorCode::RoomNotFound => "room_not_found",
            ErrorCode::RoomFull => "room_full",
            ErrorCode::NameTaken => "name_taken",
            ErrorCode::BadToken => "bad_token",
            ErrorCode::AuthRequired => "auth_required",
            ErrorCode::AuthInvalid => "auth_invalid",
            ErrorCode::AuthExpired => "auth_expired",
            ErrorCode::Forbidden => "forbidden",
            ErrorCode::VersionConflict => "version_conflict",
            ErrorCode::StateFull => "state_full",
            ErrorCode::Banned => "banned",
            ErrorCode::PlayerNotFound => "player_not_found",
            ErrorCode::AlreadyInRoom => "already_in_room",
            ErrorCode::NotInRoom => "not_in_room",
            ErrorCode::RateLimited => "rate_limited",
            ErrorCode::TooManyConnections => "too_many_connections",
            ErrorCode::TooManyFromAddress => "too_many_from_address",
            ErrorCode::TooManyRooms => "too_many_rooms",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Timeout => "timeout",
            ErrorCode::SlowConsumer => "slow_consumer",
            ErrorCode::Overloaded => "overloaded",
            ErrorCode::ShuttingDown => "shutting_down",
            ErrorCode::Moved => "moved",
            ErrorCode::Replaced => "replaced",
            ErrorCode::Kicked => "kicked",
            ErrorCode::RoomLocked => "room_locked",
            ErrorCode::Closed => "closed",
            ErrorCode::RoomExists => "room_exists",
        }
    }

    /// The code with this word.
    pub fn from_word(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str().as_bytes() == word)
    }

    /// One sentence for a person: what is wrong and what to do.
    pub const fn sentence(self) -> &'static str {
        match self {
            ErrorCode::BadCommand => "This is not a command here; HELP lists them.",
            ErrorCode::BadRoom => {
                "A room is 1 to 64 characters of a-z, 0-9, ., _ and -, with a letter or digit at both ends."
            }
            ErrorCode::BadName => "A name is 1 to 24 letters, digits, _ - . and ', without spaces.",
            ErrorCode::BadText => "The text must be visible UTF-8 without control characters.",
            ErrorCode::LineTooLong => "A line is at most 4096 bytes with its end, a text at most 4000.",
            ErrorCode::RoomNotFound => "There is no such room; CREATE_ROOM creates one.",
            ErrorCode::RoomExists => "There is a room with this id and another descriptor.",
            ErrorCode::RoomFull => "The room is full.",
            ErrorCode::NameTaken => "Someone in the room has this name, or one that looks like it.",
            ErrorCode::BadToken => "The token does not fit a seat of this room, or the seat has ended; use JOIN.",
            ErrorCode::AuthRequired => "A join token is needed here; the application gives one out.",
            ErrorCode::AuthInvalid => "The join token is not accepted.",
            ErrorCode::AuthExpired => "The join token has expired; get a new one.",
            ErrorCode::Forbidden => "The join token does not allow this.",
            ErrorCode::VersionConflict => "The key has changed since: look at it, and set it again.",
            ErrorCode::StateFull => "The room's state has no place for this; remove a key, or say less.",
            ErrorCode::Banned => "A moderator keeps you out of this room for a while.",
            ErrorCode::PlayerNotFound => "Nobody in the room has this name.",
            ErrorCode::AlreadyInRoom => "You are in a room; LEAVE first.",
            ErrorCode::NotInRoom => "You are not in a room; JOIN one first.",
            ErrorCode::RateLimited => "Too fast; wait a little. This command was not carried out.",
            ErrorCode::TooManyConnections => "This pod has reached its limit of connections; try again later.",
            ErrorCode::TooManyFromAddress => "Your address has reached its limit of connections to this pod.",
            ErrorCode::TooManyRooms => "The pods have no capacity for another room; try again later.",
            ErrorCode::Unavailable => "The room or the directory does not answer in time; try again.",
            ErrorCode::Timeout => "The connection was idle for too long.",
            ErrorCode::SlowConsumer => "You read too slowly for what the room sends.",
            ErrorCode::Overloaded => "This pod holds too much unfinished and unsent data, and yours was the most.",
            ErrorCode::ShuttingDown => "This pod is shutting down; connect again.",
            ErrorCode::Moved => "The room has moved; connect again.",
            ErrorCode::Replaced => "This seat was resumed from another connection.",
            ErrorCode::Kicked => "A moderator has ended your seat.",
            ErrorCode::RoomLocked => "The room is locked: nobody new comes in now.",
            ErrorCode::Closed => "The room has ended.",
        }
    }
}

/// The WebSocket close code that goes with `BYE <code>`; `None` is `BYE quit`.
///
/// 1000 to 1013 are registered with IANA ("WebSocket Close Code Number Registry"), 4001 to 4004 are private to this protocol.
pub const fn close_code(bye: Option<ErrorCode>) -> u16 {
    let Some(code) = bye else {
        return 1000;
    };
    match code {
        // Policy: the first group closes only when it occurs too often.
        ErrorCode::BadCommand
        | ErrorCode::BadRoom
        | ErrorCode::BadName
        | ErrorCode::BadText
        | ErrorCode::RoomNotFound
        | ErrorCode::RoomExists
        | ErrorCode::RoomFull
        | ErrorCode::RoomLocked
        | ErrorCode::NameTaken
        | ErrorCode::BadToken
        | ErrorCode::AuthRequired
        | ErrorCode::AuthInvalid
        | ErrorCode::Forbidden
        | ErrorCode::VersionConflict
        | ErrorCode::StateFull
        | ErrorCode::Banned
        | ErrorCode::PlayerNotFound
        | ErrorCode::AlreadyInRoom
        | ErrorCode::NotInRoom
        | ErrorCode::RateLimited
        | ErrorCode::Timeout
        | ErrorCode::SlowConsumer => 1008,
        ErrorCode::LineTooLong => 1009,
        // Come back to any pod at once.
        ErrorCode::ShuttingDown | ErrorCode::Moved => 1012,
        // Come back later.
        ErrorCode::TooManyConnections
        | ErrorCode::TooManyFromAddress
        | ErrorCode::TooManyRooms
        | ErrorCode::Overloaded
        | ErrorCode::Unavailable => 1013,
        // Do not come back by yourself.
        ErrorCode::Replaced => 4001,
        // Come back with another join token.
        ErrorCode::AuthExpired => 4002,
        // Do not come back by yourself: the seat has ended.
        ErrorCode::Kicked => 4003,
        // There is nothing to come back to.
        ErrorCode::Closed => 4004,
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_holds_each_code_once_and_each_has_its_own_words() {
        let mut seen = std::collections::BTreeSet::new();
        for code in ErrorCode::ALL {
            assert!(seen.insert(code.as_str()), "{code} twice");
            assert!(seen.insert(code.sentence()), "the sentence of {code} twice");
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
            assert!(code.sentence().ends_with('.') && code.sentence().is_ascii(), "{code}");
        }
        assert_eq!(seen.len(), 2 * ErrorCode::ALL.len());
    }

    #[test]
    fn closes_with_the_codes_of_the_protocols_table() {
        for (code, expected) in [
            (None, 1000),
            (Some(ErrorCode::BadCommand), 1008),
            (Some(ErrorCode::RateLimited), 1008),
            (Some(ErrorCode::Timeout), 1008),
            (Some(ErrorCode::SlowConsumer), 1008),
            (Some(ErrorCode::LineTooLong), 1009),
            (Some(ErrorCode::ShuttingDown), 1012),
            (Some(ErrorCode::Moved), 1012),
            (Some(ErrorCode::TooManyConnections), 1013),
            (Some(ErrorCode::TooManyRooms), 1013),
            (Some(ErrorCode::Unavailable), 1013),
            (Some(ErrorCode::Replaced), 4001),
            (Some(ErrorCode::Forbidden), 1008),
            (Some(ErrorCode::AuthExpired), 4002),
            (Some(ErrorCode::Kicked), 4003),
            (Some(ErrorCode::RoomLocked), 1008),
            (Some(ErrorCode::Closed), 4004),
        ] {
            assert_eq!(close_code(code), expected, "{code:?}");
        }
    }
}
