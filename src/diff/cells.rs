//! Arrow arrays as canonical values: the same value gives the same words and bytes in whatever encoding it comes.

use std::ops::RangeInclusive;

use arrow_array::array::AnyDictionaryArray;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::{NullBuffer, i256};
use arrow_schema::{ArrowError, DataType, TimeUnit};

use super::layout::convert;

/// Tags keep values of different kinds apart: 1 is not true, and neither is "1".
pub(super) mod tag {
    pub const NULL: u8 = 1;
    pub const BOOL: u8 = 2;
    pub const INT: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DECIMAL: u8 = 5;
    pub const TEXT: u8 = 6;
    pub const BINARY: u8 = 7;
    pub const DATE: u8 = 8;
    pub const TIME: u8 = 9;
    pub const TIMESTAMP: u8 = 10;
    pub const INSTANT: u8 = 11;
    pub const LIST: u8 = 12;
    pub const OBJECT: u8 = 13;
    pub const JSON: u8 = 14;
    /// Added to a tag: the number needs more than 64 bits.
    pub const WIDE: u8 = 64;
    /// Added to a tag: the value is given by its hash.
    pub const HASHED: u8 = 128;
}

/// The position of null in a dictionary column.
pub(super) const NO_KEY: u32 = u32::MAX;

/// One column of a batch.
pub(super) enum Cells {
    /// No value at all.
    Null,
    /// One word a value.
    Words { tag: u8, values: Vec<u64>, nulls: Option<NullBuffer> },
    /// Numbers that may need two words; with a scale for decimals.
    Wide { tag: u8, values: Vec<(i128, u8)>, nulls: Option<NullBuffer> },
    /// Text and bytes.
    Bytes { tag: u8, array: ArrayRef },
    /// Decimals of up to 76 digits: as the narrow ones where they fit, so that the width of the column makes no
    /// difference, else as text.
    Huge { narrow: Vec<Option<(i128, u8)>>, text: StringArray },
    /// Positions in a list of distinct values; [`NO_KEY`] is null.
    Dictionary { keys: Vec<u32>, values: Box<Cells> },
    /// Lists and maps: where the items of each row are.
    List { offsets: Vec<usize>, items: Box<Cells>, nulls: Option<NullBuffer> },
    /// Objects.
    Object { fields: Vec<(String, Cells)>, nulls: Option<NullBuffer> },
}

/// What the text of a column stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Itself,
    /// An exact decimal: `1.0` is `1.00`, and is the value a decimal column would have.
    Decimal,
    /// A JSON value, which is another value than the text it is written in.
    Json,
}

/// One scalar, without copying.
pub(super) enum Cell<'a> {
    Null,
    Words(u8, u64),
    Wide(u8, i128, u8),
    Bytes(u8, &'a [u8]),
    /// A list or object: to be written out with [`Cells::write`].
    Nested,
}

