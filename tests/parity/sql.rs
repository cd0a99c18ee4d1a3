//! The rows as literals of PostgreSQL, DuckDB and MariaDB, and as values of SQLite.

use rusqlite::types::Value;

use super::rows::{COLUMNS, Cell, Kind, Row};
use super::text::{json, plain};

/// Whose literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Duckdb,
    Mysql,
}

/// Statements that insert all rows into `everything`.
pub fn inserts(dialect: Dialect, rows: &[Row]) -> Vec<String> {
    let one = |row: &Row| {
        let cells = row.iter().zip(COLUMNS).map(|(cell, (_, kind))| literal(dialect, kind, cell));
        format!("({})", cells.collect::<Vec<_>>().join(", "))
    };
    let statement = |rows: &[Row]| {
        format!("insert into everything values {}", rows.iter().map(one).collect::<Vec<_>>().join(",\n"))
    };
    rows.chunks(500).map(statement).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn literal(dialect: Dialect, kind: Kind, cell: &Cell) -> String {
    match (dialect, cell) {
        (_, Cell::Null) => "null".to_owned(),
        (Dialect::Mysql, _) => mysql(cell),
        (_, Cell::Double(double)) if double.is_infinite() => {
            quoted(if *double > 0.0 { "Infinity" } else { "-Infinity" })
        }
        (_, Cell::Interval { months, days, micros }) => {
            quoted(&format!("{months} months {days} days {micros} microseconds"))
        }
        (Dialect::Postgres, Cell::Bytes(bytes)) => quoted(&format!("\\x{}", hex::encode(bytes))),
        (Dialect::Duckdb, Cell::Bytes(bytes)) => {
            let digits: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("{}::blob", quoted(&digits))
        }
        (Dialect::Postgres, Cell::Texts(items)) => {
            let escaped = |text: &String| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            let items = items.iter().map(|t| t.as_ref().map_or("NULL".to_owned(), escaped));
            quoted(&format!("{{{}}}", items.collect::<Vec<_>>().join(",")))
        }
        (Dialect::Postgres, Cell::Numbers(items)) => {
            let items = items.iter().map(|n| n.map_or("NULL".to_owned(), |n| n.to_string()));
            quoted(&format!("{{{}}}", items.collect::<Vec<_>>().join(",")))
        }
        (Dialect::Duckdb, Cell::Texts(items)) => {
            let items = items.iter().map(|t| t.as_deref().map_or("null".to_owned(), quoted));
            format!("[{}]::varchar[]", items.collect::<Vec<_>>().join(", "))
        }
        (Dialect::Duckdb, Cell::Numbers(items)) => {
            let items = items.iter().map(|n| n.map_or("null".to_owned(), |n| n.to_string()));
            format!("[{}]::bigint[]", items.collect::<Vec<_>>().join(", "))
        }
        (Dialect::Duckdb, Cell::Object { city, floor }) => {
            let city = city.as_deref().map_or("null".to_owned(), quoted);
            let floor = floor.map_or("null".to_owned(), |n| n.to_string());
            format!("{{'city': {city}, 'floor': {floor}}}::struct(city varchar, floor bigint)")
        }
        _ if kind == Kind::Key => plain(cell),
        _ => quoted(&plain(cell)),
    }
}

/// MariaDB takes no zone with an instant, and a backslash in a text is one only when it is doubled; numbers beyond all
/// limits it does not have.
fn mysql(cell: &Cell) -> String {
    match cell {
        Cell::Flag(flag) => flag.to_string(),
        Cell::Double(double) if !double.is_finite() => "null".to_owned(),
        Cell::Instant(instant) => quoted(&instant.to_string()),
        Cell::Bytes(bytes) => format!("x'{}'", hex::encode(bytes)),
        _ => quoted(&plain(cell).replace('\\', "\\\\")),
    }
}

/// A value as SQLite holds it: NaN it cannot hold, single precision is written with its own few digits.
pub fn sqlite(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Flag(flag) => Value::Integer((*flag).into()),
        Cell::Whole(whole) => match i64::try_from(*whole) {
            Ok(whole) => Value::Integer(whole),
            Err(_) => Value::Text(whole.to_string()),
        },
        Cell::Single(single) => Value::Real(format!("{single:?}").parse().unwrap()),
        Cell::Double(double) if double.is_nan() => Value::Null,
        Cell::Double(double) => Value::Real(*double),
        Cell::Bytes(bytes) => Value::Blob(bytes.clone()),
        Cell::Json(_) | Cell::Texts(_) | Cell::Numbers(_) | Cell::Object { .. } => Value::Text(json(cell)),
        _ => Value::Text(plain(cell)),
    }
}
