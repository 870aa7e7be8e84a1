//! A pod that does not answer, and when its lease is read: one look serves all searches that wait for it. Pure: no I/O.

use crate::ids::Ticket;
use crate::protocol::PodBoot;
use crate::record::Owner;

/// How often a lease is read while searches wait for it to run out (ms).
pub const LOOK: u64 = 1_000;
/// The shortest time between two looks, where a search has begun to wait since the last one (ms).
const SOONEST: u64 = 250;

/// The pods that may take a dead pod's rooms over.
#[derive(Debug, Default)]
pub enum Heirs {
    #[default]
    Unasked,
    Asked,
    /// Their boots and peer addresses.
    Known(Vec<(PodBoot, String)>),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct PodWatch {
    pub pod_id: String,
    pub peer: String,
    /// The look in flight.
    pub asked: Option<Ticket>,
    asked_at: Option<u64>,
    /// When the next one is due.
    pub next: u64,
    /// How many looks have found the lease held.
    pub held: usize,
    /// One of its rooms has another owner by now: its other rooms may have, too.
    pub changed: bool,
    pub heirs: Heirs,
}

impl PodWatch {
    pub fn new(pod: &Owner) -> Self {
        Self {
            pod_id: pod.pod_id.clone(),
            peer: pod.peer.clone(),
            asked: None,
            asked_at: None,
            next: u64::MAX,
            held: 0,
            changed: false,
            heirs: Heirs::default(),
        }
    }

    /// A search waits for the next look, which is due at the time returned. `soon`: within [`SOONEST`] of the last look.
    pub fn waited_for(&mut self, now: u64, soon: bool) -> u64 {
        self.next = match self.asked_at {
            Some(at) => self.next.min(at + if soon { SOONEST } else { LOOK }),
            None => now,
        };
        self.next
    }

    /// Brings the next look forward, to the time returned.
    pub fn look_soon(&mut self, now: u64) -> u64 {
        self.next = self.next.min(self.asked_at.map_or(now, |at| at + SOONEST));
        self.next.max(now + 1)
    }

    /// The next look is due. False: the last one is still in flight.
    pub fn look(&mut self, now: u64) -> bool {
        self.next = now + LOOK;
        let free = self.asked.is_none();
        if free {
            self.asked_at = Some(now);
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ticket;
    use crate::protocol::Ownership;

    fn watch() -> PodWatch {
        let (pod_id, peer) = ("chat-1".to_owned(), "h:7755".to_owned());
        let ownership = Ownership { epoch: 7, boot: PodBoot(1) };
        PodWatch::new(&Owner { ownership, pod_id, tcp: String::new(), web: String::new(), peer })
    }

    #[test]
    fn the_first_look_is_at_once_and_the_next_once_a_second_or_soon_where_a_room_has_begun_to_wait() {
        let mut watch = watch();
        assert_eq!(watch.waited_for(5_000, true), 5_000);
        assert!(watch.look(5_000) && watch.next == 6_000);
        assert_eq!(watch.waited_for(5_100, false), 6_000);
        assert_eq!(watch.waited_for(5_100, true), 5_250);
        assert!(watch.look(5_250) && watch.next == 6_250);
        assert_eq!(watch.look_soon(5_900), 5_901, "the soonest time has passed");
    }

    #[test]
    fn one_look_is_under_way_at_a_time() {
        let mut watch = watch();
        assert!(watch.look(0));
        watch.asked = Some(Ticket(1));
        assert!(!watch.look(1_000) && watch.next == 2_000);
    }
}
