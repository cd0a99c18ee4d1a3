//! The rows of a case as a record batch, as a source would give them: types are those the model promises, else those of
//! the values.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use base64::Engine as _;
use indexmap::IndexMap;
use serde_json::Value;

use crate::diagnostic::{Diagnostic, closest};
use crate::manifest::document::escape;
use crate::manifest::model::ColumnType;
use crate::manifest::test::Case;
use crate::mapping::Used;
use crate::mapping::column::MARK;
use crate::project::{ResolvedModel, ResolvedTest};

/// The rows of a case: the same columns for both.
pub(super) struct Rows {
    pub schema: SchemaRef,
    pub rows: RecordBatch,
    pub previous: RecordBatch,
}

/// What values a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Float,
    /// Numbers written as text, for more digits than a float has.
    Decimal,
    Boolean,
    Date,
    Timestamp,
    Time,
    Binary,
    Json,
}

/// A value and where it is written.
struct Cell<'a> {
    pointer: String,
    value: &'a Value,
}

/// The rows of the case at `pointer`.
///
/// # Errors
/// A column the sync uses that no row has, and values that do not fit the type of their column: all of them.
pub(super) fn read(
    test: &ResolvedTest,
    pointer: &str,
    case: &Case,
    model: &ResolvedModel,
    used: &Used,
) -> Result<Rows, Vec<Diagnostic>> {
    let given: BTreeSet<&str> =
        case.rows.iter().chain(&case.previous).flat_map(|r| r.keys().map(String::as_str)).collect();
    let mut wanted: BTreeSet<&str> = model.primary_key.iter().map(String::as_str).collect();
    match used {
        Used::Columns(columns) => wanted.extend(columns.iter().map(String::as_str)),
        Used::All => wanted.extend(given.iter().copied().chain(model.columns.keys().map(String::as_str))),
    }
    let mut faults = misspelt(test, pointer, case, model, &wanted);
    for missing in wanted.iter().filter(|name| !given.contains(*name)) {
        let message = format!("no row has the column `{missing}`, which the sync uses");
        let key = if case.rows.is_empty() { "previous" } else { "rows" };
        let place = test.key_place(&format!("{pointer}/{key}"));
        let help = format!("add it, with the value null where it is empty: `{missing}: null`");
        // A misspelt name has been said already.
        if faults.is_empty() {
            faults.push(Diagnostic::error("unknown-column", message, Some(place)).with_help(help));
        }
    }
    let (mut fields, mut rows, mut previous) = (Vec::new(), Vec::new(), Vec::new());
    for name in wanted {
        let now = cells(&case.rows, &format!("{pointer}/rows"), name);
        let then = cells(&case.previous, &format!("{pointer}/previous"), name);
        let promised = model.columns.get(name).and_then(|column| column.kind);
        let made = kind(test, name, promised, now.iter().chain(&then)).and_then(|kind| {
            let zoned = kind == Kind::Timestamp && now.iter().chain(&then).any(|cell| has_zone(cell.value));
            let field = field(name, kind, zoned);
            let arrays = (column(test, name, kind, &field, &now)?, column(test, name, kind, &field, &then)?);
            Ok((field, arrays))
        });
        match made {
            Ok((field, (now, then))) => {
                fields.push(field);
                rows.push(now);
                previous.push(then);
            }
            Err(fault) => faults.push(*fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let batch = |arrays, count| {
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(schema.clone(), arrays, &options).map_err(|e| {
            vec![Diagnostic::error("internal", format!("rows cannot be made: {e}"), Some(test.place(pointer)))]
        })
    };
    let (rows, previous) = (batch(rows, case.rows.len())?, batch(previous, case.previous.len())?);
    Ok(Rows { schema, rows, previous })
}

/// Columns no sync and no promise knows, where a column that is used is missing in the same row and has a similar name.
fn misspelt(
    test: &ResolvedTest,
    pointer: &str,
    case: &Case,
    model: &ResolvedModel,
    wanted: &BTreeSet<&str>,
) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for (part, rows) in [("rows", &case.rows), ("previous", &case.previous)] {
        for (at, row) in rows.iter().enumerate() {
            let missing: Vec<&str> = wanted.iter().copied().filter(|name| !row.contains_key(*name)).collect();
            for name in row.keys().filter(|name| !wanted.contains(name.as_str()) && !model.columns.contains_key(*name))
            {
                let Some(guess) = closest(name, missing.iter().copied()) else { continue };
                let place = test.key_place(&format!("{pointer}/{part}/{at}/{}", escape(name)));
                let message = format!("the sync uses no column `{name}`");
                let fault = Diagnostic::error("unknown-column", message, Some(place));
                faults.push(fault.with_help(format!("did you mean `{guess}`?")));
            }
        }
    }
    faults
}

fn cells<'a>(rows: &'a [IndexMap<String, Value>], pointer: &str, name: &str) -> Vec<Cell<'a>> {
    let cell = |(at, row): (usize, &'a IndexMap<String, Value>)| Cell {
        pointer: format!("{pointer}/{at}/{}", escape(name)),
        value: row.get(name).unwrap_or(&Value::Null),
    };
    rows.iter().enumerate().map(cell).collect()
}

