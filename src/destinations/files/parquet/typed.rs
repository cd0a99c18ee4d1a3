//! Texts to typed columns and back.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, StringArray, make_array};
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_schema::DataType;

/// What a column of unknown type is made of.
pub(super) const TEXT: DataType = DataType::Utf8;

/// The type a column is written with: encodings are left to Parquet. `None` for types that texts do not become.
pub(super) fn plain(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(TEXT),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Some(DataType::Binary),
        DataType::Float16 => Some(DataType::Float32),
        DataType::Boolean
        | DataType::Date32
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => Some(data_type.clone()),
        numeric if numeric.is_numeric() => Some(numeric.clone()),
        _ => None,
    }
}

/// A column of this type, made of texts; null where a text is not of the type.
pub(super) fn from_text(texts: &StringArray, data_type: &DataType) -> Result<ArrayRef, String> {
    if *data_type == DataType::Binary {
        let bytes = |text: Option<&str>| text?.strip_prefix("\\x").and_then(|digits| hex::decode(digits).ok());
        let decoded: BinaryArray = texts.iter().map(bytes).collect();
        return Ok(Arc::new(decoded));
    }
    if let Some(offset) = by_offset(data_type) {
        return relabelled(&from_text(texts, &offset)?, data_type);
    }
    let options = CastOptions { safe: true, ..CastOptions::default() };
    cast_with_options(texts, data_type, &options).map_err(|e| e.to_string())
}

/// The texts of a column; [`from_text`] makes the same column of them.
pub(super) fn to_text(column: &ArrayRef) -> Result<StringArray, String> {
    if *column.data_type() == DataType::Binary {
        let text = |bytes: Option<&[u8]>| bytes.map(|b| format!("\\x{}", hex::encode(b)));
        return Ok(column.as_binary::<i32>().iter().map(text).collect());
    }
    if let Some(offset) = by_offset(column.data_type()) {
        return to_text(&relabelled(column, &offset)?);
    }
    let texts = cast(column, &TEXT).map_err(|e| e.to_string())?;
    Ok(texts.as_string::<i32>().clone())
}

/// For instants labelled with the name of a zone, the same type labelled with an offset: an instant does not depend on
/// the label, and names would need a zone database.
fn by_offset(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(unit, Some(zone)) if &**zone != "+00:00" => {
            Some(DataType::Timestamp(*unit, Some("+00:00".into())))
        }
        _ => None,
    }
}

fn relabelled(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, String> {
    let data = column.to_data().into_builder().data_type(data_type.clone()).build();
    data.map(make_array).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use arrow_schema::TimeUnit;

    use super::*;

    #[test]
    fn texts_become_typed_values_and_the_same_texts_again() {
        let utc = || Some("UTC".into());
        let cases: [(DataType, &str, Option<&str>); 12] = [
            (DataType::Utf8, "", Some("")),
            (DataType::Boolean, "true", Some("true")),
            (DataType::Int64, "-12", Some("-12")),
            (DataType::Int64, "many", None),
            (DataType::UInt64, "18446744073709551615", Some("18446744073709551615")),
            (DataType::Float64, "0.1", Some("0.1")),
            (DataType::Decimal128(10, 2), "1.1", Some("1.10")),
            (DataType::Date32, "2026-11-22", Some("2026-11-22")),
            (DataType::Time64(TimeUnit::Microsecond), "13:45:00.25", Some("13:45:00.250")),
            (DataType::Timestamp(TimeUnit::Microsecond, utc()), "2026-11-22T13:45:00Z", Some("2026-11-22T13:45:00Z")),
            (DataType::Timestamp(TimeUnit::Microsecond, None), "2026-11-22T13:45:00", Some("2026-11-22T13:45:00")),
            (DataType::Binary, "\\x00ff", Some("\\x00ff")),
        ];
        for (data_type, text, expected) in cases {
            let texts = StringArray::from(vec![text]);
            let column = from_text(&texts, &data_type).expect("a conversion");
            let again = to_text(&column).expect("a conversion");
            let again = again.is_valid(0).then(|| again.value(0).to_owned());
            assert_eq!(again.as_deref(), expected, "{data_type} of {text}");
            if let Some(again) = again {
                let twice = from_text(&StringArray::from(vec![again]), &data_type).expect("a conversion");
                assert_eq!(&twice, &column, "{data_type} of {text}");
            }
        }
    }
}
