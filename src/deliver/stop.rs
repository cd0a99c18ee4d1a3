//! The wish to stop: raised once by a signal, seen everywhere.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Raises the wish to stop.
#[derive(Debug)]
pub struct Raise(watch::Sender<Option<Instant>>);

/// Sees the wish to stop.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<Instant>>);

/// A pair that belongs together.
pub fn channel() -> (Raise, Stop) {
    let (sender, receiver) = watch::channel(None);
    (Raise(sender), Stop(receiver))
}

impl Raise {
    /// Asks all that see it to stop; the first call counts.
    pub fn raise(&self) {
        self.0.send_if_modified(|since| since.is_none() && since.replace(Instant::now()).is_none());
    }
}

impl Stop {
    /// One that is never raised.
    pub fn never() -> Self {
        channel().1
    }

    /// True once it was raised.
    pub fn is_raised(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Returns once it was raised.
    pub async fn raised(&self) -> Instant {
        let mut receiver = self.0.clone();
        let raised = receiver.wait_for(Option::is_some).await.map(|since| *since);
        match raised {
            Ok(Some(since)) => since,
            // Nobody can raise it any more.
            _ => std::future::pending().await,
        }
    }

    /// Returns when so much time has passed since it was raised.
    pub async fn past(&self, time: Duration) {
        let since = self.raised().await;
        tokio::time::sleep_until(since + time).await;
    }
}
