//! Events of rooms for the application's backend, by HTTP: Standard Webhooks. The parts are pure, but for the thread and its client.
//!
//! Rooms' owners tell what happens (`event.rs`) as effects of their hubs; a shard passes that on without waiting (`thread.rs`). A thread of
//! its own keeps what has not been delivered (`queue.rs`) and sends it (`client.rs`). Without `--webhook-url` none of it is there.

mod client;
mod event;
mod outcome;
mod payload;
mod queue;
mod signature;
mod thread;
mod tls;
mod url;

pub use event::{CloseReason, Occurrence, WebhookEvent};
pub use payload::Teller;
pub use queue::{DROPPED, WebhookFigures};
pub use signature::{MAX_SECRETS, SecretError, Secrets};
pub use thread::{WebhookError, WebhookReport, WebhookSender, WebhookStart, Webhooks};
pub use url::{UrlError, WebhookUrl};
