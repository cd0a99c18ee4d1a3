//! A table of files as a virtual table of SQLite.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use rusqlite::ffi;
use rusqlite::vtab::{Context, CreateVTab, Filters, IndexInfo, Module, VTab, VTabConnection, VTabCursor, VTabKind};
use rusqlite::{Connection, Result};

use super::cells::Cells;
use super::table::FileTable;
use crate::sources::columns::marked;
use crate::sources::sqlite::select::Fault;
use crate::sources::{BatchStream, TYPE_DECIMAL, TYPE_JSON, TYPE_KEY, failure, quoted};

/// Stands in declared types before the number of the column, by which its field is found again behind any alias.
pub(super) const TOKEN: &str = " F";

/// The field a column has after a way through SQLite.
pub(super) fn sql_field(field: &Field) -> Field {
    let plain = |kind| Field::new(field.name(), kind, true);
    match field.data_type() {
        DataType::Null => plain(DataType::Null),
        DataType::Boolean => plain(DataType::Boolean),
        kind if kind.is_integer() && *kind != DataType::UInt64 => plain(DataType::Int64),
        DataType::Float32 => plain(DataType::Float32),
        DataType::Float16 | DataType::Float64 => plain(DataType::Float64),
        kind @ DataType::Decimal128(_, 0..) => plain(kind.clone()),
        kind if kind.is_decimal() || *kind == DataType::UInt64 => marked(field.name(), TYPE_DECIMAL),
        DataType::Date32 | DataType::Date64 => plain(DataType::Date32),
        DataType::Time32(unit) | DataType::Time64(unit) => plain(DataType::Time64(fine(*unit))),
        DataType::Timestamp(unit, zone) => plain(DataType::Timestamp(fine(*unit), zone.as_ref().map(|_| "UTC".into()))),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            plain(DataType::Binary)
        }
        DataType::Dictionary(_, value) => sql_field(&field.clone().with_data_type(value.as_ref().clone())),
        kind if kind.is_nested() => marked(field.name(), TYPE_JSON),
        _ => plain(DataType::Utf8).with_metadata(field.metadata().clone()),
    }
}

/// The unit in which a time that was text in SQL is read again.
fn fine(unit: TimeUnit) -> TimeUnit {
    if unit == TimeUnit::Nanosecond { unit } else { TimeUnit::Microsecond }
}

/// Column declarations: the word decides how SQLite compares, the token leads back to the field.
pub(super) fn declarations(schema: &Schema, first: usize) -> String {
    let declare = |(at, field): (usize, &Arc<Field>)| {
        let field = sql_field(field);
        let word = match field.data_type() {
            DataType::Boolean | DataType::Int64 => "INTEGER",
            DataType::Float32 | DataType::Float64 => "REAL",
            // Compared as what they are: numbers with numbers.
            DataType::Decimal128(..) | DataType::Binary => "BLOB",
            _ if field.metadata().get(TYPE_KEY).is_some_and(|mark| mark == TYPE_DECIMAL) => "BLOB",
            _ => "TEXT",
        };
        format!("{} {word}{TOKEN}{}", quoted(field.name()), first + at)
    };
    schema.fields().iter().enumerate().map(declare).collect::<Vec<_>>().join(", ")
}

/// What a virtual table and its session both know.
pub(super) struct Shared {
    table: Arc<FileTable>,
    first: usize,
    fault: Fault,
    /// One bit a column, as SQLite gives it: bit 63 stands for all from the 64th on.
    used: AtomicU64,
    visited: AtomicBool,
    module: String,
}

impl Shared {
    /// A table whose first column is the session's field `first`.
    pub(super) fn new(table: Arc<FileTable>, first: usize, module: &str, fault: Fault) -> Self {
        let (used, visited) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { table, first, fault, used, visited, module: module.to_owned() }
    }

    /// Whether a statement that was prepared reads the table.
    pub(super) fn is_used(&self) -> bool {
        self.visited.load(Ordering::Relaxed)
    }

    /// Whether a statement that was prepared reads the column.
    pub(super) fn uses(&self, column: usize) -> bool {
        uses(self.used.load(Ordering::Relaxed), column)
    }

    /// Name of the module that makes the table.
    pub(super) fn module(&self) -> &str {
        &self.module
    }
}

fn uses(mask: u64, column: usize) -> bool {
    mask >> column.min(63) & 1 == 1
}

/// Makes the module known to a connection.
pub(super) fn register(connection: &Connection, shared: Arc<Shared>) -> Result<()> {
    const MODULE: Module<FileTab> = Module::read_only_module();
    let name = shared.module.clone();
    connection.create_module(name.as_str(), &MODULE, Some(shared))
}

