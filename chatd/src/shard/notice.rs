//! A shard's events in the log. Does I/O: logs.

use crate::hub::Notice;

pub(super) fn log(notice: &Notice) {
    match notice {
        Notice::Created { room } => tracing::info!(%room, "room created"),
    }
}
