//! The transforms: changes of one value on its way into a field.
//!
//! What each takes and gives, with examples of everything it refuses, is the table in `transform/cases.rs`. In short:
//! - null passes through every transform untouched;
//! - bytes count as text where they are valid UTF-8;
//! - `trim lower upper title e164` take text only (put `string` before them for other types), `title` is the template
//!   filter of the same name;
//! - `string sha256 md5` take everything, in its text form (`Value::text`); hashes are lower case hex, of bytes as they are;
//! - `number integer boolean` read text without surrounding white space (put `trim` before them); `number` never rounds,
//!   `integer` refuses fractions other than `.0`;
//! - `epoch_s epoch_ms iso8601 date` read ISO 8601 text; without an offset it counts as UTC, and dates begin at midnight.

use std::borrow::Cow;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::calendar::{self, Moment};
use super::kind::{Kind, word};
use super::{Value, json, number};
use crate::manifest::sync::Transform;

#[cfg(test)]
mod cases;

/// Applies the transforms in order. The error names the transform and holds no value.
pub(super) fn apply(transforms: &[Transform], mut value: Value) -> Result<Value, String> {
    for transform in transforms {
        if value.is_null() {
            break;
        }
        value = one(*transform, value).map_err(|reason| format!("transform `{}`: {reason}", word(*transform)))?;
    }
    Ok(value)
}

fn one(transform: Transform, value: Value) -> Result<Value, String> {
    if Kind::of_value(&value).after(transform).is_none() {
        return Err(format!("cannot take {}", Kind::of_value(&value).words()));
    }
    Ok(match transform {
        Transform::Trim => owned(text(&value)?.trim()),
        Transform::Lower => owned(text(&value)?.to_lowercase()),
        Transform::Upper => owned(text(&value)?.to_uppercase()),
        Transform::Title => owned(minijinja::filters::title(text(&value)?)),
        Transform::String => match value {
            Value::Text(_) => value,
            other => owned(text(&other)?),
        },
        Transform::Number => to_number(value)?,
        Transform::Integer => to_integer(value)?,
        Transform::Boolean => Value::Bool(to_boolean(value)?),
        Transform::Json => match value {
            Value::Text(_) | Value::Binary(_) => json::parse(&text(&value)?)?,
            other => other,
        },
        Transform::Sha256 => owned(hex::encode(Sha256::digest(bytes(&value)))),
        Transform::Md5 => owned(hex::encode(Md5::digest(bytes(&value)))),
        Transform::E164 => owned(e164(&text(&value)?)?),
        Transform::EpochS => epoch(&value, 1_000_000_000)?,
        Transform::EpochMs => epoch(&value, 1_000_000)?,
        Transform::Iso8601 => match value {
            Value::Date(_) | Value::Time(_) | Value::Timestamp { .. } => owned(value.text()),
            other => match moment(&other)? {
                Moment::Date(days) => owned(calendar::date_text(days)),
                Moment::Time { nanos, zoned } => owned(calendar::timestamp_text(nanos, zoned)),
            },
        },
        Transform::Date => moment(&value)?.days().map(Value::Date).ok_or("is out of the range of dates")?,
    })
}

fn owned(text: impl AsRef<str>) -> Value {
    Value::Text(text.as_ref().into())
}

/// The text form; bytes must be text themselves.
fn text(value: &Value) -> Result<Cow<'_, str>, String> {
    match value {
        Value::Binary(bytes) => {
            std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| "the bytes are not UTF-8 text".to_owned())
        }
        other => Ok(other.text()),
    }
}

fn bytes(value: &Value) -> Cow<'_, [u8]> {
    match value {
        Value::Binary(bytes) => Cow::Borrowed(bytes),
        other => match other.text() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
    }
}

fn to_number(value: Value) -> Result<Value, String> {
    Ok(match value {
        Value::Text(_) | Value::Binary(_) => number::parse(&text(&value)?).ok_or("text is not a number")?,
        Value::Bool(truth) => Value::Int(truth.into()),
        other => other,
    })
}

fn to_integer(value: Value) -> Result<Value, String> {
    let was_text = matches!(value, Value::Text(_) | Value::Binary(_));
    let refuse = || if was_text { "text is not a whole number" } else { "is not a whole number" };
    let exact = match to_number(value).map_err(|_| refuse())? {
        // Above 2^53 a double is still one exact whole number.
        Value::Float(float) => number::canonical(&format!("{float:e}")).ok_or_else(refuse)?,
        Value::Decimal(text) => text,
        whole => return Ok(whole),
    };
    if exact.contains('.') { Err(refuse().into()) } else { Ok(number::whole_or_decimal(exact)) }
}

fn to_boolean(value: Value) -> Result<bool, String> {
    match &value {
        Value::Bool(truth) => Ok(*truth),
        Value::Text(_) | Value::Binary(_) => match &*text(&value)?.to_lowercase() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
            _ => Err("text is not one of `true false yes no 1 0 t f y n on off`".into()),
        },
        other => match &*other.text() {
            "1" => Ok(true),
            "0" => Ok(false),
            _ => Err("is a number other than 1 and 0".into()),
        },
    }
}

fn moment(value: &Value) -> Result<Moment, String> {
    match value {
        Value::Date(days) => Ok(Moment::Date(*days)),
        Value::Timestamp { nanos, zoned } => Ok(Moment::Time { nanos: *nanos, zoned: *zoned }),
        other => calendar::parse(&text(other)?).ok_or_else(|| "text is not an ISO 8601 date or time".into()),
    }
}

fn epoch(value: &Value, unit: i128) -> Result<Value, String> {
    let count = moment(value)?.nanos().div_euclid(unit);
    i64::try_from(count).map(Value::Int).map_err(|_| "is out of range".into())
}

/// `+` and 8 to 15 digits (ITU-T E.164). White space, dots, dashes, slashes and brackets are dropped, a `(0)` after a
/// country code too; `00` in front is `+`. A number without a country code is refused: guessing one would ring up
/// somebody else.
fn e164(text: &str) -> Result<String, String> {
    let text = text.trim();
    let international = text.starts_with('+') || text.starts_with("00");
    let text = if international { text.replacen("(0)", "", 1) } else { text.to_owned() };
    let dropped =
        |c: char| c.is_whitespace() || matches!(c, '.' | '-' | '/' | '(' | ')' | '[' | ']' | '\u{2010}'..='\u{2015}');
    let mut number: String = text.chars().filter(|c| !dropped(*c)).collect();
    if let Some(rest) = number.strip_prefix("00") {
        number = format!("+{rest}");
    }
    let digits = number.strip_prefix('+').unwrap_or(&number);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("text is not a phone number".into());
    }
    if !number.starts_with('+') || digits.starts_with('0') {
        return Err("the phone number has no country code".into());
    }
    if !(8..=15).contains(&digits.len()) {
        return Err("the phone number does not have 8 to 15 digits".into());
    }
    Ok(number)
}
