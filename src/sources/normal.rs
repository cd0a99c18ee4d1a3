//! One Arrow type for each kind of data, whatever a driver makes of it: the same data in any system gives the same
//! values. The table is in `docs/sources.md`.
//!
//! | from a driver | becomes |
//! |---|---|
//! | text with the extension type `arrow.json`, Snowflake's `VARIANT`, `OBJECT`, `ARRAY` | text, marked `syncline.type: json` |
//! | text of a `numeric` (`arrow.opaque`) | text, marked `syncline.type: decimal` |
//! | 16 bytes that are a UUID (`arrow.uuid`) | text, `6f9619ff-8b86-d011-b42d-00c04fc964ff` |
//! | booleans in a byte (`arrow.bool8`) | boolean |
//! | DuckDB's `hugeint` in 16 bytes | decimal(38, 0) |
//! | DuckDB's `timetz` in 8 bytes | text as PostgreSQL has it, `10:00:00+01` |
//! | intervals and durations of all kinds | ISO 8601 text: `P1Y2M3DT4H5M6.5S` |
//! | a timestamp with any zone | the same instant in UTC |
//! | list views, run-end encoding | lists, the plain values |
//! | unions | refused: records have no such value |
//!
//! Everything else stays what it is. Drivers are other people's code: text is checked to be UTF-8 and positions to lie
//! within their data before anything looks at them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    DurationMicrosecondType, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalYearMonthType,
};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, RecordBatch,
    RecordBatchOptions, StringArray, StructArray,
};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, IntervalUnit, Schema, SchemaRef, TimeUnit};

use super::interval::interval;
use super::spelling::Spelling;
use super::{Batch, Flaw, TYPE_DECIMAL, TYPE_JSON, TYPE_KEY};
use crate::diagnostic::{Error, Result};

mod flaws;

/// What is known of the system the data come from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// How names of columns are shown.
    pub spelling: Spelling,
    /// Whether the largest and smallest dates and timestamps stand for infinity.
    pub infinite: bool,
}

/// The conversion of batches of one schema.
pub(super) struct Normal {
    schema: SchemaRef,
    /// Position and field of each column within the driver's batches.
    from: Vec<(usize, FieldRef)>,
    rules: Rules,
}

impl Normal {
    /// The conversion of the columns `wanted`, or of all of them.
    ///
    /// # Errors
    /// A column of a type that records cannot hold, two columns of one name, a wanted column that is not there.
    pub(super) fn new(schema: &Schema, rules: Rules, wanted: Option<&[String]>) -> Result<Self> {
        let (mut from, mut fields) = (Vec::new(), Vec::<Field>::new());
        let names: Vec<String> = schema.fields().iter().map(|f| rules.spelling.shown_name(f.name())).collect();
        if names.is_empty() {
            let help = "a model is one `select` (or `with … select`) statement";
            return Err(Error::failed_help("the SQL gives no columns", help));
        }
        for (at, (field, name)) in schema.fields().iter().zip(&names).enumerate() {
            if names.iter().take(at).any(|other| other == name) {
                let help = "name one of them differently: `… as other_name`";
                return Err(Error::failed_help(format!("the result has two columns named `{name}`"), help));
            }
            if wanted.is_some_and(|wanted| !wanted.contains(name)) {
                continue;
            }
            let own = normal(field).map_err(|what| {
                let text = if rules.spelling == Spelling::Backticks { "string" } else { "varchar" };
                let help = format!("cast it in the SQL: `cast({name} as {text}) as {name}`");
                Error::failed_help(format!("column `{name}` {what}"), help)
            })?;
            fields.push(own.with_name(name).with_nullable(true));
            from.push((at, field.clone()));
        }
        if let Some(name) = wanted.unwrap_or_default().iter().find(|name| !names.contains(name)) {
            let help = format!("its columns: {}", names.join(", "));
            return Err(Error::failed_help(format!("the result has no column `{name}`"), help));
        }
        Ok(Self { schema: Arc::new(Schema::new(fields)), from, rules })
    }

