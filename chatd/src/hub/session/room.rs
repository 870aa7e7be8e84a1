//! The room of one session, in 16 bytes: sessions are many, and most rooms have a short id. Pure: no I/O.

use crate::protocol::RoomId;

/// See the module's documentation.
#[derive(Debug, Default)]
pub enum SessionRoom {
    #[default]
    None,
    Made([u8; 8]),
    Chosen(Box<RoomId>),
}

impl SessionRoom {
    pub fn get(&self) -> Option<RoomId> {
        match self {
            Self::None => None,
            Self::Made(id) => Some(RoomId::of_made_form(*id)),
            Self::Chosen(room) => Some(**room),
        }
    }
}

impl From<RoomId> for SessionRoom {
    fn from(room: RoomId) -> Self {
        match room.as_bytes().try_into() {
            Ok(id) if room.has_made_form() => Self::Made(id),
            _ => Self::Chosen(Box::new(room)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_back_what_it_was_given() {
        assert_eq!(SessionRoom::default().get(), None);
        for room in ["abc12def", "match-42", "a"] {
            let room: RoomId = room.parse().unwrap();
            assert_eq!(SessionRoom::from(room).get(), Some(room));
        }
        assert_eq!(std::mem::size_of::<SessionRoom>(), 16);
    }
}
