//! Values of the API's JSON into the columns under construction. What cannot be read is said without the value.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::answer::Cell;
use super::types::Kind;
use crate::sources::columns::{Column, TextKind};
use crate::sources::{interval::interval, text};

/// Appends a value; else what is wrong with it.
pub(super) fn push(column: &mut Column, kind: &Kind, cell: &Cell<'_>) -> Result<(), &'static str> {
    match (column, kind, cell) {
        (column, _, Cell::Null) => column.push_null(),
        (Column::List(list), Kind::List(kind), Cell::List(cells)) => {
            for cell in cells {
                push(&mut list.items, kind, cell)?;
                list.count();
            }
            list.end(true);
        }
        (Column::Struct(object), Kind::Record(kinds), Cell::Record(cells)) => {
            if cells.len() != object.children.len() {
                return Err("a record does not have the parts its type has");
            }
            for ((child, kind), cell) in object.children.iter_mut().zip(kinds).zip(cells) {
                push(child, kind, cell)?;
            }
            object.end(true);
        }
        (column, kind, Cell::Text(text)) => push_text(column, kind, text)?,
        _ => return Err("a value is not of the shape of its type"),
    }
    Ok(())
}

fn push_text(column: &mut Column, kind: &Kind, value: &str) -> Result<(), &'static str> {
    match column {
        Column::Boolean(b) => b.append_value(text::boolean(value).ok_or("not a boolean")?),
        Column::Int64(b) => b.append_value(value.parse().map_err(|_| "not a whole number of 64 bits")?),
        Column::Float64(b) => b.append_value(value.parse().map_err(|_| "not a floating point number")?),
        Column::Text(b, TextKind::Decimal) => b.append_value(digits(value).ok_or("not a decimal number")?),
        Column::Text(b, _) if *kind == Kind::Interval => b.append_value(span(value).ok_or("not an interval")?),
        Column::Text(b, _) => b.append_value(value),
        Column::Binary(b) => b.append_value(BASE64_STANDARD.decode(value).map_err(|_| "bytes that are not Base64")?),
        Column::Date(b) => b.append_value(text::date(value).ok_or("not a date")?),
        Column::Time(b) => b.append_value(text::time(value).ok_or("not a time of day in microseconds")?),
        // Asked for as whole microseconds; what comes as a floating point number of seconds has lost digits.
        Column::Timestamp(b, true) => b.append_value(value.parse().map_err(|_| "not whole microseconds")?),
        Column::Timestamp(b, false) => match text::timestamp(value) {
            Some((micros, false)) => b.append_value(micros),
            _ => return Err("not a date with a time of day"),
        },
        Column::Decimal(b, scale) => {
            let digits = digits(value).ok_or("not a decimal number")?;
            b.append_value(text::scaled(&digits, *scale).ok_or("more decimals than its type has")?);
        }
        Column::Null(_)
        | Column::Int16(_)
        | Column::Int32(_)
        | Column::UInt64(_)
        | Column::Float32(_)
        | Column::TimeNanos(_)
        | Column::TimestampNanos(..)
        | Column::List(_)
        | Column::Struct(_) => {
            return Err("a value is not of the shape of its type");
        }
    }
    Ok(())
}

/// A decimal number without an exponent: emulators write small ones as `-1E-10`.
fn digits(text: &str) -> Option<Cow<'_, str>> {
    let Some((number, exponent)) = text.split_once(['E', 'e']) else {
        return text::is_decimal(text).then_some(Cow::Borrowed(text));
    };
    let exponent: i32 = exponent.parse().ok().filter(|exponent| (-80..=80).contains(exponent))?;
    if !text::is_decimal(number) {
        return None;
    }
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all = format!("{whole}{fraction}");
    // Where the point is to be, counted from the left; there are never more than a few hundred digits.
    let point = i32::try_from(whole.len()).ok()? + exponent;
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let length = i32::try_from(all.len()).ok()?;
    let (left, right) = match usize::try_from(point) {
        Ok(point) if point > 0 && point < all.len() => {
            let (left, right) = all.split_at_checked(point)?;
            (left.to_owned(), right.to_owned())
        }
        _ if point > 0 => (format!("{all}{}", zeros(point - length)), "0".to_owned()),
        _ => ("0".to_owned(), format!("{}{all}", zeros(-point))),
    };
    Some(Cow::Owned(format!("{sign}{left}.{right}")))
}

