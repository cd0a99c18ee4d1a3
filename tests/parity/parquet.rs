//! The rows as a Parquet file: every kind in its own type, intervals as text, which is all Parquet has for them.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder, StringBuilder, StructBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::{SchemaDescriptor, Type};

use super::rows::{COLUMNS, Cell, Kind, Row};
use super::text::{days, json, micros, plain, time_micros};

/// Writes the file: several row groups, JSON marked as such.
pub fn write(path: &Path, rows: &[Row]) {
    let columns = COLUMNS.iter().enumerate().map(|(at, (name, kind))| (*name, array(*kind, &column(rows, at)), true));
    save(path, &RecordBatch::try_from_iter_with_nullable(columns).unwrap());
}

/// Writes a file that carries the rows into systems where a literal of each kind is hard to write: times of day, lists
/// and objects are there as text, too, and intervals as numbers.
pub fn write_carrier(path: &Path, rows: &[Row]) {
    let mut columns = Vec::new();
    for (at, (name, kind)) in COLUMNS.iter().enumerate() {
        let cells = column(rows, at);
        let texts = |form: fn(&Cell) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter(cells.iter().map(|c| (**c != Cell::Null).then(|| form(c)))))
        };
        let part = |form: fn(&Cell) -> Option<i64>| -> ArrayRef {
            Arc::new(Int64Array::from_iter(cells.iter().map(|c| form(c))))
        };
        match kind {
            Kind::Time => columns.push((format!("{name}_text"), texts(plain))),
            Kind::Texts | Kind::Numbers | Kind::Object => columns.push((format!("{name}_json"), texts(json))),
            Kind::Single => columns.push((format!("{name}_text"), texts(plain))),
            Kind::Months | Kind::Clock | Kind::Span => {
                let months = |c: &Cell| if let Cell::Interval { months, .. } = c { Some(*months) } else { None };
                let micros = |c: &Cell| if let Cell::Interval { micros, .. } = c { Some(*micros) } else { None };
                columns.push((format!("{name}_months"), part(months)));
                columns.push((format!("{name}_micros"), part(micros)));
            }
            _ => {}
        }
        // Not every reader of Parquet knows times of day.
        if *kind != Kind::Time {
            columns.push(((*name).to_owned(), array(*kind, &cells)));
        }
    }
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    save(path, &RecordBatch::try_from_iter_with_nullable(columns).unwrap());
}

fn column(rows: &[Row], at: usize) -> Vec<&Cell> {
    rows.iter().map(|row| &row[at]).collect()
}

/// The cells of one form, others as null.
macro_rules! of {
    ($cells:expr, $form:pat => $value:expr) => {
        $cells.iter().map(|cell| match cell {
            $form => Some($value),
            _ => None,
        })
    };
}

fn array(kind: Kind, cells: &[&Cell]) -> ArrayRef {
    match kind {
        Kind::Key | Kind::Wide => Arc::new(Int64Array::from_iter(of!(cells, Cell::Whole(n) => *n as i64))),
        Kind::Whole => Arc::new(Int32Array::from_iter(of!(cells, Cell::Whole(n) => *n as i32))),
        Kind::Huge => Arc::new(decimals(of!(cells, Cell::Whole(n) => *n), 38, 0)),
        Kind::Price => Arc::new(decimals(of!(cells, Cell::Decimal(n, _) => *n), 12, 2)),
        Kind::Exact => Arc::new(decimals(of!(cells, Cell::Decimal(n, _) => *n), 38, 18)),
        Kind::Flag => Arc::new(BooleanArray::from_iter(of!(cells, Cell::Flag(b) => *b))),
        Kind::Single => Arc::new(Float32Array::from_iter(of!(cells, Cell::Single(n) => *n))),
        Kind::Double | Kind::Unlimited => Arc::new(Float64Array::from_iter(of!(cells, Cell::Double(n) => *n))),
        Kind::Date => Arc::new(Date32Array::from_iter(of!(cells, Cell::Date(d) => days(*d)))),
        Kind::Time => Arc::new(Time64MicrosecondArray::from_iter(of!(cells, Cell::Time(t) => time_micros(*t)))),
        Kind::Wall => Arc::new(TimestampMicrosecondArray::from_iter(of!(cells, Cell::Wall(t) => micros(*t)))),
        Kind::Instant => {
            let instants = TimestampMicrosecondArray::from_iter(of!(cells, Cell::Instant(t) => micros(*t)));
            Arc::new(instants.with_timezone("UTC"))
        }
        Kind::Bytes => Arc::new(BinaryArray::from_iter(of!(cells, Cell::Bytes(b) => b.as_slice()))),
        Kind::Texts => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            of!(cells, Cell::Texts(items) => items.clone()).for_each(|items| lists.append_option(items));
            Arc::new(lists.finish())
        }
        Kind::Numbers => {
            let mut lists = ListBuilder::new(Int64Builder::new());
            of!(cells, Cell::Numbers(items) => items.clone()).for_each(|items| lists.append_option(items));
            Arc::new(lists.finish())
        }
        Kind::Object => objects(cells),
        Kind::Email | Kind::Text | Kind::Uuid | Kind::Json | Kind::Months | Kind::Clock | Kind::Span => {
            Arc::new(StringArray::from_iter(cells.iter().map(|cell| (**cell != Cell::Null).then(|| plain(cell)))))
        }
    }
}

fn decimals(values: impl Iterator<Item = Option<i128>>, precision: u8, scale: i8) -> Decimal128Array {
    Decimal128Array::from_iter(values).with_precision_and_scale(precision, scale).unwrap()
}

fn objects(cells: &[&Cell]) -> ArrayRef {
    let fields = vec![Field::new("city", DataType::Utf8, true), Field::new("floor", DataType::Int64, true)];
    let mut objects = StructBuilder::from_fields(fields, cells.len());
    for cell in cells {
        let (city, floor, there) = match cell {
            Cell::Object { city, floor } => (city.as_deref(), *floor, true),
            _ => (None, None, false),
        };
        objects.field_builder::<StringBuilder>(0).unwrap().append_option(city);
        objects.field_builder::<Int64Builder>(1).unwrap().append_option(floor);
        objects.append(there);
    }
    Arc::new(objects.finish())
}

fn save(path: &Path, batch: &RecordBatch) {
    let plain = ArrowSchemaConverter::new().convert(&batch.schema()).unwrap();
    let fields = plain.root_schema().get_fields().iter().map(|field| {
        let json = COLUMNS.iter().any(|(name, kind)| *name == field.name() && *kind == Kind::Json);
        if !json {
            return field.clone();
        }
        let marked = Type::primitive_type_builder(field.name(), Physical::BYTE_ARRAY)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(Some(LogicalType::Json));
        Arc::new(marked.build().unwrap())
    });
    let root = Type::group_type_builder("schema").with_fields(fields.collect()).build().unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(3_000)).build();
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_parquet_schema(SchemaDescriptor::new(Arc::new(root)));
    let mut writer = ArrowWriter::try_new_with_options(File::create(path).unwrap(), batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}