/// What a column holds; a value that does not go with it is a fault.
fn kind<'c, 'a: 'c>(
    test: &ResolvedTest,
    name: &str,
    promised: Option<ColumnType>,
    cells: impl Iterator<Item = &'c Cell<'a>> + Clone,
) -> Result<Kind, Box<Diagnostic>> {
    let values = || cells.clone().filter(|cell| !cell.value.is_null());
    let whole = |value: &Value| value.is_i64();
    let number = || match () {
        () if values().any(|cell| cell.value.is_string()) => Kind::Decimal,
        () if values().all(|cell| whole(cell.value)) => Kind::Integer,
        () => Kind::Float,
    };
    let (kind, expected, fits): (Kind, &str, fn(&Value) -> bool) = match promised {
        Some(ColumnType::String) => (Kind::Text, "text", Value::is_string),
        Some(ColumnType::Integer) => (Kind::Integer, "a whole number", Value::is_i64),
        Some(ColumnType::Number) => (number(), "a number", |v| v.is_number() || v.as_str().is_some_and(is_decimal)),
        Some(ColumnType::Boolean) => (Kind::Boolean, "true or false", Value::is_boolean),
        Some(ColumnType::Date) => (Kind::Date, "a date such as 2026-01-31", Value::is_string),
        Some(ColumnType::Timestamp) => (Kind::Timestamp, "a time such as 2026-01-31T12:00:00Z", Value::is_string),
        Some(ColumnType::Time) => (Kind::Time, "a time of day such as 12:00:00", Value::is_string),
        Some(ColumnType::Binary) => (Kind::Binary, "bytes in base64", Value::is_string),
        Some(ColumnType::Json) => (Kind::Json, "any value", |_| true),
        None => match values().next().map(|cell| cell.value) {
            _ if values().any(|cell| cell.value.is_array() || cell.value.is_object()) => {
                (Kind::Json, "any value", |_| true)
            }
            None | Some(Value::String(_)) => (Kind::Text, "text, as in the rows before", Value::is_string),
            Some(Value::Bool(_)) => (Kind::Boolean, "true or false, as in the rows before", Value::is_boolean),
            Some(_) => {
                (number_of(values().map(|cell| cell.value)), "a number, as in the rows before", Value::is_number)
            }
        },
    };
    match values().find(|cell| !fits(cell.value)) {
        None => Ok(kind),
        Some(cell) => {
            let message = format!("column `{name}` must be {expected}");
            let fault = Diagnostic::error("wrong-type", message, Some(test.place(&cell.pointer)));
            Err(Box::new(match (promised, cell.value) {
                (None | Some(ColumnType::String), Value::Number(_) | Value::Bool(_)) => {
                    fault.with_help("put it in quotes to have it as text")
                }
                _ => fault,
            }))
        }
    }
}