/// An interval in BigQuery's canonical form, `[-]Y-M [-]D [-]H:M:S[.F]`, in ISO 8601.
fn span(text: &str) -> Option<String> {
    let mut parts = text.split(' ');
    let (years, days, clock) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let signed = |part: &'_ str| match part.strip_prefix('-') {
        Some(rest) => (-1, rest.to_owned()),
        None => (1, part.to_owned()),
    };
    let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse::<i64>().ok(),
        false => None,
    };
    let (sign, rest) = signed(years);
    let (years, months) = rest.split_once('-')?;
    let months = sign * number(years)?.checked_mul(12)?.checked_add(number(months)?)?;
    let (sign, rest) = signed(days);
    let days = sign * number(&rest)?;
    let (sign, rest) = signed(clock);
    let mut units = rest.split(':');
    let (hours, minutes, seconds) = (units.next()?, units.next()?, units.next()?);
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    if units.next().is_some() || fraction.len() > 9 {
        return None;
    }
    let whole = i128::from(number(hours)?) * 3600 + i128::from(number(minutes)?) * 60 + i128::from(number(seconds)?);
    let nanos = whole * 1_000_000_000 + i128::from(number(&format!("{fraction:0<9}"))?);
    Some(interval(months, days, i128::from(sign) * nanos))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_cast::display::array_value_to_string;
    use arrow_schema::Schema;
    use proptest::prelude::*;

    use super::super::answer::{Boxed, Shape};
    use super::super::types::columns;
    use super::*;
    use crate::sources::columns::Rows;

    /// What becomes of a value of a type, both in the API's JSON.
    fn read(shape: &str, value: &str) -> Result<String, String> {
        let shape: Shape = serde_json::from_str(&format!(r#"{{"fields":[{shape}]}}"#)).unwrap();
        let (field, kind) = columns(&shape).unwrap().remove(0);
        let json = format!(r#"{{"v":{value}}}"#);
        let boxed: Boxed<'_> = serde_json::from_str(&json).map_err(|e| e.to_string())?;
        let mut rows = Rows::new(Arc::new(Schema::new(vec![field]))).unwrap();
        push(&mut rows.columns[0], &kind, &boxed.cell)?;
        rows.end_row(1);
        let batch = rows.take().unwrap().unwrap();
        // Instants of a zone cannot be shown without a library of zones.
        Ok(array_value_to_string(batch.rows.column(0), 0).unwrap_or_else(|_| format!("{:?}", batch.rows.column(0))))
    }

    fn plain(kind: &str, value: &str) -> Result<String, String> {
        read(&format!(r#"{{"name":"x","type":"{kind}"}}"#), value)
    }

    #[test]
    fn values_of_every_type() {
        for (kind, value, expected) in [
            ("BOOLEAN", r#""true""#, "true"),
            ("INTEGER", r#""9007199254740993""#, "9007199254740993"),
            ("INTEGER", r#""-9223372036854775808""#, "-9223372036854775808"),
            ("FLOAT", r#""1e+300""#, "1e300"),
            ("FLOAT", r#""1.25E-5""#, "0.0000125"),
            ("FLOAT", r#""NaN""#, "NaN"),
            ("FLOAT", r#""-Infinity""#, "-inf"),
            ("NUMERIC", r#""99999999999999999999999999999.999999999""#, "99999999999999999999999999999.999999999"),
            ("NUMERIC", r#""-0.5""#, "-0.500000000"),
            ("NUMERIC", r#""-1E-9""#, "-0.000000001"),
            ("BIGNUMERIC", r#""0E-10""#, "0.0000000000"),
            ("BIGNUMERIC", r#""1.25E+3""#, "1250.0"),
            ("BIGNUMERIC", r#""-1.25E+1""#, "-12.5"),
            (
                "BIGNUMERIC",
                r#""1234567890123456789012345678901234567890.12345""#,
                "1234567890123456789012345678901234567890.12345",
            ),
            ("STRING", r#""ünï\n""#, "ünï\n"),
            ("BYTES", r#""AP8=""#, "00ff"),
            ("DATE", r#""0001-01-01""#, "0001-01-01"),
            ("TIME", r#""10:30:00.500000""#, "10:30:00.500"),
            ("DATETIME", r#""9999-12-31T23:59:59.999999""#, "9999-12-31T23:59:59.999999"),
            ("JSON", r#""{\"a\":1.50}""#, "{\"a\":1.50}"),
            ("GEOGRAPHY", r#""POINT(1 2)""#, "POINT(1 2)"),
            ("INTERVAL", r#""1-2 3 4:5:6.5""#, "P1Y2M3DT4H5M6.5S"),
            ("INTERVAL", r#""-1-2 -3 -4:5:6""#, "P-1Y-2M-3DT-4H-5M-6S"),
            ("INTERVAL", r#""0-0 0 0:0:0""#, "PT0S"),
            ("INTERVAL", r#""0-0 0 -0:0:0.000001""#, "PT-0.000001S"),
        ] {
            assert_eq!(plain(kind, value).as_deref(), Ok(expected), "{kind} {value}");
        }
        let list = r#"{"name":"x","type":"INTEGER","mode":"REPEATED"}"#;
        assert_eq!(read(list, r#"[{"v":"1"},{"v":"2"}]"#).unwrap(), "[1, 2]");
        assert_eq!(read(list, "[]").unwrap(), "[]");
        let record =
            r#"{"name":"x","type":"RECORD","fields":[{"name":"a","type":"INTEGER"},{"name":"b","type":"STRING"}]}"#;
        assert_eq!(read(record, r#"{"f":[{"v":"1"},{"v":null}]}"#).unwrap(), "{a: 1, b: }");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_does_not_repeat_it() {
        for (kind, value) in [
            ("BOOLEAN", r#""7777""#),
            ("INTEGER", r#""77777777777777777777""#),
            ("INTEGER", r#""7777.5""#),
            ("FLOAT", r#""7777x""#),
            ("NUMERIC", r#""7777.1234567891""#),
            ("BIGNUMERIC", r#""7777e5x""#),
            ("BIGNUMERIC", r#""7777E9999""#),
            ("BIGNUMERIC", r#""7777E""#),
            ("BYTES", r#""7777*""#),
            ("DATE", r#""7777-02-30""#),
            ("TIME", r#""7777""#),
            ("DATETIME", r#""7777""#),
            ("DATETIME", r#""2026-01-02T10:00:00Z""#),
            ("TIMESTAMP", r#""1.7777E9""#),
            ("TIMESTAMP", r#""7777-01-01 00:00:00 UTC""#),
            ("INTERVAL", r#""7777""#),
            ("INTERVAL", r#""1-2 3 4:5:6.5 7777""#),
            ("STRING", r#"[{"v":"7777"}]"#),
            ("INTEGER", r#"{"f":[{"v":"7777"}]}"#),
        ] {
            let error = plain(kind, value).expect_err(value);
            assert!(!error.contains("7777"), "{kind} {value}: {error}");
        }
        let list = r#"{"name":"x","type":"INTEGER","mode":"REPEATED"}"#;
        assert!(read(list, r#""1""#).is_err());
        let record = r#"{"name":"x","type":"RECORD","fields":[{"name":"a","type":"INTEGER"}]}"#;
        assert!(read(record, r#"{"f":[]}"#).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(value in "\\PC*") {
            let value = serde_json::to_string(&value).unwrap();
            for kind in ["INTEGER", "NUMERIC", "BIGNUMERIC", "BYTES", "DATE", "TIME", "DATETIME", "TIMESTAMP", "INTERVAL"] {
                let _ = plain(kind, &value);
            }
        }

        #[test]
        fn numbers_keep_their_digits(number in any::<i64>()) {
            prop_assert_eq!(plain("INTEGER", &format!("\"{number}\"")), Ok(number.to_string()));
        }
    }
}
