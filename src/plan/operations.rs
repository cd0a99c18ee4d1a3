//! The frozen operations of one sync: a folder of Parquet files with the row of every change, in the order it is sent.
//!
//! Columns: `_state` (`added`, `changed`, `removed`), `_cause`, `_action` (`send`, `clear`, `delete`; null where nothing
//! is done), `_key`, `_key_hash`, `_row_hash`, `_match` (for removed rows: the identifiers they were last sent with, as
//! a JSON array), then the used columns. Removed rows come last.
//!
//! A removed row with a `_row_hash` that is not 0 is no row, but a *former record*: what a row was matched by before its
//! identifiers changed, or a row that left while its record is used by another. It has no used columns; [`Head::former`]
//! and [`Head::after`] say the rest. There is one file `NNNN.parquet` for each set of used
//! columns (rows last acknowledged may have other columns than the model has today), in the order they first come.
//!
//! What is written here is not yet durable: a plan is made in a folder that goes with its command, and whoever keeps a
//! copy (a plan file, a run) makes that durable.

mod narrow;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow_array::builder::{FixedSizeBinaryBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use smol_str::SmolStr;

use crate::destinations::Action;
use crate::diagnostic::{Error, Result, space_help};
use crate::diff::{Cause, ChangeBatch, Hash, RowState};
use crate::mapping::Value;
pub use narrow::narrow;

/// Columns that stand before the used columns.
const HEAD_COLUMNS: usize = 7;

/// What is to be done with one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Position within the sync's operations, from 0.
    pub ordinal: u64,
    /// Added, changed or removed.
    pub state: RowState,
    /// Why.
    pub cause: Cause,
    /// `None` when nothing is done at the destination; the snapshot still takes note of the row.
    pub action: Option<Action>,
    /// The key as shown to people; short ones lie within the head.
    pub key: SmolStr,
    /// Hash of the key columns.
    pub key_hash: Hash,
    /// Hash of all used columns; 0 for removed rows.
    pub row_hash: Hash,
    /// For removed rows: the identifiers they were last sent with. Other rows are mapped from their columns.
    pub matching: Option<Vec<Value>>,
}

impl Head {
    /// True when this is no row, but the record a row had before; the snapshot takes no note of it.
    pub fn former(&self) -> bool {
        self.state == RowState::Removed && self.row_hash != 0
    }

    /// For a former record: position of the operation that must have been acknowledged before this one is done, as else
    /// the row would be left without any record.
    pub fn after(&self) -> Option<u64> {
        if !self.former() {
            return None;
        }
        self.row_hash.checked_sub(2).and_then(|ordinal| u64::try_from(ordinal).ok())
    }
}

/// The `_row_hash` of a former record that waits for this operation, or for none.
pub fn former_hash(after: Option<u64>) -> Hash {
    after.map_or(1, |ordinal| Hash::from(ordinal) + 2)
}

/// A run of operations read back.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// One head per row.
    pub heads: Vec<Head>,
    /// The used columns.
    pub rows: RecordBatch,
}

/// Batches that wait for the thread that writes them.
const WAITING: usize = 4;

/// Writes the operations of one sync, on a thread of its own: packing the values takes about as long as finding out
/// what to do with them.
pub struct Writer {
    folder: PathBuf,
    /// One per file: rows of several mappings may come in turns, and a file for each turn would be slow.
    schemas: Vec<SchemaRef>,
    /// Batches with the number of their file; `None` once all are sent.
    sender: Option<SyncSender<(usize, RecordBatch)>>,
    thread: Option<JoinHandle<Result<()>>>,
    operations: u64,
}

