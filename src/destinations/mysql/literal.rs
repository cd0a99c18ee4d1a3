//! Values as literals of a statement, in a session that reads backslashes and is in UTC.

use std::borrow::Cow;

use super::schema::Form;
use crate::mapping::{Meaning, Value};

/// A text as a literal.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote(text, &mut out);
    out
}

/// Writes a value for a column. Text of a JSON column is a string of JSON; any other text that goes into one is JSON as
/// it is. A moment is cut to the digits its column has: MySQL would round it, and MariaDB cut it.
pub(super) fn write(value: &Value, form: Form, meaning: Meaning, out: &mut String) {
    match (value, form) {
        (Value::Null, _) => out.push_str("NULL"),
        (Value::Text(_), Form::Json) if meaning == Meaning::Json => quote(&value.json_text(), out),
        (Value::Text(text), Form::Json) => quote(text, out),
        (_, Form::Json) => quote(&value.json_text(), out),
        (Value::Binary(bytes), Form::Bytes) => {
            out.push_str("X'");
            out.push_str(&hex::encode(bytes));
            out.push('\'');
        }
        (Value::Bool(truth), form) if form != Form::Plain => out.push(if *truth { '1' } else { '0' }),
        (Value::Int(_) | Value::UInt(_), Form::Bit) => out.push_str(&value.text()),
        (_, Form::Date | Form::Moment(_) | Form::Time(_)) => quote(&moment(value, form), out),
        _ => quote(&value.text(), out),
    }
}

/// True when a column of whole numbers would round the value without a word.
pub(super) fn rounds(value: &Value, form: Form) -> bool {
    if !matches!(form, Form::Whole | Form::Bit) {
        return false;
    }
    match value {
        Value::Float(number) => number.fract() != 0.0,
        Value::Decimal(digits) => digits.contains('.'),
        Value::Text(text) => text.trim().parse::<f64>().is_ok_and(|number| number.is_finite() && number.fract() != 0.0),
        _ => false,
    }
}

/// The text of a date or time. What is text already is read as ISO 8601, for the server knows no `Z`, and not every one of
/// them an offset; what is none is the server's to refuse.
fn moment(value: &Value, form: Form) -> Cow<'_, str> {
    let read = match (value, form) {
        (Value::Text(text), Form::Moment(_)) => read(text),
        _ => None,
    };
    let text = match &read {
        Some(read) => Cow::Owned(read.text().into_owned()),
        None => value.text(),
    };
    if !matches!(read.as_ref().unwrap_or(value), Value::Timestamp { .. } | Value::Time(_)) {
        return text;
    }
    let text = text.trim_end_matches('Z').replacen('T', " ", 1);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let day = whole.split(' ').next().unwrap_or_default();
    match form {
        Form::Date => day.to_owned(),
        Form::Moment(digits) | Form::Time(digits) if digits > 0 && !fraction.is_empty() => {
            format!("{whole}.{}", fraction.get(..digits).unwrap_or(fraction))
        }
        _ => whole.to_owned(),
    }
    .into()
}

fn read(text: &str) -> Option<Value> {
    if let Ok(instant) = text.trim().parse::<jiff::Timestamp>() {
        return Some(Value::Timestamp { nanos: instant.as_nanosecond(), zoned: true });
    }
    let clock: jiff::civil::DateTime = text.trim().parse().ok()?;
    let instant = clock.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Value::Timestamp { nanos: instant.as_nanosecond(), zoned: false })
}

fn quote(text: &str, out: &mut String) {
    out.push('\'');
    for letter in text.chars() {
        match letter {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            letter => out.push(letter),
        }
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i128 = 1_767_348_000_123_456_789; // 2026-01-02T10:00:00.123456789

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn values_in_a_statement() {
        let instant = |zoned| Value::Timestamp { nanos: NOON, zoned };
        let cases = [
            (Value::Null, Form::Plain, "NULL"),
            (text("O'Hara \\ \0 \n ü"), Form::Plain, "'O''Hara \\\\ \0 \n ü'"),
            (text(r#"{"k":1}"#), Form::Json, r#"'{"k":1}'"#),
            (Value::Date(0), Form::Json, "'\"1970-01-01\"'"),
            (Value::List(vec![Value::Int(1), Value::Null]), Form::Plain, "'[1,null]'"),
            (Value::Binary([0, 255].into()), Form::Bytes, "X'00ff'"),
            (Value::Binary([0, 255].into()), Form::Plain, "'AP8='"),
            (Value::Bool(true), Form::Whole, "1"),
            (Value::Bool(true), Form::Plain, "'true'"),
            (Value::Int(5), Form::Bit, "5"),
            (Value::Decimal("12345678901234567890.5".into()), Form::Number, "'12345678901234567890.5'"),
            (instant(true), Form::Moment(6), "'2026-01-02 10:00:00.123456'"),
            (instant(false), Form::Moment(0), "'2026-01-02 10:00:00'"),
            (instant(true), Form::Date, "'2026-01-02'"),
            (instant(true), Form::Plain, "'2026-01-02T10:00:00.123456789Z'"),
            (text("2026-01-02T11:00:00.25+01:00"), Form::Moment(6), "'2026-01-02 10:00:00.25'"),
            (text("2026-01-02T10:00:00"), Form::Moment(0), "'2026-01-02 10:00:00'"),
            (text("soon"), Form::Moment(0), "'soon'"),
            (Value::Time(49_500_250_000_000), Form::Time(3), "'13:45:00.25'"),
            (Value::Time(49_500_250_000_000), Form::Time(0), "'13:45:00'"),
            (text("-35:00:00"), Form::Time(0), "'-35:00:00'"),
        ];
        for (value, form, expected) in cases {
            let mut out = String::new();
            write(&value, form, Meaning::Itself, &mut out);
            assert_eq!(out, expected, "{value:?} {form:?}");
        }
    }

    #[test]
    fn text_of_a_json_column_stays_a_string_of_json() {
        let cases = [
            ("abc", Form::Json, Meaning::Json, r#"'"abc"'"#),
            ("a\"b", Form::Json, Meaning::Json, r#"'"a\\"b"'"#),
            (r#"{"k":1}"#, Form::Json, Meaning::Itself, r#"'{"k":1}'"#),
            ("abc", Form::Plain, Meaning::Json, "'abc'"),
        ];
        for (value, form, meaning, expected) in cases {
            let mut out = String::new();
            write(&text(value), form, meaning, &mut out);
            assert_eq!(out, expected, "{value}");
        }
    }

    #[test]
    fn what_whole_numbers_would_round_is_found() {
        let cases = [
            (Value::Float(1.5), Form::Whole, true),
            (Value::Float(2.0), Form::Whole, false),
            (Value::Decimal("1.5".into()), Form::Whole, true),
            (Value::Decimal("1.5".into()), Form::Number, false),
            (text("1.5"), Form::Bit, true),
            (text("many"), Form::Whole, false),
            (Value::Int(1), Form::Whole, false),
        ];
        for (value, form, expected) in cases {
            assert_eq!(rounds(&value, form), expected, "{value:?} {form:?}");
        }
    }
}