fn number_of<'a>(mut values: impl Iterator<Item = &'a Value>) -> Kind {
    if values.all(Value::is_i64) { Kind::Integer } else { Kind::Float }
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let mut parts = digits.splitn(2, '.');
    parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a point in time says its zone.
fn has_zone(value: &Value) -> bool {
    let time = value.as_str().and_then(|text| text.split_once(['T', ' '])).map_or("", |(_, time)| time);
    time.ends_with(['Z', 'z']) || time.contains(['+', '-'])
}

fn field(name: &str, kind: Kind, zoned: bool) -> Field {
    let data_type = match kind {
        Kind::Text | Kind::Decimal | Kind::Json => DataType::Utf8,
        Kind::Integer => DataType::Int64,
        Kind::Float => DataType::Float64,
        Kind::Boolean => DataType::Boolean,
        Kind::Date => DataType::Date32,
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, zoned.then(|| "+00:00".into())),
        Kind::Time => DataType::Time64(TimeUnit::Microsecond),
        Kind::Binary => DataType::Binary,
    };
    let mark = match kind {
        Kind::Decimal => Some("decimal"),
        Kind::Json => Some("json"),
        _ => None,
    };
    let metadata: HashMap<String, String> = mark.map(|mark| (MARK.to_owned(), mark.to_owned())).into_iter().collect();
    Field::new(name, data_type, true).with_metadata(metadata)
}

fn column(
    test: &ResolvedTest,
    name: &str,
    kind: Kind,
    field: &Field,
    cells: &[Cell],
) -> Result<ArrayRef, Box<Diagnostic>> {
    array(kind, field.data_type(), cells).map_err(|error| {
        // One by one, to find which value it is.
        let wrong = cells.iter().find(|cell| array(kind, field.data_type(), std::slice::from_ref(*cell)).is_err());
        let place = wrong.or(cells.first()).map(|cell| test.place(&cell.pointer));
        let expected = match kind {
            Kind::Date => "a date such as 2026-01-31",
            Kind::Timestamp => "a time such as 2026-01-31T12:00:00Z",
            Kind::Time => "a time of day such as 12:00:00",
            Kind::Binary => "bytes in base64",
            _ => return Box::new(Diagnostic::error("wrong-type", format!("column `{name}`: {error}"), place)),
        };
        Box::new(Diagnostic::error("wrong-type", format!("column `{name}` must be {expected}"), place))
    })
}

fn array(kind: Kind, data_type: &DataType, cells: &[Cell]) -> Result<ArrayRef, ArrowError> {
    let values = || cells.iter().map(|cell| cell.value);
    let texts = || values().map(|value| value.as_str().map(str::to_owned));
    Ok(match kind {
        Kind::Text => Arc::new(StringArray::from_iter(texts())),
        Kind::Integer => Arc::new(Int64Array::from_iter(values().map(Value::as_i64))),
        Kind::Float => Arc::new(Float64Array::from_iter(values().map(Value::as_f64))),
        Kind::Boolean => Arc::new(BooleanArray::from_iter(values().map(Value::as_bool))),
        Kind::Decimal => {
            let text = |value: &Value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            };
            Arc::new(StringArray::from_iter(values().map(text)))
        }
        Kind::Json => {
            Arc::new(StringArray::from_iter(values().map(|value| (!value.is_null()).then(|| value.to_string()))))
        }
        Kind::Binary => {
            let decode = |text: String| base64::engine::general_purpose::STANDARD.decode(text);
            let bytes = texts().map(|text| text.map(decode).transpose()).collect::<Result<Vec<_>, _>>();
            let bytes = bytes.map_err(|e| ArrowError::ParseError(e.to_string()))?;
            Arc::new(BinaryArray::from_iter(bytes))
        }
        Kind::Date | Kind::Timestamp | Kind::Time => {
            let options = arrow_cast::CastOptions { safe: false, ..Default::default() };
            arrow_cast::cast_with_options(&StringArray::from_iter(texts()), data_type, &options)?
        }
    })
}

/// Rows by key, for expectations that name none there is.
pub(super) fn closest_key<'a, T>(key: &str, known: &'a BTreeMap<String, T>) -> Option<&'a str> {
    closest(key, known.keys().map(String::as_str))
}
