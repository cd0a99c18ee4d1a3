//! Types of a dbt contract, as far as every warehouse means the same by the word.

use arrow_schema::{DataType, TimeUnit};

/// The Arrow type of a `data_type`; `Null`, which stands for any, where the word is not the same everywhere.
pub fn data_type(word: &str) -> DataType {
    let word = word.trim().to_lowercase();
    // `varchar(255)`, `timestamp(6) with time zone`: what stands in brackets is a length.
    let bare = match (word.find('('), word.find(')')) {
        (Some(open), Some(close)) if open < close => {
            format!("{} {}", word.get(..open).unwrap_or_default().trim(), word.get(close + 1..).unwrap_or_default())
        }
        _ => word,
    };
    let micros = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    match bare.split_whitespace().collect::<Vec<_>>().join(" ").as_str() {
        "text" | "string" | "varchar" | "character varying" | "char" | "character" | "nvarchar" | "bpchar" => {
            DataType::Utf8
        }
        "smallint" | "int" | "integer" | "bigint" | "int2" | "int4" | "int8" | "int64" | "tinyint" => DataType::Int64,
        "boolean" | "bool" => DataType::Boolean,
        "double precision" | "double" | "float" | "real" | "float4" | "float8" | "float64" => DataType::Float64,
        "date" => DataType::Date32,
        "timestamp without time zone" | "timestamp_ntz" => micros(None),
        "timestamp with time zone" | "timestamptz" | "timestamp_tz" => micros(Some("UTC")),
        _ => DataType::Null,
    }
}
