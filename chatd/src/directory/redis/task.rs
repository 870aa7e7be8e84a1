//! A task that is aborted when its handle is dropped. Does no I/O of its own.

use tokio::task::JoinHandle;

/// Dropped, it ends the task.
#[derive(Debug)]
pub struct Task(JoinHandle<()>);

impl Task {
    /// Must be called inside a runtime, which runs it.
    pub fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// Waits for its own end.
    pub async fn ended(&mut self) {
        let _ = (&mut self.0).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
