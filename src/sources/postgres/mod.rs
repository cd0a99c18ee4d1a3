//! Source `postgres`: one `select` in a read-only transaction, streamed.
//!
//! Each read has a connection, a thread and a transaction (`begin read only`, time zone UTC) of its own. Rows come in
//! binary, by `copy` where the server has it and through the extended protocol elsewhere; the server waits when nobody
//! takes them. A connection that breaks is an error in the stream, never an early end. The types are in [`types`],
//! connections and TLS in [`crate::postgres`].

mod block;
mod copy;
mod decode;
mod explain;
mod fault;
mod flavour;
mod read;
mod types;

use std::sync::Arc;

use arrow_schema::SchemaRef;
use tokio_postgres::Client;

use super::spelling::Spelling;
use super::{BatchStream, Dialect, Query, Source, channel};
use crate::diagnostic::{Error, Result};
use crate::login::Account;
use crate::postgres::Server;
use crate::postgres::account;
pub(super) use flavour::Flavour;
use read::Read;

/// A PostgreSQL server.
pub(super) struct Postgres {
    server: Arc<Server>,
    flavour: Flavour,
}

impl Postgres {
    /// A source of this server; connected to with the first query.
    pub(super) fn new(server: Server, flavour: Flavour) -> Self {
        Self { server: Arc::new(server), flavour }
    }

    /// Asks the server something on a connection of its own.
    fn ask<T: Send>(&self, question: impl AsyncFnOnce(Client) -> Result<T> + Send) -> Result<T> {
        channel::ask(async || question(self.server.connect().await?).await)
    }

    fn start(&self, query: &Query, hint: Option<&[String]>, rows: bool) -> Result<BatchStream> {
        let (sql, server) = (Spelling::Standard.statement(query, hint), self.server.clone());
        let flavour = self.flavour;
        let hint = matches!(query, Query::Sql(_)).then(|| hint.map(<[String]>::to_vec)).flatten();
        let name = self.server.name();
        channel::spawn(&name, move |out| {
            channel::wait(async {
                let (client, any_bytes) = server.connect_to_any().await?;
                if any_bytes {
                    // Asked to send UTF-8, the server would end the read at the first text that is none.
                    let raw = client.batch_execute("set client_encoding to 'SQL_ASCII'").await;
                    raw.map_err(|e| explained(&server, &e, ""))?;
                }
                let read = Read { client, server: &server, flavour, sql };
                read.run(hint.as_deref(), rows, out).await
            })
        })
    }
}

impl Source for Postgres {
    fn dialect(&self) -> Option<Dialect> {
        // What tests ask of a PostgreSQL was never asked of a Redshift.
        (self.flavour == Flavour::Postgres).then_some(Dialect::Postgres)
    }

    fn schema(&self, query: &Query) -> Result<SchemaRef> {
        Ok(self.start(query, None, false)?.schema())
    }

    fn check(&self, query: &Query) -> Result<()> {
        self.schema(query)?;
        let sql = Spelling::Standard.statement(query, None);
        self.ask(async |client| {
            let begin = self.flavour.begin();
            client.batch_execute(begin).await.map_err(|e| explained(&self.server, &e, ""))?;
            // A server looks at rights when a statement begins, which `explain` lets it do without reading a row.
            let begun = client.batch_execute(&format!("explain {sql}")).await;
            // The place in the message is one in the statement as it was sent.
            begun.map_err(|e| explained(&self.server, &e, &format!("explain {sql}")))
        })
    }

    fn account(&self) -> Result<Option<Account>> {
        // Redshift keeps its users elsewhere.
        if self.flavour == Flavour::Redshift {
            return Ok(None);
        }
        self.ask(async |client| account::look(&client).await.map(Some).map_err(|e| explained(&self.server, &e, "")))
    }

    fn read(&self, query: &Query, columns: Option<&[String]>) -> Result<Vec<BatchStream>> {
        Ok(vec![self.start(query, columns, true)?])
    }
}

/// What went wrong with a statement, without secrets, with the server's name in front.
fn explained(server: &Server, error: &tokio_postgres::Error, sql: &str) -> Error {
    let error = match explain::reading(error, sql) {
        Error::Failed { message, help } => {
            Error::Failed { message: server.redact(&message), help: help.map(|help| server.redact(&help)) }
        }
        other => other,
    };
    error.context(server.name())
}
