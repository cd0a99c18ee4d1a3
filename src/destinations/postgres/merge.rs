//! One batch, one transaction: copy, look up, then insert, update, clear or delete.
//!
//! Rows are compared by their bytes (`*<>`): that works for types without equality, tells `1.0` from `1.00` and upper from
//! lower case in case-insensitive columns, and nothing is rewritten that is the same.

use std::collections::HashMap;
use std::io::Cursor;

use async_trait::async_trait;
use futures_util::SinkExt;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::copy::{BATCH, Layout};
use super::refusal;
use super::schema::Table;
use crate::destinations::staged::{self, Compared, Hit, Numbered, Steps};
use crate::destinations::table::quoted;
use crate::destinations::{Action, Batch, Outcome, SendError};
use crate::manifest::sync::Mode;

/// First key of the advisory locks that let batches take turns; the second is the table's object id.
const LOCK: i32 = 0x5359_4E43;

/// Executes a batch; all of it is committed, or none. After an error the transaction may still be open.
pub(super) async fn send(client: &Client, table: &Table, batch: &Batch) -> Result<Vec<Outcome>, SendError> {
    let Some(action) = batch.operations.first().map(|o| o.action) else { return Ok(Vec::new()) };
    let mut outcomes = staged::beforehand(batch, &table.columns, |_| None);
    let sendable = staged::sendable(batch, &outcomes);
    if !sendable.is_empty() {
        let mut merge = Merge::new(client, table, action, &sendable);
        staged::merge(&mut merge, action, table.mode, &sendable, &mut outcomes).await?;
    }
    Ok(outcomes.into_iter().map(|o| o.unwrap_or(Outcome::Succeeded)).collect())
}

pub(super) struct Merge<'a> {
    client: &'a Client,
    table: &'a Table,
    action: Action,
    layout: Layout<'a>,
}

