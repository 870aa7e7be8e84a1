//! Token keys: a file or a directory of them (`--token-key-file`), and which one signs. Reads files; the choice is pure.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{FileError, ReloadFailures, Watcher, read_text};
use crate::protocol::token::{KeyError, Keyring, MAX_KEYS, parse_key};

/// A key signs only when it has been loaded for this long: by then every pod has it. A Secret reaches all pods' mounts within
/// the kubelet's sync period and cache time, some 60 to 120 s (<https://kubernetes.io/docs/concepts/configuration/secret/>).
pub const RIPE_AFTER: Duration = Duration::from_mins(3);

/// A key that is so old when this process starts has reached every pod, and signs there.
const KNOWN_AFTER: Duration = Duration::from_mins(10);

/// How an id tells when its key was made, in UTC: as the operator names keys.
const TIME: &str = "%Y%m%d%H%M%S";

/// The id of a key that is alone in its file, so has none.
const ONLY: &str = "key";

/// A key as it was read: its id and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// The file's name in a directory of keys; `key` for one that is alone in its file.
    pub id: String,
    /// The key itself: 32 bytes or more.
    pub secret: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({})", self.id)
    }
}

/// Every key that is accepted, and the id of the one that signs.
#[derive(Clone, PartialEq, Eq)]
pub struct LoadedKeys {
    /// Id and secret, ids ascending bytewise; never empty.
    pub keys: Vec<(String, Vec<u8>)>,
    /// The id of the key that signs.
    pub signing: String,
}

impl LoadedKeys {
    /// The ring that signs and verifies with them.
    ///
    /// # Errors
    /// None in practice: what was read has passed the same checks.
    pub fn keyring(&self) -> Result<Keyring, KeyError> {
        Keyring::new(self.keys.clone(), &self.signing)
    }
}

impl fmt::Debug for LoadedKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|(id, _)| id.as_str()).collect();
        formatter.debug_struct("LoadedKeys").field("ids", &ids).field("signing", &self.signing).finish()
    }
}

/// The keys at `path`, ids ascending bytewise: of a file one, of a directory one for each file whose name does not start with a
/// dot (mounted Secrets have such names for their own use).
pub fn read_keys(path: &Path) -> Result<Vec<Key>, FileError> {
    let read = |path: &Path, id: &str| {
        let secret = parse_key(&read_text(path)?).map_err(|error| FileError::wrong(path, error))?;
        Ok(Key { id: id.to_owned(), secret })
    };
    if !path.is_dir() {
        return Ok(vec![read(path, ONLY)?]);
    }
    let mut keys = Vec::new();
    for id in &names(path)? {
        match read(&path.join(id), id) {
            // Taken out since the listing; a mount's swap leaves a symlink to nothing for a moment.
            Err(FileError::Missing { .. }) => {}
            key => keys.push(key?),
        }
    }
    if keys.is_empty() {
        return Err(FileError::wrong(path, "holds no key: add a file with 32 random bytes in base64, named by its id"));
    }
    Ok(keys)
}

