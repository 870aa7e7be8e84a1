//! What becomes known of a service with each answer: metrics, and a log line whenever it changes. Logs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Away, Reason, Service};
use crate::metrics::Metrics;

/// One service's answers.
#[derive(Debug)]
pub struct Health {
    service: Service,
    metrics: Arc<Metrics>,
    /// `None`: not asked yet.
    last: Mutex<Option<Result<(), Reason>>>,
}

impl Health {
    pub fn new(service: Service, metrics: Arc<Metrics>) -> Self {
        Self { service, metrics, last: Mutex::new(None) }
    }

    /// A request was answered, or not, after `took`.
    pub fn asked<T>(&self, took: Duration, outcome: Result<T, Reason>) -> Result<T, Away> {
        let (service, result) = (self.service, outcome.as_ref().map(|_| ()).map_err(|reason| *reason));
        self.metrics.asked(service, took, result.err());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != Some(result) {
            match result {
                Ok(()) => tracing::info!(service = service.as_str(), "a service answers"),
                Err(reason) => {
                    let sentence = Away { service, reason }.sentence();
                    tracing::warn!(
                        service = service.as_str(),
                        reason = reason.as_str(),
                        detail = sentence,
                        "a service does not answer"
                    );
                }
            }
            *last = Some(result);
        }
        outcome.map_err(|reason| Away { service, reason })
    }

    /// A connection was opened.
    pub fn connected(&self) {
        self.metrics.connected(self.service);
    }
}
