//! What of a driver's column no type here holds, row by row.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, new_null_array};
use arrow_schema::{ArrowError, DataType, Field, TimeUnit};

use super::{Rules, convert};
use crate::sources::Unreadable;

const NOT_UTF8: Unreadable =
    Unreadable::new("text that is not UTF-8", "correct the value, or read the column as bytes");
const TOO_LARGE: Unreadable =
    Unreadable::new("a whole number of 39 digits", "take it as text: `cast(COLUMN as varchar) as COLUMN`");

/// What is wrong with rows of a column.
pub(super) type Found = Vec<(usize, Unreadable)>;

/// A driver's column in the type it is to have, with null for what cannot be read, which is added to `found`; its first row
/// is the row `first` of the batch. Else what is wrong with the column as a whole.
pub(super) fn column(
    array: &ArrayRef,
    from: &Field,
    to: &Field,
    rules: Rules,
    first: usize,
    found: &mut Found,
) -> Result<ArrayRef, String> {
    let plain = !array.data_type().is_nested();
    let fault = match array.to_data().validate_full() {
        Ok(()) => {
            let finite = if rules.infinite { finite(array, first, found)? } else { array.clone() };
            match convert(&finite, from, to) {
                Ok(converted) => return Ok(converted),
                Err(ArrowError::ExternalError(_)) if plain => TOO_LARGE,
                Err(error) => return Err(error.to_string()),
            }
        }
        // What is within lists is not told apart by row.
        Err(error) if plain && error.to_string().to_lowercase().replace('-', "").contains("utf8") => NOT_UTF8,
        Err(error) => return Err(error.to_string()),
    };
    if array.len() <= 1 {
        found.extend((0..array.len()).map(|row| (first + row, fault)));
        return Ok(new_null_array(to.data_type(), array.len()));
    }
    // Some row is to blame: it is looked for in both halves.
    let half = array.len() / 2;
    let left = column(&array.slice(0, half), from, to, rules, first, found)?;
    let right = column(&array.slice(half, array.len() - half), from, to, rules, first + half, found)?;
    arrow_select::concat::concat(&[&left, &right]).map_err(|e| e.to_string())
}

/// A column without the dates and timestamps that stand for infinity, as DuckDB has them; also without the lists and
/// objects that hold one.
fn finite(array: &ArrayRef, first: usize, found: &mut Found) -> Result<ArrayRef, String> {
    let Some(ends) = ends(array) else { return Ok(array.clone()) };
    let nested = array.data_type().is_nested();
    let why = |after| match after {
        _ if nested => WITHIN,
        true => INFINITE,
        false => MINUS_INFINITE,
    };
    found.extend(ends.iter().enumerate().filter_map(|(row, end)| Some((first + row, why((*end)?)))));
    let mask: BooleanArray = ends.iter().map(|end| Some(end.is_some())).collect();
    arrow_select::nullif::nullif(array, &mask).map_err(|e| e.to_string())
}

/// For each row whether it is, or holds, an infinite date: true after all others, false before them. `None` when no row is.
fn ends(array: &dyn Array) -> Option<Vec<Option<bool>>> {
    use DataType as T;
    let of_rows = |items: &dyn Array, rows: &dyn Fn(usize) -> Range<usize>| {
        let items = ends(items)?;
        let within = |row: usize| items.get(rows(row))?.iter().flatten().next().copied();
        Some((0..array.len()).map(|row| within(row).filter(|_| array.is_valid(row))).collect::<Vec<_>>())
    };
    let between = |offsets: &[i32], row: usize| {
        let at = |row: usize| offsets.get(row).and_then(|at| usize::try_from(*at).ok()).unwrap_or(0);
        at(row)..at(row + 1)
    };
    let rows = match array.data_type() {
        T::Date32 => largest::<Date32Type>(array, i32::MAX),
        T::Timestamp(TimeUnit::Second, _) => largest::<TimestampSecondType>(array, i64::MAX),
        T::Timestamp(TimeUnit::Millisecond, _) => largest::<TimestampMillisecondType>(array, i64::MAX),
        T::Timestamp(TimeUnit::Microsecond, _) => largest::<TimestampMicrosecondType>(array, i64::MAX),
        T::Timestamp(TimeUnit::Nanosecond, _) => largest::<TimestampNanosecondType>(array, i64::MAX),
        T::List(_) => {
            let lists = array.as_list::<i32>();
            of_rows(lists.values(), &|row| between(lists.value_offsets(), row))
        }
        T::Map(_, _) => {
            let maps = array.as_map();
            of_rows(maps.entries(), &|row| between(maps.value_offsets(), row))
        }
        T::FixedSizeList(_, size) => {
            let size = usize::try_from(*size).unwrap_or(0);
            of_rows(array.as_fixed_size_list().values(), &|row| row * size..(row + 1) * size)
        }
        T::Struct(_) => {
            let parts: Vec<_> = array.as_struct().columns().iter().filter_map(|part| ends(part)).collect();
            let within = |row: usize| parts.iter().find_map(|part| *part.get(row)?);
            let rows = || (0..array.len()).map(|row| within(row).filter(|_| array.is_valid(row))).collect();
            (!parts.is_empty()).then(rows)
        }
        _ => None,
    };
    rows.filter(|rows| rows.iter().any(Option::is_some))
}

/// Values that are the largest there is, true, or the smallest that has a counterpart, false.
fn largest<T: ArrowPrimitiveType<Native: std::ops::Neg<Output = T::Native>>>(
    array: &dyn Array,
    largest: T::Native,
) -> Option<Vec<Option<bool>>> {
    let values = array.as_primitive::<T>();
    let end = |value: T::Native| (value == largest || value == -largest).then_some(value == largest);
    // What stands in the place of a null is looked at, too: it costs less than to ask, and is nearly never an end.
    let any = values.values().iter().any(|value| end(*value).is_some());
    any.then(|| values.iter().map(|value| end(value?)).collect())
}

const WITHIN: Unreadable =
    Unreadable::new("a list or an object with an infinite date", "take it as JSON: `to_json(COLUMN) as COLUMN`");
const INFINITE: Unreadable =
    Unreadable::new("an infinite date", "say what it means: `nullif(COLUMN, 'infinity') as COLUMN`");
const MINUS_INFINITE: Unreadable =
    Unreadable::new("an infinite date before all others", "say what it means: `nullif(COLUMN, '-infinity') as COLUMN`");
