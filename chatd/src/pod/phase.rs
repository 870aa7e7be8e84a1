//! The phase of a pod: serving, draining, over. Plain data: no I/O.

/// How the pod has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// In order: every room was handed over, or the deadline was reached.
    Drained,
    /// Another process of its name stays: in order, or before it has served.
    Twin,
    /// By a second signal.
    Aborted,
    /// A shard has died.
    Broken,
}

/// Times are milliseconds of [`crate::ids::Time::now`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    Draining {
        accept_until: u64,
        deadline: u64,
    },
    /// The lease is being given up.
    Leaving {
        deadline: u64,
        ended: Ended,
    },
    Over(Ended),
}
