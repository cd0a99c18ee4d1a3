//! What `runs …` shows: run records, and the rows a run could not deliver.

use std::fs::File;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::active::read_run;
use super::held::{HeldOutcome, HeldRow};
use super::recover::in_run;
use super::runs::{Run, Status};
use super::{Reading, State, rowlog};
use crate::diagnostic::{Error, Result, closest};

/// One line of a run's row log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LoggedRow {
    /// The sync.
    pub sync: String,
    /// Key of the row.
    pub key: String,
    /// `added`, `changed`, `removed`; empty for a held row of an earlier run, of which it is not known any more.
    pub state: String,
    /// `succeeded`, `unverified`, `rejected`, `no_match`, `in_doubt`.
    pub outcome: String,
    /// Code in the destination's words.
    pub code: Option<String>,
    /// Why it did not succeed.
    pub reason: Option<String>,
    /// The row's used columns as JSON, where the state keeps values.
    pub fields: Option<String>,
    /// For a held row of another run than the one that was asked for: that run.
    pub held_since: Option<String>,
}

impl State {
    /// All runs that left a record, the newest first. One that died before it did anything is none.
    pub fn runs(&self) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        let open = self.document()?.open_runs;
        let at_work = !open.is_empty() && self.backend.is_held()?;
        let interrupted = if at_work || open.is_empty() { Some(Vec::new()) } else { self.interrupted() };
        for run_id in self.backend.list("runs")? {
            if let Some(path) = self.backend.get(&in_run(&run_id, "run.json"))? {
                let known = interrupted.iter().flatten().find(|run| run.run_id == run_id);
                runs.push(known.map_or_else(|| read_run(&path), |run| Ok(run.clone()))?);
            }
        }
        let open_ones = at_work || interrupted.is_none();
        runs.retain(|run: &Run| run.status != Status::Running || (open_ones && open.contains(&run.run_id)));
        // Ids sort by time.
        runs.sort_by(|a, b| b.run_id.cmp(&a.run_id));
        Ok(runs)
    }

    /// Runs whose process is gone, as the next apply will write them down; `None` when that cannot be said.
    fn interrupted(&self) -> Option<Vec<Run>> {
        match self.read() {
            Ok(reading) => Some(reading.interrupted().iter().map(Run::masked).collect()),
            Err(e) => {
                tracing::warn!("what interrupted runs have done is not known: {e}");
                None
            }
        }
    }

    /// The state for whoever looks back: what interrupted runs did is part of it, a run that is at work is left alone.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn settled(&self) -> Result<Reading> {
        let mut document = self.document()?;
        if !document.open_runs.is_empty() && self.backend.is_held()? {
            document.open_runs.clear();
        }
        Reading::new(self.backend.clone(), self.files.clone(), document)
    }

    /// A run by its id, the beginning of its id if that is unique, or `last`.
    pub fn run(&self, id: &str) -> Result<Run> {
        let mut runs = self.runs()?;
        if id == "last" && !runs.is_empty() {
            return Ok(runs.swap_remove(0));
        }
        let ids: Vec<String> = runs.iter().map(|run| run.run_id.clone()).collect();
        runs.retain(|run| run.run_id.starts_with(id));
        match (runs.pop(), runs.is_empty()) {
            (Some(run), true) => Ok(run),
            (Some(_), false) => Err(Error::failed_help(
                format!("more than one run begins with `{id}`"),
                "give more of the id; `syncline runs list` shows all",
            )),
            (None, _) if ids.is_empty() => Err(Error::failed("there are no runs yet")),
            (None, _) => Err(Error::failed_help(
                format!("there is no run `{id}`"),
                match closest(id, ids.iter().map(String::as_str)) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => "`syncline runs list` shows all".into(),
                },
            )),
        }
    }

    /// Rows of a run that did not succeed, in the order they were sent, at most `limit`; also how many there are.
    pub fn rejected(&self, run: &Run, limit: usize) -> Result<(Vec<LoggedRow>, u64)> {
        let (mut rows, mut count) = (Vec::new(), 0);
        let reading = self.settled()?;
        for sync in &run.syncs {
            let name = in_run(&run.run_id, &format!("rows/{}.parquet", sync.sync));
            let Some(path) = reading.find(&name)? else { continue };
            let failed = |e: String| Error::failed(format!("cannot read the row log `{}`: {e}", path.display()));
            let file = File::open(&path).map_err(|e| failed(e.to_string()))?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.build());
            for batch in reader.map_err(|e| failed(e.to_string()))? {
                let batch = batch.map_err(|e| failed(e.to_string()))?;
                count += take(&batch, limit, &mut rows).ok_or_else(|| failed("unexpected columns".into()))?;
            }
        }
        Ok((rows, count))
    }

    /// Rows of other runs than this one that are still held, at most `limit`; also how many there are.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn still_held(&self, run: &Run, limit: usize) -> Result<(Vec<LoggedRow>, u64)> {
        let (mut rows, mut count) = (Vec::new(), 0);
        for (sync, held) in self.settled()?.held()? {
            let others = held.0.into_values().filter(|row| *row.run_id != *run.run_id);
            for row in others.filter(|row| row.outcome != HeldOutcome::Resend) {
                count += 1;
                if rows.len() < limit {
                    rows.push(LoggedRow::held(&sync, &row));
                }
            }
        }
        Ok((rows, count))
    }
}

impl LoggedRow {
    fn held(sync: &str, row: &HeldRow) -> Self {
        let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            sync: sync.to_owned(),
            key: row.key.to_string(),
            state: if row.row_hash == 0 { "removed".into() } else { String::new() },
            outcome: row.outcome.word().into(),
            code: told(&row.code),
            reason: match row.outcome {
                HeldOutcome::InDoubt => Some(rowlog::LOST.into()),
                HeldOutcome::NoMatch => Some(rowlog::NOT_THERE.into()),
                HeldOutcome::Rejected | HeldOutcome::Resend => told(&row.message),
            },
            fields: None,
            held_since: Some(row.run_id.to_string()),
        }
    }
}

fn take(batch: &RecordBatch, limit: usize, rows: &mut Vec<LoggedRow>) -> Option<u64> {
    let column = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (sync, key, state, status) = (column("sync_id")?, column("row_id")?, column("op_type")?, column("status")?);
    let (reason, fields) = (column("failure_reason")?, column("fields")?);
    let (outcome, code) = (column("outcome")?, column("code")?);
    let mut count = 0;
    for i in (0..batch.num_rows()).filter(|i| status.value(*i) != "succeeded") {
        count += 1;
        if rows.len() >= limit {
            continue;
        }
        let optional = |column: &arrow_array::StringArray| column.is_valid(i).then(|| column.value(i).to_owned());
        rows.push(LoggedRow {
            sync: sync.value(i).into(),
            key: key.value(i).into(),
            state: state.value(i).into(),
            outcome: outcome.value(i).into(),
            code: optional(code),
            reason: optional(reason),
            fields: optional(fields),
            held_since: None,
        });
    }
    Some(count)
}
