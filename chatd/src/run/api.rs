//! The server API of a pod: begins with it, and takes other keys when their file changes. Does I/O: binds its port, reads a file.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::spawn_local;

use super::{StartError, bind_one};
use crate::api::figures::ApiFigures;
use crate::api::keys::ApiKeys;
use crate::api::{self, ApiStart};
use crate::files::{ReloadFailures, Watcher, watch_api_keys};
use crate::pod::message::PodMessage;
use crate::protocol::PodBoot;
use crate::settings::{ApiSettings, Settings};
use crate::shard::message::ShardMessage;

/// A bound port with its keys: both are looked at before anything starts.
pub(super) struct Prepared {
    port: TcpListener,
    keys: Watcher<ApiKeys>,
}

pub(super) fn prepare(settings: &ApiSettings, failures: &ReloadFailures) -> Result<Prepared, StartError> {
    let port = bind_one("--api-listen", settings.listen)?;
    let keys = watch_api_keys(&settings.keys_file, failures.clone()).map_err(StartError::ApiKeys)?;
    Ok(Prepared { port, keys })
}

impl Prepared {
    /// Serves until the process ends. Has to run inside a `LocalSet`.
    pub(super) fn serve(
        self,
        settings: &Settings,
        (boot, seed): (PodBoot, [u8; 32]),
        shards: Vec<UnboundedSender<ShardMessage>>,
        pod: UnboundedSender<PodMessage>,
    ) -> ApiFigures {
        let Self { port, keys: mut watcher } = self;
        let (sender, keys) = watch::channel(Arc::new(watcher.current().clone()));
        spawn_local(async move {
            loop {
                let keys = watcher.changed().await;
                tracing::info!(keys = keys.count(), "keys of the server API changed");
                sender.send_replace(Arc::new(keys));
            }
        });
        let figures = ApiFigures::default();
        let start = ApiStart {
            shards,
            pod,
            boot,
            deployment_uid: settings.deployment_uid.clone(),
            max_rooms: settings.limits.max_rooms.into(),
            keys,
            figures: figures.clone(),
            keep_alive: settings.limits.http_keep_alive,
            seed,
        };
        spawn_local(api::serve(port, start));
        figures
    }
}
