//! Detects another operator that already manages a ChatDeployment. Both would write the same children in different ways, endlessly; so the
//! second one stops. In memory; no I/O.
//!
//! `status.operator` names the managing operator, by namespace and Lease. An operator that finds another name writes its own as contender.
//! A living operator removes that entry. If the entry stays for long enough, the first operator is gone, and the contender takes over.
//! Each namespace has a contest of its own: in one where the first operator has lost its rights, it cannot defend itself, and lives.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::record::Key;

/// Longer than it takes an operator to take the Lease over from one that was killed, and to look.
const ANSWERS_WITHIN: Duration = Duration::from_secs(45);

/// What is to be done about a ChatDeployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is ours.
    Work,
    /// Take the contender's name out, and work.
    Defend {
        /// Its name, as `namespace/Lease`.
        contender: String,
    },
    /// Write one's own name as the contender's.
    Contend {
        /// The one whose name stands there.
        operator: String,
    },
    /// Another one manages it, or did: check again after this time.
    Wait(Duration),
    /// The other one lives.
    Stop {
        /// Its name, as `namespace/Lease`.
        operator: String,
    },
}

/// The operator that manages a ChatDeployment, according to its status.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named<'a> {
    /// The managing operator, as `namespace/Lease`.
    pub operator: Option<&'a str>,
    /// The one that asks whether the former lives.
    pub contender: Option<&'a str>,
}

/// The known other operators of ChatDeployments.
#[derive(Debug)]
pub struct Neighbours {
    me: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the other's name and the namespace, in which one ChatDeployment is enough to find out whether it lives.
    contests: HashMap<(String, String), (Key, Instant)>,
    gone: HashSet<(String, String)>,
}

impl Neighbours {
    /// `me`: the name of this operator, as `namespace/Lease`.
    pub fn new(me: String) -> Self {
        Self { me, state: Mutex::default() }
    }

    /// The name of this operator.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// What is to be done about a ChatDeployment whose status names these, at this time.
    pub fn judge(&self, key: &Key, named: Named<'_>, now: Instant) -> Verdict {
        let others = |name: Option<&str>| name.filter(|name| *name != self.me).map(str::to_owned);
        let Some(operator) = others(named.operator) else {
            return others(named.contender).map_or(Verdict::Work, |contender| Verdict::Defend { contender });
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (operator.clone(), key.namespace.clone());
        if state.gone.contains(&place) {
            return Verdict::Work;
        }
        let Some((contested, since)) = state.contests.get(&place).cloned() else {
            state.contests.insert(place, (key.clone(), now));
            return Verdict::Contend { operator };
        };
        let left = ANSWERS_WITHIN.saturating_sub(now.saturating_duration_since(since));
        if contested != *key {
            return Verdict::Wait(left.max(Duration::from_secs(1)));
        }
        if named.contender != Some(self.me.as_str()) {
            return Verdict::Stop { operator };
        }
        if left.is_zero() {
            state.contests.remove(&place);
            state.gone.insert(place);
            return Verdict::Work;
        }
        Verdict::Wait(left)
    }

    /// The ChatDeployment is gone, or could not be written: another one has to do.
    pub fn forget(&self, key: &Key) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.contests.retain(|_, (contested, _)| contested != key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "games".into(), name: name.into() }
    }

    /// The status of one ChatDeployment, and operators that read it and act on it.
    #[derive(Default)]
    struct Status {
        operator: Option<String>,
        contender: Option<String>,
    }

    impl Status {
        fn look(&mut self, who: &Neighbours, at: Instant) -> Verdict {
            let named = Named { operator: self.operator.as_deref(), contender: self.contender.as_deref() };
            let verdict = who.judge(&key("chat"), named, at);
            match verdict {
                Verdict::Work | Verdict::Defend { .. } => {
                    *self = Self { operator: Some(who.me().to_owned()), contender: None };
                }
                Verdict::Contend { .. } => self.contender = Some(who.me().to_owned()),
                Verdict::Wait(_) | Verdict::Stop { .. } => {}
            }
            verdict
        }
    }