impl Writer {
    /// Begins in a new, empty folder.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| unwritten(folder, &e))?;
        let (sender, batches) = sync_channel(WAITING);
        let own = folder.to_owned();
        let thread = std::thread::Builder::new()
            .name("operations".into())
            .spawn(move || write_all(&own, &batches))
            .map_err(|e| unwritten(folder, &e))?;
        let (sender, thread) = (Some(sender), Some(thread));
        Ok(Self { folder: folder.to_owned(), schemas: Vec::new(), sender, thread, operations: 0 })
    }

    /// Adds changes with the action and key text of each.
    pub fn write(&mut self, batch: &ChangeBatch, actions: &[Option<Action>], keys: &[String]) -> Result<()> {
        if batch.changes.is_empty() {
            return Ok(());
        }
        let schema = batch.rows.schema();
        let heads = head_columns(batch, actions, keys)?;
        let all = heads.into_iter().chain(batch.rows.columns().iter().cloned()).collect();
        let frozen =
            RecordBatch::try_new(frozen_schema(&schema), all).map_err(|e| failed("write", &self.folder, &e))?;
        let file = match self.schemas.iter().position(|known| *known == schema) {
            Some(file) => file,
            None => {
                self.schemas.push(schema);
                self.schemas.len() - 1
            }
        };
        self.operations += batch.changes.len() as u64;
        match &self.sender {
            Some(sender) if sender.send((file, frozen)).is_ok() => Ok(()),
            // The thread has ended before its time: with an error.
            _ => self.join(),
        }
    }

    /// Ends the files. Returns the number of operations.
    pub fn finish(mut self) -> Result<u64> {
        self.join()?;
        Ok(self.operations)
    }

    fn join(&mut self) -> Result<()> {
        self.sender = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Err(failed("write", &self.folder, &"writing has failed before")),
        }
    }
}

impl Drop for Writer {
    /// Where a plan is given up, its folder goes: nothing may still be written there.
    fn drop(&mut self) {
        self.sender = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn write_all(folder: &Path, batches: &Receiver<(usize, RecordBatch)>) -> Result<()> {
    let mut files: Vec<ArrowWriter<File>> = Vec::new();
    for (file, batch) in batches {
        if file >= files.len() {
            files.push(begin(&folder.join(format!("{file:04}.parquet")), batch.schema())?);
        }
        if let Some(writer) = files.get_mut(file) {
            writer.write(&batch).map_err(|e| unwritten(folder, &e))?;
        }
    }
    files.into_iter().try_for_each(|file| file.close().map(drop).map_err(|e| unwritten(folder, &e)))
}

fn begin(path: &Path, schema: SchemaRef) -> Result<ArrowWriter<File>> {
    let file = File::create_new(path).map_err(|e| unwritten(path, &e))?;
    ArrowWriter::try_new(file, schema, Some(properties())).map_err(|e| unwritten(path, &e))
}

fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(128 * 1024))
        // Nothing looks for a row by its values; statistics would cost a comparison each.
        .set_statistics_enabled(EnabledStatistics::None)
        // Few values are worth a dictionary, and that few show early.
        .set_dictionary_page_size_limit(1 << 16)
        .set_column_dictionary_enabled("_key".into(), false)
        .set_column_dictionary_enabled("_key_hash".into(), false)
        .set_column_dictionary_enabled("_row_hash".into(), false)
        // A hash is as short as it gets.
        .set_column_compression("_key_hash".into(), Compression::UNCOMPRESSED)
        .set_column_compression("_row_hash".into(), Compression::UNCOMPRESSED)
        .build()
}

/// Reads the operations of one sync in their order. A folder that does not exist holds none.
pub fn read(folder: &Path) -> Result<Reader> {
    let mut files = parts(folder)?;
    files.reverse();
    Ok(Reader { files, current: None, ordinal: 0, rows: 16 * 1024 })
}

