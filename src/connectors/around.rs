//! What is done before and after the operation of a step.

use super::account::fatal;
use super::compile::Operation as Words;
use super::settled::Slots;
use super::writer::HttpWriter;
use crate::destinations::{Operation, Outcome, SendError};

impl HttpWriter {
    /// An operation that comes before, for the records it has something to do for. What it refuses is settled; whom it does
    /// not find goes on as all others.
    pub(super) async fn precede(
        &self,
        first: &Words,
        operations: &[Operation],
        slots: &mut Slots,
    ) -> Result<(), SendError> {
        for part in slots.open().chunks(first.most.max(1)) {
            self.simply(first, operations, part, slots).await?;
            for at in part {
                match slots.outcomes.get_mut(*at) {
                    // Half of it done is not done: the batch comes again, and this with it.
                    Some(None) => {
                        let (message, retry_after) = slots.again.take().unwrap_or_default();
                        return Err(SendError::Transient { message, retry_after });
                    }
                    Some(slot) if !matches!(slot, Some(Outcome::Rejected { .. })) => *slot = None,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// A second operation for the records that succeeded: what becomes of it is their outcome.
    pub(super) async fn follow(
        &self,
        then: &Words,
        operations: &[Operation],
        slots: &mut Slots,
    ) -> Result<(), SendError> {
        let done = |at: &usize| matches!(slots.outcomes.get(*at), Some(Some(Outcome::Succeeded)));
        let positions: Vec<usize> = (0..operations.len()).filter(done).collect();
        for part in positions.chunks(then.most.max(1)) {
            part.iter().for_each(|at| {
                if let Some(slot) = slots.outcomes.get_mut(*at) {
                    *slot = None;
                }
            });
            self.simply(then, operations, part, slots).await?;
        }
        Ok(())
    }

    async fn simply(
        &self,
        operation: &Words,
        operations: &[Operation],
        part: &[usize],
        slots: &mut Slots,
    ) -> Result<(), SendError> {
        match self.act(operation, operations, part.to_vec(), slots).await? {
            Some(_) => Err(fatal("an operation that comes before or follows cannot be a job".into())),
            None => Ok(()),
        }
    }
}
