//! Rows in an order of their own, in memory as far as it goes and beyond that on disk.
//!
//! The first column of every batch here is a 128-bit number (as [`super::snapshot::hash_array`] makes it), which the
//! rows are sorted by. A [`Run`] is sorted; [`Merged`] makes one sequence of many runs; a [`Sorter`] makes runs of rows
//! that come in no order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use arrow_select::interleave::interleave_record_batch;
use tempfile::TempPath;

use super::{DiffError, Hash, snapshot};
use crate::diagnostic::Error;

/// Rows of a batch in a run.
pub(super) const ROWS: usize = 8192;
/// Runs merged at once: each needs a file handle and a batch in memory.
const FAN_IN: usize = 48;

/// Batches that have been read, one after the other.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, DiffError>> + Send>;

/// Bytes that several writers may keep in memory together.
pub(super) struct Gauge {
    used: AtomicUsize,
    limit: usize,
}

impl Gauge {
    /// A gauge with nothing used.
    pub(super) fn new(limit: usize) -> Gauge {
        Gauge { used: AtomicUsize::new(0), limit }
    }

    fn take(&self, bytes: usize) -> bool {
        self.used.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.limit
    }
}

/// A sorted sequence of rows: first what stayed in memory, then what went to disk.
#[derive(Default)]
pub(super) struct Run {
    memory: Vec<RecordBatch>,
    /// Positions (batch, row) in `memory` in their order, where it is not the order of the rows.
    order: Option<Vec<(usize, usize)>>,
    file: Option<TempPath>,
}

impl Run {
    /// The rows, in order.
    pub(super) fn read(self) -> Result<Batches, DiffError> {
        let Run { memory, order, file } = self;
        let memory: Batches = match order {
            None => Box::new(memory.into_iter().map(Ok)),
            Some(order) => {
                let chunks = order.len().div_ceil(ROWS);
                Box::new((0..chunks).map(move |i| {
                    let chunk = &order[i * ROWS..((i + 1) * ROWS).min(order.len())];
                    Ok(interleave_record_batch(&memory.iter().collect::<Vec<_>>(), chunk)?)
                }))
            }
        };
        let Some(path) = file else { return Ok(memory) };
        let file = File::open(&path).map_err(|e| scratch(&path, &e))?;
        let reader = StreamReader::try_new(BufReader::with_capacity(1 << 18, file), None)?;
        // The path goes along: the file is removed when its last row has been read.
        Ok(Box::new(memory.chain(reader.map(move |batch| batch.map_err(|e| scratch(&path, &e))))))
    }
}

/// Writes rows that come in order.
pub(super) struct RunWriter<'a> {
    folder: &'a Path,
    gauge: &'a Gauge,
    memory: Vec<RecordBatch>,
    file: Option<(StreamWriter<BufWriter<File>>, TempPath)>,
}

impl<'a> RunWriter<'a> {
    /// A run that goes to a file in `folder` from where the gauge says so.
    pub(super) fn new(folder: &'a Path, gauge: &'a Gauge) -> Self {
        RunWriter { folder, gauge, memory: Vec::new(), file: None }
    }

    /// Appends rows, which must not be before the ones already there.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<(), DiffError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.file.is_none() {
            if self.gauge.take(batch.get_array_memory_size()) {
                self.memory.push(batch);
                return Ok(());
            }
            self.file = Some(create(self.folder, &batch)?);
        }
        if let Some((writer, path)) = &mut self.file {
            writer.write(&batch).map_err(|e| scratch(path, &e))?;
        }
        Ok(())
    }

    /// The run, complete.
    pub(super) fn finish(self) -> Result<Run, DiffError> {
        let file = self.file.map(finish_file).transpose()?;
        Ok(Run { memory: self.memory, order: None, file })
    }
}