#[repr(C)]
struct FileTab {
    /// Must be first: SQLite sees nothing but this.
    base: ffi::sqlite3_vtab,
    shared: Arc<Shared>,
}

// SAFETY: the struct is `repr(C)` and starts with `sqlite3_vtab`, as the trait asks.
unsafe impl<'vtab> VTab<'vtab> for FileTab {
    type Aux = Arc<Shared>;
    type Cursor = Cursor<'vtab>;

    fn connect(
        _: &mut VTabConnection,
        aux: Option<&Arc<Shared>>,
        _module_name: &[u8],
        _database_name: &[u8],
        _table_name: &[u8],
        _args: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        let shared = aux.ok_or_else(|| rusqlite::Error::ModuleError("the table is not known".into()))?.clone();
        let declaration = format!("create table x({})", declarations(&shared.table.schema, shared.first));
        Ok((CString::new(declaration)?.into(), Self { base: ffi::sqlite3_vtab::default(), shared }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let used = info.col_used();
        self.shared.used.fetch_or(used, Ordering::Relaxed);
        self.shared.visited.store(true, Ordering::Relaxed);
        info.set_idx_str(&used.to_string());
        info.set_estimated_cost(1_000_000.0);
        Ok(true)
    }

    fn open(&'vtab mut self) -> Result<Cursor<'vtab>> {
        Ok(Cursor {
            base: ffi::sqlite3_vtab_cursor::default(),
            shared: self.shared.clone(),
            streams: VecDeque::new(),
            cells: self.shared.table.schema.fields().iter().map(|_| Cells::Null).collect(),
            read: Vec::new(),
            row: 0,
            rows: 0,
            number: 0,
            tab: PhantomData,
        })
    }
}

impl CreateVTab<'_> for FileTab {
    const KIND: VTabKind = VTabKind::Default;
}

#[repr(C)]
struct Cursor<'vtab> {
    /// Must be first: SQLite sees nothing but this.
    base: ffi::sqlite3_vtab_cursor,
    shared: Arc<Shared>,
    /// What is still to be read.
    streams: VecDeque<BatchStream>,
    /// The current batch; by position in the table.
    cells: Vec<Cells>,
    /// Positions in the table of the columns that are read.
    read: Vec<usize>,
    row: usize,
    rows: usize,
    number: i64,
    tab: PhantomData<&'vtab FileTab>,
}

impl Cursor<'_> {
    /// Goes to the next batch that has rows.
    fn advance(&mut self) -> crate::diagnostic::Result<()> {
        (self.row, self.rows) = (0, 0);
        while let Some(stream) = self.streams.front_mut() {
            match stream.next() {
                None => drop(self.streams.pop_front()),
                Some(batch) => {
                    // What SQL is given must be all there is.
                    let batch = batch.map_err(failure)?.whole()?;
                    let (full, taken) = (self.shared.table.schema.fields(), batch.columns());
                    for (at, array) in self.read.iter().zip(taken) {
                        if let (Some(slot), Some(field)) = (self.cells.get_mut(*at), full.get(*at)) {
                            *slot = Cells::of(array, &sql_field(field)).map_err(failure)?;
                        }
                    }
                    self.rows = batch.num_rows();
                    if self.rows > 0 {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

// SAFETY: the struct is `repr(C)` and starts with `sqlite3_vtab_cursor`, as the trait asks.
unsafe impl VTabCursor for Cursor<'_> {
    fn filter(&mut self, _: c_int, used: Option<&str>, _: &Filters<'_>) -> Result<()> {
        let used = used.and_then(|mask| mask.parse().ok()).unwrap_or(u64::MAX);
        self.read = (0..self.cells.len()).filter(|at| uses(used, *at)).collect();
        self.number = 0;
        let streams = self.shared.table.streams(&self.read, 1, false);
        let start = |cursor: &mut Self, streams: Vec<BatchStream>| {
            cursor.streams = streams.into();
            cursor.advance()
        };
        streams.and_then(|streams| start(self, streams)).map_err(|e| self.shared.fault.put(e))
    }

    fn next(&mut self) -> Result<()> {
        self.row += 1;
        self.number += 1;
        if self.row < self.rows {
            return Ok(());
        }
        self.advance().map_err(|e| self.shared.fault.put(e))
    }

    fn eof(&self) -> bool {
        self.row >= self.rows
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let cells = usize::try_from(column).ok().and_then(|at| self.cells.get(at));
        cells.unwrap_or(&Cells::Null).put(self.row, context)
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.number)
    }
}
