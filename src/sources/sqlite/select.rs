//! One `select` in SQLite, from statement to record batches.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};

use super::types::{Seen, push};
use crate::diagnostic::{Error, Result};
use crate::sources::channel::Out;
use crate::sources::columns::Rows;
use crate::sources::{TYPE_DECIMAL, TYPE_JSON, TYPE_KEY, Unreadable};

/// The error behind an error: what a virtual table found wrong, which SQLite would cut down to a line of text.
#[derive(Clone, Default)]
pub(in crate::sources) struct Fault(Arc<Mutex<Option<Error>>>);

impl Fault {
    /// Keeps an error, and gives what SQLite is to be told.
    pub(in crate::sources) fn put(&self, error: Error) -> rusqlite::Error {
        let message = error.to_string();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        rusqlite::Error::ModuleError(message)
    }

    fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The fields of a result by position; `None` where only the values can tell.
pub(in crate::sources) type Fields = Vec<Option<Field>>;

/// A prepared `select`.
pub(in crate::sources) struct Select<'c> {
    statement: Statement<'c>,
    sql: String,
    fault: Fault,
    names: Vec<String>,
    /// What is known about the columns; declared types from the start, the others after [`Select::survey`].
    pub(in crate::sources) fields: Fields,
    /// The whole result, where the survey has seen that it is small: an aggregate over a large table is worked out once.
    small: Option<Vec<Vec<rusqlite::types::Value>>>,
}

/// Most rows of a result that the survey keeps.
const SMALL: usize = 16;