impl Cells {
    /// Looks at an array. The cost is one pass over numbers, none over text.
    pub(super) fn new(array: &ArrayRef) -> Result<Cells, ArrowError> {
        use DataType::*;
        let nulls = array.logical_nulls().filter(|n| n.null_count() > 0);
        Ok(match array.data_type() {
            Null => Cells::Null,
            Boolean => {
                let values = array.as_boolean().values().iter().map(u64::from).collect();
                Cells::Words { tag: tag::BOOL, values, nulls }
            }
            UInt64 => wide(tag::INT, array.as_primitive::<UInt64Type>().values().iter().map(|v| i128::from(*v)), nulls),
            d if d.is_integer() => words(tag::INT, array, nulls)?,
            Float16 | Float32 | Float64 => {
                let array = convert(array, &Float64)?;
                let array = array.as_primitive::<arrow_array::types::Float64Type>();
                Cells::Words { tag: tag::FLOAT, values: array.values().iter().map(|v| float_word(*v)).collect(), nulls }
            }
            Date32 | Date64 => {
                let array = convert(array, &Date32)?;
                let days = array.as_primitive::<Date32Type>().values();
                Cells::Words { tag: tag::DATE, values: days.iter().map(|v| i64::from(*v) as u64).collect(), nulls }
            }
            Time32(unit) | Time64(unit) => scaled(tag::TIME, array, *unit, nulls)?,
            Timestamp(unit, None) => scaled(tag::TIMESTAMP, array, *unit, nulls)?,
            Timestamp(unit, Some(_)) => scaled(tag::INSTANT, array, *unit, nulls)?,
            Decimal32(..) | Decimal64(..) | Decimal128(..) => {
                let scale = match array.data_type() {
                    Decimal32(_, s) | Decimal64(_, s) | Decimal128(_, s) => *s,
                    _ => 0,
                };
                let array = convert(array, &Decimal128(38, scale))?;
                let values = array.as_primitive::<Decimal128Type>().values().iter();
                Cells::Wide { tag: tag::DECIMAL, values: values.map(|v| decimal(*v, scale)).collect(), nulls }
            }
            Decimal256(_, scale) => decimal256(array, *scale),
            Utf8 | LargeUtf8 | Utf8View => Cells::Bytes { tag: tag::TEXT, array: array.clone() },
            Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => {
                Cells::Bytes { tag: tag::BINARY, array: array.clone() }
            }
            Dictionary(..) => {
                let array = array.as_any_dictionary();
                Cells::Dictionary { keys: keys(array), values: Box::new(Cells::new(array.values())?) }
            }
            List(f) | LargeList(f) | FixedSizeList(f, _) => {
                let list = convert(array, &LargeList(f.clone()))?;
                let list = list.as_list::<i64>();
                let offsets = list.offsets().iter().map(|o| *o as usize).collect();
                Cells::List { offsets, items: Box::new(Cells::new(list.values())?), nulls }
            }
            Map(..) => {
                let map = array.as_map();
                let offsets = map.offsets().iter().map(|o| *o as usize).collect();
                let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
                Cells::List { offsets, items: Box::new(Cells::new(&entries)?), nulls }
            }
            Struct(fields) => {
                let columns = array.as_struct().columns().iter();
                let fields = fields.iter().zip(columns).map(|(f, c)| Ok((f.name().clone(), Cells::new(c)?)));
                Cells::Object { fields: fields.collect::<Result<_, ArrowError>>()?, nulls }
            }
            other => return Err(ArrowError::NotYetImplemented(format!("values of type {other}"))),
        })
    }

    /// Text that stands for something else, as the metadata of its column says.
    pub(super) fn meaning(array: &ArrayRef, meaning: Meaning) -> Result<Cells, ArrowError> {
        match meaning {
            Meaning::Itself => Cells::new(array),
            Meaning::Json => Ok(Cells::Bytes { tag: tag::JSON, array: convert(array, &DataType::Utf8)? }),
            Meaning::Decimal => {
                let array = convert(array, &DataType::Utf8)?;
                let read: Vec<_> = array.as_string::<i32>().iter().map(|text| text.map(decimal_text)).collect();
                let narrow = read.iter().map(|read| read.as_ref().and_then(|(narrow, _)| *narrow)).collect();
                let text = read.into_iter().map(|read| read.map(|(_, text)| text)).collect();
                Ok(Cells::Huge { narrow, text })
            }
        }
    }

