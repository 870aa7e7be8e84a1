//! The room of one session, or of one timer, in 16 bytes: these are many, and most rooms have a short id. Pure: no I/O.

use std::cmp::Ordering;

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

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::None => b"",
            Self::Made(id) => id,
            Self::Chosen(room) => room.as_bytes(),
        }
    }
}

/// As their ids are: the order of the texts.
impl Ord for SessionRoom {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for SessionRoom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SessionRoom {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for SessionRoom {}

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
        let rooms =
            ["abc12def", "match-42", "a", "abc12de", "abc12defg", "9"].map(|room| room.parse::<RoomId>().unwrap());
        for room in rooms {
            assert_eq!(SessionRoom::from(room).get(), Some(room));
            for other in rooms {
                assert_eq!(SessionRoom::from(room).cmp(&other.into()), room.cmp(&other), "{room} {other}");
            }
        }
        assert_eq!(std::mem::size_of::<SessionRoom>(), 16);
    }
}