impl<'c> Select<'c> {
    /// Prepares one statement that only reads. `declared` gives the field of a column by its name and declared type.
    pub(in crate::sources) fn prepare(
        connection: &'c Connection,
        sql: &str,
        fault: &Fault,
        declared: impl Fn(&str, &str) -> Option<Field>,
    ) -> Result<Self> {
        let one = "a model is one `select` (or `with … select`) statement";
        if !["select", "with", "values"].contains(&first_word(sql).as_str()) {
            return Err(Error::failed_help("the SQL does not start with `select` or `with`", one));
        }
        let statement = connection.prepare(sql).map_err(|e| match e {
            rusqlite::Error::MultipleStatement => Error::failed_help("the SQL holds more than one statement", one),
            other => explain(other, sql, fault),
        })?;
        if !statement.readonly() || statement.column_count() == 0 {
            return Err(Error::failed_help("the SQL changes data", one));
        }
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        if let Some(twice) = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|n| n == *name)) {
            return Err(Error::failed_help(
                format!("the result has two columns named `{}`", twice.1),
                "name one of them differently: `… as other_name`",
            ));
        }
        let fields = statement.columns().map(|c| declared(c.name(), c.decl_type()?)).collect();
        Ok(Self { statement, sql: sql.to_owned(), fault: fault.clone(), names, fields, small: None })
    }

    /// The positions of the columns named, or of all.
    pub(in crate::sources) fn wanted(&self, names: Option<&[String]>) -> Result<Vec<usize>> {
        let Some(names) = names else { return Ok((0..self.names.len()).collect()) };
        for name in names {
            if !self.names.contains(name) {
                let known = self.names.iter().map(String::as_str);
                let help = crate::diagnostic::closest(name, known).map_or_else(
                    || format!("its columns: {}", self.names.join(", ")),
                    |close| format!("did you mean `{close}`?"),
                );
                return Err(Error::failed_help(format!("the result has no column `{name}`"), help));
            }
        }
        Ok((0..self.names.len()).filter(|at| self.names.get(*at).is_some_and(|n| names.contains(n))).collect())
    }

    /// Finds out the types of the columns that have no declared one, by running the statement once. Nothing is kept but
    /// what the values have in common.
    pub(in crate::sources) fn survey(&mut self, wanted: &[usize]) -> Result<()> {
        let open: Vec<usize> = wanted.iter().copied().filter(|at| matches!(self.fields.get(*at), Some(None))).collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut seen = vec![Seen::default(); open.len()];
        let mut small = Some(Vec::new());
        let mut rows = self.statement.raw_query();
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => return Err(explain(error, &self.sql, &self.fault)),
            };
            for (at, seen) in open.iter().zip(&mut seen) {
                seen.see(row.get_ref(*at).map_err(|e| explain(e, &self.sql, &self.fault))?);
            }
            small = match small.take() {
                Some(mut kept) if kept.len() < SMALL => {
                    let values = (0..self.names.len()).map(|at| row.get::<_, rusqlite::types::Value>(at));
                    // A value that has no owned form (text that is not UTF-8) is left to the read itself.
                    values.collect::<Result<Vec<_>, _>>().ok().map(|values| {
                        kept.push(values);
                        kept
                    })
                }
                _ => None,
            };
        }
        drop(rows);
        self.small = small;
        for (at, seen) in open.into_iter().zip(seen) {
            let name = self.names.get(at).map_or("", String::as_str);
            let Some(field) = seen.field(name) else {
                return Err(Error::failed_help(
                    format!("column `{name}` mixes bytes with text or numbers"),
                    format!("decide in the SQL: `cast({name} as text) as {name}`"),
                ));
            };
            if let Some(slot) = self.fields.get_mut(at) {
                *slot = Some(field);
            }
        }
        Ok(())
    }

    /// The schema of some columns; after a survey of at least these.
    pub(in crate::sources) fn schema(&self, wanted: &[usize]) -> SchemaRef {
        let fields = wanted.iter().filter_map(|at| self.fields.get(*at).cloned().flatten());
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Runs the statement and hands its rows over.
    pub(in crate::sources) fn send(&mut self, wanted: &[usize], out: &Out) -> Result<()> {
        let schema = self.schema(wanted);
        if !out.schema(schema.clone()) {
            return Ok(());
        }
        let explain = |error| explain(error, &self.sql, &self.fault);
        let mut batch = Rows::new(schema.clone()).map_err(crate::sources::failure)?;
        for row in self.small.iter().flatten() {
            let mut bytes = 0;
            for at in 0..wanted.len() {
                let value = wanted.get(at).and_then(|at| row.get(*at)).map_or(ValueRef::Null, ValueRef::from);
                bytes += put(&mut batch, at, &schema, value);
            }
            if batch.end_row(bytes) && !out.rows(&mut batch)? {
                return Ok(());
            }
        }
        if self.small.is_some() {
            return out.rows(&mut batch).map(|_| ());
        }
        let mut rows = self.statement.raw_query();
        while let Some(row) = rows.next().map_err(explain)? {
            let mut bytes = 0;
            for (place, at) in wanted.iter().enumerate() {
                bytes += put(&mut batch, place, &schema, row.get_ref(*at).map_err(explain)?);
            }
            if batch.end_row(bytes) && !out.rows(&mut batch)? {
                return Ok(());
            }
        }
        out.rows(&mut batch).map(|_| ())
    }
}

/// Appends the value of a column, or a null and what is wrong; gives its size in bytes.
fn put(batch: &mut Rows, place: usize, schema: &Schema, value: ValueRef<'_>) -> usize {
    let Some(column) = batch.columns.get_mut(place) else { return 0 };
    push(column, value).unwrap_or_else(|| {
        column.push_null();
        batch.flaws.add(place, misfit(schema.field(place), value));
        1
    })
}