    /// The schema of the converted batches.
    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Converts a batch. What no type holds is a flaw of its row.
    ///
    /// # Errors
    /// Data that are not what the driver says they are, with the column.
    pub(super) fn batch(&self, batch: &RecordBatch) -> Result<Batch> {
        let mut columns = Vec::with_capacity(self.from.len());
        let mut all = Vec::new();
        for (place, ((at, from), to)) in self.from.iter().zip(self.schema.fields()).enumerate() {
            let array = batch.columns().get(*at).ok_or_else(|| broken(to.name(), "the column is missing"))?;
            let mut found = flaws::Found::new();
            columns.push(
                flaws::column(array, from, to, self.rules, 0, &mut found).map_err(|what| broken(to.name(), &what))?,
            );
            all.extend(found.into_iter().map(|(row, why)| Flaw { row, column: place, why }));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        Ok(Batch { rows: rows.map_err(super::failure)?, flaws: all })
    }
}

fn broken(column: &str, what: &str) -> Error {
    Error::failed_help(
        format!("column `{column}`: the driver gave data that cannot be read: {what}"),
        "try another version of the driver, and cast the column in the SQL",
    )
}

/// What the text or bytes of a field are, beyond their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extension {
    None,
    Json,
    Uuid,
    Decimal,
    Boolean,
    Hugeint {
        signed: bool,
    },
    ZonedTime,
    /// A form of DuckDB's own that nobody else reads.
    Foreign,
}

/// The type Snowflake's driver notes down: under one name where it describes a statement, under another with rows.
fn snowflake_type(field: &Field) -> String {
    let noted = ["logicalType", "SNOWFLAKE_TYPE"].into_iter().find_map(|key| field.metadata().get(key));
    noted.map(|kind| kind.to_ascii_uppercase()).unwrap_or_default()
}

fn extension(field: &Field) -> Extension {
    let said = |key: &str| field.metadata().get(key).map(String::as_str).unwrap_or_default();
    if matches!(snowflake_type(field).as_str(), "VARIANT" | "OBJECT" | "ARRAY") {
        return Extension::Json;
    }
    match said("ARROW:extension:name") {
        "arrow.json" => Extension::Json,
        "arrow.uuid" => Extension::Uuid,
        "arrow.bool8" => Extension::Boolean,
        "arrow.opaque" => {
            let about: serde_json::Value =
                serde_json::from_str(said("ARROW:extension:metadata")).unwrap_or(serde_json::Value::Null);
            let said = |key: &str| about.get(key).and_then(|name| name.as_str()).unwrap_or_default();
            match (said("type_name"), said("vendor_name")) {
                ("numeric" | "decimal", _) => Extension::Decimal,
                ("hugeint", _) => Extension::Hugeint { signed: true },
                ("uhugeint", _) => Extension::Hugeint { signed: false },
                ("time_tz", _) => Extension::ZonedTime,
                (_, "DuckDB") => Extension::Foreign,
                _ => Extension::None,
            }
        }
        _ => Extension::None,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The field a driver's field becomes; else what is wrong with it, to be put behind the column's name.
fn normal(field: &Field) -> Result<Field, String> {
    use DataType as T;
    let child = |field: &FieldRef| normal(field).map(Arc::new);
    // Every driver has another name for the items of a list.
    let item = |field: &FieldRef| normal(field).map(|field| Arc::new(field.with_name("item")));
    let mut mark = None;
    let data_type = match (field.data_type(), extension(field)) {
        (data_type, Extension::Json) if is_text(data_type) => {
            mark = Some(TYPE_JSON);
            T::Utf8
        }
        (data_type, Extension::Decimal) if is_text(data_type) => {
            mark = Some(TYPE_DECIMAL);
            T::Utf8
        }
        (T::FixedSizeBinary(16), Extension::Uuid) => T::Utf8,
        (T::FixedSizeBinary(8), Extension::ZonedTime) => T::Utf8,
        (T::Int8, Extension::Boolean) => T::Boolean,
        (T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_), Extension::Foreign) => {
            return Err("is of a type that only DuckDB can read".to_owned());
        }
        (T::FixedSizeBinary(16), Extension::Hugeint { .. }) => T::Decimal128(38, 0),
        (T::Interval(_) | T::Duration(_), _) => T::Utf8,
        // Where it describes a statement, Snowflake's driver gives a zone to what has none.
        (T::Timestamp(unit, _), _) if snowflake_type(field) == "TIMESTAMP_NTZ" => T::Timestamp(*unit, None),
        (T::Timestamp(unit, Some(_)), _) => T::Timestamp(*unit, Some("UTC".into())),
        (T::List(items) | T::ListView(items), _) => T::List(item(items)?),
        (T::LargeList(items) | T::LargeListView(items), _) => T::LargeList(item(items)?),
        (T::FixedSizeList(items, size), _) => T::FixedSizeList(item(items)?, *size),
        // Spark's `variant` is two parts in bytes, which only Spark can read.
        (T::Struct(fields), _) if fields.iter().any(|part| part.metadata().contains_key("variant")) => {
            return Err("is a `variant`, which only Spark can read".to_owned());
        }
        (T::Struct(fields), _) => T::Struct(fields.iter().map(child).collect::<Result<Fields, _>>()?),
        (T::Map(entries, sorted), _) => T::Map(child(entries)?, *sorted),
        (T::RunEndEncoded(_, values), _) => normal(values)?.data_type().clone(),
        (T::Union(_, _), _) => return Err("is of type `union`, which records cannot hold".to_owned()),
        (other, _) => other.clone(),
    };
    let metadata: HashMap<String, String> = mark.map(|m| (TYPE_KEY.to_owned(), m.to_owned())).into_iter().collect();
    Ok(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata))
}

