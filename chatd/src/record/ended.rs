//! What stays in the directory of a room that has ended for everyone. Pure: no I/O.

use super::{Owner, Record};
use crate::descriptor::Descriptor;
use crate::protocol::Epoch;

/// How long it stays at least (ms): a pod that is frozen when the room ends, for longer than that, would take the record for lost.
pub const ENDED_TTL: u64 = 3_600_000;

impl Record {
    /// The tombstone of a room: `owner` had it when it ended, and nobody has it now. To those who want to come in there is no such room,
    /// and one may be made in its place by a higher epoch. A former owner that reads it ends the room as well. A pod that does not know
    /// [`Record::ended`] finds an empty room whose time is over (`expires_at`), which it lets nobody into.
    pub fn of_ended(owner: &Owner, expires_at: Option<u64>) -> Self {
        let descriptor = Descriptor { expires_at, ..Descriptor::default() };
        Self { ended: true, ..Self::new(owner, std::iter::empty()).described(Some(&descriptor)) }
    }

    /// The same record, of a room that was made in place of one which had this epoch when it ended.
    #[must_use]
    pub fn replacing(self, ended: Option<Epoch>) -> Self {
        Self { replaces: ended, ..self }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol::{Ownership, PodBoot};

    #[test]
    fn a_reader_that_does_not_know_tombstones_finds_an_empty_room_whose_time_is_over() {
        let owner = Owner {
            ownership: Ownership { epoch: 7, boot: PodBoot(1) },
            pod_id: "chat-0".into(),
            tcp: "h:7654".into(),
            web: "h:8081".into(),
            peer: "h:7755".into(),
        };
        let tombstone = Record::of_ended(&owner, Some(60));
        let bytes = tombstone.to_bytes();
        assert!(bytes.len() < 250, "{}", bytes.len());
        let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json.as_object_mut().unwrap().remove("ended"), Some(true.into()));
        let known = Record::parse(json.to_string().as_bytes()).unwrap();
        assert!(known.descriptor.as_ref().unwrap().has_expired(61_000));
        assert_eq!((known.seats().count(), known.ownership()), (0, owner.ownership));
        assert_eq!(Record { ended: true, ..known }, tombstone);
        assert_eq!(Record::parse(&bytes), Some(tombstone));
        // A living room says nothing of all that.
        assert!(!String::from_utf8_lossy(&Record::new(&owner, std::iter::empty()).to_bytes()).contains("ended"));
    }
}
