//! A row group in the making: its columns are encoded on several threads, while the next rows are merged.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;
use parquet::schema::types::SchemaDescriptor;

/// Batches that wait for a thread, each a few thousand rows.
const WAITING: usize = 4;
/// More threads would wait for the merge.
const MOST_THREADS: usize = 4;

type Chunks = Result<Vec<(usize, Vec<ArrowColumnChunk>)>, ParquetError>;

/// Column writers at work.
pub(super) struct Group {
    lanes: Vec<(SyncSender<RecordBatch>, JoinHandle<Chunks>)>,
    rows: usize,
}

/// A column of the schema, and the writers of what it consists of.
struct Column {
    at: usize,
    writers: Vec<ArrowColumnWriter>,
}

impl Group {
    /// Starts with no rows. `writers` are those of all leaves of the schema, in order.
    pub(super) fn start(schema: &SchemaRef, leaves: &SchemaDescriptor, writers: Vec<ArrowColumnWriter>) -> Group {
        let mut columns: Vec<Column> =
            (0..schema.fields().len()).map(|at| Column { at, writers: Vec::new() }).collect();
        for (leaf, writer) in writers.into_iter().enumerate() {
            if let Some(column) = columns.get_mut(leaves.get_column_root_idx(leaf)) {
                column.writers.push(writer);
            }
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let mut shares: Vec<Vec<Column>> = (0..threads).map(|_| Vec::new()).collect();
        for column in columns {
            let share = column.at % threads;
            shares[share].push(column);
        }
        let lane = |share| {
            let (sender, receiver) = sync_channel(WAITING);
            let schema = Arc::clone(schema);
            (sender, std::thread::spawn(move || encode(&schema, share, &receiver)))
        };
        Group { lanes: shares.into_iter().map(lane).collect(), rows: 0 }
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Appends rows.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<(), ParquetError> {
        self.rows += batch.num_rows();
        for at in 0..self.lanes.len() {
            if self.lanes[at].0.send(batch.clone()).is_err() {
                // It has stopped early, and says why.
                let (_, lane) = self.lanes.swap_remove(at);
                return join(lane).and(Err(ParquetError::General("a column was not encoded".into())));
            }
        }
        Ok(())
    }

    /// The columns, encoded, in the order of the leaves.
    pub(super) fn finish(self) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
        let lanes: Vec<_> = self.lanes.into_iter().map(|(_, lane)| lane).collect();
        let mut chunks = Vec::new();
        for lane in lanes {
            chunks.extend(join(lane)?);
        }
        chunks.sort_by_key(|(at, _)| *at);
        Ok(chunks.into_iter().flat_map(|(_, chunks)| chunks).collect())
    }
}

fn join(lane: JoinHandle<Chunks>) -> Chunks {
    lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn encode(schema: &SchemaRef, mut columns: Vec<Column>, batches: &Receiver<RecordBatch>) -> Chunks {
    for batch in batches {
        for column in &mut columns {
            let leaves = compute_leaves(schema.field(column.at), batch.column(column.at))?;
            column.writers.iter_mut().zip(&leaves).try_for_each(|(writer, leaf)| writer.write(leaf))?;
        }
    }
    let close = |column: Column| {
        let chunks = column.writers.into_iter().map(ArrowColumnWriter::close);
        Ok((column.at, chunks.collect::<Result<Vec<_>, _>>()?))
    };
    columns.into_iter().map(close).collect()
}
