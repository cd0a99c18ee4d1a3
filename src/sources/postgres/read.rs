//! One statement and its rows, from the server to Arrow.

use std::pin::pin;

use arrow_schema::SchemaRef;
use futures_util::TryStreamExt;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Statement};

use super::block::{Block, Gathered};
use super::copy::{Copied, Malformed};
use super::decode::{Raw, push};
use super::explained;
use super::fault::Fault;
use super::flavour::{Flavour, Taken};
use super::types::Wire;
use crate::diagnostic::{Error, Result};
use crate::postgres::Server;
use crate::sources::columns::Rows;
use crate::sources::spelling::Spelling;
use crate::sources::wanted::{self, Wanted};
use crate::sources::{broken_off, channel};

/// One statement on its way.
pub(super) struct Read<'a> {
    pub client: Client,
    pub server: &'a Server,
    pub flavour: Flavour,
    pub sql: String,
}

/// The rows of a statement under construction.
struct Taking<'a> {
    server: &'a Server,
    /// Positions in the result, and how their bytes are to be read; one for each field of the schema.
    wanted: Vec<(usize, Wire)>,
    schema: SchemaRef,
    batch: Rows,
    /// Rows so far.
    number: u64,
}

impl Taking<'_> {
    /// Takes some rows. False when nobody listens any more.
    fn block(&mut self, block: Block<'_>, out: &channel::Out) -> Result<bool> {
        let (mut start, rows) = (0, block.rows());
        while start < rows {
            let end = rows.min(start + self.batch.room());
            let mut malformed = None;
            let Rows { columns, flaws, .. } = &mut self.batch;
            for ((at, wire), (place, column)) in self.wanted.iter().zip(columns.iter_mut().enumerate()) {
                push(column, wire, block.column(*at, start..end), |row, fault| match fault {
                    Fault::Unreadable(why) => flaws.add_after(row, place, why),
                    Fault::Malformed => malformed = Some((place, row)),
                });
            }
            if let Some((place, row)) = malformed {
                let (name, number) = (self.schema.field(place).name(), self.number + row as u64 + 1);
                let what = "the value has another form than PostgreSQL documents";
                let message = format!("column `{name}`, row {number} of the result: {what}");
                let help = format!("cast it: `{name}::text as {name}`");
                return Err(Error::failed_help(message, help).context(self.server.name()));
            }
            self.number += (end - start) as u64;
            // The bytes of rows that go into two batches are counted with the second.
            let bytes = if end == rows { block.bytes.len() } else { 0 };
            if self.batch.end_rows(end - start, bytes) && !out.rows(&mut self.batch)? {
                return Ok(false);
            }
            start = end;
        }
        Ok(true)
    }
}

fn malformed(_: Malformed) -> Error {
    Error::failed_help(
        "the server sent its rows in another form than PostgreSQL documents for a binary `copy`",
        "is it a PostgreSQL? A server that only speaks its protocol may have an ADBC driver: `type: adbc`",
    )
}

impl Read<'_> {
    /// Announces the columns and hands over the rows, if they are wanted.
    pub async fn run(&self, hint: Option<&[String]>, rows: bool, out: &channel::Out) -> Result<()> {
        self.client.batch_execute(self.flavour.begin()).await.map_err(|e| self.explain(&e, ""))?;
        let mut sql = self.sql.clone();
        let mut statement = self.prepare(&sql).await?;
        let taken: Vec<Taken> = statement.columns().iter().map(|column| self.flavour.take(column)).collect();
        let (fields, wires): (Vec<_>, Vec<_>) = taken.iter().map(|taken| (taken.field.clone(), &taken.wire)).unzip();
        let Wanted { schema, places } = wanted::columns(fields, hint)?;
        let wires = places.iter().filter_map(|place| Some((place.at, (*wires.get(place.at)?).clone())));
        let wanted: Vec<(usize, Wire)> = wires.collect();
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
        if !out.schema(schema.clone()) || !rows {
            return Ok(());
        }
        let batch = Rows::new(schema.clone()).map_err(crate::sources::failure)?;
        let mut taking = Taking { server: self.server, wanted, schema, batch, number: 0 };
        let listening = match self.copy(&sql, statement.columns().len(), &mut taking, out).await? {
            Some(listening) => listening,
            None => self.query(&statement, &sql, &mut taking, out).await?,
        };
        if listening {
            out.rows(&mut taking.batch)?;
        }
        Ok(())
    }

    /// Reads by `copy`, which costs both ends least. False when nobody listens any more; nothing was read where the server
    /// or this kind of statement has no `copy`.
    async fn copy(&self, sql: &str, width: usize, taking: &mut Taking<'_>, out: &channel::Out) -> Result<Option<bool>> {
        if self.flavour != Flavour::Postgres {
            return Ok(None);
        }
        // On a line of its own: the statement may end with a comment.
        let copy = format!("copy (\n{}\n) to stdout (format binary)", sql.trim_end().trim_end_matches(';'));
        let stream = match self.client.copy_out(&copy).await {
            Ok(stream) => stream,
            Err(e) if matches!(e.code(), Some(&SqlState::SYNTAX_ERROR | &SqlState::FEATURE_NOT_SUPPORTED)) => {
                tracing::debug!("not read by `copy`: {}", self.explain(&e, &copy));
                let again = format!("rollback; {}", self.flavour.begin());
                self.client.batch_execute(&again).await.map_err(|e| self.explain(&e, ""))?;
                return Ok(None);
            }
            Err(e) => return Err(self.explain(&e, &copy)),
        };
        let (mut stream, mut copied) = (pin!(stream), Copied::new(width));
        while let Some(message) = stream.try_next().await.map_err(|e| self.explain(&e, &copy))? {
            if copied.take(&message) && !taking.block(copied.rows().map_err(malformed)?, out)? {
                return Ok(Some(false));
            }
        }
        let listening = taking.block(copied.rows().map_err(malformed)?, out)?;
        if copied.is_whole() { Ok(Some(listening)) } else { Err(broken_off("the rows ended without their end")) }
    }

    /// Reads through the extended protocol. False when nobody listens any more.
    async fn query(
        &self,
        statement: &Statement,
        sql: &str,
        taking: &mut Taking<'_>,
        out: &channel::Out,
    ) -> Result<bool> {
        let parameters: [&str; 0] = [];
        let stream = self.client.query_raw(statement, parameters).await.map_err(|e| self.explain(&e, sql))?;
        let (mut stream, width) = (pin!(stream), statement.columns().len());
        let mut gathered = Gathered::new(width);
        while let Some(row) = stream.try_next().await.map_err(|e| self.explain(&e, sql))? {
            for at in 0..width {
                let field: Raw<'_> = row.try_get(at).map_err(|e| self.explain(&e, sql))?;
                gathered.push(field.0).map_err(malformed)?;
            }
            if gathered.is_enough() {
                if !taking.block(gathered.block(), out)? {
                    return Ok(false);
                }
                gathered.clear();
            }
        }
        taking.block(gathered.block(), out)
    }

    async fn prepare(&self, sql: &str) -> Result<Statement> {
        let statement = self.client.prepare(sql).await.map_err(|e| self.explain(&e, sql))?;
        if !statement.params().is_empty() {
            return Err(Error::failed_help("the SQL holds parameters such as `$1`", "write the values into the SQL"));
        }
        Ok(statement)
    }

    fn explain(&self, error: &tokio_postgres::Error, sql: &str) -> Error {
        explained(self.server, error, sql)
    }
}