    /// One value. `row` must be below the length of the array this was made of.
    pub(super) fn get(&self, row: usize) -> Cell<'_> {
        let null = |nulls: &Option<NullBuffer>| nulls.as_ref().is_some_and(|n| n.is_null(row));
        match self {
            Cells::Null => Cell::Null,
            Cells::Words { nulls, .. } | Cells::Wide { nulls, .. } if null(nulls) => Cell::Null,
            Cells::List { nulls, .. } | Cells::Object { nulls, .. } if null(nulls) => Cell::Null,
            Cells::Words { tag, values, .. } => Cell::Words(*tag, values[row]),
            Cells::Wide { tag, values, .. } => number(*tag, values[row]),
            Cells::Huge { text, .. } if text.is_null(row) => Cell::Null,
            Cells::Huge { narrow, text } => match narrow[row] {
                Some(value) => number(tag::DECIMAL, value),
                None => Cell::Bytes(tag::DECIMAL, text.value(row).as_bytes()),
            },
            Cells::Bytes { array, .. } if array.is_null(row) => Cell::Null,
            Cells::Bytes { tag, array } => Cell::Bytes(*tag, bytes(array, row)),
            Cells::Dictionary { keys, values, .. } => match keys[row] {
                NO_KEY => Cell::Null,
                key => values.get(key as usize),
            },
            Cells::List { .. } | Cells::Object { .. } => Cell::Nested,
        }
    }

    /// Appends one value in a form no other value has.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self.get(row) {
            Cell::Null => out.push(tag::NULL),
            Cell::Words(tag, word) => {
                out.push(tag);
                out.extend_from_slice(&word.to_le_bytes());
            }
            Cell::Wide(tag, value, scale) => {
                out.extend_from_slice(&[tag, scale]);
                out.extend_from_slice(&value.to_le_bytes());
            }
            Cell::Bytes(tag, bytes) => {
                out.push(tag);
                out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                out.extend_from_slice(bytes);
            }
            Cell::Nested => self.write_nested(row, out),
        }
    }

    fn write_nested(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Cells::List { offsets, items, .. } => {
                out.push(tag::LIST);
                let range = offsets[row]..offsets[row + 1];
                out.extend_from_slice(&(range.len() as u64).to_le_bytes());
                range.for_each(|item| items.write(item, out));
            }
            Cells::Object { fields, .. } => {
                out.push(tag::OBJECT);
                out.extend_from_slice(&(fields.len() as u64).to_le_bytes());
                for (name, cells) in fields {
                    out.extend_from_slice(&(name.len() as u64).to_le_bytes());
                    out.extend_from_slice(name.as_bytes());
                    cells.write(row, out);
                }
            }
            Cells::Dictionary { keys, values, .. } => match keys[row] {
                NO_KEY => out.push(tag::NULL),
                key => values.write_nested(key as usize, out),
            },
            // Scalars are never nested.
            _ => out.push(tag::NULL),
        }
    }
}

/// The bytes of a text or binary value; `array` is of one of these types, as [`Cells::Bytes`] holds no other.
fn bytes(array: &ArrayRef, row: usize) -> &[u8] {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).as_bytes(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).as_bytes(),
        DataType::Utf8View => array.as_string_view().value(row).as_bytes(),
        DataType::Binary => array.as_binary::<i32>().value(row),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        DataType::BinaryView => array.as_binary_view().value(row),
        _ => array.as_fixed_size_binary().value(row),
    }
}

fn words(tag: u8, array: &ArrayRef, nulls: Option<NullBuffer>) -> Result<Cells, ArrowError> {
    let array = convert(array, &DataType::Int64)?;
    let values = array.as_primitive::<Int64Type>().values().iter().map(|v| *v as u64).collect();
    Ok(Cells::Words { tag, values, nulls })
}

fn wide(tag: u8, values: impl Iterator<Item = i128>, nulls: Option<NullBuffer>) -> Cells {
    Cells::Wide { tag, values: values.map(|v| (v, 0)).collect(), nulls }
}

/// Times as nanoseconds, whatever their unit.
fn scaled(tag: u8, array: &ArrayRef, unit: TimeUnit, nulls: Option<NullBuffer>) -> Result<Cells, ArrowError> {
    let array = match array.data_type() {
        DataType::Time32(_) => convert(&convert(array, &DataType::Int32)?, &DataType::Int64)?,
        _ => convert(array, &DataType::Int64)?,
    };
    let values = array.as_primitive::<Int64Type>().values();
    let (factor, safe) = nanoseconds(unit);
    Ok(if values.iter().all(|v| safe.contains(v)) {
        Cells::Words { tag, values: values.iter().map(|v| (v * factor) as u64).collect(), nulls }
    } else {
        wide(tag, values.iter().map(|v| i128::from(*v) * i128::from(factor)), nulls)
    })
}

/// Nanoseconds in a unit of time, and of how many of these the nanoseconds fit into 64 bits.
pub(super) fn nanoseconds(unit: TimeUnit) -> (i64, RangeInclusive<i64>) {
    let factor = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    let most = i64::MAX / factor;
    (factor, -most..=most)
}