/// The names of a directory's files, ascending bytewise, without those that start with a dot.
pub(super) fn names(path: &Path) -> Result<Vec<String>, FileError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| FileError::io(path, &error))? {
        let name = entry.map_err(|error| FileError::io(path, &error))?.file_name();
        let Some(name) = name.to_str() else {
            return Err(FileError::wrong(path, "has a file whose name is not UTF-8"));
        };
        if name.starts_with('.') || path.join(name).is_dir() {
            continue;
        }
        names.push(name.to_owned());
        if names.len() > MAX_KEYS {
            return Err(FileError::wrong(path, format!("holds more than {MAX_KEYS} keys: remove old ones")));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Since when each key has been loaded, and so which one signs. Pure: times are milliseconds of any clock that only rises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySchedule {
    /// Ids ascending, with the time from which each may sign; never empty.
    keys: Vec<(Key, u64)>,
}

impl KeySchedule {
    /// `keys` are those at start, ids ascending, at least one: a key that is alone may sign at once, and so may one whose id tells
    /// that it is old at the time `wall`. Otherwise a pod that starts long after a rotation would sign with the key that is to go.
    pub fn new(keys: Vec<Key>, now: u64, wall: Timestamp) -> Self {
        let later = now.saturating_add(RIPE_AFTER.as_millis() as u64);
        let is_alone = keys.len() == 1;
        let is_known = |key: &Key| {
            let made = DateTime::strptime(TIME, &key.id).and_then(|time| time.to_zoned(TimeZone::UTC));
            made.is_ok_and(|made| SignedDuration::try_from(KNOWN_AFTER).is_ok_and(|age| made.timestamp() + age <= wall))
        };
        let ripe_at = |key: &Key| if is_alone || is_known(key) { now } else { later };
        Self { keys: keys.into_iter().map(|key| (ripe_at(&key), key)).map(|(at, key)| (key, at)).collect() }
    }

    /// The keys were read again: those that stay keep their time; an id with another secret is a new key.
    pub fn replace(&mut self, keys: Vec<Key>, now: u64) {
        let later = now.saturating_add(RIPE_AFTER.as_millis() as u64);
        let ripe_at = |key: &Key| self.keys.iter().find(|(old, _)| old == key).map_or(later, |(_, ripe_at)| *ripe_at);
        let keys: Vec<(Key, u64)> =
            keys.into_iter().map(|key| (ripe_at(&key), key)).map(|(at, key)| (key, at)).collect();
        if !keys.is_empty() {
            self.keys = keys;
        }
    }

    /// What is accepted and what signs at `now`: the greatest id of the keys that have been loaded long enough. Where none has
    /// (several at start, or all replaced at once), the one before the greatest: the newest is the one that others may lack.
    pub fn at(&self, now: u64) -> LoadedKeys {
        let ripe = self.keys.iter().rfind(|(_, ripe_at)| *ripe_at <= now);
        let signing = ripe.or_else(|| self.keys.iter().rev().nth(1)).or_else(|| self.keys.last());
        LoadedKeys {
            keys: self.keys.iter().map(|(key, _)| (key.id.clone(), key.secret.clone())).collect(),
            signing: signing.map(|(key, _)| key.id.clone()).unwrap_or_default(),
        }
    }

    /// The next time after `now` at which a key comes to be able to sign.
    pub fn next_ripe(&self, now: u64) -> Option<u64> {
        self.keys.iter().map(|(_, ripe_at)| *ripe_at).filter(|ripe_at| *ripe_at > now).min()
    }
}

/// The keys at a path over time.
#[derive(Debug)]
pub struct KeyWatch {
    watcher: Watcher<Vec<Key>>,
    schedule: KeySchedule,
    started: Instant,
    current: LoadedKeys,
}

impl KeyWatch {
    /// Reads the keys for the first time, at the start of the process: blocks.
    pub fn start(path: &Path, failures: ReloadFailures) -> Result<Self, FileError> {
        let watcher = Watcher::start(path, read_keys, failures)?;
        let schedule = KeySchedule::new(watcher.current().clone(), 0, Timestamp::now());
        let current = schedule.at(0);
        Ok(Self { watcher, schedule, started: Instant::now(), current })
    }

    /// Looks every `period` instead of [`super::PERIOD`].
    #[must_use]
    pub fn every(mut self, period: Duration) -> Self {
        self.watcher = self.watcher.every(period);
        self
    }

    /// What was last loaded without an error.
    pub fn current(&self) -> &LoadedKeys {
        &self.current
    }

    /// Waits until other keys are accepted or another one signs. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> LoadedKeys {
        loop {
            let now = self.now();
            let ripe_in = self.schedule.next_ripe(now).map_or(Duration::MAX, |at| Duration::from_millis(at - now));
            // A change and its time are noted together, after the only wait: see the watcher's promise.
            if let Ok(keys) = tokio::time::timeout(ripe_in, self.watcher.changed()).await {
                let now = self.now();
                self.schedule.replace(keys, now);
            }
            let keys = self.schedule.at(self.now());
            if keys != self.current {
                tracing::info!(accepted = keys.keys.len(), signing = %keys.signing, "token keys changed");
                self.current = keys.clone();
                return keys;
            }
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}
