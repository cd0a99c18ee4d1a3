//! The used columns of a model: which they are, of what logical type, and how they are kept.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::DiffError;
use super::cells::Meaning;
use super::kinds::kind_of;

/// Which of the model's columns a sync uses: key, match and mapped columns, and those its templates read. Sorted by
/// name, so that the order in a manifest or a query makes no difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The used columns with the types they are kept in (see [`stored_type`]).
    pub schema: SchemaRef,
    /// Positions of the key columns in `schema`, in the order of `primary_key`.
    pub key: Vec<usize>,
}

/// Field metadata by which a source says that text holds a decimal or JSON; it decides what the text means.
pub(super) const MEANING: &str = "syncline.type";

fn meaning(field: &Field) -> HashMap<String, String> {
    let meaning = field.metadata().get(MEANING).map(|m| (MEANING.to_owned(), m.clone()));
    meaning.into_iter().collect()
}

/// What the values of a column stand for.
pub(super) fn meaning_of(field: &Field) -> Meaning {
    match (field.data_type(), field.metadata().get(MEANING).map(String::as_str)) {
        (DataType::Utf8, Some("decimal")) => Meaning::Decimal,
        (DataType::Utf8, Some("json")) => Meaning::Json,
        _ => Meaning::Itself,
    }
}

impl Layout {
    /// The layout of the columns `used` (key columns are added) of a model with the columns `schema`.
    ///
    /// Fails when a column is not there or has a type that cannot be compared.
    pub fn new(schema: &SchemaRef, used: &[String], primary_key: &[String]) -> Result<Layout, DiffError> {
        let mut names: Vec<&String> = used.iter().chain(primary_key).collect();
        names.sort();
        names.dedup();
        let mut fields = Vec::with_capacity(names.len());
        for name in &names {
            let field = schema.field_with_name(name).map_err(|_| DiffError::MissingColumn((*name).clone()))?;
            let stored = stored_type(field.data_type()).ok_or_else(|| DiffError::Unsupported {
                column: (*name).clone(),
                data_type: field.data_type().to_string(),
            })?;
            fields.push(Field::new(name.as_str(), stored, true).with_metadata(meaning(field)));
        }
        let key = primary_key.iter().filter_map(|name| names.iter().position(|n| *n == name)).collect();
        Ok(Layout { schema: Arc::new(Schema::new(fields)), key })
    }

    /// Names of the used columns, sorted.
    pub fn names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|f| f.name().clone()).collect()
    }

    /// Key columns and their logical types, in the order of the primary key: what a snapshot remembers of its key.
    pub fn key_types(&self) -> Vec<(String, String)> {
        let fields = self.key.iter().map(|&i| self.schema.field(i));
        fields.map(|f| (f.name().clone(), kind_of(f))).collect()
    }

    /// The used columns of a batch of the model, as they are encoded there.
    pub(super) fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, DiffError> {
        let fields = self.schema.fields().iter();
        fields
            .map(|f| batch.column_by_name(f.name()).cloned().ok_or_else(|| DiffError::MissingColumn(f.name().clone())))
            .collect()
    }
}

/// The array in another type; a value that does not fit is an error, never a null.
pub(super) fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, arrow_schema::ArrowError> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    let options = arrow_cast::CastOptions { safe: false, ..Default::default() };
    arrow_cast::cast_with_options(array.as_ref(), to, &options)
}

/// The type in which a column is kept: encodings (dictionary, view, large offsets) and the width of integers are of no
/// meaning and dropped. `None` for types that cannot be compared.
pub fn stored_type(data_type: &DataType) -> Option<DataType> {
    use DataType::*;
    let child = |f: &Arc<Field>| Some(Arc::new(Field::new(f.name(), stored_type(f.data_type())?, true)));
    Some(match data_type {
        Null => Null,
        Boolean => Boolean,
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 => Int64,
        UInt64 => UInt64,
        Float16 | Float32 => Float32,
        Float64 => Float64,
        Utf8 | LargeUtf8 | Utf8View => Utf8,
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Binary,
        Date32 | Date64 => Date32,
        Time32(unit) => Time32(*unit),
        Time64(unit) => Time64(*unit),
        Timestamp(unit, zone) => Timestamp(*unit, zone.as_ref().map(|_| "UTC".into())),
        Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s) => Decimal128(*p, *s),
        Decimal256(p, s) => Decimal256(*p, *s),
        Dictionary(_, values) => stored_type(values)?,
        List(f) | LargeList(f) | FixedSizeList(f, _) => List(child(f)?),
        Struct(fields) => Struct(fields.iter().map(child).collect::<Option<_>>()?),
        Map(entries, sorted) => match entries.data_type() {
            Struct(pair) if pair.len() == 2 => {
                let key = Arc::new(Field::new(pair[0].name(), stored_type(pair[0].data_type())?, false));
                let value = child(&pair[1])?;
                let entries = Field::new(entries.name(), Struct(vec![key, value].into()), false);
                Map(Arc::new(entries), *sorted)
            }
            _ => return None,
        },
        _ => return None,
    })
}

/// The kind of a type as people know it: the width and encoding of a column may change without the key changing.
pub fn logical_type(data_type: &DataType) -> &'static str {
    use DataType::*;
    match data_type {
        Null => "null",
        Boolean => "boolean",
        d if d.is_integer() => "integer",
        Float16 | Float32 | Float64 => "float",
        Utf8 | LargeUtf8 | Utf8View => "text",
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "binary",
        Date32 | Date64 => "date",
        Time32(_) | Time64(_) => "time",
        Timestamp(_, None) => "timestamp",
        Timestamp(_, Some(_)) => "instant",
        Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => "decimal",
        Dictionary(_, values) => logical_type(values),
        List(_) | LargeList(_) | FixedSizeList(..) | ListView(_) | LargeListView(_) => "list",
        Struct(_) => "object",
        Map(..) => "map",
        _ => "other",
    }
}

/// True when `now` may be compared with rows whose key was `before`. A column without a single value has no type yet.
pub(super) fn same_key(before: &[(String, String)], now: &[(String, String)]) -> bool {
    let open = |kind: &str| kind == "null";
    before.len() == now.len()
        && before.iter().zip(now).all(|(b, n)| b.0 == n.0 && (b.1 == n.1 || open(&b.1) || open(&n.1)))
}