/// Timestamps as they are kept, in their unit.
pub(super) fn ticks(array: &ArrayRef, unit: TimeUnit) -> Option<&[i64]> {
    Some(match unit {
        TimeUnit::Second => array.as_primitive_opt::<TimestampSecondType>()?.values(),
        TimeUnit::Millisecond => array.as_primitive_opt::<TimestampMillisecondType>()?.values(),
        TimeUnit::Microsecond => array.as_primitive_opt::<TimestampMicrosecondType>()?.values(),
        TimeUnit::Nanosecond => array.as_primitive_opt::<TimestampNanosecondType>()?.values(),
    })
}

/// -0.0 is 0.0, and there is one NaN.
fn float_word(value: f64) -> u64 {
    match value {
        v if v.is_nan() => f64::NAN.to_bits(),
        0.0 => 0,
        v => v.to_bits(),
    }
}

/// A decimal without trailing zeros after the point; the scale is then part of the value. A scale below zero is
/// multiplied out as far as 128 bits allow.
pub(super) fn decimal(mut value: i128, scale: i8) -> (i128, u8) {
    let mut scale = i16::from(scale);
    while scale < 0 {
        match value.checked_mul(10) {
            Some(v) => value = v,
            None => return (value, scale as u8),
        }
        scale += 1;
    }
    if let Ok(mut small) = i64::try_from(value) {
        while scale > 0 && small % 10 == 0 {
            small /= 10;
            scale -= 1;
        }
        return (i128::from(small), scale as u8);
    }
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    (value, scale as u8)
}

/// A number as a scalar.
pub(super) fn number(tag: u8, value: (i128, u8)) -> Cell<'static> {
    match value {
        (value, 0) if i64::try_from(value).is_ok() => Cell::Words(tag, value as u64),
        (value, scale) => Cell::Wide(tag | tag::WIDE, value, scale),
    }
}

fn decimal256(array: &ArrayRef, scale: i8) -> Cells {
    let array = array.as_primitive::<Decimal256Type>();
    let ten = i256::from_i128(10);
    let strip = |mut value: i256| {
        let mut scale = scale;
        while scale > 0 && value.checked_rem(ten) == Some(i256::ZERO) {
            value = value.wrapping_div(ten);
            scale -= 1;
        }
        (value, scale)
    };
    let stripped: Vec<(i256, i8)> = array.values().iter().map(|v| strip(*v)).collect();
    let narrow = stripped.iter().map(|(v, s)| v.to_i128().map(|v| decimal(v, *s))).collect();
    let text = stripped.iter().enumerate().map(|(row, (v, s))| array.is_valid(row).then(|| format!("{v}e-{s}")));
    Cells::Huge { narrow, text: text.collect() }
}

/// A decimal in digits, as a decimal column would have it; what is no such number stays as it is.
fn decimal_text(text: &str) -> (Option<(i128, u8)>, String) {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return (None, text.to_owned());
    }
    let fraction = fraction.trim_end_matches('0');
    let value = format!("{whole}{fraction}");
    let value = match value.trim_start_matches('0') {
        "" => "0".to_owned(),
        value if unsigned.len() < text.len() => format!("-{value}"),
        value => value.to_owned(),
    };
    let narrow = value.parse().ok().zip(u8::try_from(fraction.len()).ok());
    (narrow, format!("{value}e-{}", fraction.len()))
}

/// The positions of a dictionary column as unsigned numbers.
pub(super) fn keys(array: &dyn AnyDictionaryArray) -> Vec<u32> {
    if array.values().is_empty() {
        return vec![NO_KEY; array.len()];
    }
    let keys = array.keys();
    let mut plain: Vec<u32> = match keys.as_primitive_opt::<Int32Type>() {
        Some(keys) => keys.values().iter().map(|k| *k as u32).collect(),
        None => array.normalized_keys().into_iter().map(|k| k as u32).collect(),
    };
    // Arrow leaves the slot of a null arbitrary: it must not be looked up.
    if let Some(nulls) = keys.nulls().filter(|n| n.null_count() > 0) {
        plain.iter_mut().zip(nulls.iter()).filter(|(_, valid)| !valid).for_each(|(key, _)| *key = NO_KEY);
    }
    plain
}
