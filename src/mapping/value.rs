//! The values a record is made of.

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
    /// A floating point number; never NaN or infinite in JSON (see [`Value::write_json`]).
    Float(f64),
    /// An exact decimal as canonical text: no exponent, no trailing zeros after the point.
    Decimal(Box<str>),
    /// Text.
    Text(Box<str>),
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