impl<'a> Merge<'a> {
    /// A merge of these records.
    pub(super) fn new(client: &'a Client, table: &'a Table, action: Action, operations: &[Numbered<'_>]) -> Merge<'a> {
        Merge { client, table, action, layout: Layout::of(table, action, operations) }
    }

    /// Copies the records beside the table, and says of every row found, by the position of its record, of each field
    /// whether it is the same and what it holds. The transaction is left open.
    pub(super) async fn compare(&mut self, operations: &[Numbered<'_>]) -> Result<Vec<Compared>, SendError> {
        self.stage(operations).await?;
        let fields = self.layout.fields();
        let each = fields.iter().map(|field| {
            let (name, sent) = (&field.name, &field.updated);
            format!(", ROW(t.{name})::record *= ROW({sent})::record, t.{name}::text")
        });
        let sql = format!(
            "SELECT b.n{} FROM {BATCH} AS b JOIN {} AS t ON {} ORDER BY b.n",
            each.collect::<String>(),
            self.table.name,
            self.matches()
        );
        let (rows, _) = self.query(&sql).await?;
        let compared = |row: &Row| {
            let each = fields.iter().enumerate().map(|(i, field)| {
                let there = row.get(2 * i + 2).map(str::to_owned);
                (field.column.name.clone(), row.get(2 * i + 1) == Some("t"), there)
            });
            (number(row, 0), each.collect())
        };
        Ok(rows.iter().map(compared).collect())
    }
}

#[async_trait]
impl Steps for Merge<'_> {
    async fn stage(&mut self, operations: &[Numbered<'_>]) -> Result<(), SendError> {
        let mut begin = format!("BEGIN; {};", self.layout.create());
        if !self.table.unique {
            // Object ids are 32 bits without sign; the lock only needs the bits.
            begin.push_str(&format!("SELECT pg_advisory_xact_lock({LOCK}, {});", self.table.oid.cast_signed()));
        }
        self.client.batch_execute(&begin).await.map_err(|e| self.failed(&e))?;
        let lines = Cursor::new(self.layout.lines(operations));
        let sink = self.client.copy_in(self.layout.copy().as_str()).await.map_err(|e| self.failed(&e))?;
        let mut sink = std::pin::pin!(sink);
        // An error of feeding is the server's refusal of an earlier line, which finishing reports in full.
        let fed = sink.as_mut().send(lines).await;
        match (fed, sink.as_mut().finish().await) {
            (_, Err(e)) | (Err(e), Ok(_)) => Err(self.failed(&e)),
            (Ok(()), Ok(_)) => Ok(()),
        }
    }

    async fn later_rounds(&mut self, operations: usize) -> Result<HashMap<usize, usize>, SendError> {
        let identifiers: Vec<String> = (0..self.table.columns.matching.len()).map(|i| format!("c{i}")).collect();
        let analyze = if operations > 200 { format!("ANALYZE {BATCH};") } else { String::new() };
        let twins = format!(
            "{analyze} SELECT n, r FROM (SELECT n, row_number() OVER (PARTITION BY {} ORDER BY n) AS r FROM {BATCH}) AS x
             WHERE r > 1",
            identifiers.join(", ")
        );
        let (twins, _) = self.query(&twins).await?;
        let later: HashMap<usize, usize> = twins.iter().map(|row| (number(row, 0), number(row, 1))).collect();
        if !later.is_empty() {
            let list: Vec<String> = later.iter().map(|(n, r)| format!("({n}, {r})")).collect();
            let list = list.join(", ");
            self.query(&format!("UPDATE {BATCH} AS b SET r = v.r FROM (VALUES {list}) AS v (n, r) WHERE b.n = v.n"))
                .await?;
        }
        Ok(later)
    }

    async fn look_up(&mut self, round: usize, compare: bool) -> Result<HashMap<usize, Hit>, SendError> {
        let fields = self.layout.fields();
        let equal = if compare && !fields.is_empty() {
            let (now, new): (Vec<_>, Vec<_>) = fields.into_iter().map(|f| (format!("t.{}", f.name), f.updated)).unzip();
            format!("bool_and(ROW({})::record *= ROW({})::record)", now.join(", "), new.join(", "))
        } else {
            "true".to_owned()
        };
        let sql = format!(
            "SELECT b.n, count(*), {equal} FROM {BATCH} AS b JOIN {} AS t ON {} WHERE b.r = {round} GROUP BY b.n",
            self.table.name,
            self.matches()
        );
        let (rows, _) = self.query(&sql).await?;
        let hit = |row: &Row| (number(row, 0), Hit { count: number(row, 1), equal: row.get(2) == Some("t") });
        Ok(rows.iter().map(hit).collect())
    }

    async fn leave_out(&mut self, records: &[usize]) -> Result<(), SendError> {
        let list: Vec<String> = records.iter().map(usize::to_string).collect();
        self.query(&format!("DELETE FROM {BATCH} WHERE n IN ({})", list.join(", "))).await.map(drop)
    }

    async fn write(&mut self, round: usize) -> Result<(), SendError> {
        let (name, matches) = (&self.table.name, self.matches());
        let sql = match (self.action, self.table.mode) {
            (Action::Delete, _) => {
                format!("DELETE FROM {name} AS t USING {BATCH} AS b WHERE b.r = {round} AND {matches}")
            }
            (Action::Clear, _) => {
                let names: Vec<String> = self.table.columns.fields.iter().map(|c| quoted(&c.name)).collect();
                if names.is_empty() {
                    return Ok(());
                }
                let set: Vec<String> = names.iter().map(|n| format!("{n} = NULL")).collect();
                let filled: Vec<String> = names.iter().map(|n| format!("t.{n}")).collect();
                format!(
                    "UPDATE {name} AS t SET {} FROM {BATCH} AS b WHERE b.r = {round} AND {matches} AND num_nonnulls({}) > 0",
                    set.join(", "),
                    filled.join(", ")
                )
            }
            (Action::Send, Mode::Insert) => return Ok(()),
            (Action::Send, _) => {
                let fields: Vec<_> = self.layout.fields().into_iter().filter(|f| !f.column.if_added).collect();
                if fields.is_empty() {
                    return Ok(());
                }
                let set: Vec<String> = fields.iter().map(|f| format!("{} = {}", f.name, f.updated)).collect();
                let now: Vec<String> = fields.iter().map(|f| format!("t.{}", f.name)).collect();
                let new: Vec<String> = fields.into_iter().map(|f| f.updated).collect();
                format!(
                    "UPDATE {name} AS t SET {} FROM {BATCH} AS b
                     WHERE b.r = {round} AND {matches} AND ROW({})::record *<> ROW({})::record",
                    set.join(", "),
                    now.join(", "),
                    new.join(", ")
                )
            }
        };
        self.query(&sql).await.map(drop)
    }

    async fn insert(&mut self, round: usize) -> Result<u64, SendError> {
        let mut names: Vec<String> = self.table.columns.matching.iter().map(|c| quoted(&c.name)).collect();
        let mut values: Vec<String> = (0..names.len()).map(|i| format!("b.c{i}")).collect();
        for field in self.layout.fields() {
            names.push(field.name);
            values.push(field.inserted);
        }
        let sql = format!(
            "INSERT INTO {name} ({}) SELECT {} FROM {BATCH} AS b
             WHERE b.r = {round} AND NOT EXISTS (SELECT 1 FROM {name} AS t WHERE {}) ORDER BY b.n",
            names.join(", "),
            values.join(", "),
            self.matches(),
            name = self.table.name
        );
        self.query(&sql).await.map(|(_, inserted)| inserted)
    }

    async fn commit(&mut self) -> Result<(), SendError> {
        self.client.batch_execute("COMMIT").await.map_err(|e| refusal::at_commit(&e))
    }
}

impl Merge<'_> {
    fn matches(&self) -> String {
        let matching = self.table.columns.matching.iter().enumerate();
        matching.map(|(i, c)| format!("t.{} = b.c{i}", quoted(&c.name))).collect::<Vec<_>>().join(" AND ")
    }

    /// Runs statements; gives the rows and the number of rows the last one touched.
    async fn query(&self, sql: &str) -> Result<(Vec<Row>, u64), SendError> {
        let messages = self.client.simple_query(sql).await.map_err(|e| self.failed(&e))?;
        let mut rows = Vec::new();
        let mut touched = 0;
        for message in messages {
            match message {
                SimpleQueryMessage::Row(row) => rows.push(row),
                SimpleQueryMessage::CommandComplete(count) => touched = count,
                _ => {}
            }
        }
        Ok((rows, touched))
    }

    fn failed(&self, error: &tokio_postgres::Error) -> SendError {
        refusal::before_commit(error, &self.table.columns.names())
    }
}

type Row = tokio_postgres::SimpleQueryRow;

/// A whole number of a row; the server never sends anything else where it is used.
fn number(row: &Row, column: usize) -> usize {
    row.get(column).and_then(|text| text.parse().ok()).unwrap_or_default()
}
