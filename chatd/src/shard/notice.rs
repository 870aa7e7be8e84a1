//! What a shard's hub has to say to the log. Does I/O: logs.

use crate::hub::Notice;

pub(super) fn log(notice: &Notice) {
    match notice {
        Notice::Created { room } => tracing::debug!(%room, "room created"),
        Notice::Closed { room } => tracing::debug!(%room, "empty room closed"),
        Notice::TookOver { room, from, epoch } => tracing::info!(%room, from, epoch, "room taken over"),
        Notice::ClaimedAgain { room, epoch } => tracing::info!(%room, epoch, "room claimed again"),
        Notice::Yielded { room, to, epoch } => tracing::info!(%room, to, epoch, "room is another pod's now"),
        Notice::MovedHere { room, epoch } => tracing::info!(%room, epoch, "room moved to this pod"),
        Notice::MoveFailed { room, to } => tracing::warn!(%room, to, "room could not be moved"),
        Notice::GivenUp { room } => tracing::warn!(%room, "room was given up: no other pod took it"),
        Notice::UnreadableRecord { room } => tracing::warn!(%room, "room has a record that cannot be read"),
        Notice::Thawed { rooms } => {
            tracing::warn!(rooms, "rooms wait for their records: the lease had lapsed, by a freeze or with Redis away");
        }
    }
}
