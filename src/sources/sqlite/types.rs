//! What a declared type means, and SQLite values as Arrow values.

use arrow_schema::{DataType, Field, TimeUnit};
use rusqlite::types::ValueRef;

use crate::sources::columns::{Column, TextKind, marked};
use crate::sources::{TYPE_DECIMAL, TYPE_JSON, text};

/// Whole numbers up to here are exact as floating point numbers.
const EXACT: u64 = 1 << 53;

/// The field of a column by its declared type; `None` where the declaration says nothing (`ANY`, `UUID`, …).
pub(super) fn declared(name: &str, declaration: &str) -> Option<Field> {
    let words = declaration.split('(').next().unwrap_or("").trim().to_ascii_uppercase();
    let plain = |kind| Some(Field::new(name, kind, true));
    let micros = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    match words.as_str() {
        "BOOLEAN" | "BOOL" => plain(DataType::Boolean),
        "DATE" => plain(DataType::Date32),
        "TIME" => plain(DataType::Time64(TimeUnit::Microsecond)),
        "DATETIME" | "TIMESTAMP" | "TIMESTAMP WITHOUT TIME ZONE" => plain(micros(None)),
        "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => plain(micros(Some("UTC"))),
        "DECIMAL" | "NUMERIC" => Some(marked(name, TYPE_DECIMAL)),
        "JSON" => Some(marked(name, TYPE_JSON)),
        // The rest by SQLite's own rules of affinity, in their order.
        w if w.contains("INT") => plain(DataType::Int64),
        w if ["CHAR", "CLOB", "TEXT"].iter().any(|part| w.contains(part)) => plain(DataType::Utf8),
        w if w.contains("BLOB") => plain(DataType::Binary),
        w if ["REAL", "FLOA", "DOUB"].iter().any(|part| w.contains(part)) => plain(DataType::Float64),
        _ => None,
    }
}

/// What the values of a column without a declared type are, over all rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    int: bool,
    /// A whole number beyond 2^53.
    wide_int: bool,
    real: bool,
    text: bool,
    blob: bool,
}

impl Seen {
    /// Takes a value into account.
    pub(super) fn see(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => {}
            ValueRef::Integer(int) => {
                self.int = true;
                self.wide_int |= int.unsigned_abs() > EXACT;
            }
            ValueRef::Real(_) => self.real = true,
            ValueRef::Text(_) => self.text = true,
            ValueRef::Blob(_) => self.blob = true,
        }
    }

    /// The field that holds them all; `None` when bytes are mixed with something else.
    pub(super) fn field(&self, name: &str) -> Option<Field> {
        let plain = |kind| Some(Field::new(name, kind, true));
        match self {
            Self { blob: true, int: false, real: false, text: false, .. } => plain(DataType::Binary),
            Self { blob: true, .. } => None,
            Self { text: true, .. } => plain(DataType::Utf8),
            Self { real: true, wide_int: true, .. } => Some(marked(name, TYPE_DECIMAL)),
            Self { real: true, .. } => plain(DataType::Float64),
            Self { int: true, .. } => plain(DataType::Int64),
            _ => plain(DataType::Utf8),
        }
    }
}

/// Appends a value and gives its size in bytes; `None` when it does not fit the column's type.
pub(super) fn push(column: &mut Column, value: ValueRef<'_>) -> Option<usize> {
    let words = match value {
        ValueRef::Null => {
            column.push_null();
            return Some(1);
        }
        ValueRef::Text(bytes) => Some(str::from_utf8(bytes).ok()?),
        _ => None,
    };
    match (column, value) {
        (Column::Boolean(b), ValueRef::Integer(int @ 0..=1)) => b.append_value(int == 1),
        (Column::Boolean(b), _) => b.append_value(text::boolean(&words?.to_ascii_lowercase())?),
        (Column::Int64(b), ValueRef::Integer(int)) => b.append_value(int),
        (Column::Float64(b), _) => b.append_value(real(value)?),
        (Column::Float32(b), _) => {
            let (wide, narrow) = (real(value)?, real(value)? as f32);
            if f64::from(narrow) != wide && !wide.is_nan() {
                return None;
            }
            b.append_value(narrow);
        }
        (Column::Text(b, TextKind::Plain), _) => match (value, words) {
            (_, Some(words)) => {
                b.append_value(words);
                return Some(words.len());
            }
            (ValueRef::Integer(int), _) => b.append_value(int.to_string()),
            (ValueRef::Real(real), _) => b.append_value(format!("{real:?}")),
            _ => return None,
        },
        (Column::Text(b, TextKind::Decimal), _) => b.append_value(decimal(value)?),
        (Column::Text(b, TextKind::Json), _) => {
            let json = match words {
                Some(words) => words.to_owned(),
                // The affinity of a column declared JSON turns text that is a number into one.
                None => decimal(value)?,
            };
            serde_json::from_str::<serde::de::IgnoredAny>(&json).ok()?;
            b.append_value(&json);
            return Some(json.len());
        }
        (Column::Binary(b), ValueRef::Blob(bytes)) => {
            b.append_value(bytes);
            return Some(bytes.len());
        }
        (Column::Date(b), _) => b.append_value(text::date(words?)?),
        (Column::Time(b), _) => b.append_value(text::time(words?)?),
        (Column::TimeNanos(b), _) => b.append_value(text::time_nanos(words?)?),
        (Column::Timestamp(b, zoned), _) => b.append_value(timestamp(words?, *zoned, text::timestamp)?),
        (Column::TimestampNanos(b, zoned), _) => b.append_value(timestamp(words?, *zoned, text::timestamp_nanos)?),
        (Column::Decimal(b, scale), _) => {
            let number = decimal(value)?;
            b.append_value(text::scaled(&number, *scale)?);
        }
        _ => return None,
    }
    Some(8)
}

fn real(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Real(real) => Some(real),
        ValueRef::Integer(int) if int.unsigned_abs() <= EXACT => Some(int as f64),
        _ => None,
    }
}

fn decimal(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Integer(int) => Some(int.to_string()),
        ValueRef::Real(real) if real.is_finite() => Some(format!("{real}")),
        ValueRef::Text(bytes) => str::from_utf8(bytes).ok().filter(|t| text::is_decimal(t)).map(str::to_owned),
        _ => None,
    }
}

/// A timestamp, in the unit of `read`; a date alone is midnight, and what has no zone is UTC where an instant is asked for, as in SQLite's own
/// date functions.
fn timestamp(words: &str, zoned: bool, read: fn(&str) -> Option<(i64, bool)>) -> Option<i64> {
    let midnight = || text::date(words).and_then(|_| read(&format!("{words} 00:00")));
    match read(words).or_else(midnight)? {
        (_, true) if !zoned => None,
        (ticks, _) => Some(ticks),
    }
}
