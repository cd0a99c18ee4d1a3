//! Values as JSON straight from their column: what is sent a million times is not made into a value first.

use super::super::{Value, calendar, json, number};
use super::{Cells, Column, Mark};

impl Column<'_> {
    /// Writes the value of one row as JSON, as [`Value::write_json`] does, where that takes no value; false, and nothing is
    /// written, for every other one and for null. `scratch` is empty before and after.
    #[inline]
    pub(in super::super) fn write_json(&self, row: usize, out: &mut Vec<u8>, scratch: &mut String) -> bool {
        if row >= self.len || self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return false;
        }
        // As in `at`, every access by `row` is within the array.
        match &self.cells {
            Cells::Bool(values) => json::write(out, &values.value(row)),
            Cells::I32(values) => json::write(out, &values[row]),
            Cells::I64(values) => json::write(out, &values[row]),
            Cells::U32(values) => json::write(out, &values[row]),
            Cells::U64(values) => json::write(out, &values[row]),
            Cells::F64(values) if values[row].is_finite() => json::write(out, &values[row]),
            Cells::Text(values) => return self.write_text(values.value(row), out),
            Cells::LargeText(values) => return self.write_text(values.value(row), out),
            Cells::TextView(values) => return self.write_text(values.value(row), out),
            Cells::Date32(values) => {
                calendar::push_date(scratch, values[row].into());
                quoted(scratch, out);
            }
            Cells::Timestamp(values, unit, zoned) => {
                let Ok(unit) = i64::try_from(*unit) else { return false };
                // All units divide a second.
                let (second, value) = (1_000_000_000 / unit, values[row]);
                let nanos = u64::try_from(value.rem_euclid(second) * unit).unwrap_or_default();
                calendar::push_timestamp(scratch, value.div_euclid(second), nanos, *zoned);
                quoted(scratch, out);
            }
            Cells::Dictionary(keys, values) => match keys.at(row) {
                Ok(Value::Int(key)) => {
                    return usize::try_from(key).is_ok_and(|key| values.write_json(key, out, scratch));
                }
                _ => return false,
            },
            _ => return false,
        }
        true
    }

    #[inline]
    fn write_text(&self, text: &str, out: &mut Vec<u8>) -> bool {
        match self.mark {
            Mark::Plain => json::write_text(out, text),
            Mark::Decimal if number::is_canonical(text) => out.extend_from_slice(text.as_bytes()),
            Mark::Decimal | Mark::Json => return false,
        }
        true
    }
}

/// Moves a date or time, which needs no escapes, out of the scratch.
fn quoted(scratch: &mut String, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(scratch.as_bytes());
    out.push(b'"');
    scratch.clear();
}