    #[test]
    fn the_second_of_two_that_live_stops_and_the_first_goes_on() {
        let start = Instant::now();
        let (first, second) = (Neighbours::new("a/one".into()), Neighbours::new("b/two".into()));
        let mut status = Status::default();
        assert_eq!(status.look(&first, start), Verdict::Work);
        assert_eq!(status.look(&second, start), Verdict::Contend { operator: "a/one".into() });
        assert!(matches!(status.look(&second, start), Verdict::Wait(_)));
        assert_eq!(status.look(&first, start), Verdict::Defend { contender: "b/two".into() });
        assert_eq!(status.look(&second, start), Verdict::Stop { operator: "a/one".into() });
        assert_eq!(status.look(&first, start), Verdict::Work);
        // Another process of the first one's, such as after an upgrade.
        assert_eq!(status.look(&Neighbours::new("a/one".into()), start), Verdict::Work);
    }

    #[test]
    fn the_place_of_one_that_is_gone_is_taken_for_all_that_was_its() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let second = Neighbours::new("b/two".into());
        let mut status = Status { operator: Some("a/one".into()), contender: None };
        assert_eq!(status.look(&second, start), Verdict::Contend { operator: "a/one".into() });
        let other = Named { operator: Some("a/one"), contender: None };
        assert!(matches!(second.judge(&key("other"), other, at(10)), Verdict::Wait(_)), "one is enough to ask by");
        assert_eq!(status.look(&second, at(44)), Verdict::Wait(Duration::from_secs(1)));
        assert_eq!(status.look(&second, at(45)), Verdict::Work);
        assert_eq!(second.judge(&key("other"), other, at(46)), Verdict::Work);
        assert_eq!(status.operator.as_deref(), Some("b/two"));
    }

    #[test]
    fn who_cannot_defend_itself_in_one_namespace_lives_in_the_others() {
        let start = Instant::now();
        let (first, second) = (Neighbours::new("a/one".into()), Neighbours::new("b/two".into()));
        let elsewhere = Key { namespace: "elsewhere".into(), name: "chat".into() };
        let unanswered = Named { operator: Some("a/one"), contender: Some("b/two") };
        let mut status = Status { operator: Some("a/one".into()), contender: None };
        second.judge(&elsewhere, Named { contender: None, ..unanswered }, start);
        assert_eq!(status.look(&second, start), Verdict::Contend { operator: "a/one".into() });
        // Where it lives it answers before the other has been unanswered for long enough.
        assert_eq!(status.look(&first, start), Verdict::Defend { contender: "b/two".into() });
        assert_eq!(status.look(&second, start), Verdict::Stop { operator: "a/one".into() });
        assert_eq!(second.judge(&elsewhere, unanswered, start + ANSWERS_WITHIN), Verdict::Work);
        let other = second.judge(&key("other"), Named { contender: None, ..unanswered }, start + ANSWERS_WITHIN);
        assert_ne!(other, Verdict::Work, "what was found out there does not count here");
    }

    #[test]
    fn of_two_that_want_the_place_of_a_third_one_stops() {
        let start = Instant::now();
        let later = start + ANSWERS_WITHIN;
        let (one, two) = (Neighbours::new("a/one".into()), Neighbours::new("b/two".into()));
        let mut status = Status { operator: Some("c/gone".into()), contender: None };
        status.look(&one, start);
        status.look(&two, start);
        let verdicts = [status.look(&one, later), status.look(&two, later)];
        assert_eq!(verdicts, [Verdict::Stop { operator: "c/gone".into() }, Verdict::Work]);
    }

    #[test]
    fn what_was_contended_for_and_deleted_is_forgotten() {
        let start = Instant::now();
        let me = Neighbours::new("b/two".into());
        let named = Named { operator: Some("a/one"), contender: None };
        me.judge(&key("chat"), named, start);
        me.forget(&key("chat"));
        assert_eq!(me.judge(&key("other"), named, start), Verdict::Contend { operator: "a/one".into() });
    }
}
