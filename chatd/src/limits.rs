//! Rate limits of misses and creations per client address, and of creations per connection (docs/protocol.md, Limits). Pure: time
//! is passed in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::room::Bucket;

/// Rooms that one connection may make at once, and in each second after.
const CREATIONS: u32 = 20;
const CREATIONS_EACH_SECOND: u32 = 1;
/// Misses and creations in one go, and in each minute after.
const BURST: u64 = 30;
/// The time in which one of them is forgiven (ms).
const EACH: u64 = 60_000 / BURST;
/// More than this (ms) nobody owes.
const MOST_OWED: u64 = 600_000;
/// Addresses that are remembered, in some 2 MiB; beyond that, all others share one account.
const MOST: usize = 64 * 1024;

/// What a new connection may make, whatever it speaks.
pub fn creations(now: u64) -> Bucket {
    Bucket::new(CREATIONS_EACH_SECOND, CREATIONS, now)
}

/// Whose account it is: an IPv4 address, or an IPv6 network of 64 bits, which is what one customer gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Account {
    /// An IPv4 address.
    V4(u32),
    /// An IPv6 network of /64.
    V6(u64),
    /// Everyone whose address has no account of its own.
    Others,
}

/// Whose account an address counts for.
pub fn account(address: IpAddr) -> Account {
    match address.to_canonical() {
        IpAddr::V4(address) => Account::V4(address.to_bits()),
        IpAddr::V6(address) => Account::V6((address.to_bits() >> 64) as u64),
    }
}

/// Whether both addresses share one account.
pub fn same(one: IpAddr, other: IpAddr) -> bool {
    account(one) == account(other)
}

/// What each address has done lately, in bounded memory.
#[derive(Debug, Default)]
pub struct AddressLimits {
    /// When all of it is forgiven (ms): for an exhausted bucket that is BURST times EACH from now.
    forgiven: HashMap<Account, u64>,
    /// The forgiven are swept out when there are so many entries.
    sweep_at: usize,
    /// A full table is swept again at this time (ms) at the earliest: a sweep is not for every newcomer.
    sweep_from: u64,
}

impl AddressLimits {
    /// Counts one miss or creation. Returns when (ms) the address may go on: `now` while its bucket has something left.
    pub fn charge(&mut self, address: IpAddr, now: u64) -> u64 {
        let account = self.account(address, now);
        let forgiven = self.forgiven.entry(account).or_insert(now);
        // Many connections at once go past the limit before any of them is charged: that is paid back.
        *forgiven = ((*forgiven).max(now) + EACH).min(now + MOST_OWED);
        from(*forgiven, now)
    }

    /// From when on (ms) the address may miss or create; `now` at the earliest.
    pub fn allowed_from(&self, address: IpAddr, now: u64) -> u64 {
        let known = self.forgiven.get(&account(address));
        let others = || self.forgiven.get(&Account::Others).filter(|_| self.forgiven.len() >= MOST);
        from(known.or_else(others).copied().unwrap_or(now), now)
    }

    fn account(&mut self, address: IpAddr, now: u64) -> Account {
        let account = account(address);
        if self.forgiven.contains_key(&account) {
            return account;
        }
        if self.forgiven.len() >= self.sweep_at && now >= self.sweep_from {
            self.forgiven.retain(|_, forgiven| *forgiven > now);
            self.sweep_at = (2 * self.forgiven.len()).clamp(1024, MOST);
            self.sweep_from = if self.sweep_at == MOST { now + EACH } else { now };
        }
        if self.forgiven.len() < MOST { account } else { Account::Others }
    }
}

/// One more fits as soon as no more than BURST - 1 of them are not forgiven.
fn from(forgiven: u64, now: u64) -> u64 {
    (forgiven + EACH).saturating_sub(BURST * EACH).max(now)
}

/// One table for all threads; it is only looked at where somebody misses or creates.
#[derive(Debug, Clone, Default)]
pub struct SharedLimits(Arc<Mutex<AddressLimits>>);

impl SharedLimits {
    fn table(&self) -> MutexGuard<'_, AddressLimits> {
        // No panic can leave the table half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`AddressLimits::charge`].
    pub fn charge(&self, address: IpAddr, now: u64) -> u64 {
        self.table().charge(address, now)
    }

    /// See [`AddressLimits::allowed_from`].
    pub fn allowed_from(&self, address: IpAddr, now: u64) -> u64 {
        self.table().allowed_from(address, now)
    }

    /// How long (ms) the address has to wait; 0: it may miss or create now.
    pub fn wait(&self, address: IpAddr, now: u64) -> u64 {
        self.allowed_from(address, now) - now
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn thirty_in_one_go_and_thirty_a_minute_after() {
        let mut limits = AddressLimits::default();
        let (one, start) = (address("192.0.2.1"), 1_000_000);
        for _ in 0..29 {
            assert_eq!(limits.charge(one, start), start);
        }
        assert_eq!(limits.allowed_from(one, start), start);
        assert_eq!(limits.charge(one, start), start + 2000);
        assert_eq!(limits.allowed_from(one, start + 1999), start + 2000);
        assert_eq!(limits.allowed_from(one, start + 2000), start + 2000);
        assert_eq!(limits.charge(one, start + 2000), start + 4000);
        assert_eq!(limits.allowed_from(address("192.0.2.2"), start), start);
        let later = start + 120_000;
        assert_eq!((0..30).map(|_| limits.charge(one, later)).filter(|from| *from > later).count(), 1);
    }

    #[test]
    fn what_many_connections_take_at_once_is_paid_back() {
        let mut limits = AddressLimits::default();
        let one = address("192.0.2.1");
        (0..130).for_each(|_| _ = limits.charge(one, 0));
        assert_eq!(limits.allowed_from(one, 1_000), 101 * EACH);
        (0..3_000).for_each(|_| _ = limits.charge(one, 0));
        assert_eq!(limits.allowed_from(one, 1_000), MOST_OWED - 29 * EACH, "and no more than that");
    }

    #[test]
    fn a_network_of_64_bits_is_one_address_and_so_is_ipv4_in_ipv6_clothes() {
        assert!(same(address("2001:db8::1"), address("2001:db8::ffff:1")));
        assert!(!same(address("2001:db8::1"), address("2001:db8:0:1::1")));
        assert!(same(address("192.0.2.1"), address("::ffff:192.0.2.1")));
    }

    #[test]
    fn any_number_of_addresses_takes_bounded_memory() {
        let mut limits = AddressLimits::default();
        let nth = |number: usize| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).unwrap()));
        for number in 0..3 * MOST {
            limits.charge(nth(number), 0);
        }
        assert!(limits.forgiven.len() <= MOST + 1);
        // Addresses beyond the table share an exhausted account; known ones keep their own.
        assert!(limits.allowed_from(nth(4 * MOST), 0) > 0);
        assert_eq!(limits.allowed_from(nth(1), 0), 0);
        // When all is forgiven, it is forgotten with the next new one.
        limits.charge(nth(5 * MOST), MOST_OWED);
        assert_eq!(limits.forgiven.len(), 1);
    }
}