/// Converts an array of a driver's field to the type its [`normal`] field has.
fn convert(array: &ArrayRef, from: &Field, to: &Field) -> Result<ArrayRef, ArrowError> {
    use DataType as T;
    Ok(match (from.data_type(), to.data_type()) {
        (T::FixedSizeBinary(8), T::Utf8) => {
            let texts = array.as_fixed_size_binary().iter().map(|b| b.and_then(|b| b.try_into().ok()).map(zoned_time));
            Arc::new(texts.collect::<StringArray>())
        }
        (T::FixedSizeBinary(_), T::Utf8) => {
            let uuid = |bytes: &[u8]| uuid::Uuid::from_slice(bytes).map(|u| u.to_string()).ok();
            let texts = array.as_fixed_size_binary().iter().map(|b| b.and_then(uuid));
            Arc::new(texts.collect::<StringArray>())
        }
        (T::FixedSizeBinary(_), T::Decimal128(_, _)) => hugeint(array, extension(from))?,
        (T::Interval(_) | T::Duration(_), T::Utf8) => Arc::new(intervals(array)?),
        (T::List(a), T::List(b)) => list::<i32>(array.as_list(), a, b)?,
        (T::LargeList(a), T::LargeList(b)) => list::<i64>(array.as_list(), a, b)?,
        (T::ListView(a), T::List(b)) => {
            let plain = arrow_cast::cast(array, &T::List(a.clone()))?;
            list::<i32>(plain.as_list(), a, b)?
        }
        (T::LargeListView(a), T::LargeList(b)) => {
            let plain = arrow_cast::cast(array, &T::LargeList(a.clone()))?;
            list::<i64>(plain.as_list(), a, b)?
        }
        (T::FixedSizeList(a, size), T::FixedSizeList(b, _)) => {
            let lists = array.as_fixed_size_list();
            let items = convert(lists.values(), a, b)?;
            Arc::new(FixedSizeListArray::try_new(b.clone(), *size, items, lists.nulls().cloned())?)
        }
        (T::Struct(a), T::Struct(b)) => Arc::new(object(array.as_struct(), a, b)?),
        (T::Map(a, _), T::Map(b, sorted)) => {
            let map = array.as_map();
            let (T::Struct(a), T::Struct(fields)) = (a.data_type(), b.data_type()) else {
                return Err(ArrowError::CastError("a map without entries".into()));
            };
            let entries = object(map.entries(), a, fields)?;
            Arc::new(MapArray::try_new(b.clone(), map.offsets().clone(), entries, map.nulls().cloned(), *sorted)?)
        }
        (T::RunEndEncoded(_, values), _) => {
            let plain = arrow_cast::cast(array, values.data_type())?;
            convert(&plain, values, to)?
        }
        (a, b) if a == b => array.clone(),
        (_, b) => {
            let options = arrow_cast::CastOptions { safe: false, ..Default::default() };
            arrow_cast::cast_with_options(array, b, &options)?
        }
    })
}

