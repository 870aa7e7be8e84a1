//! The webhook of a pod: begins with it, and delivers what waits when it ends. Does I/O: reads files, starts a thread.

use std::time::Duration;

use super::{StartError, seed};
use crate::files::{ReloadFailures, Watcher, read_authorities, read_webhook_secrets};
use crate::record::Owner;
use crate::settings::WebhookSettings;
use crate::shard;
use crate::webhook::{Teller, WebhookStart, Webhooks};

/// How long a pod that ends in order still delivers events. At worst 5 of the 10 s have passed then that Kubernetes gives it after the
/// deadline of its drain.
const LAST_EVENTS: Duration = Duration::from_secs(3);

pub(super) fn start(settings: &WebhookSettings, me: &Owner, failures: &ReloadFailures) -> Result<Webhooks, StartError> {
    let secrets = Watcher::start(&settings.secret_file, read_webhook_secrets, failures.clone());
    let ca_file = settings.ca_file.as_deref();
    let authorities = ca_file.map(|path| Watcher::start(path, read_authorities, failures.clone()));
    let start = WebhookStart {
        url: settings.url.clone(),
        secrets: secrets.map_err(StartError::WebhookSecret)?,
        authorities: authorities.transpose().map_err(StartError::WebhookAuthorities)?,
        teller: Teller { pod_id: me.pod_id.clone(), boot: me.ownership.boot },
        clock: shard::now,
        seed: seed()?,
    };
    Ok(Webhooks::start(start)?)
}

pub(super) async fn finish(webhooks: Option<Webhooks>) {
    if let Some(webhooks) = webhooks {
        webhooks.finish(LAST_EVENTS).await;
    }
}
