//! One batch, one transaction: look up, then insert, update, clear or delete.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, TransactionBehavior};

use super::bind::{Affinity, Bound, rounds};
use super::refusal;
use crate::destinations::table::{self, Absent, Column, Columns, quoted, when_absent};
use crate::destinations::{Action, Batch, Operation, Outcome, SendError, Target};
use crate::manifest::sync::Mode;
use crate::mapping::{Record, Value};

/// An open table.
pub(super) struct Table {
    connection: Connection,
    sql: Sql,
    /// False when looking up one record reads the whole table.
    indexed: bool,
}

/// What is needed to make and fill statements; apart from the connection, which a transaction borrows.
struct Sql {
    table: String,
    mode: Mode,
    columns: Columns,
    affinities: (Vec<Affinity>, Vec<Affinity>),
    rowid: Option<&'static str>,
    lookup: String,
    delete: String,
    /// Empty when no field is mapped.
    clear: String,
    /// Statements by which fields are in the record.
    shapes: HashMap<Vec<bool>, Arc<Shape>>,
    /// The one used last: neighbours nearly always have the same fields.
    last: (Vec<bool>, Arc<Shape>),
}

/// The statements for records that have the same fields.
#[derive(Default)]
struct Shape {
    insert: String,
    update: String,
    equal: String,
}

/// What a look-up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    /// One row, with its row id where the table has row ids.
    One(i64),
    Several,
}

impl Table {
    /// A table whose columns are known to exist. `affinities`: of the identifiers, of the fields.
    pub fn new(
        connection: Connection,
        target: &Target,
        columns: Columns,
        affinities: (Vec<Affinity>, Vec<Affinity>),
        rowid: Option<&'static str>,
    ) -> rusqlite::Result<Self> {
        let table = quoted(&target.object);
        let matches: Vec<String> =
            columns.matching.iter().enumerate().map(|(i, c)| format!("{} = ?{}", quoted(&c.name), i + 1)).collect();
        let lookup = format!("SELECT {} FROM {table} WHERE {} LIMIT 2", rowid.unwrap_or("1"), matches.join(" AND "));
        let indexed = searches(&connection, &lookup)?;
        let mut sql = Sql {
            table,
            mode: target.mode,
            columns,
            affinities,
            rowid,
            lookup,
            delete: String::new(),
            clear: String::new(),
            shapes: HashMap::new(),
            last: (Vec::new(), Arc::default()),
        };
        sql.delete = format!("DELETE FROM {} WHERE {}", sql.table, sql.place(1));
        sql.clear = sql.clear_sql();
        Ok(Self { connection, sql, indexed })
    }

    /// Executes a batch; all of it is committed, or none.
    pub fn send(&mut self, batch: &Batch) -> Result<Vec<Outcome>, SendError> {
        let before = |e: rusqlite::Error| refusal::before_commit(&e);
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK").map_err(before)?;
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(before)?;
        let found = match self.sql.rowid {
            Some(rowid) if !self.indexed && batch.operations.len() > 1 => {
                self.sql.look_up_all(&transaction, rowid, batch).map_err(before)?
            }
            _ => HashMap::new(),
        };
        let mut outcomes = Vec::with_capacity(batch.operations.len());
        for (i, operation) in batch.operations.iter().enumerate() {
            outcomes.push(self.sql.execute(&transaction, operation, found.get(&i).copied()).map_err(before)?);
        }
        transaction.commit().map_err(|e| refusal::at_commit(&e))?;
        Ok(outcomes)
    }
}

