//! One batch, one transaction: fill the temporary table, look up, then insert, update, clear or delete.
//!
//! Texts are compared by their bytes, whatever their collation, so that `a` and `A` are two, and nothing is rewritten that
//! is the same. Joins name their order: the server knows nothing of a table that it has just been given.

use std::collections::HashMap;

use async_trait::async_trait;
use mysql_async::Row;
use sha2::{Digest, Sha256};

use super::link::{Link, bytes, number, text};
use super::literal::{literal, rounds};
use super::schema::{Form, Table};
use super::stage::{InBatch, Layout};
use crate::destinations::staged::{self, Compared, Hit, Numbered, Steps};
use crate::destinations::{Action, Batch, Operation, Outcome, SendError};
use crate::manifest::sync::Mode;
use crate::mapping::Value;
use crate::mysql::quoted;

/// Seconds that a batch waits for its turn at a table without a unique index.
const TURN: u32 = 60;

/// Executes a batch; all of it is committed, or none. After an error [`undo`] takes back what is open.
pub(super) async fn send(link: &mut Link, table: &Table, batch: &Batch) -> Result<Vec<Outcome>, SendError> {
    let Some(action) = batch.operations.first().map(|o| o.action) else { return Ok(Vec::new()) };
    let mut outcomes = staged::beforehand(batch, &table.columns, |operation| rounded(operation, table));
    let sendable = staged::sendable(batch, &outcomes);
    if !sendable.is_empty() {
        if !table.unique {
            take_turn(link, table).await?;
        }
        let mut merge = Merge::new(link, table, action, &sendable);
        staged::merge(&mut merge, action, table.mode, &sendable, &mut outcomes).await?;
        // It is committed: what cannot be tidied up goes with the connection.
        tidy(link, table).await;
    }
    Ok(outcomes.into_iter().map(|o| o.unwrap_or(Outcome::Succeeded)).collect())
}

/// Takes back what an error left open; false where even that cannot be done.
pub(super) async fn undo(link: &mut Link, table: &Table) -> bool {
    link.run("ROLLBACK", &[]).await.is_ok() && tidy(link, table).await
}

/// Drops the temporary table and lets the next batch have its turn.
async fn tidy(link: &mut Link, table: &Table) -> bool {
    let dropped = link.run(&format!("DROP TEMPORARY TABLE IF EXISTS {}", Layout::name(table)), &[]).await.is_ok();
    let release = format!("SELECT RELEASE_LOCK({})", turn(table));
    let released = table.unique || link.rows(&release, &[]).await.is_ok();
    dropped && released
}

/// Without a unique index two batches could insert the same record: they take turns. The lock is the session's and goes
/// with it.
async fn take_turn(link: &mut Link, table: &Table) -> Result<(), SendError> {
    let rows = link.rows(&format!("SELECT GET_LOCK({}, {TURN})", turn(table)), &[]).await?;
    match rows.first().map(|row| number(row, 0)) {
        Some(1) => Ok(()),
        _ => Err(SendError::Transient {
            message: format!("MySQL: another batch to {} did not end within {TURN} s", table.name),
            retry_after: None,
        }),
    }
}

/// The name of the lock: at most 64 letters.
fn turn(table: &Table) -> String {
    let digest = Sha256::digest(&table.name);
    literal(&format!("syncline-{}", hex::encode(digest.get(..16).unwrap_or(&digest))))
}

/// The rejection of a number that its column would round without a word.
fn rounded(operation: &Operation, table: &Table) -> Option<Outcome> {
    let record = &operation.record;
    let identifiers = table.columns.matching.iter().map(|c| (c, Some(c.identifier(record))));
    let sent = operation.action == Action::Send;
    let fields = table.columns.fields.iter().map(|c| (c, c.field(record).filter(|_| sent)));
    let rounded = |(value, form): (Option<&Value>, Form)| value.is_some_and(|value| rounds(value, form));
    let ((column, _), _) =
        identifiers.chain(fields).zip(&table.types).find(|((_, value), kind)| rounded((*value, kind.form)))?;
    Some(Outcome::Rejected {
        code: "rounded".into(),
        message: format!("column `{}` is of whole numbers and would round the value", column.name),
    })
}

