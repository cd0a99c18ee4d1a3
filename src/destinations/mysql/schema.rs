//! Opening a table: it is there (or is made), and its columns are there (or are added).

use super::catalog::{bytewise, exists, find, indexes, place, present, transactional};
use super::declare;
use super::link::Link;
use crate::destinations::table::{self, Column, Columns, fatal};
use crate::destinations::{SendError, Target};
use crate::manifest::sync::Mode;
use crate::mysql::quoted;

/// An open table.
pub(super) struct Table {
    /// Its name, quoted, with its database.
    pub name: String,
    /// Its database, quoted.
    pub database: String,
    /// What may happen to it.
    pub mode: Mode,
    /// What the sync writes.
    pub columns: Columns,
    /// What the server says of the columns, identifiers first, then fields.
    pub types: Vec<Type>,
    /// False when no unique index keeps two records with the same identifiers apart: batches then take turns.
    pub unique: bool,
    /// True when rows can be looked up by an index of the identifiers.
    pub indexed: bool,
}

/// What the server says of one column.
#[derive(Debug, Clone)]
pub(super) struct Type {
    /// Its type, as a column of the temporary table that takes nulls.
    pub declared: String,
    /// True when a row without a value for it gets something else than null, or is refused.
    pub defaulted: bool,
    /// How values are written for it.
    pub form: Form,
    /// True when it is text: the collation must not decide whether two are the same.
    pub textual: bool,
    /// What an index of it in a temporary table says behind its name.
    pub prefix: &'static str,
}

/// How values are written for a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As text.
    Plain,
    /// As JSON; text is taken as it is, for it is JSON already.
    Json,
    /// As bytes.
    Bytes,
    /// As a whole number.
    Whole,
    /// As a number.
    Number,
    /// As a whole number without quotes, for a text would be taken for its bytes.
    Bit,
    /// As a calendar date.
    Date,
    /// As date and time in UTC, with so many digits of a second's fraction.
    Moment(usize),
    /// As a time of day, with so many digits of a second's fraction.
    Time(usize),
}

impl Type {
    /// An expression that is true where two values are the same, byte by byte where they are text.
    pub fn same(&self, one: &str, other: &str) -> String {
        match self.textual {
            true => format!("CAST({one} AS BINARY) <=> CAST({other} AS BINARY)"),
            false => format!("{one} <=> {other}"),
        }
    }
}

impl Table {
    /// What joins a row `t` of the table with a record `b` of the batch. Texts are the same when all their bytes are,
    /// whatever the column's collation says; the plain comparison beside it is what an index is used for.
    pub fn matches(&self) -> String {
        let pairs = self.columns.matching.iter().zip(&self.types).enumerate().map(|(i, (column, kind))| {
            let (there, sent) = (format!("t.{}", quoted(&column.name)), format!("b.c{i}"));
            match kind.textual {
                true => format!("{there} = {sent} AND {}", kind.same(&there, &sent)),
                false => format!("{there} = {sent}"),
            }
        });
        pairs.collect::<Vec<_>>().join(" AND ")
    }
}

/// Opens the target's table. With `create: true`, makes the table and missing columns.
pub(super) async fn open(link: &mut Link, target: &Target) -> Result<Table, SendError> {
    let creates = table::creates(target)?;
    let columns = Columns::of(target);
    let object = &target.object;
    let place = place(link, object).await?;
    if creates && !exists(link, &place).await? {
        let bytewise = bytewise(link).await?;
        link.define(&declare::create(&place.quoted(), &columns, &bytewise)).await?;
    }
    if !exists(link, &place).await? {
        return Err(fatal(
            format!("there is no table `{object}` in the database"),
            "create it, or set `options: { create: true }` in the sync; names may be case-sensitive",
        ));
    }
    transactional(link, &place, object).await?;
    let mut there = present(link, &place).await?;
    let missing: Vec<&Column> = columns.all().filter(|c| find(&there, &c.name).is_none()).collect();
    if !missing.is_empty() {
        if !creates {
            let help = "add it, or set `options: { create: true }` in the sync";
            return Err(table::without(object, &missing, help));
        }
        let add: Vec<String> = missing.iter().map(|c| format!("ADD COLUMN {}", declare::added(c))).collect();
        let altered = link.define(&format!("ALTER TABLE {} {}", place.quoted(), add.join(", "))).await;
        there = present(link, &place).await?;
        // Another run may have been faster: MySQL knows no `if not exists` here.
        if columns.all().any(|c| find(&there, &c.name).is_none()) {
            altered?;
        }
    }
    let mut types = Vec::new();
    for column in columns.all() {
        let Some(found) = find(&there, &column.name) else {
            return Err(fatal(format!("table `{object}` has no column `{}`", column.name), "plan again"));
        };
        if found.generated {
            return Err(table::generated(object, column));
        }
        types.push(found.of.clone());
    }
    let (unique, indexed) = indexes(link, &place, &columns).await?;
    let (name, database) = (place.quoted(), quoted(&place.database));
    link.enter(&database).await?;
    Ok(Table { name, database, mode: target.mode, columns, types, unique, indexed })
}
