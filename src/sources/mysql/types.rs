//! MySQL's and MariaDB's types as Arrow types.
//!
//! | MySQL, MariaDB | Arrow |
//! |---|---|
//! | `tinyint(1)`, which is what `boolean` makes, and `bit(1)` | boolean |
//! | `tinyint`, `smallint`, `year` | 16-bit integer; `smallint unsigned` 32-bit |
//! | `mediumint`, `int` | 32-bit integer; `int unsigned` 64-bit |
//! | `bigint` | 64-bit integer; `bigint unsigned` without sign |
//! | `bit(n)` | 64-bit integer without sign |
//! | `decimal(p, s)` with `p` ≤ 38 | decimal(p, s) |
//! | other `decimal` | exact decimal text, marked `syncline.type: decimal` |
//! | `float`, `double` | the same |
//! | `char`, `varchar`, `text`, `enum`, `set`, MariaDB's `uuid` and `inet6` | text |
//! | `json` | text, marked `syncline.type: json` |
//! | `binary`, `varbinary`, `blob`, `geometry` and its kin, MySQL's `vector` | binary |
//! | `date`, `time` | date, time in microseconds |
//! | `datetime`, `timestamp` | timestamp in microseconds; the latter in UTC |
//!
//! A column of MariaDB that was made as `json` is a `longtext` with a check to the server, and the driver's protocol does
//! not say more; [`super::json`] finds the check. What is computed has the type the server computes it in: comparisons are
//! whole numbers, and so is `true`.
//!
//! No Arrow type holds zero dates, times below zero or from 24 hours on, or a `tinyint(1)` that is neither 0 nor 1: such a
//! value is a flaw of its row, told with what to write in the SQL.

use arrow_schema::{DataType, Field, TimeUnit};
use mysql_async::Column;
use mysql_async::consts::{ColumnFlags, ColumnType};

use crate::sources::columns::marked;
use crate::sources::{TYPE_DECIMAL, TYPE_JSON};

/// The character set of what is no text (<https://dev.mysql.com/doc/refman/8.4/en/c-api-data-structures.html>,
/// `charsetnr`).
const BINARY: u16 = 63;

/// Most digits a decimal of 128 bits holds.
const DIGITS: u32 = 38;

/// The field of a column of a result; `None` for types that nothing here can hold. `json` says that its text is JSON.
pub(super) fn field(column: &Column, json: bool) -> Option<Field> {
    use ColumnType as T;
    let name = column.name_str();
    let plain = |kind| Some(Field::new(name.as_ref(), kind, true));
    let unsigned = column.flags().contains(ColumnFlags::UNSIGNED_FLAG);
    match (column.column_type(), unsigned) {
        (T::MYSQL_TYPE_NULL, _) => plain(DataType::Null),
        (T::MYSQL_TYPE_TINY, false) if column.column_length() == 1 => plain(DataType::Boolean),
        (T::MYSQL_TYPE_TINY, _) | (T::MYSQL_TYPE_SHORT, false) | (T::MYSQL_TYPE_YEAR, _) => plain(DataType::Int16),
        (T::MYSQL_TYPE_SHORT, true) | (T::MYSQL_TYPE_INT24, _) | (T::MYSQL_TYPE_LONG, false) => plain(DataType::Int32),
        (T::MYSQL_TYPE_LONG, true) | (T::MYSQL_TYPE_LONGLONG, false) => plain(DataType::Int64),
        (T::MYSQL_TYPE_LONGLONG, true) => plain(DataType::UInt64),
        (T::MYSQL_TYPE_BIT, _) if column.column_length() == 1 => plain(DataType::Boolean),
        (T::MYSQL_TYPE_BIT, _) => plain(DataType::UInt64),
        (T::MYSQL_TYPE_FLOAT, _) => plain(DataType::Float32),
        (T::MYSQL_TYPE_DOUBLE, _) => plain(DataType::Float64),
        (T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL, _) => {
            match precision(column.column_length(), column.decimals(), unsigned) {
                Some((precision, scale)) => plain(DataType::Decimal128(precision, scale)),
                None => Some(marked(&name, TYPE_DECIMAL)),
            }
        }
        (T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_NEWDATE, _) => plain(DataType::Date32),
        (T::MYSQL_TYPE_TIME | T::MYSQL_TYPE_TIME2, _) => plain(DataType::Time64(TimeUnit::Microsecond)),
        (T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_DATETIME2, _) => {
            plain(DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        (T::MYSQL_TYPE_TIMESTAMP | T::MYSQL_TYPE_TIMESTAMP2, _) => {
            plain(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
        }
        (T::MYSQL_TYPE_JSON, _) => Some(marked(&name, TYPE_JSON)),
        (T::MYSQL_TYPE_GEOMETRY | T::MYSQL_TYPE_VECTOR, _) => plain(DataType::Binary),
        (
            T::MYSQL_TYPE_VARCHAR
            | T::MYSQL_TYPE_VAR_STRING
            | T::MYSQL_TYPE_STRING
            | T::MYSQL_TYPE_TINY_BLOB
            | T::MYSQL_TYPE_MEDIUM_BLOB
            | T::MYSQL_TYPE_LONG_BLOB
            | T::MYSQL_TYPE_BLOB
            | T::MYSQL_TYPE_ENUM
            | T::MYSQL_TYPE_SET,
            _,
        ) => match column.character_set() {
            _ if json => Some(marked(&name, TYPE_JSON)),
            BINARY => plain(DataType::Binary),
            _ => plain(DataType::Utf8),
        },
        (T::MYSQL_TYPE_TYPED_ARRAY | T::MYSQL_TYPE_UNKNOWN, _) => None,
    }
}

/// Precision and scale of a `decimal`, where Arrow has a type of 128 bits for it. The length a server says is that of the
/// longest text: digits, a point where there are decimals, a sign where there may be one.
fn precision(length: u32, decimals: u8, unsigned: bool) -> Option<(u8, i8)> {
    let precision = length.checked_sub(u32::from(decimals > 0))?.checked_sub(u32::from(!unsigned))?;
    let fits = (1..=DIGITS).contains(&precision) && u32::from(decimals) <= precision;
    if fits { Some((u8::try_from(precision).ok()?, i8::try_from(decimals).ok()?)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_decimal_holds_its_precision() {
        // As MariaDB 10.11 says them: decimal(12, 2), the same unsigned, (38, 0), (38, 38), (65, 30), (1, 0).
        assert_eq!(precision(14, 2, false), Some((12, 2)));
        assert_eq!(precision(13, 2, true), Some((12, 2)));
        assert_eq!(precision(39, 0, false), Some((38, 0)));
        assert_eq!(precision(40, 38, false), Some((38, 38)));
        assert_eq!(precision(67, 30, false), None);
        assert_eq!(precision(2, 0, false), Some((1, 0)));
        for (length, decimals) in [(0, 0), (1, 0), (1, 1), (2, 39), (u32::MAX, 255)] {
            assert_eq!(precision(length, decimals, false), None, "{length}, {decimals}");
        }
    }
}
