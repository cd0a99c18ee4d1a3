//! What is known about a value before any row is read: the kind its column, constant or template will give.

use arrow_schema::{DataType, Field};

use super::Value;
use super::column::MARK;
use crate::manifest::model::ColumnType;
use crate::manifest::sync::Transform;

/// The kind of the values of a column or of a step of its transforms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not known, or any.
    Any,
    Text,
    Integer,
    Decimal,
    Float,
    Boolean,
    Date,
    Time,
    Timestamp,
    Binary,
    /// A list or an object.
    Nested,
}

impl Kind {
    /// The kind of a column.
    pub(super) fn of(field: &Field) -> Kind {
        match (Kind::of_type(field.data_type()), field.metadata().get(MARK).map(String::as_str)) {
            (Kind::Text, Some("decimal")) => Kind::Decimal,
            (Kind::Text, Some("json")) => Kind::Any,
            (kind, _) => kind,
        }
    }

    fn of_type(data_type: &DataType) -> Kind {
        use DataType as T;
        match data_type {
            T::Null | T::Union(_, _) => Kind::Any,
            T::Boolean => Kind::Boolean,
            T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Kind::Integer,
            T::Decimal32(_, scale) | T::Decimal64(_, scale) | T::Decimal128(_, scale) | T::Decimal256(_, scale) => {
                if *scale <= 0 {
                    Kind::Integer
                } else {
                    Kind::Decimal
                }
            }
            T::Float16 | T::Float32 | T::Float64 => Kind::Float,
            T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Interval(_) | T::Duration(_) => Kind::Text,
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => Kind::Binary,
            T::Date32 | T::Date64 => Kind::Date,
            T::Time32(_) | T::Time64(_) => Kind::Time,
            T::Timestamp(_, _) => Kind::Timestamp,
            T::List(_) | T::LargeList(_) | T::ListView(_) | T::LargeListView(_) | T::FixedSizeList(_, _) => {
                Kind::Nested
            }
            T::Struct(_) | T::Map(_, _) => Kind::Nested,
            T::Dictionary(_, values) => Kind::of_type(values),
            T::RunEndEncoded(_, values) => Kind::of(values),
        }
    }

    /// The kind of a value.
    pub(super) fn of_value(value: &Value) -> Kind {
        match value {
            Value::Null => Kind::Any,
            Value::Bool(_) => Kind::Boolean,
            Value::Int(_) | Value::UInt(_) => Kind::Integer,
            Value::Float(_) => Kind::Float,
            Value::Decimal(_) => Kind::Decimal,
            Value::Text(_) => Kind::Text,
            Value::Binary(_) => Kind::Binary,
            Value::Date(_) => Kind::Date,
            Value::Time(_) => Kind::Time,
            Value::Timestamp { .. } => Kind::Timestamp,
            Value::List(_) | Value::Object(_) => Kind::Nested,
        }
    }

    /// The kind in words: `a whole number`.
    pub(super) fn words(self) -> &'static str {
        match self {
            Kind::Any => "any value",
            Kind::Text => "text",
            Kind::Integer => "a whole number",
            Kind::Decimal => "a decimal",
            Kind::Float => "a floating point number",
            Kind::Boolean => "a boolean",
            Kind::Date => "a date",
            Kind::Time => "a time of day",
            Kind::Timestamp => "a timestamp",
            Kind::Binary => "bytes",
            Kind::Nested => "a list or an object",
        }
    }

    /// What a transform makes of this kind; `None` when it can make nothing of it.
    pub(super) fn after(self, transform: Transform) -> Option<Kind> {
        use Kind as K;
        use Transform as T;
        let textual = matches!(self, K::Text | K::Binary | K::Any);
        let counted = matches!(self, K::Integer | K::Decimal | K::Float | K::Boolean);
        let dated = matches!(self, K::Date | K::Timestamp);
        let (takes, gives) = match transform {
            T::Trim | T::Lower | T::Upper | T::Title | T::E164 => (textual, K::Text),
            T::String | T::Sha256 | T::Md5 => (true, K::Text),
            T::Number => (textual || counted, if matches!(self, K::Float | K::Integer) { self } else { K::Decimal }),
            T::Integer => (textual || counted, K::Integer),
            T::Boolean => (textual || counted, K::Boolean),
            T::Json => (true, if textual { K::Any } else { self }),
            T::EpochS | T::EpochMs => (textual || dated, K::Integer),
            T::Iso8601 => (textual || dated || self == K::Time, K::Text),
            T::Date => (textual || dated, K::Date),
        };
        takes.then_some(gives)
    }

    /// Whether a column of this kind keeps the promise of a declared type.
    pub(super) fn keeps(self, declared: ColumnType) -> bool {
        use ColumnType as C;
        match declared {
            _ if self == Kind::Any => true,
            C::String => self == Kind::Text,
            C::Integer => self == Kind::Integer,
            C::Number => matches!(self, Kind::Integer | Kind::Decimal | Kind::Float),
            C::Boolean => self == Kind::Boolean,
            C::Date => self == Kind::Date,
            C::Timestamp => self == Kind::Timestamp,
            C::Time => self == Kind::Time,
            C::Binary => self == Kind::Binary,
            C::Json => matches!(self, Kind::Nested | Kind::Text),
        }
    }
}

/// The word of a transform in manifests.
pub(super) fn word(transform: Transform) -> &'static str {
    match transform {
        Transform::Trim => "trim",
        Transform::Lower => "lower",
        Transform::Upper => "upper",
        Transform::Title => "title",
        Transform::String => "string",
        Transform::Number => "number",
        Transform::Integer => "integer",
        Transform::Boolean => "boolean",
        Transform::Json => "json",
        Transform::Sha256 => "sha256",
        Transform::Md5 => "md5",
        Transform::E164 => "e164",
        Transform::EpochS => "epoch_s",
        Transform::EpochMs => "epoch_ms",
        Transform::Iso8601 => "iso8601",
        Transform::Date => "date",
    }
}
