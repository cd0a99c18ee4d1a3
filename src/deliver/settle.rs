//! The end of a sync's sending: what becomes of the batches that were taken to be answered later.

use std::time::Duration;

use super::flight::Tower;
use super::retry::Budget;
use crate::destinations::{Outcome, SendError};
use crate::diagnostic::Result;

impl Tower<'_> {
    /// Asks for the outcomes of all that was deferred; what gets none stays in doubt. In any case, also after a failure;
    /// `limit` is how long it may take once a signal has come.
    pub async fn settle(&self, limit: Duration) -> Result<()> {
        let deferred = std::mem::take(&mut self.ledger().deferred);
        let asked: Vec<(u64, String)> = deferred.iter().map(|(batch, (_, handle))| (*batch, handle.clone())).collect();
        let answers = tokio::select! {
            biased;
            answers = self.ask(&asked) => answers,
            () = self.stop.past(limit) => Vec::new(),
        };
        let mut open: usize = deferred.values().map(|(rows, _)| rows.len()).sum();
        for (batch, outcomes) in answers {
            let Some((rows, _)) = deferred.get(&batch).filter(|(rows, _)| rows.len() == outcomes.len()) else {
                self.halt("the destination settled other batches than it was asked for".into());
                continue;
            };
            self.ack(batch, rows, &outcomes)?;
            open = open.saturating_sub(rows.len());
        }
        self.doubted(open);
        if open > 0 {
            self.halt("the destination did not say what became of all records it had taken".into());
        }
        self.show();
        Ok(())
    }

    async fn ask(&self, asked: &[(u64, String)]) -> Vec<(u64, Vec<Outcome>)> {
        let mut budget = Budget::new(&self.retry, u64::MAX);
        loop {
            let (pause, message) = match self.writer.settle(asked).await {
                Ok(answers) => return answers,
                Err(SendError::Transient { message, retry_after }) => (budget.pause(retry_after), message),
                Err(SendError::Unreachable { message }) => (budget.pause(None), message),
                Err(SendError::Fatal { message, help: Some(help) }) => (None, format!("{message} ({help})")),
                Err(e) => (None, e.to_string()),
            };
            let Some(pause) = pause else {
                self.halt(message);
                return Vec::new();
            };
            tokio::time::sleep(pause).await;
        }
    }
}
