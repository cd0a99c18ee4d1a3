//! Values as the binary protocol has them.

use jiff::civil;
use mysql_async::Value;

use crate::sources::Unreadable;
use crate::sources::batch::Fault;
use crate::sources::columns::Column;
use crate::sources::text;

const DAY_MICROS: i64 = 86_400_000_000;

const OTHER: Fault = Fault::Malformed;
const ZERO_DATE: Fault = Fault::Unreadable(Unreadable::new(
    "a zero date, or one the calendar does not have",
    "say what it means: `nullif(COLUMN, 0) as COLUMN` where all of it is zeros",
));
const NO_TIME: Fault = Fault::Unreadable(Unreadable::new(
    "a time below zero or of 24 hours and more, which is no time of day",
    "take it as text, `cast(COLUMN as char) as COLUMN`, or as seconds, `time_to_sec(COLUMN) as COLUMN`",
));
const NO_TRUTH: Fault = Fault::Unreadable(Unreadable::new(
    "a `tinyint(1)` that is neither 0 nor 1, which is no boolean",
    "take it as a number: `cast(COLUMN as signed) as COLUMN`",
));
const TOO_LONG: Fault = Fault::Unreadable(Unreadable::new(
    "a decimal of too many digits",
    "cast it in the SQL: `cast(COLUMN as char) as COLUMN`",
));
/// In a column that was filled when the server was told another character set than the bytes had.
const NOT_UTF8: Fault = Fault::Unreadable(Unreadable::new(
    "text that is not UTF-8",
    "correct the value, or take its bytes: `cast(COLUMN as binary) as COLUMN`",
));

/// How many bytes a value took, as far as memory is concerned.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        _ => 8,
    }
}

/// Appends a value; null where it cannot be read, so that all columns stay of one length.
pub(super) fn push(column: &mut Column, value: Value) -> Result<(), Fault> {
    append(column, value).inspect_err(|_| column.push_null())
}

/// Appends a value, or nothing.
fn append(column: &mut Column, value: Value) -> Result<(), Fault> {
    match (column, value) {
        (column, Value::NULL) => column.push_null(),
        (Column::Boolean(b), Value::Int(n)) => b.append_value(match n {
            0 | 1 => n == 1,
            _ => return Err(NO_TRUTH),
        }),
        (Column::Boolean(b), Value::Bytes(bits)) => b.append_value(bits != [0]),
        (Column::Int16(b), Value::Int(n)) => b.append_value(n.try_into().map_err(|_| OTHER)?),
        (Column::Int32(b), Value::Int(n)) => b.append_value(n.try_into().map_err(|_| OTHER)?),
        (Column::Int64(b), Value::Int(n)) => b.append_value(n),
        (Column::UInt64(b), Value::Int(n)) => b.append_value(n.try_into().map_err(|_| OTHER)?),
        (Column::UInt64(b), Value::UInt(n)) => b.append_value(n),
        (Column::UInt64(b), Value::Bytes(bits)) => b.append_value(whole(&bits)?),
        (Column::Float32(b), Value::Float(n)) => b.append_value(n),
        (Column::Float64(b), Value::Double(n)) => b.append_value(n),
        (Column::Decimal(b, scale), Value::Bytes(digits)) => {
            b.append_value(text::scaled(utf8(&digits)?, *scale).ok_or(TOO_LONG)?);
        }
        (Column::Text(b, _), Value::Bytes(bytes)) => b.append_value(utf8(&bytes)?),
        (Column::Binary(b), Value::Bytes(bytes)) => b.append_value(bytes),
        (Column::Date(b), Value::Date(year, month, day, 0, 0, 0, 0)) => b.append_value(days(year, month, day)?),
        (Column::Timestamp(b, _), Value::Date(year, month, day, hour, minute, second, micros)) => {
            let clock = clock(hour, minute, second, micros).ok_or(OTHER)?;
            b.append_value(i64::from(days(year, month, day)?) * DAY_MICROS + clock);
        }
        (Column::Time(b), Value::Time(negative, days, hour, minute, second, micros)) => {
            let clock = clock(hour, minute, second, micros).filter(|clock| days == 0 && (!negative || *clock == 0));
            b.append_value(clock.ok_or(NO_TIME)?);
        }
        _ => return Err(OTHER),
    }
    Ok(())
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    str::from_utf8(bytes).map_err(|_| NOT_UTF8)
}

/// Bits, the first of them the highest.
fn whole(bits: &[u8]) -> Result<u64, Fault> {
    let mut bytes = [0; 8];
    let start = bytes.len().checked_sub(bits.len()).ok_or(OTHER)?;
    bytes[start..].copy_from_slice(bits);
    Ok(u64::from_be_bytes(bytes))
}

/// Days since 1970-01-01.
fn days(year: u16, month: u8, day: u8) -> Result<i32, Fault> {
    let number = |n: u8| i8::try_from(n).map_err(|_| ZERO_DATE);
    let year = i16::try_from(year).ok().filter(|year| *year > 0).ok_or(ZERO_DATE)?;
    let date = civil::Date::new(year, number(month)?, number(day)?).map_err(|_| ZERO_DATE)?;
    // Both ends are in the calendar, which counts some millions of days.
    let since = date.duration_since(civil::date(1970, 1, 1)).as_hours() / 24;
    i32::try_from(since).map_err(|_| OTHER)
}

