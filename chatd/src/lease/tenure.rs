//! What this pod has of its lease, and how far its own life has come. Pure: no I/O.

/// What this pod has of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tenure {
    /// It has never been held. `refused`: another deployment lives under the prefix.
    Untaken { refused: bool },
    /// It was taken, with no other deployment under the prefix. `lost`: it was missing, and has not been taken again yet.
    Taken { lost: bool },
    /// Another deployment has come under the prefix since.
    Ousted { lost: bool },
    /// A newer process of this name has it: it is not taken again.
    Superseded,
}

impl Tenure {
    /// It has been held at least once.
    pub fn is_taken(self) -> bool {
        !matches!(self, Tenure::Untaken { .. })
    }

    /// Another deployment lives under the prefix.
    pub fn is_refused(self) -> bool {
        matches!(self, Tenure::Untaken { refused: true } | Tenure::Ousted { .. })
    }

    pub fn is_superseded(self) -> bool {
        self == Tenure::Superseded
    }

    /// The pod serves: a newer process of this name takes its rooms one by one.
    pub fn serves(self) -> bool {
        matches!(self, Tenure::Taken { .. } | Tenure::Superseded)
    }

    /// It is renewed.
    pub fn renews(self) -> bool {
        matches!(self, Tenure::Taken { .. })
    }

    /// The first lease is there, and no other deployment.
    pub fn take(&mut self) {
        debug_assert_eq!(*self, Tenure::Untaken { refused: false });
        *self = Tenure::Taken { lost: false };
    }

    /// It is missing. Before it was ever held that means nothing.
    pub fn lose(&mut self) {
        if let Tenure::Taken { lost } | Tenure::Ousted { lost } = self {
            *lost = true;
        }
    }

    /// It is held now: whether it had been lost.
    pub fn regain(&mut self) -> bool {
        let was_lost = *self == Tenure::Taken { lost: true };
        if was_lost {
            *self = Tenure::Taken { lost: false };
        }
        was_lost
    }

    /// Another deployment was found under the prefix: whether that is new.
    pub fn refuse(&mut self) -> bool {
        debug_assert!(!self.is_superseded());
        let is_new = !self.is_refused();
        match *self {
            Tenure::Untaken { .. } => *self = Tenure::Untaken { refused: true },
            Tenure::Taken { lost } => *self = Tenure::Ousted { lost },
            Tenure::Ousted { .. } | Tenure::Superseded => {}
        }
        is_new
    }

    /// The prefix is this deployment's alone.
    pub fn admit(&mut self) {
        match *self {
            Tenure::Untaken { .. } => *self = Tenure::Untaken { refused: false },
            Tenure::Ousted { lost } => *self = Tenure::Taken { lost },
            Tenure::Taken { .. } | Tenure::Superseded => {}
        }
    }

    /// A newer process of this name has replaced it.
    pub fn supersede(&mut self) {
        debug_assert!(self.renews(), "{self:?}");
        *self = Tenure::Superseded;
    }
}

/// How far the life of this pod has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    Running,
    /// `marked`: a lease that says so has been sent.
    Draining {
        marked: bool,
    },
    /// The lease is being given up. `drained`: the pod had been draining before.
    Ending {
        drained: bool,
    },
}

impl Course {
    /// The pod is going, so it is given no rooms.
    pub fn is_draining(self) -> bool {
        matches!(self, Course::Draining { .. } | Course::Ending { drained: true })
    }

    /// Other pods can read in the lease that this one is going.
    pub fn is_marked(self) -> bool {
        self == Course::Draining { marked: true }
    }

    pub fn is_ending(self) -> bool {
        matches!(self, Course::Ending { .. })
    }

    pub fn drain(&mut self) {
        match self {
            Course::Running => *self = Course::Draining { marked: false },
            Course::Draining { .. } => {}
            Course::Ending { drained } => *drained = true,
        }
    }

    /// A lease that says how far it has come is sent.
    pub fn mark(&mut self) {
        if let Course::Draining { marked } = self {
            *marked = true;
        }
    }

    pub fn end(&mut self) {
        *self = Course::Ending { drained: self.is_draining() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_lease_is_regained_once_even_past_another_deployment() {
        let mut tenure = Tenure::Untaken { refused: false };
        tenure.lose();
        assert!(!tenure.is_taken() && !tenure.regain(), "what was never held is not lost");
        tenure.take();
        tenure.lose();
        assert!(tenure.refuse() && !tenure.refuse() && !tenure.serves() && !tenure.regain());
        tenure.admit();
        assert!(tenure.renews() && tenure.regain() && !tenure.regain());
    }

    #[test]
    fn a_superseded_pod_serves_and_renews_nothing() {
        let mut tenure = Tenure::Taken { lost: false };
        tenure.supersede();
        tenure.lose();
        assert!(tenure.serves() && tenure.is_taken() && !tenure.renews());
    }

    #[test]
    fn a_pod_that_ends_goes_on_saying_that_it_drains() {
        let mut course = Course::Running;
        course.mark();
        assert!(!course.is_draining());
        course.drain();
        assert!(course.is_draining() && !course.is_marked());
        course.mark();
        course.drain();
        assert!(course.is_marked());
        course.end();
        course.end();
        assert!(course.is_ending() && course.is_draining());
    }
}
