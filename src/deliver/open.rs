//! The first step of a delivery: a destination that is not there yet is given a moment.

use tokio::time::Instant;

use super::retry::{Budget, RetryPolicy};
use super::stop::Stop;
use crate::destinations::{Destination, SendError, Target, Writer};

/// Opens a destination. Where it cannot be reached or does not work just now, it is tried again for as long as
/// [`RetryPolicy::unreachable`] says; a pause it asks for is kept to within the budget of a batch.
///
/// # Errors
/// What the destination said last, or that a signal came.
pub async fn open(
    destination: &dyn Destination,
    target: &Target,
    policy: &RetryPolicy,
    stop: &Stop,
) -> Result<Box<dyn Writer>, SendError> {
    let begun = Instant::now();
    let mut budget = Budget::new(policy, 0);
    loop {
        let opened = tokio::select! {
            biased;
            opened = destination.open(target) => opened,
            _ = stop.raised() => return Err(SendError::Fatal { message: "interrupted by a signal".into(), help: None }),
        };
        let error = match opened {
            Ok(writer) => return Ok(writer),
            Err(error) => error,
        };
        let pause = match &error {
            SendError::Transient { retry_after: Some(asked), .. } => budget.pause(Some(*asked)),
            SendError::Transient { .. } | SendError::Unreachable { .. } => {
                let left = policy.unreachable.saturating_sub(begun.elapsed());
                budget.pause(None).filter(|_| !left.is_zero()).map(|pause| pause.min(left))
            }
            _ => None,
        };
        let Some(pause) = pause else { return Err(error) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.raised() => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::deliver::stop;
    use crate::destinations::{Batch, Capabilities, Options, Outcome, Sent};
    use crate::manifest::sync::{Mode, OnRemoved};

    /// Fails so often, then opens.
    struct Slow(Mutex<Vec<SendError>>);
    struct Opened;

    #[async_trait::async_trait]
    impl Destination for Slow {
        fn capabilities(&self, _: &str, _: Mode, _: &Options) -> crate::diagnostic::Result<Capabilities> {
            Err(crate::diagnostic::Error::failed("nobody asks"))
        }
        async fn open(&self, _: &Target) -> Result<Box<dyn Writer>, SendError> {
            self.0.lock().unwrap().pop().map_or(Ok(Box::new(Opened) as Box<dyn Writer>), Err)
        }
    }

    #[async_trait::async_trait]
    impl Writer for Opened {
        async fn send(&self, _: &Batch) -> Result<Sent, SendError> {
            Ok(Sent::Outcomes(Vec::new()))
        }
        async fn settle(&self, _: &[(u64, String)]) -> Result<Vec<(u64, Vec<Outcome>)>, SendError> {
            Ok(Vec::new())
        }
    }

    fn unreachable() -> SendError {
        SendError::Unreachable { message: "connection refused".into() }
    }

    fn busy(seconds: Option<u64>) -> SendError {
        SendError::Transient { message: "503".into(), retry_after: seconds.map(Duration::from_secs) }
    }

    fn fatal() -> SendError {
        SendError::Fatal { message: "401".into(), help: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_destination_gets_a_moment_and_no_more() {
        let target = Target {
            sync: String::new(),
            identity: String::new(),
            object: String::new(),
            mode: Mode::Upsert,
            on_removed: OnRemoved::Keep,
            matching: Vec::new(),
            fields: Vec::new(),
            options: Options::new(),
            run_id: String::new(),
            operations: 1,
        };
        // What it says and how often → opened, and seconds it may take.
        let unreachable: fn() -> SendError = unreachable;
        let cases = [
            (unreachable, 0, true, [0, 0]),
            (unreachable, 2, true, [0, 3]),
            (unreachable, 1000, false, [9, 11]),
            (|| busy(None), 1000, false, [9, 11]),
            (|| busy(Some(60)), 1, true, [60, 62]),
            (|| busy(Some(60)), 1000, false, [120, 125]),
            (fatal, 1, false, [0, 0]),
        ];
        for (number, (fault, times, opens, [least, most])) in cases.into_iter().enumerate() {
            let destination = Slow(Mutex::new((0..times).map(|_| fault()).collect()));
            let begun = Instant::now();
            let opened = open(&destination, &target, &RetryPolicy::default(), &Stop::never()).await;
            assert_eq!(opened.is_ok(), opens, "case {number}");
            let took = begun.elapsed();
            assert!(
                (Duration::from_secs(least)..=Duration::from_secs(most)).contains(&took),
                "case {number}: {took:?}"
            );
        }
        let (raise, stop) = stop::channel();
        let destination = Slow(Mutex::new((0..1000).map(|_| unreachable()).collect()));
        let (policy, begun) = (RetryPolicy::default(), Instant::now());
        let signal = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            raise.raise();
        };
        let (opened, ()) = tokio::join!(open(&destination, &target, &policy, &stop), signal);
        assert!(opened.is_err() && begun.elapsed() <= Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}
