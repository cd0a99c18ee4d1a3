//! Waiting for a remote store from code that blocks, wherever that code runs.

use std::future::Future;
use std::sync::mpsc;

use tokio::runtime::{Builder, Runtime};

use crate::diagnostic::{Error, Result};

/// A runtime of its own: whoever waits may be a thread of another one, which must not be entered twice.
pub struct Worker(Option<Runtime>);

impl Worker {
    /// Starts it.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start() -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("state").enable_all().build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(|e| Error::failed(format!("cannot start a thread: {e}")))
    }

    /// Does the work, and blocks until it is done.
    ///
    /// # Errors
    /// What the work says.
    pub fn wait<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let gone = || Error::failed("the thread that speaks to the state's store ended");
        let runtime = self.0.as_ref().ok_or_else(gone)?;
        let (done, result) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            let _ = done.send(work.await);
        });
        result.recv().map_err(|_| gone())?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Dropping it would block, which is not allowed everywhere.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
