//! Where the admin port hands in the operator's notices: checked against the deployment's keys, then answered by the pod's thread.
//! Sends messages to it; no other I/O.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::message::PodMessage;
use crate::death_notice::{DeathNotice, NoticeError};
use crate::failure_detector::Finding;
use crate::protocol::token::Keyring;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Notices(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: Mutex<Arc<Keyring>>,
    pod: UnboundedSender<PodMessage>,
}

impl Notices {
    /// `keys`: those at start; `pod`: the mailbox of the pod's thread.
    pub fn new(keys: Arc<Keyring>, pod: UnboundedSender<PodMessage>) -> Self {
        Self(Arc::new(Inner { keys: Mutex::new(keys), pod }))
    }

    /// The keys were read again.
    pub fn set_keys(&self, keys: Arc<Keyring>) {
        *self.0.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// What comes of a notice that a process is dead; see [`DeathNotice::read`] for the arguments.
    ///
    /// # Errors
    /// It is not signed with one of the deployment's keys, or not a notice. Then nobody is asked anything.
    pub async fn dead(&self, signature: Option<&[u8]>, body: &[u8]) -> Result<Finding, NoticeError> {
        let keys = Arc::clone(&self.0.keys.lock().unwrap_or_else(PoisonError::into_inner));
        let notice = DeathNotice::read(&keys, signature, body)?;
        let (reply, finding) = oneshot::channel();
        let _ = self.0.pod.send(PodMessage::Dead { notice, reply });
        // An error: this process ends.
        Ok(finding.await.unwrap_or(Finding::Unknown))
    }
}
