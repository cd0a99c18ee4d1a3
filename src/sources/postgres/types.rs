//! PostgreSQL types as Arrow types.
//!
//! | PostgreSQL | Arrow |
//! |---|---|
//! | `boolean`, `smallint`, `integer`, `bigint`, `real`, `double precision`, `oid` | the same; `oid` as 64-bit integer |
//! | `numeric(p, s)` with `p` ≤ 38 and `0` ≤ `s` ≤ `p` | decimal(p, s) |
//! | other `numeric` | exact decimal text, marked `syncline.type: decimal` |
//! | `text`, `varchar`, `char(n)`, `name`, `citext`, `xml`, enums, `uuid` | text |
//! | `json`, `jsonb` | text, marked `syncline.type: json` |
//! | `bytea` | binary |
//! | `date`, `time` | date, time in microseconds |
//! | `timestamp`, `timestamptz` | timestamp in microseconds; the latter in UTC |
//! | `interval` | ISO 8601 text: `P1Y2M3DT4H5M6.5S` |
//! | arrays of these | list, of one dimension |
//! | domains | their base type |
//! | anything else | text, as the server casts it |
//!
//! No Arrow type holds `infinity` among dates and timestamps, `NaN` and `Infinity` among numerics, or arrays of several
//! dimensions: such a value is a flaw of its row, told with what to write in the SQL. `NaN` among floats stays what it is.

use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};
use tokio_postgres::Column;
use tokio_postgres::types::{Kind, Type};

use crate::sources::columns::marked;
use crate::sources::{TYPE_DECIMAL, TYPE_JSON};

/// How the bytes of a value are to be read, beyond what the Arrow type says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wire {
    Plain,
    Oid,
    Numeric,
    Uuid,
    Interval,
    Jsonb,
    /// The value as the server writes it in text.
    Written,
    /// Bytes as hexadecimal text.
    Hex,
    List(Box<Wire>),
}

/// The field of a column of a result; `None` for types that the server is to cast to text.
pub(super) fn column_type(column: &Column) -> Option<(Field, Wire)> {
    field(column.name(), column.type_(), column.type_modifier())
}

fn field(name: &str, kind: &Type, modifier: i32) -> Option<(Field, Wire)> {
    let plain = |kind| Some((Field::new(name, kind, true), Wire::Plain));
    let text = |wire| Some((Field::new(name, DataType::Utf8, true), wire));
    match *kind {
        Type::BOOL => return plain(DataType::Boolean),
        Type::INT2 => return plain(DataType::Int16),
        Type::INT4 => return plain(DataType::Int32),
        Type::INT8 => return plain(DataType::Int64),
        Type::OID => return Some((Field::new(name, DataType::Int64, true), Wire::Oid)),
        Type::FLOAT4 => return plain(DataType::Float32),
        Type::FLOAT8 => return plain(DataType::Float64),
        Type::NUMERIC => {
            let field = match precision(modifier) {
                Some((precision, scale)) => Field::new(name, DataType::Decimal128(precision, scale), true),
                None => marked(name, TYPE_DECIMAL),
            };
            return Some((field, Wire::Numeric));
        }
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::XML => return text(Wire::Plain),
        Type::UUID => return text(Wire::Uuid),
        Type::INTERVAL => return text(Wire::Interval),
        Type::JSON => return Some((marked(name, TYPE_JSON), Wire::Plain)),
        Type::JSONB => return Some((marked(name, TYPE_JSON), Wire::Jsonb)),
        Type::BYTEA => return plain(DataType::Binary),
        Type::DATE => return plain(DataType::Date32),
        Type::TIME => return plain(DataType::Time64(TimeUnit::Microsecond)),
        Type::TIMESTAMP => return plain(DataType::Timestamp(TimeUnit::Microsecond, None)),
        Type::TIMESTAMPTZ => return plain(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        _ => {}
    }
    match kind.kind() {
        Kind::Enum(_) => text(Wire::Plain),
        Kind::Domain(base) => field(name, base, -1),
        Kind::Array(item) => {
            let (item, wire) = field("item", item, modifier)?;
            let list = Field::new(name, DataType::List(Arc::new(item)), true);
            Some((list, Wire::List(Box::new(wire))))
        }
        _ if kind.name() == "citext" => text(Wire::Plain),
        _ => None,
    }
}

/// Precision and scale of `numeric(p, s)`, where Arrow has a type for it.
fn precision(modifier: i32) -> Option<(u8, i8)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    // The scale has eleven bits and a sign.
    let (precision, scale) = (packed >> 16 & 0xffff, (packed & 0x7ff ^ 1024) - 1024);
    let fits = (1..=38).contains(&precision) && (0..=precision).contains(&scale);
    if fits { Some((u8::try_from(precision).ok()?, i8::try_from(scale).ok()?)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modifier_holds_precision_and_scale() {
        assert_eq!(precision(-1), None);
        assert_eq!(precision((12 << 16 | 2) + 4), Some((12, 2)));
        assert_eq!(precision((38 << 16) + 4), Some((38, 0)));
        assert_eq!(precision((39 << 16) + 4), None);
        // numeric(3, -2) and numeric(2, 5), as PostgreSQL 15 packs them.
        assert_eq!(precision((3 << 16 | (-2 & 0x7ff)) + 4), None);
        assert_eq!(precision((2 << 16 | 5) + 4), None);
    }
}
