//! The rows of a part of a table as a stream.

use arrow_schema::{ArrowError, SchemaRef};

use crate::diagnostic::Result;
use crate::sources::{Batch, BatchReader, BatchStream, stream_error};

/// Rows of one file, read one batch after the other.
pub(super) trait Batches {
    /// The next rows; `None` after the last.
    fn batch(&mut self) -> Result<Option<Batch>>;
}

/// A stream of these rows. Its file is opened when the first batch is asked for: a folder may hold more files than may
/// be open at once. After an error nothing more comes.
pub(super) struct Part<B> {
    schema: SchemaRef,
    state: State<B>,
}

type Start<B> = Box<dyn FnOnce(SchemaRef) -> Result<B> + Send>;

enum State<B> {
    Closed(Start<B>),
    Open(B),
    Done,
}

impl<B: Batches + Send + 'static> Part<B> {
    /// A stream of batches of this schema, which `start` is given again.
    pub(super) fn stream(
        schema: SchemaRef,
        start: impl FnOnce(SchemaRef) -> Result<B> + Send + 'static,
    ) -> BatchStream {
        Box::new(Self { schema, state: State::Closed(Box::new(start)) })
    }
}

impl<B: Batches> Part<B> {
    fn batch(&mut self) -> Result<Option<Batch>> {
        let mut batches = match std::mem::replace(&mut self.state, State::Done) {
            State::Done => return Ok(None),
            State::Open(batches) => batches,
            State::Closed(start) => start(self.schema.clone())?,
        };
        let batch = batches.batch()?;
        if batch.is_some() {
            self.state = State::Open(batches);
        }
        Ok(batch)
    }
}

impl<B: Batches> Iterator for Part<B> {
    type Item = Result<Batch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().map_err(stream_error).transpose()
    }
}

impl<B: Batches> BatchReader for Part<B> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
