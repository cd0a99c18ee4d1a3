//! The types of columns that `create: true` makes.

use arrow_schema::DataType;

use crate::destinations::table::{Column, Columns};
use crate::mapping::Meaning;
use crate::mysql::quoted;

/// Bytes that the columns of a primary key have together in InnoDB
/// (<https://dev.mysql.com/doc/refman/8.4/en/innodb-limits.html>).
const KEY: usize = 3072;
/// More than any column of a key takes that is neither text nor bytes.
const FIXED: usize = 40;
/// Digits of a decimal, and those of them behind the point
/// (<https://dev.mysql.com/doc/refman/8.4/en/precision-math-decimal-characteristics.html>).
const DIGITS: u8 = 65;
const FRACTION: i8 = 30;

/// `CREATE TABLE`. `bytewise` is a collation to which two texts are the same only when all their bytes are.
pub(super) fn create(name: &str, columns: &Columns, bytewise: &str) -> String {
    let room = room(&columns.matching);
    let keys = columns.matching.iter().map(|c| format!("{} {} NOT NULL", quoted(&c.name), key(c, room, bytewise)));
    let fields = columns.fields.iter().map(added);
    let names: Vec<String> = columns.matching.iter().map(|c| quoted(&c.name)).collect();
    let lines: Vec<String> = keys.chain(fields).chain([format!("PRIMARY KEY ({})", names.join(", "))]).collect();
    format!("CREATE TABLE IF NOT EXISTS {name} ({}) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4", lines.join(", "))
}

/// A column that takes nulls, as `CREATE TABLE` and `ALTER TABLE … ADD COLUMN` declare it.
pub(super) fn added(column: &Column) -> String {
    format!("{} {} NULL", quoted(&column.name), declared(column.data_type.as_ref(), column.meaning))
}

/// Bytes that each text of a key may have.
fn room(matching: &[Column]) -> usize {
    let long = matching.iter().filter(|c| is_long(&declared(c.data_type.as_ref(), c.meaning))).count();
    KEY.saturating_sub(FIXED * (matching.len() - long)) / long.max(1)
}

/// The type of an identifier: texts and bytes are as long as the index can take.
fn key(column: &Column, room: usize, bytewise: &str) -> String {
    let declared = declared(column.data_type.as_ref(), column.meaning);
    match declared.as_str() {
        "longblob" => format!("varbinary({room})"),
        long if is_long(long) => format!("varchar({}) CHARACTER SET utf8mb4 COLLATE {bytewise}", room / 4),
        _ => declared,
    }
}

fn is_long(declared: &str) -> bool {
    matches!(declared, "longtext" | "longblob" | "json")
}

/// The declared type of a new column; text where the type is not known.
fn declared(data_type: Option<&DataType>, meaning: Meaning) -> String {
    match data_type {
        Some(DataType::Dictionary(_, values)) => return declared(Some(values), meaning),
        Some(DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale)) => {
            return match (*precision, *scale) {
                (precision, scale @ 0..=FRACTION) if precision <= DIGITS => format!("decimal({precision},{scale})"),
                // Zeros before the point.
                (precision, scale @ ..0) if i16::from(precision) - i16::from(scale) <= i16::from(DIGITS) => {
                    format!("decimal({},0)", i16::from(precision) - i16::from(scale))
                }
                // No number here has so many digits.
                _ => "longtext".into(),
            };
        }
        _ => {}
    }
    match data_type {
        Some(DataType::Boolean) => "boolean",
        Some(DataType::Int8 | DataType::Int16 | DataType::UInt8) => "smallint",
        Some(DataType::Int32 | DataType::UInt16) => "int",
        Some(DataType::Int64 | DataType::UInt32) => "bigint",
        Some(DataType::UInt64) => "bigint unsigned",
        Some(DataType::Float16 | DataType::Float32) => "float",
        Some(DataType::Float64) => "double",
        Some(DataType::Date32 | DataType::Date64) => "date",
        Some(DataType::Time32(_) | DataType::Time64(_)) => "time(6)",
        // A `timestamp` ends in 2038, and begins in 1970.
        Some(DataType::Timestamp(..)) => "datetime(6)",
        Some(DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)) => {
            "longblob"
        }
        Some(t) if t.is_nested() => "json",
        _ if meaning == Meaning::Json => "json",
        _ if meaning == Meaning::Decimal => "decimal(65,30)",
        _ => "longtext",
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_new_column_holds_what_the_source_has() {
        let cases = [
            (Some(DataType::Utf8), Meaning::Itself, "longtext"),
            (Some(DataType::Utf8), Meaning::Json, "json"),
            (Some(DataType::Utf8), Meaning::Decimal, "decimal(65,30)"),
            (Some(DataType::Decimal128(10, 2)), Meaning::Itself, "decimal(10,2)"),
            (Some(DataType::Decimal128(38, 38)), Meaning::Itself, "longtext"),
            (Some(DataType::Decimal256(76, 2)), Meaning::Itself, "longtext"),
            (Some(DataType::Decimal128(5, -3)), Meaning::Itself, "decimal(8,0)"),
            (Some(DataType::Int64), Meaning::Decimal, "bigint"),
            (Some(DataType::UInt64), Meaning::Itself, "bigint unsigned"),
            (None, Meaning::Json, "json"),
            (None, Meaning::Itself, "longtext"),
        ];
        for (data_type, meaning, expected) in cases {
            assert_eq!(declared(data_type.as_ref(), meaning), expected, "{data_type:?} {meaning:?}");
        }
    }

    #[test]
    fn keys_fit_an_index() {
        let column = |data_type| Column {
            position: 0,
            name: "k".into(),
            if_added: false,
            data_type: Some(data_type),
            meaning: Meaning::Itself,
        };
        let (text, number, bytes) =
            (|| column(DataType::Utf8), || column(DataType::Int64), || column(DataType::Binary));
        let cases = [
            (vec![text()], "varchar(768)"),
            (vec![text(), number()], "varchar(758) bigint"),
            (vec![text(), text(), bytes()], "varchar(256) varchar(256) varbinary(1024)"),
            (vec![number()], "bigint"),
        ];
        for (matching, expected) in cases {
            let room = room(&matching);
            let types: Vec<String> = matching.iter().map(|c| key(c, room, "x")).collect();
            assert_eq!(types.join(" ").replace(" CHARACTER SET utf8mb4 COLLATE x", ""), expected);
        }
    }
}
