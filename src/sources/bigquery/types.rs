//! BigQuery types as Arrow types.
//!
//! | BigQuery | Arrow |
//! |---|---|
//! | `BOOL`, `INT64`, `FLOAT64`, `STRING`, `BYTES`, `DATE` | the same |
//! | `NUMERIC`, `NUMERIC(p, s)` | decimal(38, 9), decimal(p, s) |
//! | `BIGNUMERIC(p, s)` with `p` ≤ 38 | decimal(p, s) |
//! | other `BIGNUMERIC` | exact decimal text, marked `syncline.type: decimal` |
//! | `TIME`, `DATETIME`, `TIMESTAMP` | in microseconds; the last in UTC |
//! | `JSON` | text, marked `syncline.type: json` |
//! | `INTERVAL` | ISO 8601 text: `P1Y2M3DT4H5M6.5S` |
//! | `GEOGRAPHY` | text, as BigQuery writes it (WKT) |
//! | `ARRAY`, `STRUCT` | list, struct |
//! | `RANGE` and what is not known here | refused |
//!
//! In schemas some types still have the names of legacy SQL: `INTEGER`, `FLOAT`, `BOOLEAN`, `RECORD`.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};

use super::answer::{ColumnShape, Shape};
use crate::diagnostic::{Error, Result};
use crate::sources::columns::marked;
use crate::sources::{TYPE_DECIMAL, TYPE_JSON};

/// How the text of a value is to be read, beyond what the Arrow type says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Interval,
    List(Box<Kind>),
    Record(Vec<Kind>),
}

/// The columns of a result.
///
/// # Errors
/// None, two of one name, or one of a type that records cannot hold.
pub(super) fn columns(shape: &Shape) -> Result<Vec<(Field, Kind)>> {
    let mut columns: Vec<(Field, Kind)> = Vec::new();
    for column in &shape.fields {
        let name = &column.name;
        if columns.iter().any(|(other, _)| other.name() == name) {
            let help = "name one of them differently: `… as other_name`";
            return Err(Error::failed_help(format!("the result has two columns named `{name}`"), help));
        }
        columns.push(field(column).map_err(|what| {
            let help = match what.range {
                true => {
                    format!("take its ends: `range_start({name}) as {name}_start, range_end({name}) as {name}_end`")
                }
                false => format!("cast it in the SQL: `cast({name} as string) as {name}`"),
            };
            Error::failed_help(format!("column `{name}` is of type `{}`, which records cannot hold", what.kind), help)
        })?);
    }
    if columns.is_empty() {
        let help = "a model is one `select` (or `with … select`) statement";
        return Err(Error::failed_help("the SQL gives no columns", help));
    }
    Ok(columns)
}

/// A type that is not read.
struct Unread {
    kind: String,
    range: bool,
}

fn field(column: &ColumnShape) -> Result<(Field, Kind), Unread> {
    let (item, kind) = one(column)?;
    if column.mode.as_deref().is_some_and(|mode| mode.eq_ignore_ascii_case("repeated")) {
        let list = DataType::List(Arc::new(item.with_name("item")));
        return Ok((Field::new(&column.name, list, true), Kind::List(Box::new(kind))));
    }
    Ok((item, kind))
}

