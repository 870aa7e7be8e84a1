//! The limit of the pod's connections, and the share of one address. No I/O; shared by the pod's threads.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::limits::{Account, account};
use crate::protocol::ErrorCode;

/// The pod's places for connections, which its ports share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ConnectionLimit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    count: usize,
    free: Semaphore,
    refused: AtomicU64,
    draining: AtomicBool,
    /// How many one address may have; `None`: addresses do not count.
    of_one: Option<usize>,
    taken: Mutex<HashMap<Account, usize>>,
}

/// One of the places; given back on drop.
#[derive(Debug)]
pub struct Permit {
    places: ConnectionLimit,
    /// Whose it is, where addresses count and the client's is known.
    account: Option<Account>,
}

impl ConnectionLimit {
    /// `count` places, of which one address gets `of_one`, if addresses are seen.
    pub fn new(count: usize, of_one: Option<usize>) -> Self {
        Self(Arc::new(Inner {
            count,
            free: Semaphore::new(count),
            refused: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            of_one,
            taken: Mutex::default(),
        }))
    }

    /// New connections are to go to other pods from now on.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// New connections are to go to other pods.
    pub fn draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// A place for a connection. `client`: its address, if it is known already; else [`Permit::belongs_to`] follows.
    pub fn take(&self, client: Option<IpAddr>) -> Result<Permit, ErrorCode> {
        let Ok(place) = self.0.free.try_acquire() else {
            return Err(self.refuse(ErrorCode::TooManyConnections));
        };
        // Each connection has a permit: it gives the place back by what it needs anyway.
        place.forget();
        let permit = Permit { places: self.clone(), account: None };
        match client {
            Some(client) => permit.belongs_to(client),
            None => Ok(permit),
        }
    }

    fn refuse(&self, code: ErrorCode) -> ErrorCode {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        code
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Account, usize>> {
        // Plain figures: no panic can leave them half changed.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.count as u64
    }

    /// How many connections over the limit may be told so at one time, of each port: they take files too.
    pub fn refusals(&self) -> usize {
        (self.0.count / 16).clamp(4, 64)
    }

    /// How many are taken: by clients, by HTTP connections, and by those that are being closed.
    pub fn used(&self) -> u64 {
        self.0.count.saturating_sub(self.0.free.available_permits()) as u64
    }

    /// How many connections have found no place.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// The place counts for this address, if none has been named before. An error: the address has as many as it may.
    pub fn belongs_to(mut self, client: IpAddr) -> Result<Self, ErrorCode> {
        let Some(most) = self.places.0.of_one.filter(|_| self.account.is_none()) else {
            return Ok(self);
        };
        let account = account(client);
        let mut taken = self.places.taken();
        let of_client = taken.entry(account).or_default();
        if *of_client >= most {
            drop(taken);
            return Err(self.places.refuse(ErrorCode::TooManyFromAddress));
        }
        *of_client += 1;
        drop(taken);
        self.account = Some(account);
        Ok(self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.places.0.free.add_permits(1);
        let Some(account) = self.account else {
            return;
        };
        let mut taken = self.places.taken();
        if let Some(of_client) = taken.get_mut(&account) {
            *of_client -= 1;
            if *of_client == 0 {
                taken.remove(&account);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn client(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn a_place_is_used_until_it_is_given_back() {
        let places = ConnectionLimit::new(2, None);
        let held = [places.take(Some(client(1))), places.clone().take(Some(client(1))), places.take(Some(client(2)))];
        assert_eq!(held[2].as_ref().err(), Some(&ErrorCode::TooManyConnections));
        assert!(held[1].is_ok());
        assert_eq!((places.used(), places.refused()), (2, 1));
        drop(held);
        assert_eq!(places.used(), 0);
    }

    #[test]
    fn an_address_has_its_part_and_no_more() {
        let places = ConnectionLimit::new(10, Some(2));
        let first = [places.take(Some(client(1))).unwrap(), places.take(Some(client(1))).unwrap()];
        assert_eq!(places.take(Some(client(1))).err(), Some(ErrorCode::TooManyFromAddress));
        let proxied = places.take(None).unwrap();
        assert_eq!(proxied.belongs_to(client(1)).err(), Some(ErrorCode::TooManyFromAddress));
        let other = places.take(None).unwrap().belongs_to(client(2)).unwrap();
        // Named once, it stays with whom it was named for.
        let other = other.belongs_to(client(1)).unwrap();
        assert_eq!((places.used(), places.refused()), (3, 2));
        drop(first);
        assert!(places.take(Some(client(1))).is_ok());
        drop(other);
        assert_eq!((places.used(), places.taken().len()), (0, 0));
    }
}
