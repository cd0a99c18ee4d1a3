//! Fetching old values of a snapshot by position.

use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::runs::{Run, Sorter};
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
    let names: Vec<&str> = snapshot.schema().fields().iter().skip(HEAD).map(|f| f.name().as_str()).collect();
    let fields = snapshot.schema().fields().iter().skip(HEAD).map(|f| f.as_ref().clone());
    let head = [hash_field("_order"), snapshot.schema().field(0).clone(), snapshot.schema().field(2).clone()];
    let schema = Arc::new(Schema::new(head.into_iter().chain(fields).collect::<Vec<Field>>()));
    let runs = threads::all(threads, |_| {
        let mut sorter = Sorter::new(scratch, memory / threads.max(1));
        while let Some((group, rows, start, wanted)) = next() {
            let mut order = wanted.iter().map(|(_, order)| u128::from(*order));
            let positions = wanted.iter().map(|(position, _)| (position - start) as usize);
            for batch in snapshot.read(vec![group], Some(select(positions, rows)), &[0, 2], &names)? {
                let batch = batch.map_err(|e| snapshot.unreadable(&e))?;
                let order = hash_array(order.by_ref().take(batch.num_rows()));
                let columns = std::iter::once(order).chain(batch.columns().iter().cloned()).collect();
                sorter.push((), RecordBatch::try_new(schema.clone(), columns)?)?;
            }
        }
        sorter.finish()
    })?;
    Ok(runs.into_iter().flatten().map(|((), run)| run).collect())
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
