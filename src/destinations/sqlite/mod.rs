//! SQLite: one transaction a batch, one record after the other, each looked up before it is written.
//!
//! Looking up first costs one descent of an index and buys exact answers: what is there, whether it is there twice, and
//! whether it differs. It needs no unique index; where there is no index at all, a whole batch is looked up in one pass
//! over the table.

mod bind;
mod read;
mod refusal;
mod schema;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{
    Batch, Capabilities, Destination, Health, Options, Outcome, Readable, SendError, Sent, Target, Writer, table,
};
use crate::diagnostic::Result;
use crate::manifest::connection::SqliteConnection;
use crate::manifest::sync::Mode;

/// A SQLite database file; objects are its tables.
pub(super) struct Sqlite {
    path: PathBuf,
}

impl Sqlite {
    /// The destination of a connection.
    pub fn new(connection: SqliteConnection) -> Self {
        Self { path: connection.path.into() }
    }
}

#[async_trait]
impl Destination for Sqlite {
    fn capabilities(&self, object: &str, mode: Mode, _: &Options) -> Result<Capabilities> {
        let capabilities = table::capabilities(&format!("table `{object}` of a SQLite database"), mode)?;
        // One writer is all a SQLite file takes.
        Ok(Capabilities { batch_size: 10_000, concurrency: 1, ..capabilities })
    }

    async fn count(&self, object: &str, _: &Options) -> Result<Option<u64>, SendError> {
        let (path, table) = (self.path.clone(), object.to_owned());
        table::blocking(move || read::count(&path, &table)).await.map_err(|e| named(&self.path, e))
    }

    async fn reader(&self, target: &Target) -> Result<Readable, SendError> {
        let (path, target) = (self.path.clone(), target.clone());
        let opened = table::blocking(move || read::SqliteReader::open(&path, &target)).await;
        Ok(Readable::Yes(Box::new(opened.map_err(|e| named(&self.path, e))?)))
    }

    async fn examine(&self) -> Result<Health, SendError> {
        let path = self.path.clone();
        table::blocking(move || schema::examine(&path)).await.map_err(|e| named(&self.path, e))
    }

    async fn open(&self, target: &Target) -> Result<Box<dyn Writer>, SendError> {
        let (path, target) = (self.path.clone(), target.clone());
        let opened = table::blocking(move || schema::open(&path, &target)).await;
        let table = opened.map_err(|e| named(&self.path, e))?;
        Ok(Box::new(SqliteWriter { path: self.path.clone(), table: Arc::new(Mutex::new(table)) }))
    }
}

/// Names the database file in what is about it; a refusal is about a record.
fn named(path: &Path, error: SendError) -> SendError {
    let shown = path.display().to_string();
    let put = |message: String| if message.contains(&shown) { message } else { format!("`{shown}`: {message}") };
    match error {
        SendError::Transient { message, retry_after } => SendError::Transient { message: put(message), retry_after },
        SendError::Lost { message } => SendError::Lost { message: put(message) },
        SendError::Fatal { message, help } => SendError::Fatal { message: put(message), help },
        other @ (SendError::Refused { .. } | SendError::Oversize { .. }) => other,
        SendError::Unreachable { message } => SendError::Unreachable { message: put(message) },
    }
}

struct SqliteWriter {
    path: PathBuf,
    table: Arc<Mutex<write::Table>>,
}

#[async_trait]
impl Writer for SqliteWriter {
    async fn send(&self, batch: &Batch) -> Result<Sent, SendError> {
        let (table, batch) = (Arc::clone(&self.table), batch.clone());
        table::blocking(move || {
            // A panic in an earlier batch left at most an open transaction, which the next one rolls back first.
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            table::alone(&batch, table.send(&batch)).map(Sent::Outcomes)
        })
        .await
        .map_err(|e| named(&self.path, e))
    }

    async fn settle(&self, _: &[(u64, String)]) -> Result<Vec<(u64, Vec<Outcome>)>, SendError> {
        Ok(Vec::new()) // nothing is ever deferred
    }
}
