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
