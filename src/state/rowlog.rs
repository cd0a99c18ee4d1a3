//! The row-level log of a sync's run: one line for every row that was sent. Parquet with the columns of Hightouch's
//! `hightouch_audit.sync_changelog`, so that dashboards on that schema work on ours, and two of our own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::marks::{Mark, Marks};
use crate::destinations::Action;
use crate::diagnostic::{Error, Result, space_help};
use crate::diff::RowState;
use crate::plan::operations::Frozen;

/// Columns of the log; `outcome` and `code` are ours.
pub const COLUMNS: [&str; 9] =
    ["sync_id", "sync_run_id", "row_id", "op_type", "status", "failure_reason", "fields", "outcome", "code"];

/// Why a row is held that was to be updated and is not there, and one that is in doubt.
pub(super) const NOT_THERE: &str = "no record was found to update";
pub(super) const LOST: &str = "the answer was lost";

/// Writes the log of one sync.
pub struct RowLog {
    writer: ArrowWriter<File>,
    path: PathBuf,
    sync: String,
    run_id: String,
    values: bool,
}

impl RowLog {
    /// A log in a new file. Without `values` the rows' fields are left out.
    pub fn create(path: PathBuf, sync: &str, run_id: &str, values: bool) -> Result<Self> {
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_max_row_group_row_count(Some(64 * 1024))
            .build();
        let file = File::create(&path).map_err(|e| failed(&path, &e))?;
        let writer = ArrowWriter::try_new(file, schema(), Some(properties)).map_err(|e| failed(&path, &e))?;
        Ok(Self { writer, path, sync: sync.into(), run_id: run_id.into(), values })
    }

    /// Writes the rows of a part that were sent.
    pub fn write(&mut self, frozen: &Frozen, marks: &Marks) -> Result<()> {
        let fields = if self.values { json_rows(&frozen.rows) } else { None };
        let mut columns: [StringBuilder; 9] = std::array::from_fn(|_| StringBuilder::new());
        for (i, head) in frozen.heads.iter().enumerate() {
            let mark = marks.get(head.ordinal);
            let (Some(action), true) = (head.action, mark != Mark::Pending) else { continue };
            let reason = marks.reason(head.ordinal);
            let (status, outcome, why) = match mark {
                Mark::Pending => continue,
                Mark::Succeeded => ("succeeded", "succeeded", None),
                Mark::Unverified => ("succeeded", "unverified", None),
                Mark::NoMatch if action == Action::Delete => ("succeeded", "no_match", None),
                Mark::NoMatch => ("failed", "no_match", Some(NOT_THERE)),
                Mark::Rejected => ("failed", "rejected", reason.map(|(_, message)| message.as_str())),
                Mark::InDoubt => ("aborted", "in_doubt", Some(LOST)),
            };
            let op_type = match head.state {
                RowState::Added => "added",
                RowState::Changed => "changed",
                RowState::Removed => "removed",
            };
            let values = [
                Some(self.sync.as_str()),
                Some(&self.run_id),
                Some(&head.key),
                Some(op_type),
                Some(status),
                why,
                fields.as_ref().and_then(|f| f.get(i)).map(String::as_str),
                Some(outcome),
                reason.map(|(code, _)| code.as_str()),
            ];
            columns.iter_mut().zip(values).for_each(|(column, value)| column.append_option(value));
        }
        let columns = columns.map(|mut c| Arc::new(c.finish()) as ArrayRef).to_vec();
        let batch = RecordBatch::try_new(schema(), columns).map_err(|e| failed(&self.path, &e))?;
        self.writer.write(&batch).map_err(|e| failed(&self.path, &e))
    }

    /// Ends the file.
    pub fn finish(self) -> Result<PathBuf> {
        self.writer.close().map_err(|e| failed(&self.path, &e))?;
        Ok(self.path)
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(COLUMNS.map(|name| Field::new(name, DataType::Utf8, true)).to_vec()))
}

fn failed(path: &Path, error: &(dyn std::error::Error + 'static)) -> Error {
    let message = format!("cannot write the row log `{}`: {error}", path.display());
    Error::Failed { message, help: space_help(error) }
}

/// The rows as JSON objects. `None` when a column has a type JSON cannot say: the log then goes without.
fn json_rows(rows: &RecordBatch) -> Option<Vec<String>> {
    let mut buffer = Vec::new();
    let builder = arrow_json::writer::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, arrow_json::writer::LineDelimited>(&mut buffer);
    writer.write(rows).ok()?;
    writer.finish().ok()?;
    drop(writer);
    let lines: Vec<String> = String::from_utf8(buffer).ok()?.lines().map(str::to_owned).collect();
    (lines.len() == rows.num_rows()).then_some(lines)
}
