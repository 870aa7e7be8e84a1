//! The managed namespaces, and which of them can be read now. An unreadable one is skipped, and does not block the others. In
//! memory; no I/O.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::desired::Kind;

/// All namespaces (none by name), or each of some.
#[derive(Clone, Debug)]
pub struct Scopes(Arc<Mutex<Vec<Scope>>>);

#[derive(Debug)]
struct Scope {
    namespace: Option<String>,
    /// Lists that have not been read yet.
    unread: usize,
    /// Lists that the API server refuses.
    refused: usize,
    /// Kinds of others that it has, and that can be read.
    optional: BTreeSet<Kind>,
}

/// What the last try to read a list came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum List {
    /// No try has ended yet.
    #[default]
    Unread,
    /// It was read, and is being watched.
    Read,
    /// The API server refuses it: no rights, or no such namespace.
    Refused,
}

impl Scopes {
    /// `lists`: how many are read of each.
    pub fn new(namespaces: &[String], lists: usize) -> Self {
        let scope = |namespace| Scope { namespace, unread: lists, refused: 0, optional: BTreeSet::new() };
        let mut scopes: Vec<Scope> = namespaces.iter().cloned().map(|namespace| scope(Some(namespace))).collect();
        if scopes.is_empty() {
            scopes.push(scope(None));
        }
        Self(Arc::new(Mutex::new(scopes)))
    }

    fn state(&self) -> MutexGuard<'_, Vec<Scope>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A list of this scope was another thing before. Whether the scope can be read as a whole, or not, is returned if that is new.
    pub fn list_is(&self, namespace: Option<&str>, before: List, now: List) -> Option<bool> {
        let mut scopes = self.state();
        let scope = scopes.iter_mut().find(|scope| scope.namespace.as_deref() == namespace)?;
        let (was_readable, was_refused) = (scope.is_readable(), scope.refused > 0);
        for (state, change) in [(before, usize::wrapping_sub as fn(usize, usize) -> usize), (now, usize::wrapping_add)]
        {
            match state {
                List::Unread => scope.unread = change(scope.unread, 1),
                List::Refused => scope.refused = change(scope.refused, 1),
                List::Read => {}
            }
        }
        match (scope.is_readable(), scope.refused > 0) {
            (true, _) if !was_readable => Some(true),
            (_, true) if !was_refused => Some(false),
            _ => None,
        }
    }

    /// Whether this scope has a kind that not every cluster has. Returns whether that is new.
    pub fn optional_is(&self, namespace: Option<&str>, kind: Kind, is_there: bool) -> bool {
        let mut scopes = self.state();
        let Some(scope) = scopes.iter_mut().find(|scope| scope.namespace.as_deref() == namespace) else { return false };
        if is_there { scope.optional.insert(kind) } else { scope.optional.remove(&kind) }
    }

    /// Which of [`Kind::OPTIONAL`] there are in a namespace.
    pub fn optional_kinds(&self, namespace: &str) -> BTreeSet<Kind> {
        let is_of = |scope: &&Scope| scope.namespace.as_deref().is_none_or(|of| of == namespace);
        self.state().iter().filter(is_of).flat_map(|scope| scope.optional.iter().copied()).collect()
    }

    /// Whether every list of every namespace has been read, but for those namespaces that cannot be.
    pub fn are_synced(&self) -> bool {
        self.state().iter().all(|scope| scope.is_readable() || scope.is_left_out())
    }

    /// Whether all is known of what is in a namespace: what is done there goes by that.
    pub fn is_readable(&self, namespace: &str) -> bool {
        let is_of = |scope: &&Scope| scope.namespace.as_deref().is_none_or(|of| of == namespace);
        self.state().iter().filter(is_of).any(Scope::is_readable)
    }

    /// How many namespaces cannot be read.
    pub fn left_out(&self) -> usize {
        self.state().iter().filter(|scope| scope.is_left_out()).count()
    }
}

impl Scope {
    fn is_readable(&self) -> bool {
        self.unread == 0 && self.refused == 0
    }

    /// Without a name it is all that there is.
    fn is_left_out(&self) -> bool {
        self.refused > 0 && self.namespace.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_cannot_be_read_is_left_out_and_comes_back() {
        let scopes = Scopes::new(&["a".into(), "b".into()], 2);
        let of = |namespace: &str, before, now| scopes.list_is(Some(namespace), before, now);
        assert_eq!(of("a", List::Unread, List::Read), None);
        assert_eq!(of("b", List::Unread, List::Refused), Some(false));
        assert!(!scopes.are_synced(), "one list of a is not read yet");
        assert_eq!(of("a", List::Unread, List::Read), Some(true));
        assert!(scopes.are_synced() && scopes.is_readable("a") && !scopes.is_readable("b"));
        assert_eq!((of("b", List::Unread, List::Refused), scopes.left_out()), (None, 1));
        assert_eq!(of("b", List::Refused, List::Read), None);
        assert!(!scopes.is_readable("b"), "nothing is done by half of what there is");
        assert_eq!((of("b", List::Refused, List::Read), scopes.left_out()), (Some(true), 0));
        // It is deleted while the operator runs.
        assert_eq!((of("b", List::Read, List::Refused), scopes.left_out()), (Some(false), 1));
        assert!(scopes.are_synced() && !scopes.is_readable("elsewhere"));
    }

    #[test]
    fn a_kind_that_not_every_cluster_has_comes_and_goes() {
        let scopes = Scopes::new(&["a".into(), "b".into()], 0);
        assert!(scopes.optional_is(Some("a"), Kind::PodMonitor, true));
        assert!(!scopes.optional_is(Some("a"), Kind::PodMonitor, true), "nothing new");
        let of = |namespace: &str| scopes.optional_kinds(namespace).into_iter().collect::<Vec<_>>();
        assert_eq!((of("a"), of("b")), (vec![Kind::PodMonitor], vec![]));
        assert!(scopes.are_synced() && scopes.optional_is(Some("a"), Kind::PodMonitor, false));
        assert!(of("a").is_empty());
    }

    #[test]
    fn all_namespaces_are_not_left_out() {
        let scopes = Scopes::new(&[], 1);
        assert_eq!(scopes.list_is(None, List::Unread, List::Refused), Some(false));
        assert!(!scopes.are_synced() && scopes.left_out() == 0);
        assert_eq!(scopes.list_is(None, List::Refused, List::Read), Some(true));
        assert!(scopes.are_synced() && scopes.is_readable("any"));
    }
}
