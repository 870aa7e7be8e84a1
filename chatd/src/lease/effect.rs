//! The actions that a lease requests, and its log notices. Pure data: no I/O.

use super::state::{LeaseView, Target};
use crate::directory::{NoAnswer, Request};
use crate::ids::Ticket;

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum LeaseEffect {
    /// Ask the directory; give the answer to [`super::Lease::answered`].
    Directory { ticket: Ticket, request: Request },
    /// For every hub: [`crate::hub::Hub::lease`].
    View(LeaseView),
    /// The lease had been lost and is held again; for every hub: [`crate::hub::Hub::lease_lost`], after the view.
    Lost,
    /// Something was found missing or rolled back; for every hub: [`crate::hub::Hub::directory_reset`].
    CheckRecords,
    /// A newer process has this pod's name: drain and end.
    Superseded,
    /// Two processes put each other out. If this one serves, [`LeaseEffect::Superseded`] follows; else it has to end at once.
    Twin,
    /// For every hub: [`crate::hub::Hub::targets`].
    Targets(Vec<Target>),
    /// The lease is given up: the process may end.
    Ended,
    /// For the log.
    Log(LeaseNotice),
}

/// What happened, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum LeaseNotice {
    /// The lease is held for the first time.
    Taken,
    /// A living lease of another deployment: `pod_id` under the same prefix. This pod does not serve.
    PrefixInUse { pod_id: String },
    /// Another deployment has this pod's lease, which it had lost. It served already, and its rooms go on.
    Ousted,
    /// The lease was lost, and is held again: every room is reasserted.
    Lost,
    /// A newer process has this pod's name: this one ends.
    Superseded,
    /// The same, for the second time within a minute.
    SupersededAgain,
    /// A later pod of this name has put the pod of this process out before.
    Earlier,
    /// A lease that cannot be read, and counts as missing.
    Unreadable { pod_id: String },
    /// Something was found missing or rolled back: once for all that is found in a while.
    DirectoryWentBack,
    /// The directory does not answer any more.
    DirectoryAway { why: NoAnswer },
    /// The directory answers again.
    DirectoryBack,
    /// The lease was taken out of the directory at the end.
    GivenUp,
    /// It is there yet, or may be: others wait until it has run out.
    NotGivenUp,
}