fn create(folder: &Path, batch: &RecordBatch) -> Result<(StreamWriter<BufWriter<File>>, TempPath), DiffError> {
    let (file, path) = tempfile::NamedTempFile::new_in(folder).map_err(|e| scratch(folder, &e))?.into_parts();
    let writer = StreamWriter::try_new(BufWriter::with_capacity(1 << 18, file), &batch.schema())?;
    Ok((writer, path))
}

fn finish_file((writer, path): (StreamWriter<BufWriter<File>>, TempPath)) -> Result<TempPath, DiffError> {
    let buffer = writer.into_inner().map_err(|e| scratch(&path, &e))?;
    buffer.into_inner().map_err(|e| scratch(&path, &e))?;
    Ok(path)
}

pub(super) fn scratch(path: &Path, error: &dyn std::fmt::Display) -> DiffError {
    DiffError::Failed(Error::failed_help(
        format!("rows cannot be set aside in `{}`: {error}", path.display()),
        "check that the disk has room and that the folder can be written to",
    ))
}

/// Many runs as one sequence. Where numbers are equal, the rows of the earlier run come first.
pub(super) struct Merged {
    cursors: Vec<Cursor>,
    heads: BinaryHeap<Reverse<(Hash, usize)>>,
}

struct Cursor {
    rest: Batches,
    batch: Option<RecordBatch>,
    numbers: Vec<Hash>,
    at: usize,
}

impl Merged {
    /// Starts at the first row of each.
    pub(super) fn new(runs: Vec<Batches>) -> Result<Merged, DiffError> {
        let mut merged = Merged { cursors: Vec::with_capacity(runs.len()), heads: BinaryHeap::new() };
        for (i, rest) in runs.into_iter().enumerate() {
            let mut cursor = Cursor { rest, batch: None, numbers: Vec::new(), at: 0 };
            if let Some(head) = cursor.advance()? {
                merged.heads.push(Reverse((head, i)));
            }
            merged.cursors.push(cursor);
        }
        Ok(merged)
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>, DiffError> {
        let mut parts: Vec<RecordBatch> = Vec::new();
        let mut part_of: Vec<Option<usize>> = vec![None; self.cursors.len()];
        let mut order: Vec<(usize, usize)> = Vec::new();
        while order.len() < ROWS {
            let Some(Reverse((_, c))) = self.heads.pop() else { break };
            let cursor = &mut self.cursors[c];
            let Some(batch) = &cursor.batch else { continue };
            let part = *part_of[c].get_or_insert_with(|| {
                parts.push(batch.clone());
                parts.len() - 1
            });
            let next = self.heads.peek().map(|Reverse(next)| *next);
            let first = cursor.at;
            while let Some(number) = cursor.numbers.get(cursor.at)
                && order.len() < ROWS
                && (cursor.at == first || next.is_none_or(|next| (*number, c) < next))
            {
                order.push((part, cursor.at));
                cursor.at += 1;
            }
            let head = match cursor.numbers.get(cursor.at) {
                Some(head) => Some(*head),
                None => {
                    part_of[c] = None;
                    cursor.advance()?
                }
            };
            self.heads.extend(head.map(|head| Reverse((head, c))));
        }
        Ok(match (parts.as_slice(), order.first()) {
            (_, None) => None,
            // The rows of one part are always neighbours.
            ([part], Some((_, first))) => Some(part.slice(*first, order.len())),
            (parts, _) => Some(interleave_record_batch(&parts.iter().collect::<Vec<_>>(), &order)?),
        })
    }
}

impl Iterator for Merged {
    type Item = Result<RecordBatch, DiffError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

impl Cursor {
    fn advance(&mut self) -> Result<Option<Hash>, DiffError> {
        (self.batch, self.at) = (None, 0);
        self.numbers.clear();
        while self.numbers.is_empty() {
            let Some(batch) = self.rest.next().transpose()? else { return Ok(None) };
            self.numbers = sort_numbers(&batch)?;
            self.batch = Some(batch);
        }
        Ok(self.numbers.first().copied())
    }
}

/// The numbers a batch is sorted by.
pub(super) fn sort_numbers(batch: &RecordBatch) -> Result<Vec<Hash>, ArrowError> {
    let numbers = batch.columns().first().and_then(snapshot::hashes);
    Ok(numbers.ok_or_else(|| ArrowError::SchemaError("rows without a sort column".into()))?.collect())
}

/// Sorts rows that come in no order. Rows of different schemas are kept apart by a tag: they become runs of their own.
pub(super) struct Sorter<T> {
    folder: PathBuf,
    limit: usize,
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    batches: Vec<RecordBatch>,
    bytes: usize,
    tag: Option<T>,
    runs: Vec<(T, Run)>,
}

impl<T: Clone + PartialEq> Sorter<T> {
    /// A sorter that keeps about `limit` bytes in memory.
    pub(super) fn new(folder: &Path, limit: usize) -> Self {
        let (pending, batches, runs) = (Vec::new(), Vec::new(), Vec::new());
        let folder = folder.to_owned();
        Sorter { folder, limit, pending, pending_rows: 0, batches, bytes: 0, tag: None, runs }
    }

