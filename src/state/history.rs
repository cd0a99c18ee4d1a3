//! What `runs …` shows: run records, and the rows a run could not deliver.

use std::fs::File;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::State;
use super::active::read_run;
use super::recover::in_run;
use super::runs::{Run, Status};
use crate::diagnostic::{Error, Result, closest};

/// One line of a run's row log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LoggedRow {
    /// The sync.
    pub sync: String,
    /// Key of the row.
    pub key: String,
    /// `added`, `changed`, `removed`.
    pub state: String,
    /// `succeeded`, `unverified`, `rejected`, `no_match`, `in_doubt`.
    pub outcome: String,
    /// Code in the destination's words.
    pub code: Option<String>,
    /// Why it did not succeed.
    pub reason: Option<String>,
    /// The row's used columns as JSON, where the state keeps values.
    pub fields: Option<String>,
}

impl State {
    /// All runs that left a record, the newest first. One that died before it did anything is none.
    pub fn runs(&self) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        let open = self.document()?.open_runs;
        for run_id in self.backend.list("runs")? {
            if let Some(path) = self.backend.get(&in_run(&run_id, "run.json"))? {
                runs.push(read_run(&path)?);
            }
        }
        runs.retain(|run: &Run| run.status != Status::Running || open.contains(&run.run_id));
        // Ids sort by time.
        runs.sort_by(|a, b| b.run_id.cmp(&a.run_id));
        Ok(runs)
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
        for sync in &run.syncs {
            let name = in_run(&run.run_id, &format!("rows/{}.parquet", sync.sync));
            let Some(path) = self.backend.get(&name)? else { continue };
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
        });
    }
    Some(count)
}