impl Sql {
    fn execute(&mut self, db: &Connection, operation: &Operation, known: Option<Found>) -> rusqlite::Result<Outcome> {
        let record = &operation.record;
        if let Some(rejected) = table::unmatchable(operation, &self.columns).or_else(|| self.rounded(operation)) {
            return Ok(rejected);
        }
        let found = match known {
            Some(found) => found,
            None => self.look_up(db, record)?,
        };
        let row = match found {
            Found::Several => return Ok(table::multiple_match()),
            Found::Nothing => match when_absent(operation.action, self.mode) {
                Absent::NoMatch => return Ok(Outcome::NoMatch),
                Absent::Succeeded => return Ok(Outcome::Succeeded),
                Absent::Insert => return self.insert(db, record),
            },
            Found::One(row) => row,
        };
        match (operation.action, self.mode) {
            (Action::Delete, _) => {
                let mut statement = db.prepare_cached(&self.delete)?;
                self.bind_place(&mut statement, 1, record, row)?;
                statement.raw_execute()?;
            }
            (Action::Clear, _) => self.clear(db, record, row)?,
            (Action::Send, Mode::Insert) if operation.in_doubt && self.is_equal(db, record, row)? => {}
            (Action::Send, Mode::Insert) => return Ok(table::already_exists()),
            (Action::Send, _) => self.update(db, record, row)?,
        }
        Ok(Outcome::Succeeded)
    }

    fn look_up(&self, db: &Connection, record: &Record) -> rusqlite::Result<Found> {
        let mut statement = db.prepare_cached(&self.lookup)?;
        for (i, column) in self.columns.matching.iter().enumerate() {
            statement.raw_bind_parameter(i + 1, Bound(column.identifier(record)))?;
        }
        let mut rows = statement.raw_query();
        let Some(first) = rows.next()? else { return Ok(Found::Nothing) };
        let row = first.get(0)?;
        Ok(if rows.next()?.is_some() { Found::Several } else { Found::One(row) })
    }