/// The field of one value, whether or not there is a list of them.
fn one(column: &ColumnShape) -> Result<(Field, Kind), Unread> {
    let name = &column.name;
    let plain = |kind| Ok((Field::new(name, kind, true), Kind::Plain));
    match column.kind.to_ascii_uppercase().as_str() {
        "BOOL" | "BOOLEAN" => plain(DataType::Boolean),
        "INT64" | "INTEGER" => plain(DataType::Int64),
        "FLOAT64" | "FLOAT" => plain(DataType::Float64),
        "STRING" | "GEOGRAPHY" => plain(DataType::Utf8),
        "BYTES" => plain(DataType::Binary),
        "DATE" => plain(DataType::Date32),
        "TIME" => plain(DataType::Time64(TimeUnit::Microsecond)),
        "DATETIME" => plain(DataType::Timestamp(TimeUnit::Microsecond, None)),
        "TIMESTAMP" => plain(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        "NUMERIC" | "DECIMAL" => {
            let (precision, scale) = parameters(column).unwrap_or((38, 9));
            plain(DataType::Decimal128(precision, scale))
        }
        "BIGNUMERIC" | "BIGDECIMAL" => match parameters(column) {
            Some((precision, scale)) => plain(DataType::Decimal128(precision, scale)),
            None => Ok((marked(name, TYPE_DECIMAL), Kind::Plain)),
        },
        "JSON" => Ok((marked(name, TYPE_JSON), Kind::Plain)),
        "INTERVAL" => Ok((Field::new(name, DataType::Utf8, true), Kind::Interval)),
        "RECORD" | "STRUCT" => {
            let parts: Vec<(Field, Kind)> = column.fields.iter().map(field).collect::<Result<_, _>>()?;
            let (fields, kinds): (Vec<Field>, Vec<Kind>) = parts.into_iter().unzip();
            Ok((Field::new(name, DataType::Struct(Fields::from(fields)), true), Kind::Record(kinds)))
        }
        other => Err(Unread { kind: other.to_owned(), range: other == "RANGE" }),
    }
}

/// Precision and scale of a parameterised decimal, where Arrow has a type for it.
fn parameters(column: &ColumnShape) -> Option<(u8, i8)> {
    let (precision, scale) = (column.precision?, column.scale.unwrap_or(0));
    let fits = (1..=38).contains(&precision) && scale <= precision;
    if fits { Some((u8::try_from(precision).ok()?, i8::try_from(scale).ok()?)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> String {
        let shape: Shape = serde_json::from_str(&format!(r#"{{"fields":[{json}]}}"#)).unwrap();
        match columns(&shape) {
            Ok(columns) => {
                let shown = columns.iter().map(|(field, kind)| format!("{} {kind:?}", field.data_type()));
                shown.collect::<Vec<_>>().join(", ")
            }
            Err(error) => format!("{error}; {}", error.help().unwrap_or_default()),
        }
    }

    #[test]
    fn types() {
        let plain = |kind: &str, more: &str| said(&format!(r#"{{"name":"x","type":"{kind}"{more}}}"#));
        for (kind, more, expected) in [
            ("INTEGER", "", "Int64 Plain"),
            ("INT64", "", "Int64 Plain"),
            ("NUMERIC", "", "Decimal128(38, 9) Plain"),
            ("NUMERIC", r#","precision":"18","scale":"4""#, "Decimal128(18, 4) Plain"),
            ("NUMERIC", r#","precision":10"#, "Decimal128(10, 0) Plain"),
            ("BIGNUMERIC", r#","precision":"38","scale":"10""#, "Decimal128(38, 10) Plain"),
            ("BIGNUMERIC", r#","precision":"60","scale":"10""#, "Utf8 Plain"),
            ("BIGNUMERIC", "", "Utf8 Plain"),
            ("INTERVAL", "", "Utf8 Interval"),
            ("TIMESTAMP", "", "Timestamp(µs, \"UTC\") Plain"),
            (
                "RANGE",
                "",
                "column `x` is of type `RANGE`, which records cannot hold; take its ends: `range_start(x) as x_start, \
                 range_end(x) as x_end`",
            ),
            (
                "SKETCH",
                "",
                "column `x` is of type `SKETCH`, which records cannot hold; cast it in the SQL: `cast(x as string) as x`",
            ),
        ] {
            assert_eq!(plain(kind, more), expected, "{kind} {more}");
        }
        let list = said(r#"{"name":"x","type":"RECORD","mode":"REPEATED","fields":[{"name":"a","type":"INTERVAL"}]}"#);
        assert!(list.starts_with("List(Struct(") && list.ends_with("List(Record([Interval]))"), "{list}");
        let twice = said(r#"{"name":"x","type":"STRING"},{"name":"x","type":"STRING"}"#);
        assert!(twice.starts_with("the result has two columns named `x`"), "{twice}");
        assert!(said("").starts_with("the SQL gives no columns"));
    }
}
