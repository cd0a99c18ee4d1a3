//! The end of a sync's sending: what becomes of the batches that were taken to be answered later.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::cut::Cutter;
use super::flight::Tower;
use super::quotes;
use super::retry::{Budget, RetryPolicy};
use super::stop::Stop;
use crate::destinations::{Outcome, SendError, Writer};
use crate::diagnostic::Result;
use crate::state::ActiveSync;

/// Asks what became of the batches earlier runs handed over and could not settle. Those without an answer stay in doubt:
/// a destination that does not work says so again when something is sent.
pub async fn leftovers(writer: &dyn Writer, sync: &mut ActiveSync, retry: &RetryPolicy, stop: &Stop) {
    let asked = sync.asked();
    if asked.is_empty() {
        return;
    }
    let answers = tokio::select! {
        biased;
        answers = answers(writer, &asked, retry) => answers,
        _ = stop.raised() => return,
    };
    match answers {
        Ok(answers) => {
            for (batch, outcomes) in answers {
                if !sync.resolve(batch, &outcomes) {
                    tracing::warn!("`{}`: an answer for a batch of an earlier run does not fit it", sync.record.sync);
                }
            }
        }
        Err(message) => {
            let sync = &sync.record.sync;
            tracing::warn!("`{sync}`: what became of batches an earlier run handed over is not known: {message}");
        }
    }
}

/// Settles, and is patient with a destination that does not work just now.
async fn answers(
    writer: &dyn Writer,
    asked: &[(u64, String)],
    retry: &RetryPolicy,
) -> Result<Vec<(u64, Vec<Outcome>)>, String> {
    let mut budget = Budget::new(retry, u64::MAX);
    loop {
        let (pause, message) = match writer.settle(asked).await {
            Ok(answers) => return Ok(answers),
            Err(SendError::Transient { message, retry_after }) => (budget.pause(retry_after), message),
            Err(SendError::Unreachable { message }) => (budget.pause(None), message),
            Err(SendError::Fatal { message, help: Some(help) }) => (None, format!("{message} ({help})")),
            Err(e) => (None, e.to_string()),
        };
        let Some(pause) = pause else { return Err(message) };
        tokio::time::sleep(pause).await;
    }
}

impl Tower<'_> {
    /// Asks for the outcomes of all that was deferred; what gets none stays in doubt. In any case, also after a failure;
    /// `limit` is how long it may take once a signal has come.
    pub async fn settle(&self, limit: Duration, cutter: &mut Cutter<'_>) -> Result<()> {
        let deferred = std::mem::take(&mut self.ledger().deferred);
        let asked: Vec<(u64, String)> = deferred.iter().map(|(batch, (_, handle))| (*batch, handle.clone())).collect();
        let mut answers = tokio::select! {
            biased;
            answers = self.ask(&asked) => answers,
            () = self.stop.past(limit) => Vec::new(),
        };
        self.unquote(&mut answers, &deferred, cutter);
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

    /// What a job says of a record may quote it, as any answer may.
    fn unquote(
        &self,
        answers: &mut [(u64, Vec<Outcome>)],
        deferred: &BTreeMap<u64, (Vec<u64>, String)>,
        cutter: &mut Cutter<'_>,
    ) {
        let mut told: HashMap<u64, &mut Outcome> = HashMap::new();
        for (batch, outcomes) in answers {
            let rows = deferred.get(batch).map(|(rows, _)| rows.as_slice()).unwrap_or_default();
            let rejected = rows.iter().zip(outcomes).filter(|(_, outcome)| matches!(outcome, Outcome::Rejected { .. }));
            told.extend(rejected.map(|(row, outcome)| (*row, outcome)));
        }
        if told.is_empty() {
            return;
        }
        let read = self.run.operations(&self.record.sync).and_then(|read| cutter.unquote(read, &mut told));
        if let Err(error) = read {
            let sync = &self.record.sync;
            tracing::warn!("`{sync}`: what was said of rejected records is left out: {error}");
        }
        told.into_values().for_each(quotes::leave_out);
    }

    async fn ask(&self, asked: &[(u64, String)]) -> Vec<(u64, Vec<Outcome>)> {
        answers(self.writer, asked, &self.retry).await.unwrap_or_else(|message| {
            self.halt(message);
            Vec::new()
        })
    }
}
