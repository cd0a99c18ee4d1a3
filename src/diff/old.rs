//! Fetching old values of a snapshot by position.

use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection, RowSelector};

use super::pages;
use super::runs::{ROWS, Run, Sorter};
use super::snapshot::{HEAD, Snapshot, hash_array, hash_field, hashes};
use super::{DiffError, Hash, threads};

/// Keys at which a snapshot falls into `slices` slices of the same size: the first key of each but the first.
pub(super) fn bounds(snapshot: Option<&Snapshot>, rows: usize, slices: usize) -> Result<Vec<Hash>, DiffError> {
    let Some(snapshot) = snapshot else { return Ok(Vec::new()) };
    let mut wanted = (1..slices).map(|slice| rows * slice / slices).peekable();
    let mut bounds = Vec::with_capacity(slices);
    let mut start = 0;
    for (group, rows) in snapshot.groups().into_iter().enumerate() {
        let here = std::iter::from_fn(|| wanted.next_if(|p| *p < start + rows)).map(|p| p - start);
        let ranges: Vec<_> = here.map(|p| p..p + 1).collect();
        start += rows;
        if ranges.is_empty() {
            continue;
        }
        let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), rows);
        for batch in snapshot.read(vec![group], Some(selection), &[0], &[])? {
            let batch = batch.map_err(|e| snapshot.unreadable(&e))?;
            bounds.extend(hashes(batch.column(0)).into_iter().flatten());
        }
    }
    Ok(bounds)
}

/// The rows at some positions, as runs in the order given with each position. The columns are this order, key hash,
/// mapping number, and all with values.
pub(super) fn fetch(
    snapshot: &Snapshot,
    mut wanted: Vec<(u64, u64)>,
    threads: usize,
    memory: usize,
    scratch: &Path,
) -> Result<Vec<Run>, DiffError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    wanted.sort_unstable();
    let mut jobs = Vec::new();
    let mut start = 0u64;
    let mut rest = wanted.as_slice();
    for (group, rows) in snapshot.groups().into_iter().enumerate() {
        let (here, later) = rest.split_at(rest.partition_point(|(position, _)| *position < start + rows as u64));
        if !here.is_empty() {
            jobs.push((group, rows, start, here));
        }
        rest = later;
        start += rows as u64;
    }
    let jobs = Mutex::new(jobs);
    let next = || jobs.lock().map_or(None, |mut jobs| jobs.pop());
    // A snapshot that was opened has all columns of the head.
    let fields = snapshot.schema().fields();
    let head = [hash_field("_order"), fields[0].as_ref().clone(), fields[2].as_ref().clone()];
    let values = fields.iter().skip(HEAD).map(|f| f.as_ref().clone());
    let schema = Arc::new(Schema::new(head.into_iter().chain(values).collect::<Vec<Field>>()));
    let runs = threads::all(threads, |_| {
        let mut sorter = Sorter::new(scratch, memory / threads.max(1));
        while let Some((group, rows, start, wanted)) = next() {
            let positions: Vec<usize> = wanted.iter().map(|(position, _)| (position - start) as usize).collect();
            let mut group = Group::open(snapshot, group, &positions, rows)?;
            for (wanted, positions) in wanted.chunks(ROWS).zip(positions.chunks(ROWS)) {
                let order = hash_array(wanted.iter().map(|(_, order)| u128::from(*order)));
                let mut columns = vec![order];
                columns.extend(group.take(positions)?);
                sorter.push((), RecordBatch::try_new(schema.clone(), columns)?)?;
            }
        }
        sorter.finish()
    })?;
    Ok(runs.into_iter().flatten().map(|((), run)| run).collect())
}

/// The columns of a row group that are fetched: key hash, mapping number, and all with values.
struct Group<'a> {
    snapshot: &'a Snapshot,
    columns: Vec<Option<pages::Column>>,
    /// What is not read from pages, in the order of the columns.
    others: Option<ParquetRecordBatchReader>,
}

impl Group<'_> {
    fn open<'a>(
        snapshot: &'a Snapshot,
        group: usize,
        positions: &[usize],
        rows: usize,
    ) -> Result<Group<'a>, DiffError> {
        let fields = snapshot.schema().fields();
        let all = [0, 2].into_iter().chain(HEAD..fields.len());
        let columns = all.clone().map(|at| pages::open(snapshot, group, at)).collect::<Result<Vec<_>, _>>()?;
        let rest: Vec<usize> = all.zip(&columns).filter(|(_, column)| column.is_none()).map(|(at, _)| at).collect();
        let (head, names): (Vec<usize>, Vec<usize>) = rest.iter().copied().partition(|at| *at < HEAD);
        let names: Vec<&str> = names.iter().map(|at| fields[*at].name().as_str()).collect();
        let others = || snapshot.read(vec![group], Some(select(positions.iter().copied(), rows)), &head, &names);
        let others = if rest.is_empty() { None } else { Some(others()?) };
        Ok(Group { snapshot, columns, others })
    }

    /// The columns at these rows, at most [`ROWS`], which follow those taken last.
    fn take(&mut self, positions: &[usize]) -> Result<Vec<ArrayRef>, DiffError> {
        let snapshot = self.snapshot;
        let others = self.others.as_mut().map(|reader| match reader.next() {
            Some(Ok(batch)) if batch.num_rows() == positions.len() => Ok(batch),
            Some(Err(e)) => Err(snapshot.unreadable(&e)),
            _ => Err(snapshot.unreadable(&"it has fewer rows than it says")),
        });
        let mut others = others.transpose()?.map(|batch| batch.columns().to_vec()).unwrap_or_default().into_iter();
        let columns = self.columns.iter_mut().map(|column| match column {
            Some(column) => column.take(positions).map_err(|e| snapshot.unreadable(&e).into()),
            None => others.next().ok_or_else(|| snapshot.unreadable(&"a column is missing").into()),
        });
        columns.collect()
    }
}

/// Selects rows of a row group, given in ascending order.
fn select(positions: impl Iterator<Item = usize>, rows: usize) -> RowSelection {
    let mut selectors: Vec<RowSelector> = Vec::new();
    let mut at = 0;
    for position in positions {
        match selectors.last_mut() {
            Some(last) if position == at && !last.skip => last.row_count += 1,
            _ => {
                if position > at {
                    selectors.push(RowSelector::skip(position - at));
                }
                selectors.push(RowSelector::select(1));
            }
        }
        at = position + 1;
    }
    if at < rows {
        selectors.push(RowSelector::skip(rows - at));
    }
    selectors.into()
}