/// A merge that is going on.
pub(super) struct Merge<'a> {
    link: &'a mut Link,
    table: &'a Table,
    action: Action,
    layout: Layout<'a>,
    /// Records of the round that were found, by their position.
    found: Vec<String>,
}

impl<'a> Merge<'a> {
    /// A merge of these records.
    pub(super) fn new(link: &'a mut Link, table: &'a Table, action: Action, operations: &[Numbered<'_>]) -> Merge<'a> {
        Merge { link, table, action, layout: Layout::of(table, action, operations), found: Vec::new() }
    }

    /// Puts the records beside the table, and says of every row found, by the position of its record, of each field
    /// whether it is the same and what it holds. The transaction is left open.
    pub(super) async fn compare(&mut self, operations: &[Numbered<'_>]) -> Result<Vec<Compared>, SendError> {
        self.stage(operations).await?;
        let fields = self.layout.fields();
        let each = fields.iter().map(|field| {
            let zero = if field.kind.form == Form::Bit { " + 0" } else { "" };
            format!(", {}, t.{}{zero}", field.same, field.name)
        });
        let sql = format!("SELECT b.n{} FROM {} ORDER BY b.n", each.collect::<String>(), self.join());
        let rows = self.link.rows(&sql, &[]).await?;
        let compared = |row: &Row| {
            let each = fields.iter().enumerate().map(|(i, field)| {
                let there = match field.kind.form {
                    Form::Bytes => bytes(row, 2 * i + 2).map(|bytes| Value::Binary(bytes.into()).text().into_owned()),
                    _ => text(row, 2 * i + 2),
                };
                (field.column.name.clone(), number(row, 2 * i + 1) == 1, there)
            });
            (number(row, 0), each.collect())
        };
        Ok(rows.iter().map(compared).collect())
    }

    fn batch(&self) -> String {
        Layout::name(self.table)
    }

    /// The table `t` joined with the batch `b`: the one that has an index is looked up in.
    fn join(&self) -> String {
        let (batch, table, matches) = (self.batch(), &self.table.name, self.table.matches());
        match self.table.indexed {
            true => format!("{batch} AS b STRAIGHT_JOIN {table} AS t ON {matches}"),
            false => format!("{table} AS t STRAIGHT_JOIN {batch} AS b ON {matches}"),
        }
    }
}

#[async_trait]
impl Steps for Merge<'_> {
    async fn stage(&mut self, operations: &[Numbered<'_>]) -> Result<(), SendError> {
        let statements = self.layout.inserts(operations, self.link.packet)?;
        // Not within the transaction: some servers do not make temporary tables there.
        self.link.run(&format!("DROP TEMPORARY TABLE IF EXISTS {}", self.batch()), &[]).await?;
        self.link.define(&self.layout.create()).await?;
        self.link.run("START TRANSACTION", &[]).await?;
        let names = self.table.columns.names();
        for statement in statements {
            self.link.run_exactly(&statement, &names).await?;
        }
        Ok(())
    }

    async fn later_rounds(&mut self, _: usize) -> Result<HashMap<usize, usize>, SendError> {
        let identifiers = self.table.types.iter().take(self.table.columns.matching.len()).enumerate();
        let identifiers: Vec<String> = identifiers
            .map(|(i, kind)| if kind.textual { format!("CAST(c{i} AS BINARY)") } else { format!("c{i}") })
            .collect();
        let twins = format!(
            "SELECT n, x.round FROM
                 (SELECT n, row_number() OVER (PARTITION BY {} ORDER BY n) AS round FROM {}) AS x
             WHERE x.round > 1",
            identifiers.join(", "),
            self.batch()
        );
        let rows = self.link.rows(&twins, &[]).await?;
        let later: HashMap<usize, usize> = rows.iter().map(|row| (number(row, 0), number(row, 1))).collect();
        let mut by_round: HashMap<usize, Vec<String>> = HashMap::new();
        for (n, round) in &later {
            by_round.entry(*round).or_default().push(n.to_string());
        }
        for (round, list) in by_round {
            let sql = format!("UPDATE {} SET r = {round} WHERE n IN ({})", self.batch(), list.join(", "));
            self.link.run(&sql, &[]).await?;
        }
        Ok(later)
    }

    async fn look_up(&mut self, round: usize, compare: bool) -> Result<HashMap<usize, Hit>, SendError> {
        let fields = if compare { self.layout.fields() } else { Vec::new() };
        let equal = format!("min({})", all_same(&fields));
        let sql = format!("SELECT b.n, count(*), {equal} FROM {} WHERE b.r = {round} GROUP BY b.n", self.join());
        let rows = self.link.rows(&sql, &[]).await?;
        self.found = rows.iter().map(|row| number(row, 0).to_string()).collect();
        let hit = |row: &Row| (number(row, 0), Hit { count: number(row, 1), equal: number(row, 2) == 1 });
        Ok(rows.iter().map(hit).collect())
    }

    async fn leave_out(&mut self, records: &[usize]) -> Result<(), SendError> {
        let list: Vec<String> = records.iter().map(usize::to_string).collect();
        self.link.run(&format!("DELETE FROM {} WHERE n IN ({})", self.batch(), list.join(", ")), &[]).await.map(drop)
    }

    async fn write(&mut self, round: usize) -> Result<(), SendError> {
        let join = self.join();
        let sql = match (self.action, self.table.mode) {
            (Action::Delete, _) => format!("DELETE t FROM {join} WHERE b.r = {round}"),
            (Action::Clear, _) => {
                let names: Vec<String> = self.table.columns.fields.iter().map(|c| quoted(&c.name)).collect();
                if names.is_empty() {
                    return Ok(());
                }
                let set: Vec<String> = names.iter().map(|n| format!("t.{n} = NULL")).collect();
                let filled: Vec<String> = names.iter().map(|n| format!("t.{n} IS NOT NULL")).collect();
                format!("UPDATE {join} SET {} WHERE b.r = {round} AND ({})", set.join(", "), filled.join(" OR "))
            }
            (Action::Send, Mode::Insert) => return Ok(()),
            (Action::Send, _) => {
                let fields: Vec<_> = self.layout.fields().into_iter().filter(|f| !f.column.if_added).collect();
                if fields.is_empty() {
                    return Ok(());
                }
                let set: Vec<String> = fields.iter().map(|f| format!("t.{} = {}", f.name, f.updated)).collect();
                let same = all_same(&fields);
                format!("UPDATE {join} SET {} WHERE b.r = {round} AND NOT ({same})", set.join(", "))
            }
        };
        self.link.run(&sql, &[]).await.map(drop)
    }

    async fn insert(&mut self, round: usize) -> Result<u64, SendError> {
        // Looking again would be a search of the whole table for each record where there is no index.
        let absent = match self.found.as_slice() {
            [] => String::new(),
            found => format!(" AND b.n NOT IN ({})", found.join(", ")),
        };
        let mut inserted = 0;
        for (s, fields) in self.layout.shapes() {
            let mut names: Vec<String> = self.table.columns.matching.iter().map(|c| quoted(&c.name)).collect();
            let mut values: Vec<String> = (0..names.len()).map(|i| format!("b.c{i}")).collect();
            for field in fields {
                names.push(field.name);
                values.push(field.sent);
            }
            let sql = format!(
                "INSERT INTO {} ({}) SELECT {} FROM {} AS b WHERE b.r = {round} AND b.s = {s}{absent} ORDER BY b.n",
                self.table.name,
                names.join(", "),
                values.join(", "),
                self.batch()
            );
            inserted += self.link.run(&sql, &[]).await?;
        }
        Ok(inserted)
    }

    async fn commit(&mut self) -> Result<(), SendError> {
        self.link.commit().await
    }
}

/// True where a row holds all that was sent.
fn all_same(fields: &[InBatch<'_>]) -> String {
    match fields {
        [] => "1 = 1".into(),
        fields => fields.iter().map(|f| f.same.as_str()).collect::<Vec<_>>().join(" AND "),
    }
}