fn list<O: OffsetSizeTrait>(lists: &GenericListArray<O>, a: &Field, b: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let items = convert(lists.values(), a, b)?;
    Ok(Arc::new(GenericListArray::try_new(b.clone(), lists.offsets().clone(), items, lists.nulls().cloned())?))
}

fn object(object: &StructArray, a: &Fields, b: &Fields) -> Result<StructArray, ArrowError> {
    let columns = object.columns().iter().zip(a.iter().zip(b.iter()));
    let columns = columns.map(|(column, (a, b))| convert(column, a, b)).collect::<Result<Vec<_>, _>>()?;
    StructArray::try_new_with_length(b.clone(), columns, object.nulls().cloned(), object.len())
}

/// Sixteen bytes, the least first, are a whole number.
fn hugeint(array: &ArrayRef, extension: Extension) -> Result<ArrayRef, ArrowError> {
    let signed = extension != Extension::Hugeint { signed: false };
    let number = |bytes: &[u8]| {
        let bytes: [u8; 16] = bytes.try_into().ok()?;
        if signed { Some(i128::from_le_bytes(bytes)) } else { i128::try_from(u128::from_le_bytes(bytes)).ok() }
    };
    let values = array.as_fixed_size_binary().iter().map(|bytes| match bytes {
        None => Ok(None),
        Some(bytes) => number(bytes).map(Some).ok_or_else(|| ArrowError::ExternalError("a number of 39 digits".into())),
    });
    let values = values.collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, 0)?))
}

/// DuckDB's time of day with an offset: microseconds above 24 bits that count seconds of offset down from 15:59:59.
fn zoned_time(bytes: [u8; 8]) -> String {
    let bits = u64::from_le_bytes(bytes);
    let (micros, offset) = (bits >> 24, 57_599 - (bits & 0xff_ffff).cast_signed());
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    let away = offset.unsigned_abs();
    text.push_str(&format!("{}{:02}", if offset < 0 { '-' } else { '+' }, away / 3600));
    if away % 3600 != 0 {
        text.push_str(&format!(":{:02}", away / 60 % 60));
    }
    if away % 60 != 0 {
        text.push_str(&format!(":{:02}", away % 60));
    }
    text
}

pub(super) fn intervals(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    use DataType as T;
    Ok(match array.data_type() {
        T::Interval(IntervalUnit::YearMonth) => {
            let months = array.as_primitive::<IntervalYearMonthType>();
            months.iter().map(|v| v.map(|months| interval(months.into(), 0, 0))).collect()
        }
        T::Interval(IntervalUnit::DayTime) => {
            let parts = array.as_primitive::<IntervalDayTimeType>();
            parts
                .iter()
                .map(|v| v.map(|v| interval(0, v.days.into(), i128::from(v.milliseconds) * 1_000_000)))
                .collect()
        }
        T::Interval(IntervalUnit::MonthDayNano) => {
            let parts = array.as_primitive::<IntervalMonthDayNanoType>();
            parts.iter().map(|v| v.map(|v| interval(v.months.into(), v.days.into(), v.nanoseconds.into()))).collect()
        }
        T::Duration(unit) => {
            let unit = match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            };
            // All durations are 64-bit counts of their unit.
            let counts = array.to_data();
            let counts = arrow_array::PrimitiveArray::<DurationMicrosecondType>::from(
                counts.into_builder().data_type(T::Duration(TimeUnit::Microsecond)).build()?,
            );
            counts.iter().map(|v| v.map(|count| interval(0, 0, i128::from(count) * unit))).collect()
        }
        other => return Err(ArrowError::CastError(format!("{other} is no interval"))),
    })
}

#[cfg(test)]
mod tests;
