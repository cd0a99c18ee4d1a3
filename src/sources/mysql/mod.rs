//! Source `mysql`: one `select` in a read-only transaction with a consistent snapshot, streamed.
//!
//! Each read has a connection, a thread and a transaction of its own. The statement is prepared, so that its columns are
//! known before it runs, and its rows come by the binary protocol, in which every value has all of its digits; the server
//! waits when nobody takes them. A connection that breaks is an error in the stream, never an early end. The types are in
//! [`types`], connections and TLS in [`crate::mysql`].

mod decode;
mod explain;
mod json;
mod read;
mod types;

use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::spelling::Spelling;
use super::{BatchStream, Dialect, Query, Source, channel};
use crate::diagnostic::Result;
use crate::login::Account;
use crate::mysql::{Server, account};
use read::Read;

/// A MySQL or MariaDB server.
pub(super) struct Mysql {
    server: Arc<Server>,
}

impl Mysql {
    /// A source of this server; connected to with the first query.
    pub(super) fn new(server: Server) -> Self {
        Self { server: Arc::new(server) }
    }

    fn start(&self, query: &Query, hint: Option<&[String]>, rows: bool) -> Result<BatchStream> {
        let (sql, server) = (Spelling::Backticks.statement(query, hint), self.server.clone());
        let hint = matches!(query, Query::Sql(_)).then(|| hint.map(<[String]>::to_vec)).flatten();
        channel::spawn(&self.server.name(), move |out| {
            channel::wait(async {
                let connection = server.connect().await?;
                Read { connection, server: &server, sql }.run(hint.as_deref(), rows, out).await
            })
        })
    }
}

impl Source for Mysql {
    fn dialect(&self) -> Option<Dialect> {
        Some(Dialect::Mysql)
    }

    /// A server looks at rights when it prepares a statement, so that [`Source::check`] needs nothing else.
    fn schema(&self, query: &Query) -> Result<SchemaRef> {
        Ok(self.start(query, None, false)?.schema())
    }

    fn account(&self) -> Result<Option<Account>> {
        channel::ask(async || {
            let mut connection = self.server.connect().await?;
            let found = account::look(&mut connection).await;
            found.map(Some).map_err(|e| explain::explained(&self.server, &e))
        })
    }

    fn read(&self, query: &Query, columns: Option<&[String]>) -> Result<Vec<BatchStream>> {
        Ok(vec![self.start(query, columns, true)?])
    }
}
