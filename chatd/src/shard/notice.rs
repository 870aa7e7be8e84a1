//! Log events of a shard's hub. Does I/O: logs.

use crate::hub::Notice;

pub(super) fn log(notice: &Notice) {
    match notice {
        Notice::Created { room } => tracing::debug!(%room, "room created"),
        Notice::Closed { room } => tracing::debug!(%room, "room closed"),
        Notice::TookOver { room, from, epoch } => tracing::info!(%room, from, epoch, "room taken over"),
        Notice::Reasserted { room, epoch } => tracing::info!(%room, epoch, "room reasserted"),
        Notice::Released { room, to, epoch } => tracing::info!(%room, to, epoch, "room released to another pod"),
        Notice::MovedHere { room, epoch } => tracing::info!(%room, epoch, "room moved to this pod"),
        Notice::MoveFailed { room, to } => tracing::warn!(%room, to, "cannot move room"),
        Notice::GivenUp { room } => tracing::warn!(%room, "room closed: no other pod took it before the deadline"),
        Notice::UnreadableRecord { room } => tracing::warn!(%room, "cannot parse the room's record"),
        Notice::Balance { begins: true, rooms, mean } => {
            tracing::info!(rooms, mean, "more rooms than other pods have: rooms are moved there");
        }
        Notice::Balance { begins: false, rooms, mean } => {
            tracing::info!(rooms, mean, "about as many rooms as other pods have: no more are moved");
        }
        Notice::JoinTokenRefused { failure, unsaid } => {
            tracing::info!(reason = %failure, others = unsaid, "join token refused");
        }
        Notice::LeaseLapsed { rooms } => {
            tracing::warn!(rooms, "lease lapsed; rooms are paused until their ownership records are verified");
        }
    }
}
