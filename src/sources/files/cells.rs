//! The columns of a batch as SQLite takes values.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::temporal_conversions::as_datetime;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_json::LineDelimitedWriter;
use arrow_json::writer::{LineDelimited, WriterBuilder};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use rusqlite::Result;
use rusqlite::vtab::Context;

use crate::sources::text::float;
use crate::sources::{TYPE_DECIMAL, TYPE_KEY};

/// One column of a batch.
pub(super) enum Cells {
    /// A column that is not read.
    Null,
    Boolean(BooleanArray),
    Int(Int64Array),
    Float(Float64Array),
    Text(StringArray),
    /// Numbers where those are exact, else text.
    Decimal(StringArray),
    Binary(BinaryArray),
}

impl Cells {
    /// An array whose field in SQL is `field`.
    pub(super) fn of(array: &ArrayRef, field: &Field) -> std::result::Result<Self, ArrowError> {
        let to = |kind: DataType| cast(array, &kind);
        Ok(match field.data_type() {
            DataType::Boolean => Self::Boolean(to(DataType::Boolean)?.as_boolean().clone()),
            DataType::Int64 => Self::Int(to(DataType::Int64)?.as_primitive().clone()),
            DataType::Float32 | DataType::Float64 => Self::Float(to(DataType::Float64)?.as_primitive().clone()),
            DataType::Binary => Self::Binary(to(DataType::Binary)?.as_binary().clone()),
            DataType::Timestamp(..) => Self::Text(timestamps(array)?),
            DataType::Decimal128(..) => Self::Decimal(to(DataType::Utf8)?.as_string().clone()),
            DataType::Date32 => Self::Text(cast(&to(DataType::Date32)?, &DataType::Utf8)?.as_string().clone()),
            _ if field.metadata().get(TYPE_KEY).is_some_and(|mark| mark == TYPE_DECIMAL) => {
                Self::Decimal(to(DataType::Utf8)?.as_string().clone())
            }
            _ if array.data_type().is_nested() => Self::Text(json(array)?),
            _ => Self::Text(to(DataType::Utf8)?.as_string().clone()),
        })
    }

    /// Gives SQLite the value of a row.
    pub(super) fn put(&self, row: usize, context: &mut Context) -> Result<()> {
        let (array, inside): (&dyn Array, bool) = match self {
            Self::Null => return Ok(()),
            Self::Boolean(a) => (a, row < a.len()),
            Self::Int(a) => (a, row < a.len()),
            Self::Float(a) => (a, row < a.len()),
            Self::Text(a) | Self::Decimal(a) => (a, row < a.len()),
            Self::Binary(a) => (a, row < a.len()),
        };
        // Not setting a result is null.
        if !inside || array.is_null(row) {
            return Ok(());
        }
        match self {
            Self::Null => Ok(()),
            Self::Boolean(a) => context.set_result(a.value(row)),
            Self::Int(a) => context.set_result(a.value(row)),
            Self::Float(a) => context.set_result(a.value(row)),
            Self::Text(a) => context.set_result(a.value(row)),
            Self::Binary(a) => context.set_result(a.value(row)),
            Self::Decimal(a) => {
                let text = a.value(row);
                match (text.parse::<i64>(), float(text)) {
                    (Ok(int), _) => context.set_result(int),
                    (_, Some(float)) => context.set_result(float),
                    _ => context.set_result(text),
                }
            }
        }
    }
}

/// `2026-11-22 10:00:00`, with a fraction only where there is one; instants in UTC. Comparing two as text compares them
/// in time, and SQLite's date functions give the same form.
fn timestamps(array: &ArrayRef) -> std::result::Result<StringArray, ArrowError> {
    let zone = match array.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    if matches!(array.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, _)) {
        let nanos = array.as_primitive::<TimestampNanosecondType>();
        return Ok(nanos.iter().map(|v| Some(as_datetime::<TimestampNanosecondType>(v?)?.to_string())).collect());
    }
    let micros = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, zone))?;
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    Ok(micros.iter().map(|v| Some(as_datetime::<TimestampMicrosecondType>(v?)?.to_string())).collect())
}

/// Objects and lists as JSON text.
fn json(array: &ArrayRef) -> std::result::Result<StringArray, ArrowError> {
    let field = Field::new("v", array.data_type().clone(), true);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array.clone()])?;
    let mut lines = Vec::new();
    let mut writer: LineDelimitedWriter<_> =
        WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut lines);
    writer.write(&batch)?;
    writer.finish()?;
    drop(writer);
    let lines = String::from_utf8(lines).map_err(|e| ArrowError::JsonError(e.to_string()))?;
    let value = |line: &str| line.strip_prefix("{\"v\":")?.strip_suffix('}').map(str::to_owned);
    Ok(lines.lines().map(|line| value(line).filter(|text| text != "null")).collect())
}
