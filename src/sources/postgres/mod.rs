//! Source `postgres`: one `select` in a read-only transaction, streamed.
//!
//! Each read has a connection, a thread and a transaction (`begin read only`, time zone UTC) of its own. Rows come in
//! binary through the extended protocol; the server waits when nobody takes them. A connection that breaks is an error
//! in the stream, never an early end. The types are in [`types`], connections and TLS in
//! [`crate::postgres`].

mod decode;
mod explain;
mod flavour;
mod types;

use std::pin::pin;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use futures_util::TryStreamExt;
use tokio_postgres::Client;

use super::columns::Rows;
use super::spelling::Spelling;
use super::{BatchStream, Dialect, Query, Source, channel};
use crate::diagnostic::{Error, Result};
use crate::postgres::Server;
use crate::postgres::account::{self, Account};
use decode::{Raw, push};
pub(super) use flavour::Flavour;
use flavour::Taken;
use types::Wire;

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
        let asking = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| Error::failed(format!("cannot start asking: {e}")))?;
            runtime.block_on(async { question(self.server.connect().await?).await })
        };
        // On a thread of its own: the caller may be within a runtime.
        let asked = std::thread::scope(|scope| scope.spawn(asking).join());
        asked.unwrap_or_else(|_| Err(Error::failed("the thread that was asking ended unexpectedly")))
    }

    fn start(&self, query: &Query, hint: Option<&[String]>, rows: bool) -> Result<BatchStream> {
        let (sql, server) = (Spelling::Standard.statement(query, hint), self.server.clone());
        let flavour = self.flavour;
        let hint = matches!(query, Query::Sql(_)).then(|| hint.map(<[String]>::to_vec)).flatten();
        let name = self.server.name();
        channel::spawn(&name, move |out| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| Error::failed(format!("cannot start reading: {e}")))?;
            runtime.block_on(async {
                let client = server.connect().await?;
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

/// One statement on its way.
struct Read<'a> {
    client: Client,
    server: &'a Server,
    flavour: Flavour,
    sql: String,
}

impl Read<'_> {
    async fn run(&self, hint: Option<&[String]>, rows: bool, out: &channel::Out) -> Result<()> {
        self.client.batch_execute(self.flavour.begin()).await.map_err(|e| self.explain(&e, ""))?;
        let mut sql = self.sql.clone();
        let mut statement = self.prepare(&sql).await?;
        let taken: Vec<Taken> = statement.columns().iter().map(|column| self.flavour.take(column)).collect();
        // What we cannot read is asked for in another form, which the statement has to say.
        if taken.iter().any(|taken| taken.expression.is_some()) {
            let columns = statement.columns().iter().zip(&taken).map(|(column, taken)| match &taken.expression {
                None => Spelling::Standard.quoted(column.name()),
                Some(expression) => {
                    tracing::debug!(column = column.name(), kind = column.type_().name(), "read as text");
                    expression.clone()
                }
            });
            let columns = columns.collect::<Vec<_>>().join(", ");
            sql = format!("select {columns} from (\n{}\n) as model", sql.trim_end().trim_end_matches(';'));
            statement = self.prepare(&sql).await?;
        }
        let mut wanted: Vec<(usize, Wire)> = Vec::new();
        let mut fields = Vec::new();
        for (at, Taken { field, wire, .. }) in taken.into_iter().enumerate() {
            if hint.is_some_and(|names| !names.iter().any(|name| name == field.name())) {
                continue;
            }
            fields.push(field);
            wanted.push((at, wire));
        }
        if let Some(name) = hint.unwrap_or_default().iter().find(|n| fields.iter().all(|f| f.name() != *n)) {
            let names: Vec<&str> = statement.columns().iter().map(|c| c.name()).collect();
            let help = format!("its columns: {}", names.join(", "));
            return Err(Error::failed_help(format!("the result has no column `{name}`"), help));
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        if !out.schema(schema.clone()) || !rows {
            return Ok(());
        }
        let parameters: [&str; 0] = [];
        let stream = self.client.query_raw(&statement, parameters).await.map_err(|e| self.explain(&e, &sql))?;
        let mut stream = pin!(stream);
        let mut batch = Rows::new(schema.clone()).map_err(super::failure)?;
        let mut number = 0_u64;
        while let Some(row) = stream.try_next().await.map_err(|e| self.explain(&e, &sql))? {
            number += 1;
            for ((at, wire), (column, field)) in wanted.iter().zip(batch.columns.iter_mut().zip(schema.fields())) {
                match row.try_get::<_, Raw<'_>>(*at).map_err(|e| self.explain(&e, &sql))?.0 {
                    None => column.push_null(),
                    Some(bytes) => push(column, wire, bytes).map_err(|fault| {
                        let name = field.name();
                        Error::failed_help(
                            format!("column `{name}`, row {number} of the result: {}", fault.what),
                            fault.help.replace("COLUMN", name),
                        )
                        .context(self.server.name())
                    })?,
                }
            }
            if batch.end_row(row.raw_size_bytes()) && !out.rows(&mut batch)? {
                return Ok(());
            }
        }
        out.rows(&mut batch).map(|_| ())
    }

    async fn prepare(&self, sql: &str) -> Result<tokio_postgres::Statement> {
        let statement = self.client.prepare(sql).await.map_err(|e| self.explain(&e, sql))?;
        let one = "a model is one `select` (or `with … select`) statement";
        if statement.columns().is_empty() {
            return Err(Error::failed_help("the SQL gives no columns", one));
        }
        if !statement.params().is_empty() {
            return Err(Error::failed_help("the SQL holds parameters such as `$1`", "write the values into the SQL"));
        }
        let names: Vec<&str> = statement.columns().iter().map(|c| c.name()).collect();
        if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|n| n == *name))
        {
            return Err(Error::failed_help(
                format!("the result has two columns named `{twice}`"),
                "name one of them differently: `… as other_name`",
            ));
        }
        Ok(statement)
    }

    fn explain(&self, error: &tokio_postgres::Error, sql: &str) -> Error {
        explained(self.server, error, sql)
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
