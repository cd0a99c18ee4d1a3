//! Pauses between attempts, within what a job can wait.

use std::time::{Duration, Instant};

use crate::diagnostic::{Error, Result};

/// The most attempts, however short the pauses.
const ATTEMPTS: u32 = 8;
/// The longest pause that nobody asked for.
const LONGEST: Duration = Duration::from_secs(20);

/// What is left of the patience with one forge.
pub(super) struct Waiting {
    name: &'static str,
    patience: Duration,
    since: Instant,
    attempts: u32,
}

impl Waiting {
    pub(super) fn new(name: &'static str, patience: Duration) -> Self {
        Self { name, patience, since: Instant::now(), attempts: 0 }
    }

    /// Waits as long as was asked, or twice as long as the last time.
    ///
    /// # Errors
    /// What was the matter, when it lasts longer than there is patience.
    pub(super) async fn pause(&mut self, what: String, asked: Option<Duration>) -> Result<()> {
        self.attempts += 1;
        let left = self.patience.saturating_sub(self.since.elapsed());
        let pause = asked.unwrap_or_else(|| Duration::from_millis(500 << self.attempts.min(8)).min(LONGEST));
        if self.attempts >= ATTEMPTS {
            let times = format!("{what}; that was attempt {} of {ATTEMPTS}", self.attempts);
            return Err(Error::failed_help(times, format!("run the job again when {} is well", self.name)));
        }
        if pause > left {
            let message = format!("{what}, and the next attempt would be in {} s", pause.as_secs());
            return Err(Error::failed_help(message, "run the job again after that"));
        }
        tracing::info!("{what}; the next attempt is in {} s", pause.as_secs_f32());
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
