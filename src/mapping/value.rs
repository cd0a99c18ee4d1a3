//! The values a record is made of.

use std::borrow::Cow;

use arrow_array::Array;
use arrow_schema::Field;
use base64::Engine;
use smol_str::SmolStr;

use super::column::Column;
use super::{calendar, number};

/// One value of a record: what a column, constant or template yields.
///
/// Numbers never lose digits: whole numbers and decimals are exact, and [`Value::write_json`] writes them as they are.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Null.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64::MAX`.
    UInt(u64),
    /// A floating point number; never NaN or infinite in a record (see [`Value::is_finite`]).
    Float(f64),
    /// An exact decimal as canonical text: no exponent, no trailing zeros after the point.
    Decimal(SmolStr),
    /// Text; short ones lie within the value.
    Text(SmolStr),
    /// Bytes.
    Binary(Box<[u8]>),
    /// A calendar date: days since 1970-01-01.
    Date(i32),
    /// A time of day: nanoseconds since midnight.
    Time(i64),
    /// A point in time: nanoseconds since 1970-01-01T00:00:00, and whether it is an instant (UTC) or a wall clock reading
    /// without zone.
    Timestamp {
        /// Nanoseconds since the epoch.
        nanos: i128,
        /// True when it is an instant.
        zoned: bool,
    },
    /// A list.
    List(Vec<Value>),
    /// An object, in the order given.
    Object(Vec<(Box<str>, Value)>),
}

impl Value {
    /// The value of one row of an Arrow array of any type. The one normaliser: what two encodings of the same data give
    /// (plain, dictionary, view, run-end; 32 or 64 bits) is the same value.
    ///
    /// The field's metadata `syncline.type` = `decimal` or `json` marks text that holds an exact decimal or JSON.
    /// For more than a few rows bind a [`Column`] once instead.
    ///
    /// # Errors
    /// A type without a meaning in records (union), a text that is not what the metadata says, a date or time out of
    /// range, a row that is not there. The message goes after the name of a column and does not hold the value.
    pub fn at(array: &dyn Array, field: Option<&Field>, row: usize) -> Result<Value, String> {
        Column::new(array, field)?.at(row)
    }

    /// True for null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// False when the value is, or holds, a floating point number that is NaN or infinite: no destination takes those,
    /// and JSON cannot say them.
    pub fn is_finite(&self) -> bool {
        match self {
            Value::Float(float) => float.is_finite(),
            Value::List(items) => items.iter().all(Value::is_finite),
            Value::Object(entries) => entries.iter().all(|(_, value)| value.is_finite()),
            _ => true,
        }
    }

    /// The value as shown to people and as key text: text itself, numbers with all their digits, dates and times in
    /// ISO 8601, bytes in base64, lists and objects as JSON, `null`.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Value::Null => Cow::Borrowed("null"),
            Value::Bool(true) => Cow::Borrowed("true"),
            Value::Bool(false) => Cow::Borrowed("false"),
            Value::Int(int) => Cow::Owned(int.to_string()),
            Value::UInt(uint) => Cow::Owned(uint.to_string()),
            Value::Float(float) => Cow::Owned(number::float_text(*float)),
            Value::Decimal(text) => Cow::Borrowed(text),
            Value::Text(text) => Cow::Borrowed(text),
            Value::Binary(bytes) => Cow::Owned(base64::engine::general_purpose::STANDARD.encode(bytes)),
            Value::Date(days) => Cow::Owned(calendar::date_text(*days)),
            Value::Time(nanos) => Cow::Owned(calendar::time_text(*nanos)),
            Value::Timestamp { nanos, zoned } => Cow::Owned(calendar::timestamp_text(*nanos, *zoned)),
            Value::List(_) | Value::Object(_) => Cow::Owned(self.json_text()),
        }
    }

    /// True when both are the same value at a destination: equal, or of different types with the same text in JSON, as
    /// they are after a column has become `numeric`, or a file's column of dates text because of one odd line. In objects
    /// a null is as good as nothing: whether a key is there can depend on other rows of the file.
    pub fn same(&self, other: &Value) -> bool {
        if self == other {
            return true;
        }
        match (self, other) {
            (Value::List(these), Value::List(those)) => {
                these.len() == those.len() && these.iter().zip(those).all(|(this, that)| this.same(that))
            }
            (Value::Object(these), Value::Object(those)) => {
                let within = |these: &[(Box<str>, Value)], those: &[(Box<str>, Value)]| {
                    these.iter().enumerate().all(|(at, (name, this))| {
                        // Keys mostly stand at the same place.
                        let there = those.get(at).filter(|(known, _)| known == name);
                        let there = there.or_else(|| those.iter().find(|(known, _)| known == name));
                        there.map_or(this.is_null(), |(_, that)| this.same(that))
                    })
                };
                within(these, those) && within(those, these)
            }
            (this, that) if this.is_number() && that.is_number() => this.text() == that.text(),
            (Value::Text(text), moment) | (moment, Value::Text(text)) if moment.is_moment() => **text == *moment.text(),
            _ => false,
        }
    }

    fn is_moment(&self) -> bool {
        matches!(self, Value::Date(_) | Value::Time(_) | Value::Timestamp { .. })
    }

    fn is_number(&self) -> bool {
        matches!(self, Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Decimal(_))
    }
}
