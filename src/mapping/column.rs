//! One Arrow column, bound once per batch and read row by row without further look-ups.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, BinaryArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, Float16Array, LargeBinaryArray,
    LargeStringArray, StringArray, StringViewArray,
};
use arrow_buffer::{ArrowNativeType, IntervalDayTime, IntervalMonthDayNano, NullBuffer, i256};
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};

use super::{Value, json, number};

mod write;

/// The key in a field's metadata that says what a text column holds: `decimal` or `json`.
pub const MARK: &str = "syncline.type";

/// An Arrow array of any type, ready to give [`Value`]s.
#[derive(Debug)]
pub struct Column<'a> {
    len: usize,
    nulls: Option<&'a NullBuffer>,
    cells: Cells<'a>,
    mark: Mark,
}

/// What the text of a column holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mark {
    Plain,
    Decimal,
    Json,
}

#[derive(Debug)]
enum Cells<'a> {
    Null,
    Bool(&'a BooleanArray),
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
    F16(&'a Float16Array),
    F32(&'a [f32]),
    F64(&'a [f64]),
    Decimal32(&'a [i32], i8),
    Decimal64(&'a [i64], i8),
    Decimal128(&'a [i128], i8),
    Decimal256(&'a [i256], i8),
    Text(&'a StringArray),
    LargeText(&'a LargeStringArray),
    TextView(&'a StringViewArray),
    Binary(&'a BinaryArray),
    LargeBinary(&'a LargeBinaryArray),
    BinaryView(&'a BinaryViewArray),
    FixedBinary(&'a FixedSizeBinaryArray),
    Date32(&'a [i32]),
    Date64(&'a [i64]),
    /// Times of day; nanoseconds in one unit.
    Time32(&'a [i32], i64),
    Time64(&'a [i64], i64),
    /// Points in time; nanoseconds in one unit, and whether they are instants.
    Timestamp(&'a [i64], i128, bool),
    Duration(&'a [i64], i128),
    Months(&'a [i32]),
    DayTime(&'a [IntervalDayTime]),
    MonthDayNano(&'a [IntervalMonthDayNano]),
    List(Spans<'a>, Box<Column<'a>>),
    Struct(Vec<(&'a str, Column<'a>)>),
    Map(&'a [i32], Box<Column<'a>>, Box<Column<'a>>),
    /// Positions in the column of distinct values.
    Dictionary(Box<Column<'a>>, Box<Column<'a>>),
    /// Ends of runs as written, where the slice begins, one value per run.
    Runs(Vec<usize>, usize, Box<Column<'a>>),
}

/// Which items of the child belong to which row.
#[derive(Debug)]
enum Spans<'a> {
    Offsets(&'a [i32]),
    LargeOffsets(&'a [i64]),
    Sizes(&'a [i32], &'a [i32]),
    LargeSizes(&'a [i64], &'a [i64]),
    Fixed(usize),
}

impl<'a> Column<'a> {
    /// Binds an array. `field` is its own field, for the metadata.
    ///
    /// # Errors
    /// A type without a meaning in records.
    pub fn new(array: &'a dyn Array, field: Option<&Field>) -> Result<Self, String> {
        let mark = match field.and_then(|f| f.metadata().get(MARK)).map(String::as_str) {
            Some("decimal") => Mark::Decimal,
            Some("json") => Mark::Json,
            _ => Mark::Plain,
        };
        Ok(Self { len: array.len(), nulls: array.nulls(), cells: cells(array, field)?, mark })
    }

    /// The value of one row.
    ///
    /// # Errors
    /// As [`Value::at`]; the message does not hold the value.
    #[inline]
    pub fn at(&self, row: usize) -> Result<Value, String> {
        if row >= self.len {
            return Err(format!("has no row {row}"));
        }
        // Below here every access by `row` is within the array, whose length has just been checked.
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(Value::Null);
        }
        Ok(match &self.cells {
            Cells::Null => Value::Null,
            Cells::Bool(values) => Value::Bool(values.value(row)),
            Cells::I8(values) => Value::Int(values[row].into()),
            Cells::I16(values) => Value::Int(values[row].into()),
            Cells::I32(values) => Value::Int(values[row].into()),
            Cells::I64(values) => Value::Int(values[row]),
            Cells::U8(values) => Value::Int(values[row].into()),
            Cells::U16(values) => Value::Int(values[row].into()),
            Cells::U32(values) => Value::Int(values[row].into()),
            Cells::U64(values) => i64::try_from(values[row]).map_or(Value::UInt(values[row]), Value::Int),
            Cells::F16(values) => short_float(values.value(row).to_f32()),
            Cells::F32(values) => short_float(values[row]),
            Cells::F64(values) => Value::Float(values[row]),
            Cells::Decimal32(values, scale) => decimal(&values[row].to_string(), *scale)?,
            Cells::Decimal64(values, scale) => decimal(&values[row].to_string(), *scale)?,
            Cells::Decimal128(values, scale) => decimal(&values[row].to_string(), *scale)?,
            Cells::Decimal256(values, scale) => decimal(&values[row].to_string(), *scale)?,
            Cells::Text(values) => self.text(values.value(row))?,
            Cells::LargeText(values) => self.text(values.value(row))?,
            Cells::TextView(values) => self.text(values.value(row))?,
            Cells::Binary(values) => Value::Binary(values.value(row).into()),
            Cells::LargeBinary(values) => Value::Binary(values.value(row).into()),
            Cells::BinaryView(values) => Value::Binary(values.value(row).into()),
            Cells::FixedBinary(values) => Value::Binary(values.value(row).into()),
            Cells::Date32(values) => Value::Date(values[row]),
            Cells::Date64(values) => i32::try_from(values[row].div_euclid(86_400_000))
                .map(Value::Date)
                .map_err(|_| "is a date out of range".to_owned())?,
            Cells::Time32(values, unit) => time_of_day(values[row].into(), *unit)?,
            Cells::Time64(values, unit) => time_of_day(values[row], *unit)?,
            Cells::Timestamp(values, unit, zoned) => {
                Value::Timestamp { nanos: i128::from(values[row]) * unit, zoned: *zoned }
            }
            Cells::Duration(values, unit) => duration(0, 0, i128::from(values[row]) * unit),
            Cells::Months(values) => duration(values[row].into(), 0, 0),
            Cells::DayTime(values) => {
                let value = values[row];
                duration(0, value.days.into(), i128::from(value.milliseconds) * 1_000_000)
            }
            Cells::MonthDayNano(values) => {
                let value = values[row];
                duration(value.months.into(), value.days.into(), value.nanoseconds.into())
            }
            Cells::List(spans, items) => Value::List(spans.of(row)?.map(|i| items.at(i)).collect::<Result<_, _>>()?),
            Cells::Struct(columns) => Value::Object(
                columns
                    .iter()
                    .map(|(name, column)| Ok(((*name).into(), column.at(row)?)))
                    .collect::<Result<_, String>>()?,
            ),
            Cells::Map(offsets, keys, values) => Value::Object(
                Spans::Offsets(offsets)
                    .of(row)?
                    .map(|i| Ok((keys.at(i)?.text().into(), values.at(i)?)))
                    .collect::<Result<_, String>>()?,
            ),
            Cells::Dictionary(keys, values) => match keys.at(row)? {
                Value::Int(key) => values.at(usize::try_from(key).map_err(|_| CORRUPT)?)?,
                _ => return Err(CORRUPT.into()),
            },
            Cells::Runs(ends, start, values) => values.at(run_of(ends, start + row))?,
        })
    }

    #[inline]
    fn text(&self, text: &str) -> Result<Value, String> {
        match self.mark {
            Mark::Plain => Ok(Value::Text(text.into())),
            Mark::Decimal => number::canonical(text).map(Value::Decimal).ok_or_else(|| "is not a finite number".into()),
            Mark::Json => json::parse(text),
        }
    }
}

const CORRUPT: &str = "cannot be read: its positions are corrupt";

fn cells<'a>(array: &'a dyn Array, field: Option<&Field>) -> Result<Cells<'a>, String> {
    use DataType as T;
    let child = |array: &'a dyn Array, field: Option<&Field>| Column::new(array, field).map(Box::new);
    Ok(match array.data_type() {
        T::Null => Cells::Null,
        T::Boolean => Cells::Bool(array.as_boolean()),
        T::Int8 => Cells::I8(array.as_primitive::<Int8Type>().values()),
        T::Int16 => Cells::I16(array.as_primitive::<Int16Type>().values()),
        T::Int32 => Cells::I32(array.as_primitive::<Int32Type>().values()),
        T::Int64 => Cells::I64(array.as_primitive::<Int64Type>().values()),
        T::UInt8 => Cells::U8(array.as_primitive::<UInt8Type>().values()),
        T::UInt16 => Cells::U16(array.as_primitive::<UInt16Type>().values()),
        T::UInt32 => Cells::U32(array.as_primitive::<UInt32Type>().values()),
        T::UInt64 => Cells::U64(array.as_primitive::<UInt64Type>().values()),
        T::Float16 => Cells::F16(array.as_primitive::<Float16Type>()),
        T::Float32 => Cells::F32(array.as_primitive::<Float32Type>().values()),
        T::Float64 => Cells::F64(array.as_primitive::<Float64Type>().values()),
        T::Decimal32(_, scale) => Cells::Decimal32(array.as_primitive::<Decimal32Type>().values(), *scale),
        T::Decimal64(_, scale) => Cells::Decimal64(array.as_primitive::<Decimal64Type>().values(), *scale),
        T::Decimal128(_, scale) => Cells::Decimal128(array.as_primitive::<Decimal128Type>().values(), *scale),
        T::Decimal256(_, scale) => Cells::Decimal256(array.as_primitive::<Decimal256Type>().values(), *scale),
        T::Utf8 => Cells::Text(array.as_string()),
        T::LargeUtf8 => Cells::LargeText(array.as_string()),
        T::Utf8View => Cells::TextView(array.as_string_view()),
        T::Binary => Cells::Binary(array.as_binary()),
        T::LargeBinary => Cells::LargeBinary(array.as_binary()),
        T::BinaryView => Cells::BinaryView(array.as_binary_view()),
        T::FixedSizeBinary(_) => Cells::FixedBinary(array.as_fixed_size_binary()),
        T::Date32 => Cells::Date32(array.as_primitive::<Date32Type>().values()),
        T::Date64 => Cells::Date64(array.as_primitive::<Date64Type>().values()),
        T::Time32(TimeUnit::Second) => Cells::Time32(array.as_primitive::<Time32SecondType>().values(), 1_000_000_000),
        T::Time32(_) => Cells::Time32(array.as_primitive::<Time32MillisecondType>().values(), 1_000_000),
        T::Time64(TimeUnit::Microsecond) => {
            Cells::Time64(array.as_primitive::<Time64MicrosecondType>().values(), 1_000)
        }
        T::Time64(_) => Cells::Time64(array.as_primitive::<Time64NanosecondType>().values(), 1),
        T::Timestamp(unit, zone) => {
            let values = match unit {
                TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
                TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
                TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
                TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
            };
            Cells::Timestamp(values, nanos_in(*unit), zone.is_some())
        }
        T::Duration(unit) => {
            let values = match unit {
                TimeUnit::Second => array.as_primitive::<DurationSecondType>().values(),
                TimeUnit::Millisecond => array.as_primitive::<DurationMillisecondType>().values(),
                TimeUnit::Microsecond => array.as_primitive::<DurationMicrosecondType>().values(),
                TimeUnit::Nanosecond => array.as_primitive::<DurationNanosecondType>().values(),
            };
            Cells::Duration(values, nanos_in(*unit))
        }
        T::Interval(IntervalUnit::YearMonth) => Cells::Months(array.as_primitive::<IntervalYearMonthType>().values()),
        T::Interval(IntervalUnit::DayTime) => Cells::DayTime(array.as_primitive::<IntervalDayTimeType>().values()),
        T::Interval(IntervalUnit::MonthDayNano) => {
            Cells::MonthDayNano(array.as_primitive::<IntervalMonthDayNanoType>().values())
        }
        T::List(item) => {
            let list = array.as_list::<i32>();
            Cells::List(Spans::Offsets(list.value_offsets()), child(list.values(), Some(item))?)
        }
        T::LargeList(item) => {
            let list = array.as_list::<i64>();
            Cells::List(Spans::LargeOffsets(list.value_offsets()), child(list.values(), Some(item))?)
        }
        T::ListView(item) => {
            let list = array.as_list_view::<i32>();
            Cells::List(Spans::Sizes(list.offsets(), list.sizes()), child(list.values(), Some(item))?)
        }
        T::LargeListView(item) => {
            let list = array.as_list_view::<i64>();
            Cells::List(Spans::LargeSizes(list.offsets(), list.sizes()), child(list.values(), Some(item))?)
        }
        T::FixedSizeList(item, size) => {
            let list = array.as_fixed_size_list();
            let size = usize::try_from(*size).map_err(|_| CORRUPT)?;
            Cells::List(Spans::Fixed(size), child(list.values(), Some(item))?)
        }
        T::Struct(fields) => {
            let columns = array.as_struct().columns();
            let bind = |(field, column): (&'a std::sync::Arc<Field>, &'a std::sync::Arc<dyn Array>)| {
                Ok((field.name().as_str(), Column::new(column, Some(field))?))
            };
            Cells::Struct(fields.iter().zip(columns).map(bind).collect::<Result<_, String>>()?)
        }
        T::Map(_, _) => {
            let map = array.as_map();
            let (key_field, value_field) = map.entries_fields();
            let (keys, values) = (child(map.keys(), Some(key_field))?, child(map.values(), Some(value_field))?);
            Cells::Map(map.value_offsets(), keys, values)
        }
        T::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            // The mark of the dictionary's own field is a mark of its values.
            Cells::Dictionary(child(dictionary.keys(), None)?, child(dictionary.values(), field)?)
        }
        T::RunEndEncoded(ends, _) => match ends.data_type() {
            T::Int16 => runs::<Int16Type>(array, field)?,
            T::Int32 => runs::<Int32Type>(array, field)?,
            T::Int64 => runs::<Int64Type>(array, field)?,
            _ => return Err(CORRUPT.into()),
        },
        T::Union(_, _) => return Err("is of type `union`, which records cannot hold; cast it in the model".into()),
    })
}

fn nanos_in(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

impl Spans<'_> {
    /// The items of one row; `row` is within the array.
    fn of(&self, row: usize) -> Result<Range<usize>, String> {
        let range = |start: i64, end: i64| Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?);
        match self {
            Spans::Offsets(offsets) => range(offsets[row].into(), offsets[row + 1].into()),
            Spans::LargeOffsets(offsets) => range(offsets[row], offsets[row + 1]),
            Spans::Sizes(starts, sizes) => range(starts[row].into(), i64::from(starts[row]) + i64::from(sizes[row])),
            Spans::LargeSizes(starts, sizes) => range(starts[row], starts[row].saturating_add(sizes[row])),
            Spans::Fixed(size) => Some(row * size..(row + 1) * size),
        }
        .ok_or_else(|| CORRUPT.into())
    }
}

fn runs<'a, R: RunEndIndexType>(array: &'a dyn Array, field: Option<&Field>) -> Result<Cells<'a>, String> {
    let runs = array.as_run::<R>();
    let ends = runs.run_ends().values().iter().map(|end| end.as_usize()).collect();
    Ok(Cells::Runs(ends, runs.run_ends().offset(), Box::new(Column::new(runs.values(), field)?)))
}

fn run_of(ends: &[usize], position: usize) -> usize {
    ends.partition_point(|end| *end <= position)
}

/// The double with the same shortest text: 0.1 stays 0.1. Small whole numbers have only one.
fn short_float(float: f32) -> Value {
    let exact = f64::from(float);
    let only_one = !exact.is_finite() || (exact.fract() == 0.0 && exact.abs() < 16_777_216.0);
    Value::Float(if only_one { exact } else { float.to_string().parse().unwrap_or(exact) })
}

fn decimal(unscaled: &str, scale: i8) -> Result<Value, String> {
    number::scaled(unscaled, scale).map(Value::Decimal).ok_or_else(|| "is a number out of range".into())
}

fn time_of_day(value: i64, unit: i64) -> Result<Value, String> {
    let nanos = value.checked_mul(unit).filter(|nanos| (0..=86_400_000_000_000).contains(nanos));
    nanos.map(Value::Time).ok_or_else(|| "is not a time of day".into())
}

fn duration(months: i64, days: i64, nanos: i128) -> Value {
    Value::Text(super::calendar::duration_text(months, days, nanos).into())
}

#[cfg(test)]
mod tests;