/// Why a value is none of its column.
fn misfit(field: &Field, value: ValueRef<'_>) -> Unreadable {
    if matches!(value, ValueRef::Text(text) if str::from_utf8(text).is_err()) {
        let help = "correct the value, or take its bytes: `cast(COLUMN as blob) as COLUMN`";
        return Unreadable::new("text that is not UTF-8", help);
    }
    let stored = match value {
        ValueRef::Null => "null",
        ValueRef::Integer(_) => "a whole number",
        ValueRef::Real(_) => "a floating point number",
        ValueRef::Text(_) => "text",
        ValueRef::Blob(_) => "bytes",
    };
    let help = "correct the value, or take the column as it is stored: `cast(COLUMN as text) as COLUMN`";
    Unreadable::new(stored, help).instead_of(match (field.data_type(), field.metadata().get(TYPE_KEY)) {
        (_, Some(mark)) if mark == TYPE_DECIMAL => "decimals",
        (_, Some(mark)) if mark == TYPE_JSON => "JSON",
        (DataType::Decimal128(..), _) => "decimals",
        (DataType::Boolean, _) => "true or false",
        (DataType::Date32, _) => "dates, `2026-11-22`",
        (DataType::Time64(_), _) => "times of day, `10:00:00`",
        (DataType::Timestamp(TimeUnit::Nanosecond, None), _) => {
            "timestamps, `2026-11-22 10:00:00` of the years 1678 to 2261"
        }
        (DataType::Timestamp(TimeUnit::Nanosecond, Some(_)), _) => {
            "instants, `2026-11-22 10:00:00Z` of the years 1678 to 2261"
        }
        (DataType::Timestamp(_, None), _) => "timestamps, `2026-11-22 10:00:00` with at most 6 decimals",
        (DataType::Timestamp(_, Some(_)), _) => "instants, `2026-11-22 10:00:00Z` with at most 6 decimals",
        (DataType::Binary, _) => "bytes",
        (kind, _) if kind.is_integer() => "whole numbers",
        (kind, _) if kind.is_floating() => "floating point numbers",
        _ => "text",
    })
}

/// The first keyword, after blanks and comments; lower case.
fn first_word(sql: &str) -> String {
    let mut rest = sql.trim_start();
    loop {
        let after = match rest.get(..2) {
            Some("--") => rest.find('\n').map(|at| at + 1),
            Some("/*") => rest.find("*/").map(|at| at + 2),
            _ => break,
        };
        rest = after.and_then(|at| rest.get(at..)).unwrap_or("").trim_start();
    }
    rest.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase()
}

/// What SQLite has to say, with the place in the statement where it says one.
pub(in crate::sources) fn explain(error: rusqlite::Error, sql: &str, fault: &Fault) -> Error {
    if let Some(cause) = fault.take() {
        return cause;
    }
    match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            let place = usize::try_from(offset).ok().map(|at| crate::sources::place_in(sql, at)).unwrap_or_default();
            Error::failed_help(format!("{msg}{place}"), "correct the SQL of the model")
        }
        rusqlite::Error::SqliteFailure(code, message) => {
            let message = message.unwrap_or_else(|| code.to_string());
            match code.code {
                rusqlite::ErrorCode::NotADatabase => {
                    Error::failed_help(message, "`connection.path` names a file that is not a SQLite database")
                }
                rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked => {
                    Error::failed_help(message, "another program writes to the database; run again when it is done")
                }
                rusqlite::ErrorCode::DatabaseCorrupt => {
                    let help = "the database is damaged, which `pragma integrity_check` shows, or it was cut or replaced \
                                while it was read";
                    Error::failed_help(message, help)
                }
                rusqlite::ErrorCode::SystemIoFailure => {
                    let help = "the database was cut or replaced while it was read, or the disk fails; run again when \
                                nothing else writes to it";
                    Error::failed_help(message, help)
                }
                // What SQLite has no narrower word for are faults of the statement.
                rusqlite::ErrorCode::Unknown => Error::failed_help(message, "correct the SQL of the model"),
                _ => Error::failed(message),
            }
        }
        other => Error::failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::first_word;

    #[test]
    fn the_first_word_stands_behind_comments() {
        let cases = [
            ("select 1", "select"),
            ("  -- why\n /* and */ WITH a as (select 1) select * from a", "with"),
            ("delete from t", "delete"),
            ("-- nothing", ""),
            ("/* never closed", ""),
            ("", ""),
        ];
        for (sql, expected) in cases {
            assert_eq!(first_word(sql), expected, "{sql}");
        }
    }
}
