//! What of a driver's column no type here holds, row by row.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, new_null_array};
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

/// A column without the dates and timestamps that stand for infinity, as DuckDB has them.
fn finite(array: &ArrayRef, first: usize, found: &mut Found) -> Result<ArrayRef, String> {
    let after = |wide: i64, largest: i64| match wide {
        wide if wide == largest => Some(true),
        wide if wide == -largest => Some(false),
        _ => None,
    };
    let ends: Vec<Option<bool>> = match array.data_type() {
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>();
            if !days.values().iter().any(|days| after((*days).into(), i32::MAX.into()).is_some()) {
                return Ok(array.clone());
            }
            days.iter().map(|days| after(days?.into(), i32::MAX.into())).collect()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>();
            if !micros.values().iter().any(|micros| after(*micros, i64::MAX).is_some()) {
                return Ok(array.clone());
            }
            micros.iter().map(|micros| after(micros?, i64::MAX)).collect()
        }
        _ => return Ok(array.clone()),
    };
    let why = |after| if after { INFINITE } else { MINUS_INFINITE };
    found.extend(ends.iter().enumerate().filter_map(|(row, end)| Some((first + row, why((*end)?)))));
    let mask: BooleanArray = ends.iter().map(|end| Some(end.is_some())).collect();
    arrow_select::nullif::nullif(array, &mask).map_err(|e| e.to_string())
}

const INFINITE: Unreadable =
    Unreadable::new("an infinite date", "say what it means: `nullif(COLUMN, 'infinity') as COLUMN`");
const MINUS_INFINITE: Unreadable =
    Unreadable::new("an infinite date before all others", "say what it means: `nullif(COLUMN, '-infinity') as COLUMN`");
