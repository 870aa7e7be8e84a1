//! Unauthenticated connections to the peer port: their limit, and which of them is closed beyond it. Pure: no I/O.
//!
//! A peer authenticates within milliseconds, a silent connection may stay for seconds. So no new connection is refused: the oldest
//! unauthenticated one is closed, first among those of the same address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::links::LinkId;

/// Strangers at a time: as many as the other pods of a large deployment, which all come at once when this one has started.
pub const MAX_STRANGERS: usize = 512;
/// Strangers of one address: more than the pods of a node, which all come from behind one where the network hides them.
pub const MAX_OF_ONE_ADDRESS: usize = 128;

/// In the order in which they came: numbers of connections rise.
#[derive(Debug, Default)]
pub struct Strangers(BTreeMap<LinkId, IpAddr>);

impl Strangers {
    /// Somebody has come. The stranger that has to go for it, if one has.
    pub fn came(&mut self, link: LinkId, address: IpAddr) -> Option<LinkId> {
        let mut same = self.0.iter().filter(|(_, other)| **other == address);
        let oldest_of_address = same.next().map(|(link, _)| *link).filter(|_| same.count() + 1 >= MAX_OF_ONE_ADDRESS);
        let oldest = self.0.keys().next().copied().filter(|_| self.0.len() >= MAX_STRANGERS);
        let leaves = oldest_of_address.or(oldest);
        if let Some(leaves) = leaves {
            self.0.remove(&leaves);
        }
        self.0.insert(link, address);
        leaves
    }

    /// It has proven itself, or has gone.
    pub fn left(&mut self, link: LinkId) {
        self.0.remove(&link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> IpAddr {
        IpAddr::from([10, 0, (number / 256) as u8, (number % 256) as u8])
    }

    #[test]
    fn one_address_only_pushes_out_its_own() {
        let mut strangers = Strangers::default();
        assert_eq!(strangers.came(LinkId(1), address(1)), None);
        for number in 0..MAX_OF_ONE_ADDRESS as u64 {
            assert_eq!(strangers.came(LinkId(10 + number), address(2)), None);
        }
        for number in 0..1_000 {
            assert!(strangers.came(LinkId(1_000 + number), address(2)).is_some());
            assert!(strangers.0.contains_key(&LinkId(1)));
            assert_eq!(strangers.0.len(), 1 + MAX_OF_ONE_ADDRESS);
        }
    }

    #[test]
    fn the_pods_of_a_node_come_at_once_from_behind_one_address() {
        let mut strangers = Strangers::default();
        let flood = |strangers: &mut Strangers, from: u64| {
            (from..from + 40).filter_map(|number| strangers.came(LinkId(number), address(1))).collect::<Vec<_>>()
        };
        assert_eq!(flood(&mut strangers, 0), []);
        // They find room beside as many others that say nothing, since the oldest go.
        for from in [100, 200, 300, 400] {
            let left = flood(&mut strangers, from);
            assert!(left.iter().all(|left| left.0 < from), "{left:?}");
        }
    }

    #[test]
    fn when_all_places_are_taken_the_oldest_goes() {
        let mut strangers = Strangers::default();
        for number in 0..MAX_STRANGERS {
            assert_eq!(strangers.came(LinkId(number as u64), address(number)), None);
        }
        strangers.left(LinkId(0));
        assert_eq!(strangers.came(LinkId(1_000), address(1_000)), None);
        assert_eq!(strangers.came(LinkId(1_001), address(1_001)), Some(LinkId(1)));
        assert_eq!(strangers.0.len(), MAX_STRANGERS);
    }
}
