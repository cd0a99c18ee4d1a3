//! Values as SQLite stores them.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};

use crate::destinations::text::text;
use crate::mapping::Value;

/// What a column does to values on their way in (SQLite's "type affinity").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    /// Texts that look like numbers become numbers.
    Numeric,
    /// Numbers become texts.
    Text,
    /// Values stay as they are.
    None,
}

impl Affinity {
    /// The affinity of a declared type, by SQLite's rules.
    pub fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |words: &[&str]| words.iter().any(|w| declared.contains(w));
        if has(&["INT"]) {
            Self::Numeric
        } else if has(&["CHAR", "CLOB", "TEXT"]) {
            Self::Text
        } else if declared.is_empty() || has(&["BLOB"]) {
            Self::None
        } else {
            Self::Numeric
        }
    }
}

/// A value bound to a statement: whole numbers as integers, dates and times as ISO 8601 text, lists and objects as JSON.
pub(super) struct Bound<'a>(pub &'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Owned(Owned::Null),
            Value::Bool(b) => ToSqlOutput::Owned(Owned::Integer(i64::from(*b))),
            Value::Int(n) => ToSqlOutput::Owned(Owned::Integer(*n)),
            Value::Float(x) => ToSqlOutput::Owned(Owned::Real(*x)),
            Value::Decimal(digits) => match digits.parse() {
                Ok(whole) => ToSqlOutput::Owned(Owned::Integer(whole)),
                Err(_) => ToSqlOutput::Borrowed(ValueRef::Text(digits.as_bytes())),
            },
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Binary(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            other => match text(other) {
                Some(text) => ToSqlOutput::Owned(Owned::Text(text.into_owned())),
                None => ToSqlOutput::Owned(Owned::Null),
            },
        })
    }
}

/// True when a column of this affinity would round the value without a word: SQLite turns numeric text into a double
/// as soon as fifteen digits survive.
pub(super) fn rounds(value: &Value, affinity: Affinity) -> bool {
    if affinity != Affinity::Numeric {
        return false;
    }
    match value {
        Value::UInt(n) => i64::try_from(*n).is_err(),
        Value::Decimal(digits) => {
            digits.parse::<i64>().is_err()
                && digits.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count() > 15
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_have_the_affinity_sqlite_gives_them() {
        let cases = [
            ("", Affinity::None),
            ("BLOB", Affinity::None),
            ("varchar(20)", Affinity::Text),
            ("TEXT", Affinity::Text),
            ("bigint", Affinity::Numeric),
            ("DECIMAL(10,2)", Affinity::Numeric),
            ("CHARINT", Affinity::Numeric),
            ("DATE", Affinity::Numeric),
        ];
        for (declared, affinity) in cases {
            assert_eq!(Affinity::of(declared), affinity, "{declared}");
        }
    }

    #[test]
    fn numbers_a_double_cannot_hold_are_found() {
        let cases = [
            ("123456789012345.6", Affinity::Numeric, true),
            ("123456789012.345", Affinity::Numeric, false),
            ("0.0000000000000001", Affinity::Numeric, false),
            ("9223372036854775807", Affinity::Numeric, false), // an exact integer
            ("9223372036854775808", Affinity::Numeric, true),
            ("9223372036854775808", Affinity::Text, false),
        ];
        for (digits, affinity, expected) in cases {
            assert_eq!(rounds(&Value::Decimal(digits.into()), affinity), expected, "{digits}");
        }
    }
}