/// Microseconds since midnight.
fn clock(hour: u8, minute: u8, second: u8, micros: u32) -> Option<i64> {
    let there = hour < 24 && minute < 60 && second < 60 && micros < 1_000_000;
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    there.then_some(seconds * 1_000_000 + i64::from(micros))
}

/// What to write in the SQL for a column that nothing here can hold.
pub(super) fn unreadable(name: &str) -> String {
    format!("cast it: `cast({name} as char) as {name}`")
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field, TimeUnit};

    use super::*;

    fn pushed(kind: DataType, value: Value) -> Result<String, Fault> {
        let mut column = Column::new(&Field::new("x", kind, true)).unwrap();
        push(&mut column, value)?;
        let array = column.finish().unwrap();
        let options = arrow_cast::display::FormatOptions::new().with_null("∅");
        Ok(arrow_cast::display::ArrayFormatter::try_new(&array, &options).unwrap().value(0).to_string())
    }

    #[test]
    fn dates_and_times() {
        let wall = || DataType::Timestamp(TimeUnit::Microsecond, None);
        let time = || DataType::Time64(TimeUnit::Microsecond);
        let cases = [
            (DataType::Date32, Value::Date(1970, 1, 1, 0, 0, 0, 0), Ok("1970-01-01")),
            (DataType::Date32, Value::Date(1969, 12, 31, 0, 0, 0, 0), Ok("1969-12-31")),
            (DataType::Date32, Value::Date(1, 1, 1, 0, 0, 0, 0), Ok("0001-01-01")),
            (DataType::Date32, Value::Date(9999, 12, 31, 0, 0, 0, 0), Ok("9999-12-31")),
            (DataType::Date32, Value::Date(2024, 2, 29, 0, 0, 0, 0), Ok("2024-02-29")),
            (DataType::Date32, Value::Date(0, 0, 0, 0, 0, 0, 0), Err(ZERO_DATE)),
            (DataType::Date32, Value::Date(2026, 0, 1, 0, 0, 0, 0), Err(ZERO_DATE)),
            (DataType::Date32, Value::Date(2026, 2, 30, 0, 0, 0, 0), Err(ZERO_DATE)),
            (DataType::Date32, Value::Date(0, 1, 1, 0, 0, 0, 0), Err(ZERO_DATE)),
            (DataType::Date32, Value::Date(2026, 200, 255, 0, 0, 0, 0), Err(ZERO_DATE)),
            (wall(), Value::Date(1969, 12, 31, 23, 59, 59, 999_999), Ok("1969-12-31T23:59:59.999999")),
            (wall(), Value::Date(1, 1, 1, 0, 0, 0, 0), Ok("0001-01-01T00:00:00")),
            (wall(), Value::Date(2026, 1, 2, 255, 0, 0, 0), Err(OTHER)),
            (time(), Value::Time(false, 0, 23, 59, 59, 999_999), Ok("23:59:59.999999")),
            (time(), Value::Time(true, 0, 0, 0, 0, 0), Ok("00:00:00")),
            (time(), Value::Time(true, 0, 0, 0, 1, 0), Err(NO_TIME)),
            (time(), Value::Time(false, 1, 0, 0, 0, 0), Err(NO_TIME)),
        ];
        for (kind, value, expected) in cases {
            let shown = format!("{value:?}");
            assert_eq!(pushed(kind, value), expected.map(str::to_owned), "{shown}");
        }
    }

    #[test]
    fn numbers_and_bits() {
        let cases = [
            (DataType::Boolean, Value::Int(1), Ok("true")),
            (DataType::Boolean, Value::Int(-1), Err(NO_TRUTH)),
            (DataType::Boolean, Value::Bytes(vec![1]), Ok("true")),
            (DataType::UInt64, Value::UInt(u64::MAX), Ok("18446744073709551615")),
            (DataType::UInt64, Value::Int(7), Ok("7")),
            (DataType::UInt64, Value::Int(-7), Err(OTHER)),
            (DataType::UInt64, Value::Bytes(vec![1, 0]), Ok("256")),
            (DataType::UInt64, Value::Bytes(vec![0xff; 8]), Ok("18446744073709551615")),
            (DataType::UInt64, Value::Bytes(vec![0xff; 9]), Err(OTHER)),
            (DataType::Int16, Value::Int(40_000), Err(OTHER)),
            (DataType::Decimal128(5, 2), Value::Bytes(b"-0.50".to_vec()), Ok("-0.50")),
            (DataType::Decimal128(5, 2), Value::Bytes(b"0.001".to_vec()), Err(TOO_LONG)),
            (DataType::Utf8, Value::Bytes(b"Zo\xeb".to_vec()), Err(NOT_UTF8)),
            (DataType::Utf8, Value::NULL, Ok("∅")),
            (DataType::Utf8, Value::Int(1), Err(OTHER)),
        ];
        for (kind, value, expected) in cases {
            let shown = format!("{value:?}");
            assert_eq!(pushed(kind, value), expected.map(str::to_owned), "{shown}");
        }
    }
}
