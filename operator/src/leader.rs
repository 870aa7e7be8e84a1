//! Leader election among operators: a Lease, held for 15 s, renewed every 2 s, given up after 10 s without success. Does I/O. The
//! decision is the pure [`judge`]. A leader stops writing before its Lease expires for others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use tokio_util::sync::CancellationToken;

const DURATION: Duration = Duration::from_secs(15);
const DEADLINE: Duration = Duration::from_secs(10);
const PERIOD: Duration = Duration::from_secs(2);

/// Whether this process may write, as all its parts see it.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<Mutex<Option<Instant>>>);

impl Leadership {
    /// Without an election this process always leads.
    pub fn always() -> Self {
        Self(Arc::new(Mutex::new(Instant::now().checked_add(Duration::from_secs(u64::from(u32::MAX))))))
    }

    /// Before the election: it may not write.
    pub fn none() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Whether it may write now.
    pub fn may_write(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// For how long this process may write without hearing from the Lease again.
    pub fn remaining(&self) -> Duration {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// It may write for this long.
    #[cfg(test)]
    pub fn lasts(&self, time: Duration) {
        self.set(Some(Instant::now() + time));
    }

    fn set(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// What to do about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is ours, or nobody's: write it.
    Take,
    /// Somebody else's, and not run out: it does so this long from now, if it is not renewed.
    Wait(Duration),
}

/// What was last seen of a Lease, and since when by our own clock: the clocks of others do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Who holds it; empty if it was given up.
    pub holder: String,
    /// Its `resourceVersion`: it changes with each renewal.
    pub version: String,
    /// When this version was first seen.
    pub since: Instant,
}

/// `seen`: the Lease as it was seen for the first time in its present version.
pub fn judge(seen: &Sighting, me: &str, duration: Duration, now: Instant) -> Judgement {
    let left = (seen.since + duration).saturating_duration_since(now);
    if seen.holder.is_empty() || seen.holder == me || left.is_zero() { Judgement::Take } else { Judgement::Wait(left) }
}

/// Takes part until `shutdown`; then gives the Lease up. Returns early if it was lost: the process should end then.
pub async fn lead(
    client: kube::Client,
    (namespace, name): (&str, &str),
    me: &str,
    leadership: &Leadership,
    shutdown: CancellationToken,
) -> Result<(), Lost> {
    let api: Api<Lease> = Api::namespaced(client, namespace);
    let mut sighting: Option<Sighting> = None;
    let mut led = false;
    let result = loop {
        let started = Instant::now();
        let mut pause = PERIOD;
        match tokio::time::timeout(PERIOD * 2, attempt(&api, name, me, &mut sighting)).await {
            Ok(Ok(Attempt::Held)) => {
                if !led {
                    tracing::info!(identity = me, "became leader");
                }
                led = true;
                // From before the call: others count from when it arrived.
                leadership.set(Some(started + DEADLINE));
            }
            Ok(Ok(Attempt::Others(_))) if led => break Err(Lost),
            Ok(Ok(Attempt::Others(left))) => pause = pause.min(left),
            Ok(Ok(Attempt::Raced)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot read or write the Lease"),
            Err(_) => tracing::warn!("no answer about the Lease from the API server"),
        }
        if led && !leadership.may_write() {
            break Err(Lost);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => break Ok(()),
        }
    };
    // What is still under way in this process must not be written any more, whichever way it ends.
    leadership.set(None);
    if led && result.is_ok() {
        release(&api, name, me).await;
    }
    result
}

/// The process has to end: it may hold what is no longer so.
#[derive(Debug, thiserror::Error)]
#[error("the Lease was lost: another process is the leader, or the API server is unavailable")]
pub struct Lost;

/// What one round of the election came to.
enum Attempt {
    Held,
    /// Somebody else's, for so long at least.
    Others(Duration),
    /// Somebody wrote it at the same time: the next round says who holds it.
    Raced,
}

async fn attempt(
    api: &Api<Lease>,
    name: &str,
    me: &str,
    sighting: &mut Option<Sighting>,
) -> Result<Attempt, kube::Error> {
    let now = Instant::now();
    let Some(lease) = api.get_opt(name).await? else {
        return settled(api.create(&PostParams::default(), &lease(name, me, None)).await);
    };
    let spec = lease.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.clone().unwrap_or_default();
    let version = lease.metadata.resource_version.clone().unwrap_or_default();
    let seen = match sighting.take() {
        Some(seen) if seen.version == version => seen,
        _ => Sighting { holder, version, since: now },
    };
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(15);
    match judge(sighting.insert(seen), me, Duration::from_secs(seconds), now) {
        Judgement::Wait(left) => Ok(Attempt::Others(left)),
        Judgement::Take => {
            settled(api.replace(name, &PostParams::default(), &self::lease(name, me, Some(&lease))).await)
        }
    }
}

fn settled(result: Result<Lease, kube::Error>) -> Result<Attempt, kube::Error> {
    match result {
        Ok(_) => Ok(Attempt::Held),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Raced),
        Err(error) => Err(error),
    }
}

fn lease(name: &str, me: &str, before: Option<&Lease>) -> Lease {
    let now = MicroTime(Timestamp::now());
    let spec = before.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let is_mine = spec.holder_identity.as_deref() == Some(me);
    let metadata = before.map_or_else(
        || ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        |lease| lease.metadata.clone(),
    );
    Lease {
        metadata,
        spec: Some(LeaseSpec {
            holder_identity: Some(me.to_owned()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if is_mine { spec.acquire_time } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(spec.lease_transitions.unwrap_or(0) + i32::from(!is_mine)),
            ..LeaseSpec::default()
        }),
    }
}

/// At a clean end the next one need not wait.
async fn release(api: &Api<Lease>, name: &str, me: &str) {
    let work = async {
        let Some(mut lease) = api.get_opt(name).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(me) {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            api.replace(name, &PostParams::default(), &lease).await?;
        }
        Ok::<(), kube::Error>(())
    };
    match tokio::time::timeout(PERIOD, work).await {
        Ok(Ok(())) => tracing::info!("Lease released"),
        _ => tracing::warn!("cannot release the Lease; it expires by itself"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_if_it_is_free_or_has_run_out_by_our_own_clock() {
        let start = Instant::now();
        let seen = |holder: &str| Sighting { holder: holder.into(), version: "1".into(), since: start };
        let judge = |holder: &str, seconds| judge(&seen(holder), "me", DURATION, start + Duration::from_secs(seconds));
        assert_eq!(judge("", 0), Judgement::Take);
        assert_eq!(judge("me", 0), Judgement::Take);
        assert_eq!(judge("other", 0), Judgement::Wait(DURATION));
        assert_eq!(judge("other", 14), Judgement::Wait(Duration::from_secs(1)));
        assert_eq!(judge("other", 15), Judgement::Take);
    }

    #[test]
    fn the_deadline_ends_before_others_may_take_over() {
        assert!(DEADLINE + PERIOD < DURATION);
        assert!(Leadership::always().may_write());
        assert!(!Leadership::none().may_write());
    }
}
