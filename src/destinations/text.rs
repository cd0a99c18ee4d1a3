//! Values as databases and files take them: one canonical text each, and exact JSON.

use std::borrow::Cow;
use std::fmt::Write;

use base64::Engine;

use crate::mapping::Value;

/// The text of a value; `None` for null. Lists and objects are JSON, bytes are hex after `\x`, points in time ISO 8601.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
        Value::Int(n) => Cow::Owned(n.to_string()),
        Value::UInt(n) => Cow::Owned(n.to_string()),
        Value::Float(x) => Cow::Owned(format!("{x:?}")),
        Value::Decimal(digits) => Cow::Borrowed(digits),
        Value::Text(text) => Cow::Borrowed(text),
        Value::Binary(bytes) => Cow::Owned(format!("\\x{}", hex::encode(bytes))),
        Value::Date(days) => Cow::Owned(date(i64::from(*days))),
        Value::Time(nanos) => Cow::Owned(time(i128::from(*nanos))),
        Value::Timestamp { nanos, zoned } => Cow::Owned(timestamp(*nanos, *zoned)),
        Value::List(_) | Value::Object(_) => {
            let mut out = String::new();
            json(value, &mut out);
            Cow::Owned(out)
        }
    })
}

/// Writes a value as JSON: numbers with all their digits, bytes as base64, points in time as ISO 8601 text. A float
/// that JSON cannot hold becomes null; see [`finite`].
pub(super) fn json(value: &Value, out: &mut String) {
    match value {
        Value::Float(x) if !x.is_finite() => out.push_str("null"),
        Value::Null => out.push_str("null"),
        Value::Text(text) => quote(text, out),
        Value::Binary(bytes) => quote(&base64::engine::general_purpose::STANDARD.encode(bytes), out),
        Value::Date(_) | Value::Time(_) | Value::Timestamp { .. } => quote(&text(value).unwrap_or_default(), out),
        Value::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                json(item, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (i, (name, item)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                quote(name, out);
                out.push(':');
                json(item, out);
            }
            out.push('}');
        }
        Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Decimal(_) => {
            out.push_str(&text(value).unwrap_or_default());
        }
    }
}

/// True when JSON can hold the value: no NaN and no infinity anywhere in it.
pub(super) fn finite(value: &Value) -> bool {
    match value {
        Value::Float(x) => x.is_finite(),
        Value::List(items) => items.iter().all(finite),
        Value::Object(entries) => entries.iter().all(|(_, item)| finite(item)),
        _ => true,
    }
}

/// Writes a JSON string.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c)); // writing to a String cannot fail
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `2026-11-22` of days since 1970-01-01, in the proleptic Gregorian calendar.
fn date(days: i64) -> String {
    // Days from civil, turned round: eras of 400 years that begin on 1 March, so that the leap day comes last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    if year < 0 { format!("-{:04}-{month:02}-{day:02}", -year) } else { format!("{year:04}-{month:02}-{day:02}") }
}

/// `13:45:00.25` of nanoseconds since midnight; no more digits than needed.
fn time(nanos: i128) -> String {
    let seconds = nanos.div_euclid(1_000_000_000);
    let mut out = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = nanos.rem_euclid(1_000_000_000);
    if fraction > 0 {
        out.push_str(format!(".{fraction:09}").trim_end_matches('0'));
    }
    out
}

/// `2026-11-22T13:45:00.25`, with `Z` for an instant.
fn timestamp(nanos: i128, zoned: bool) -> String {
    const DAY: i128 = 86_400_000_000_000;
    // 128 bits of nanoseconds reach further than any calendar; beyond 64 bits of days the date is not meaningful.
    let days = i64::try_from(nanos.div_euclid(DAY)).unwrap_or(i64::MAX / 2);
    format!("{}T{}{}", date(days), time(nanos.rem_euclid(DAY)), if zoned { "Z" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_has_one_text() {
        let day = 86_400_000_000_000_i128;
        let cases = [
            (Value::Null, None),
            (Value::Bool(true), Some("true")),
            (Value::Int(-5), Some("-5")),
            (Value::UInt(u64::MAX), Some("18446744073709551615")),
            (Value::Float(1.0), Some("1.0")),
            (Value::Float(1e300), Some("1e300")),
            (Value::Decimal("1234567890123456789.01".into()), Some("1234567890123456789.01")),
            (Value::Text("a,b".into()), Some("a,b")),
            (Value::Binary([0, 255].into()), Some("\\x00ff")),
            (Value::Date(0), Some("1970-01-01")),
            (Value::Date(-1), Some("1969-12-31")),
            (Value::Date(11_016), Some("2000-02-29")),
            (Value::Date(20_779), Some("2026-11-22")),
            (Value::Time(49_500_250_000_000), Some("13:45:00.25")),
            (Value::Timestamp { nanos: 20_779 * day + 1, zoned: true }, Some("2026-11-22T00:00:00.000000001Z")),
            (Value::Timestamp { nanos: -1_000_000_000, zoned: false }, Some("1969-12-31T23:59:59")),
            (Value::List(vec![Value::Int(1), Value::Null, Value::Text("a\"\n".into())]), Some(r#"[1,null,"a\"\n"]"#)),
            (Value::Object(vec![("k".into(), Value::Decimal("1.10".into()))]), Some(r#"{"k":1.10}"#)),
        ];
        for (value, expected) in cases {
            assert_eq!(text(&value).as_deref(), expected, "{value:?}");
        }
    }
}
