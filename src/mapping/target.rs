//! What type a field's values will have, for destinations that make tables and typed files.

use arrow_schema::{DataType, Schema};
use serde_json::Value as Json;

use super::column::MARK;
use crate::manifest::sync::{Field, Origin, Transform};

/// The Arrow type of a field's values, as far as manifest and model say; `None` where it depends on the row.
pub fn data_type(field: &Field, schema: &Schema) -> Option<DataType> {
    let origin = match &field.origin {
        Origin::Column(column) => schema.field_with_name(column).ok().map(|field| field.data_type().clone()),
        Origin::Value(Json::String(_)) | Origin::Template(_) => Some(DataType::Utf8),
        Origin::Value(Json::Bool(_)) => Some(DataType::Boolean),
        Origin::Value(Json::Number(number)) if number.is_i64() => Some(DataType::Int64),
        Origin::Value(Json::Number(_)) => Some(DataType::Float64),
        Origin::Value(Json::Null | Json::Array(_) | Json::Object(_)) => None,
    };
    field.transform.iter().fold(origin, |before, transform| match transform {
        Transform::Integer | Transform::EpochS | Transform::EpochMs => Some(DataType::Int64),
        Transform::Boolean => Some(DataType::Boolean),
        Transform::Date => Some(DataType::Date32),
        // Whole numbers stay whole; text may hold any number.
        Transform::Number => before.filter(DataType::is_numeric),
        Transform::Json => None,
        Transform::Trim
        | Transform::Lower
        | Transform::Upper
        | Transform::Title
        | Transform::String
        | Transform::Sha256
        | Transform::Md5
        | Transform::E164
        | Transform::Iso8601 => Some(DataType::Utf8),
    })
}

/// What the text of a field stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Meaning {
    /// Itself.
    #[default]
    Itself,
    /// A decimal number of any length.
    Decimal,
    /// A JSON value: text is one of its strings.
    Json,
}

impl Meaning {
    /// What the text of a column stands for.
    pub fn of(field: &arrow_schema::Field) -> Self {
        match field.metadata().get(MARK).map(String::as_str) {
            Some("decimal") => Self::Decimal,
            Some("json") => Self::Json,
            _ => Self::Itself,
        }
    }
}

/// What the text of a field's values stands for, as far as manifest and model say.
pub fn meaning(field: &Field, schema: &Schema) -> Meaning {
    let origin = match &field.origin {
        Origin::Column(column) => schema.field_with_name(column).map_or(Meaning::Itself, Meaning::of),
        Origin::Value(_) | Origin::Template(_) => Meaning::Itself,
    };
    field.transform.iter().fold(origin, |_, transform| match transform {
        Transform::Json => Meaning::Json,
        Transform::Number => Meaning::Decimal,
        _ => Meaning::Itself,
    })
}
