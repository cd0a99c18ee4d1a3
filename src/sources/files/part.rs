//! The rows of a part of a table as a stream.

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::diagnostic::Result;
use crate::sources::stream_error;

/// Rows of one file, read one batch after the other.
pub(super) trait Batches {
    /// The next rows; `None` after the last.
    fn batch(&mut self) -> Result<Option<RecordBatch>>;
}

/// A stream of these rows. After an error nothing more comes.
pub(super) struct Part<B> {
    batches: B,
    schema: SchemaRef,
    done: bool,
}

impl<B> Part<B> {
    /// A stream of batches of this schema.
    pub fn new(batches: B, schema: SchemaRef) -> Self {
        Self { batches, schema, done: false }
    }
}

impl<B: Batches> Iterator for Part<B> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let batch = self.batches.batch();
        self.done = !matches!(batch, Ok(Some(_)));
        batch.map_err(stream_error).transpose()
    }
}

impl<B: Batches> RecordBatchReader for Part<B> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