/// The files of a folder, first first.
fn parts(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if folder.exists() {
        for entry in fs::read_dir(folder).map_err(|e| failed("read", folder, &e))? {
            files.push(entry.map_err(|e| failed("read", folder, &e))?.path());
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The used columns of the first operations; `None` where there are none.
pub fn schema(folder: &Path) -> Result<Option<SchemaRef>> {
    let Some(path) = read(folder)?.files.pop() else { return Ok(None) };
    let file = File::open(&path).map_err(|e| failed("read", &path, &e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| failed("read", &path, &e))?;
    let used: Vec<_> = reader.schema().fields().iter().skip(HEAD_COLUMNS).cloned().collect();
    Ok(Some(Arc::new(Schema::new(used))))
}

/// An iterator over frozen operations.
pub struct Reader {
    /// What is still to be read, last first.
    files: Vec<PathBuf>,
    current: Option<(PathBuf, ParquetRecordBatchReader)>,
    ordinal: u64,
    /// Most operations of a part.
    rows: usize,
}

impl Reader {
    /// The same with parts of at most so many operations.
    pub fn in_parts_of(self, rows: usize) -> Self {
        Self { rows, ..self }
    }

    fn next_batch(&mut self) -> Result<Option<Frozen>> {
        loop {
            if let Some((path, reader)) = &mut self.current {
                match reader.next() {
                    Some(batch) => {
                        let batch = batch.map_err(|e| failed("read", path, &e))?;
                        let frozen = thaw(&batch, self.ordinal).map_err(|e| failed("read", path, &e))?;
                        self.ordinal += frozen.heads.len() as u64;
                        return Ok(Some(frozen));
                    }
                    None => self.current = None,
                }
            }
            let Some(path) = self.files.pop() else { return Ok(None) };
            let file = File::open(&path).map_err(|e| failed("read", &path, &e))?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .and_then(|b| b.with_batch_size(self.rows).build())
                .map_err(|e| failed("read", &path, &e))?;
            self.current = Some((path, reader));
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Frozen>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

fn failed(verb: &str, path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::failed(format!("cannot {verb} the operations in `{}`: {error}", path.display()))
}

/// The error of a write, with what helps where the disk is full.
fn unwritten(path: &Path, error: &(dyn std::error::Error + 'static)) -> Error {
    let message = format!("cannot write the operations in `{}`: {error}", path.display());
    Error::Failed { message, help: space_help(error) }
}

fn frozen_schema(used: &Schema) -> SchemaRef {
    let hash = DataType::FixedSizeBinary(16);
    let mut fields = vec![
        Arc::new(Field::new("_state", DataType::Utf8, false)),
        Arc::new(Field::new("_cause", DataType::Utf8, false)),
        Arc::new(Field::new("_action", DataType::Utf8, true)),
        Arc::new(Field::new("_key", DataType::Utf8, false)),
        Arc::new(Field::new("_key_hash", hash.clone(), false)),
        Arc::new(Field::new("_row_hash", hash, false)),
        Arc::new(Field::new("_match", DataType::Utf8, true)),
    ];
    fields.extend(used.fields().iter().cloned());
    Arc::new(Schema::new(fields))
}

fn head_columns(batch: &ChangeBatch, actions: &[Option<Action>], keys: &[String]) -> Result<Vec<ArrayRef>> {
    let rows = batch.changes.len();
    let mut texts: [StringBuilder; 4] = std::array::from_fn(|_| StringBuilder::with_capacity(rows, rows * 8));
    let mut matching = StringBuilder::new();
    let mut hashes: [FixedSizeBinaryBuilder; 2] =
        std::array::from_fn(|_| FixedSizeBinaryBuilder::with_capacity(rows, 16));
    let [state, cause, action, key] = &mut texts;
    let [key_hash, row_hash] = &mut hashes;
    for ((change, todo), text) in batch.changes.iter().zip(actions).zip(keys) {
        state.append_value(state_word(change.state));
        cause.append_value(cause_word(change.cause));
        action.append_option(todo.map(action_word));
        key.append_value(text);
        key_hash.append_value(change.key_hash.to_be_bytes()).map_err(|e| Error::failed(e.to_string()))?;
        row_hash.append_value(change.row_hash.to_be_bytes()).map_err(|e| Error::failed(e.to_string()))?;
        match &change.record {
            Some(record) if change.state == RowState::Removed => {
                let identifiers: Vec<_> = record.matching.iter().map(Value::to_json).collect();
                matching.append_value(serde_json::Value::Array(identifiers).to_string());
            }
            _ => matching.append_null(),
        }
    }
    let mut columns: Vec<ArrayRef> = texts.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect();
    columns.extend(hashes.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef));
    columns.push(Arc::new(matching.finish()));
    Ok(columns)
}

fn thaw(batch: &RecordBatch, first: u64) -> Result<Frozen, String> {
    if batch.num_columns() < HEAD_COLUMNS
        || frozen_schema(&Schema::empty()).fields()[..] != batch.schema().fields()[..HEAD_COLUMNS]
    {
        return Err("this is not a file of operations".into());
    }
    let text = |column: usize| batch.column(column).as_string::<i32>();
    let hash = |column: usize, row: usize| {
        let bytes = batch.column(column).as_fixed_size_binary().value(row);
        <[u8; 16]>::try_from(bytes).map(Hash::from_be_bytes).map_err(|_| "a hash is not 16 bytes long".to_owned())
    };
    let optional = |column: usize, row: usize| text(column).is_valid(row).then(|| text(column).value(row));
    let heads = (0..batch.num_rows()).map(|row| {
        Ok(Head {
            ordinal: first + row as u64,
            state: read_state(text(0).value(row))?,
            cause: read_cause(text(1).value(row))?,
            action: optional(2, row).map(read_action).transpose()?,
            key: text(3).value(row).into(),
            key_hash: hash(4, row)?,
            row_hash: hash(5, row)?,
            matching: optional(6, row).map(read_matching).transpose()?,
        })
    });
    let heads = heads.collect::<Result<Vec<_>, String>>()?;
    let used: Vec<usize> = (HEAD_COLUMNS..batch.num_columns()).collect();
    Ok(Frozen { heads, rows: batch.project(&used).map_err(|e| e.to_string())? })
}

fn read_matching(text: &str) -> Result<Vec<Value>, String> {
    let values: Vec<serde_json::Value> =
        serde_json::from_str(text).map_err(|e| format!("`_match` is not JSON: {e}"))?;
    Ok(values.iter().map(Value::from_json).collect())
}

/// The word of a row state in plans, operations and row logs.
pub fn state_word(state: RowState) -> &'static str {
    match state {
        RowState::Added => "added",
        RowState::Changed => "changed",
        RowState::Removed => "removed",
    }
}

fn read_state(word: &str) -> Result<RowState, String> {
    named([RowState::Added, RowState::Changed, RowState::Removed], state_word, "state", word)
}

fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Data => "data",
        Cause::Configuration => "configuration",
        Cause::FirstRun => "first_run",
        // Whether a row was in doubt is said by the state.
        Cause::Retry | Cause::Doubt => "retry",
        Cause::Drift => "drift",
    }
}

fn read_cause(word: &str) -> Result<Cause, String> {
    let all = [Cause::Data, Cause::Configuration, Cause::FirstRun, Cause::Retry, Cause::Drift];
    named(all, cause_word, "cause", word)
}

fn action_word(action: Action) -> &'static str {
    match action {
        Action::Send => "send",
        Action::Clear => "clear",
        Action::Delete => "delete",
    }
}

fn read_action(word: &str) -> Result<Action, String> {
    named([Action::Send, Action::Clear, Action::Delete], action_word, "action", word)
}

/// The one of these that bears the word.
fn named<T: Copy, const N: usize>(
    all: [T; N],
    bears: fn(T) -> &'static str,
    what: &str,
    word: &str,
) -> Result<T, String> {
    all.into_iter().find(|one| bears(*one) == word).ok_or_else(|| format!("unknown {what} `{word}`"))
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;

    use super::*;
    use crate::diff::{Before, Change};

    fn batch(column: &str, ids: std::ops::Range<i64>) -> ChangeBatch {
        let change = |id: i64| Change {
            state: RowState::Added,
            cause: Cause::Data,
            key_hash: id as Hash,
            row_hash: 7,
            before: Before::Nothing,
            record: None,
        };
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(ids.clone()));
        let rows = RecordBatch::try_from_iter([(column, values)]).unwrap();
        ChangeBatch { rows, changes: ids.map(change).collect() }
    }

    /// Writes many batches of two sets of columns in turns.
    fn written(folder: &Path) -> Result<u64> {
        let mut writer = Writer::create(folder)?;
        for turn in 0..20 {
            let batch = batch(["a", "b"][turn % 2], turn as i64 * 1000..(turn as i64 + 1) * 1000);
            let keys: Vec<String> = batch.changes.iter().map(|change| change.key_hash.to_string()).collect();
            writer.write(&batch, &vec![Some(Action::Send); 1000], &keys)?;
        }
        writer.finish()
    }

    #[test]
    fn a_file_for_each_set_of_columns_with_the_same_bytes_every_time() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(written(one.path()).unwrap(), 20_000);
        written(two.path()).unwrap();
        for name in ["0000.parquet", "0001.parquet"] {
            assert!(fs::read(one.path().join(name)).unwrap() == fs::read(two.path().join(name)).unwrap(), "{name}");
        }
        let heads: Vec<Head> = read(one.path()).unwrap().flat_map(|part| part.unwrap().heads).collect();
        let turns = (0..20).step_by(2).chain((1..20).step_by(2));
        let expected = turns.flat_map(|turn| turn * 1000..(turn + 1) * 1000);
        assert!(heads.iter().map(|head| head.key_hash as i64).eq(expected));
        assert!(heads.iter().enumerate().all(|(at, head)| head.ordinal == at as u64));
    }

    #[test]
    fn what_keeps_the_thread_from_writing_ends_the_plan() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("0001.parquet"), "in the way").unwrap();
        let error = written(folder.path()).unwrap_err().to_string();
        assert!(error.contains("cannot write the operations") && error.contains("0001.parquet"), "{error}");
    }
}