    /// Looks up a whole batch in one pass over the table, by position in the batch. Operations that share their
    /// identifiers are left out: what the first one does decides what the second one finds.
    fn look_up_all(&self, db: &Connection, rowid: &str, batch: &Batch) -> rusqlite::Result<HashMap<usize, Found>> {
        let names: Vec<String> = self.columns.matching.iter().map(|c| quoted(&c.name)).collect();
        let (list, marks) = (names.join(", "), vec!["?"; names.len()].join(", "));
        // Columns made from the table's own columns have their affinity, so that values compare as in a look-up.
        db.execute_batch(&format!(
            "DROP TABLE IF EXISTS temp.syncline_batch;
             CREATE TEMP TABLE syncline_batch AS SELECT 0 AS syncline_n, {list} FROM {} LIMIT 0",
            self.table
        ))?;
        let mut fill = db.prepare(&format!("INSERT INTO temp.syncline_batch VALUES (?, {marks})"))?;
        let mut found = HashMap::with_capacity(batch.operations.len());
        for (i, operation) in batch.operations.iter().enumerate() {
            fill.raw_bind_parameter(1, i as i64)?;
            for (m, column) in self.columns.matching.iter().enumerate() {
                fill.raw_bind_parameter(m + 2, Bound(column.identifier(&operation.record)))?;
            }
            fill.raw_execute()?;
            found.insert(i, Found::Nothing);
        }
        let on: Vec<String> = names.iter().map(|n| format!("t.{n} = b.{n}")).collect();
        let join = format!(
            "SELECT b.syncline_n, t.{rowid} FROM {} AS t CROSS JOIN temp.syncline_batch AS b ON {}",
            self.table,
            on.join(" AND ")
        );
        let mut statement = db.prepare(&join)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (n, row): (i64, i64) = (row.get(0)?, row.get(1)?);
            found
                .entry(n as usize)
                .and_modify(|f| *f = if *f == Found::Nothing { Found::One(row) } else { Found::Several });
        }
        // Whatever collation the columns have: what may be the same counts as the same.
        let fold = |name: &String| format!("CASE typeof({name}) WHEN 'text' THEN rtrim(lower({name})) ELSE {name} END");
        let folded = names.iter().map(fold).collect::<Vec<_>>().join(", ");
        let twins = format!(
            "SELECT syncline_n FROM
                 (SELECT syncline_n, count(*) OVER (PARTITION BY {folded}) AS c FROM temp.syncline_batch)
             WHERE c > 1"
        );
        let mut statement = db.prepare(&twins)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            found.remove(&(row.get::<_, i64>(0)? as usize));
        }
        Ok(found)
    }

    fn insert(&mut self, db: &Connection, record: &Record) -> rusqlite::Result<Outcome> {
        let shape = self.shape(record);
        let mut statement = db.prepare_cached(&shape.insert)?;
        let mut next = 1;
        for column in &self.columns.matching {
            statement.raw_bind_parameter(next, Bound(column.identifier(record)))?;
            next += 1;
        }
        for value in self.columns.fields.iter().filter_map(|c| c.field(record)) {
            statement.raw_bind_parameter(next, Bound(value))?;
            next += 1;
        }
        if statement.raw_execute()? == 0 {
            let message = "a trigger of the table left the record out".into();
            return Ok(Outcome::Rejected { code: "ignored".into(), message });
        }
        Ok(Outcome::Succeeded)
    }

    fn update(&mut self, db: &Connection, record: &Record, row: i64) -> rusqlite::Result<()> {
        let shape = self.shape(record);
        if shape.update.is_empty() {
            return Ok(());
        }
        let mut statement = db.prepare_cached(&shape.update)?;
        let mut next = 1;
        for value in self.columns.fields.iter().filter(|c| !c.if_added).filter_map(|c| c.field(record)) {
            statement.raw_bind_parameter(next, Bound(value))?;
            next += 1;
        }
        self.bind_place(&mut statement, next, record, row)?;
        statement.raw_execute()?;
        Ok(())
    }

    fn is_equal(&mut self, db: &Connection, record: &Record, row: i64) -> rusqlite::Result<bool> {
        let shape = self.shape(record);
        let mut statement = db.prepare_cached(&shape.equal)?;
        let mut next = 1;
        for value in self.columns.fields.iter().filter_map(|c| c.field(record)) {
            statement.raw_bind_parameter(next, Bound(value))?;
            next += 1;
        }
        self.bind_place(&mut statement, next, record, row)?;
        let mut rows = statement.raw_query();
        Ok(rows.next()?.is_some())
    }

    fn clear(&self, db: &Connection, record: &Record, row: i64) -> rusqlite::Result<()> {
        if self.clear.is_empty() {
            return Ok(());
        }
        let mut statement = db.prepare_cached(&self.clear)?;
        self.bind_place(&mut statement, 1, record, row)?;
        statement.raw_execute()?;
        Ok(())
    }

    /// The condition that names the row found; its parameters begin at `first`.
    fn place(&self, first: usize) -> String {
        if let Some(rowid) = self.rowid {
            return format!("{rowid} = ?{first}");
        }
        let matches = self.columns.matching.iter().enumerate();
        matches.map(|(i, c)| format!("{} = ?{}", quoted(&c.name), first + i)).collect::<Vec<_>>().join(" AND ")
    }

    fn bind_place(
        &self,
        statement: &mut CachedStatement<'_>,
        first: usize,
        record: &Record,
        row: i64,
    ) -> rusqlite::Result<()> {
        if self.rowid.is_some() {
            return statement.raw_bind_parameter(first, row);
        }
        for (i, column) in self.columns.matching.iter().enumerate() {
            statement.raw_bind_parameter(first + i, Bound(column.identifier(record)))?;
        }
        Ok(())
    }

    /// The statements for records that have the fields this one has.
    fn shape(&mut self, record: &Record) -> Arc<Shape> {
        let present = self.columns.fields.iter().map(|c| c.field(record).is_some());
        if !self.last.1.insert.is_empty() && present.clone().eq(self.last.0.iter().copied()) {
            return Arc::clone(&self.last.1);
        }
        let present: Vec<bool> = present.collect();
        let shape = match self.shapes.get(&present) {
            Some(shape) => Arc::clone(shape),
            None => {
                let with = self.columns.fields.iter().zip(&present).filter(|(_, present)| **present);
                let fields: Vec<&Column> = with.map(|(column, _)| column).collect();
                Arc::new(Shape {
                    insert: self.insert_sql(&fields),
                    update: self.update_sql(&fields),
                    equal: self.equal_sql(&fields),
                })
            }
        };
        self.shapes.insert(present.clone(), Arc::clone(&shape));
        self.last = (present, Arc::clone(&shape));
        shape
    }

    fn clear_sql(&self) -> String {
        let names: Vec<String> = self.columns.fields.iter().map(|c| quoted(&c.name)).collect();
        if names.is_empty() {
            return String::new();
        }
        let set: Vec<String> = names.iter().map(|n| format!("{n} = NULL")).collect();
        let filled: Vec<String> = names.iter().map(|n| format!("{n} IS NOT NULL")).collect();
        let (set, filled) = (set.join(", "), filled.join(" OR "));
        format!("UPDATE OR ABORT {} SET {set} WHERE {} AND ({filled})", self.table, self.place(1))
    }

    // `OR ABORT` overrides `ON CONFLICT REPLACE` and the like in the table's definition: no other row is ever lost.
    fn insert_sql(&self, fields: &[&Column]) -> String {
        let names: Vec<String> =
            self.columns.matching.iter().chain(fields.iter().copied()).map(|c| quoted(&c.name)).collect();
        let marks = vec!["?"; names.len()].join(", ");
        format!("INSERT OR ABORT INTO {} ({}) VALUES ({marks})", self.table, names.join(", "))
    }

    /// Empty when there is nothing to set. Texts are compared byte by byte, whatever the column's collation says.
    fn update_sql(&self, fields: &[&Column]) -> String {
        let names: Vec<String> = fields.iter().filter(|c| !c.if_added).map(|c| quoted(&c.name)).collect();
        if names.is_empty() {
            return String::new();
        }
        let numbered = || names.iter().zip(1..);
        let set: Vec<String> = numbered().map(|(n, i)| format!("{n} = ?{i}")).collect();
        let differs: Vec<String> = numbered().map(|(n, i)| format!("{n} IS NOT ?{i} COLLATE BINARY")).collect();
        let place = self.place(names.len() + 1);
        format!("UPDATE OR ABORT {} SET {} WHERE {place} AND ({})", self.table, set.join(", "), differs.join(" OR "))
    }

    fn equal_sql(&self, fields: &[&Column]) -> String {
        let mut sql = format!("SELECT 1 FROM {} WHERE {}", self.table, self.place(fields.len() + 1));
        for (column, i) in fields.iter().zip(1..) {
            // Writing to a String cannot fail.
            let _ = write!(sql, " AND {} IS ?{i} COLLATE BINARY", quoted(&column.name));
        }
        sql
    }

    /// The rejection of a number that its column would round.
    fn rounded(&self, operation: &Operation) -> Option<Outcome> {
        let record = &operation.record;
        let written = |c: &Column| c.field(record).filter(|_| operation.action == Action::Send);
        let identifiers = self.columns.matching.iter().map(|c| (c, Some(c.identifier(record)))).zip(&self.affinities.0);
        let fields = self.columns.fields.iter().map(|c| (c, written(c))).zip(&self.affinities.1);
        let rounded = |value: Option<&Value>, affinity| value.is_some_and(|v| rounds(v, affinity));
        let ((column, _), _) = identifiers.chain(fields).find(|((_, value), affinity)| rounded(*value, **affinity))?;
        Some(Outcome::Rejected {
            code: "rounded".into(),
            message: format!("column `{}` is numeric and would round the number; declare it as TEXT", column.name),
        })
    }
}

/// True when the planner finds rows by an index instead of reading the table.
pub(super) fn searches(connection: &Connection, lookup: &str) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {lookup}"))?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let detail: String = row.get(3)?;
        if detail.starts_with("SCAN") {
            return Ok(false);
        }
    }
    Ok(true)
}
