//! A read that runs on its own thread and hands its batches over a bounded channel.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use arrow_schema::{ArrowError, SchemaRef};

use super::columns::Rows;
use super::{Batch, BatchReader, BatchStream};
use crate::diagnostic::{Error, Result};

/// Batches in flight between the reading thread and whoever takes them.
const IN_FLIGHT: usize = 2;

enum Item {
    Schema(SchemaRef),
    Batch(Batch),
    Failed(Error),
    /// The read is complete. Without it a stream never ends well: a thread that dies must not look like a last row.
    End,
}

/// Where the reading thread puts what it reads.
pub(super) struct Out(SyncSender<Item>);

impl Out {
    /// Announces the columns; once, before the first batch. False when nobody listens any more.
    pub(super) fn schema(&self, schema: SchemaRef) -> bool {
        self.0.send(Item::Schema(schema)).is_ok()
    }

    /// Hands a batch over, waiting until there is room. False when nobody listens any more: stop reading.
    pub(super) fn batch(&self, batch: Batch) -> bool {
        self.0.send(Item::Batch(batch)).is_ok()
    }

    /// Hands the rows so far over, waiting until there is room. False when nobody listens any more: stop reading.
    pub(super) fn rows(&self, rows: &mut Rows) -> Result<bool> {
        match rows.take().map_err(super::failure)? {
            Some(batch) => Ok(self.batch(batch)),
            None => Ok(true),
        }
    }
}

/// Starts `work` on a thread and waits for its schema, so that what is wrong with the connection or the statement is
/// said here and not in the middle of the stream.
pub(super) fn spawn(name: &str, work: impl FnOnce(&Out) -> Result<()> + Send + 'static) -> Result<BatchStream> {
    let (sender, receiver) = sync_channel(IN_FLIGHT);
    thread::Builder::new()
        .name(format!("read {name}"))
        .spawn(move || {
            let out = Out(sender);
            let last = match work(&out) {
                Ok(()) => Item::End,
                Err(error) => Item::Failed(error),
            };
            // Nobody listening is no fault: the reader was dropped.
            let _ = out.0.send(last);
        })
        .map_err(|e| Error::failed(format!("cannot start a thread to read {name}: {e}")))?;
    match receiver.recv() {
        Ok(Item::Schema(schema)) => Ok(Box::new(Stream { schema, receiver, done: false })),
        Ok(Item::Failed(error)) => Err(error),
        Ok(Item::Batch(_) | Item::End) | Err(_) => Err(broken()),
    }
}

/// Does what waits for a server, to its end, on this thread.
pub(super) fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::failed(format!("cannot start reading: {e}")))?;
    runtime.block_on(work)
}

/// The same on a thread of its own: the caller may be within a runtime.
pub(super) fn ask<T: Send>(question: impl AsyncFnOnce() -> Result<T> + Send) -> Result<T> {
    let asked = thread::scope(|scope| scope.spawn(|| wait(question())).join());
    asked.unwrap_or_else(|_| Err(Error::failed("the thread that was asking ended unexpectedly")))
}

struct Stream {
    schema: SchemaRef,
    receiver: Receiver<Item>,
    done: bool,
}

impl Iterator for Stream {
    type Item = Result<Batch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.receiver.recv() {
            Ok(Item::Batch(batch)) => return Some(Ok(batch)),
            Ok(Item::End) => {
                self.done = true;
                return None;
            }
            Ok(Item::Failed(error)) => {
                self.done = true;
                return Some(Err(super::stream_error(error)));
            }
            Ok(Item::Schema(_)) | Err(_) => {}
        }
        self.done = true;
        Some(Err(super::stream_error(broken())))
    }
}

impl BatchReader for Stream {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

fn broken() -> Error {
    Error::failed_help(
        "the reading thread ended before the read was complete",
        "this is a fault of syncline; please report it",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::Schema;

    use super::*;

    #[test]
    fn a_thread_that_dies_is_an_error_not_an_end() {
        let mut stream = spawn("test", |out| {
            out.schema(Arc::new(Schema::empty()));
            std::panic::resume_unwind(Box::new("dies silently"));
        })
        .unwrap();
        assert!(stream.next().unwrap().is_err());
        assert!(stream.next().is_none());
    }

    #[test]
    fn an_error_in_the_middle_comes_through_with_its_help() {
        let mut stream = spawn("test", |out| {
            out.schema(Arc::new(Schema::empty()));
            Err(Error::failed_help("cable cut", "mend it"))
        })
        .unwrap();
        let error = crate::sources::failure(stream.next().unwrap().unwrap_err());
        assert_eq!((error.to_string().as_str(), error.help()), ("cable cut", Some("mend it")));
    }
}