    /// Takes rows. Of rows with the same number, those pushed first come first.
    pub(super) fn push(&mut self, tag: T, batch: RecordBatch) -> Result<(), DiffError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.tag.as_ref() != Some(&tag) {
            self.flush(true)?;
            self.tag = Some(tag);
        }
        self.pending_rows += batch.num_rows();
        self.pending.push(batch);
        if self.pending_rows >= ROWS {
            self.gather()?;
        }
        if self.bytes > self.limit {
            self.flush(true)?;
        }
        Ok(())
    }

    /// The sorted runs, in the order in which their rows were pushed.
    pub(super) fn finish(mut self) -> Result<Vec<(T, Run)>, DiffError> {
        self.flush(false)?;
        Ok(self.runs)
    }

    /// Makes one batch of many small ones: rows are then found faster.
    fn gather(&mut self) -> Result<(), DiffError> {
        if let Some(first) = self.pending.first() {
            let batch = concat_batches(&first.schema(), &self.pending)?;
            self.bytes += batch.get_array_memory_size() + 48 * batch.num_rows();
            self.batches.push(batch);
        }
        self.pending.clear();
        self.pending_rows = 0;
        Ok(())
    }

    fn flush(&mut self, to_disk: bool) -> Result<(), DiffError> {
        self.gather()?;
        let Some(tag) = self.tag.clone().filter(|_| !self.batches.is_empty()) else { return Ok(()) };
        let memory = std::mem::take(&mut self.batches);
        self.bytes = 0;
        let mut numbers: Vec<(Hash, u32, u32)> = Vec::new();
        for (b, batch) in memory.iter().enumerate() {
            numbers.extend(sort_numbers(batch)?.into_iter().enumerate().map(|(r, n)| (n, b as u32, r as u32)));
        }
        numbers.sort_unstable();
        let order = numbers.into_iter().map(|(_, b, r)| (b as usize, r as usize)).collect();
        let mut run = Run { memory, order: Some(order), file: None };
        if to_disk {
            run = self.to_disk(run.read()?)?;
        }
        self.runs.push((tag.clone(), run));
        let same = self.runs.iter().rev().take_while(|(t, _)| *t == tag).count();
        if same >= FAN_IN {
            let merged = self.runs.split_off(self.runs.len() - same).into_iter().map(|(_, run)| run.read());
            let merged = Merged::new(merged.collect::<Result<_, _>>()?)?;
            let run = self.to_disk(Box::new(merged))?;
            self.runs.push((tag, run));
        }
        Ok(())
    }

    fn to_disk(&self, rows: impl Iterator<Item = Result<RecordBatch, DiffError>>) -> Result<Run, DiffError> {
        let nothing = Gauge::new(0);
        let mut writer = RunWriter::new(&self.folder, &nothing);
        for batch in rows {
            writer.push(batch?)?;
        }
        writer.finish()
    }
}
