//! Arrow arrays under construction, row by row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int16Builder,
    Int32Builder, Int64Builder, NullBufferBuilder, StringBuilder, Time64MicrosecondBuilder, Time64NanosecondBuilder,
    TimestampMicrosecondBuilder, TimestampNanosecondBuilder, UInt64Builder,
};
use arrow_array::{ArrayRef, ListArray, NullArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, SchemaRef, TimeUnit};

use super::{BATCH_ROWS, Batch, Flaw, TYPE_DECIMAL, TYPE_JSON, TYPE_KEY, Unreadable};

/// Bytes of text after which a batch is handed on though it is not full: wide rows must not fill the memory.
const BATCH_BYTES: usize = 32 << 20;

/// What the text of a column stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    /// Itself.
    Plain,
    /// An exact decimal number.
    Decimal,
    /// A JSON value.
    Json,
}

impl TextKind {
    fn of(field: &Field) -> Self {
        match field.metadata().get(TYPE_KEY).map(String::as_str) {
            Some(TYPE_DECIMAL) => Self::Decimal,
            Some(TYPE_JSON) => Self::Json,
            _ => Self::Plain,
        }
    }
}

/// A nullable text field that stands for a decimal or JSON.
pub(super) fn marked(name: &str, mark: &str) -> Field {
    Field::new(name, DataType::Utf8, true).with_metadata(HashMap::from([(TYPE_KEY.to_owned(), mark.to_owned())]))
}

/// One column under construction.
pub(super) enum Column {
    /// Of no type, for want of a value: how many nulls.
    Null(usize),
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    UInt64(UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Text(StringBuilder, TextKind),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    TimeNanos(Time64NanosecondBuilder),
    /// Microseconds; true when they are instants.
    Timestamp(TimestampMicrosecondBuilder, bool),
    /// The same in nanoseconds.
    TimestampNanos(TimestampNanosecondBuilder, bool),
    /// The scale beside.
    Decimal(Decimal128Builder, i8),
    List(Box<ListColumn>),
    Struct(StructColumn),
}

/// A list column: the items of all rows in one child.
pub(super) struct ListColumn {
    field: FieldRef,
    offsets: Vec<i32>,
    valid: NullBufferBuilder,
    pub(super) items: Column,
    length: i32,
}

impl ListColumn {
    /// Counts an item that was pushed into `items`.
    pub(super) fn count(&mut self) {
        self.length = self.length.saturating_add(1);
    }

    /// Ends the list of a row.
    pub(super) fn end(&mut self, valid: bool) {
        self.offsets.push(self.length);
        self.valid.append(valid);
    }
}

/// An object column.
pub(super) struct StructColumn {
    pub(super) fields: Fields,
    pub(super) children: Vec<Column>,
    valid: NullBufferBuilder,
}

impl StructColumn {
    /// Ends the object of a row; every child has got its value.
    pub(super) fn end(&mut self, valid: bool) {
        self.valid.append(valid);
    }
}

impl Column {
    /// An empty column of a field. Types that no reader of ours builds are a fault of the reader.
    pub(super) fn new(field: &Field) -> Result<Self, ArrowError> {
        Ok(match field.data_type() {
            DataType::Null => Self::Null(0),
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::UInt64 => Self::UInt64(UInt64Builder::new()),
            DataType::Float32 => Self::Float32(Float32Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            DataType::Utf8 => Self::Text(StringBuilder::new(), TextKind::of(field)),
            DataType::Binary => Self::Binary(BinaryBuilder::new()),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(Time64MicrosecondBuilder::new()),
            DataType::Time64(TimeUnit::Nanosecond) => Self::TimeNanos(Time64NanosecondBuilder::new()),
            kind @ DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(kind.clone()), zone.is_some())
            }
            kind @ DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
                Self::TimestampNanos(TimestampNanosecondBuilder::new().with_data_type(kind.clone()), zone.is_some())
            }
            kind @ DataType::Decimal128(_, scale) => {
                Self::Decimal(Decimal128Builder::new().with_data_type(kind.clone()), *scale)
            }
            DataType::List(item) => Self::List(Box::new(ListColumn {
                field: item.clone(),
                offsets: vec![0],
                valid: NullBufferBuilder::new(0),
                items: Self::new(item)?,
                length: 0,
            })),
            DataType::Struct(fields) => Self::Struct(StructColumn {
                fields: fields.clone(),
                children: fields.iter().map(|f| Self::new(f)).collect::<Result<_, _>>()?,
                valid: NullBufferBuilder::new(0),
            }),
            other => return Err(ArrowError::NotYetImplemented(format!("building a column of {other}"))),
        })
    }

    /// Appends null.
    pub(super) fn push_null(&mut self) {
        match self {
            Self::Null(rows) => *rows += 1,
            Self::Boolean(b) => b.append_null(),
            Self::Int16(b) => b.append_null(),
            Self::Int32(b) => b.append_null(),
            Self::Int64(b) => b.append_null(),
            Self::UInt64(b) => b.append_null(),
            Self::Float32(b) => b.append_null(),
            Self::Float64(b) => b.append_null(),
            Self::Text(b, _) => b.append_null(),
            Self::Binary(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::Time(b) => b.append_null(),
            Self::TimeNanos(b) => b.append_null(),
            Self::Timestamp(b, _) => b.append_null(),
            Self::TimestampNanos(b, _) => b.append_null(),
            Self::Decimal(b, _) => b.append_null(),
            Self::List(list) => list.end(false),
            Self::Struct(object) => {
                object.children.iter_mut().for_each(Self::push_null);
                object.end(false);
            }
        }
    }

    /// The array so far; the column is empty afterwards.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Null(rows) => Arc::new(NullArray::new(std::mem::take(rows))),
            Self::Boolean(b) => Arc::new(b.finish()),
            Self::Int16(b) => Arc::new(b.finish()),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::UInt64(b) => Arc::new(b.finish()),
            Self::Float32(b) => Arc::new(b.finish()),
            Self::Float64(b) => Arc::new(b.finish()),
            Self::Text(b, _) => Arc::new(b.finish()),
            Self::Binary(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::TimeNanos(b) => Arc::new(b.finish()),
            Self::Timestamp(b, _) => Arc::new(b.finish()),
            Self::TimestampNanos(b, _) => Arc::new(b.finish()),
            Self::Decimal(b, _) => Arc::new(b.finish()),
            Self::List(list) => {
                let offsets = OffsetBuffer::new(std::mem::replace(&mut list.offsets, vec![0]).into());
                list.length = 0;
                let items = list.items.finish()?;
                Arc::new(ListArray::try_new(list.field.clone(), offsets, items, list.valid.finish())?)
            }
            Self::Struct(object) => {
                let children = object.children.iter_mut().map(Self::finish).collect::<Result<Vec<_>, _>>()?;
                Arc::new(StructArray::try_new(object.fields.clone(), children, object.valid.finish())?)
            }
        })
    }
}

/// The columns of a batch under construction.
pub(super) struct Rows {
    schema: SchemaRef,
    /// One per field of the schema.
    pub(super) columns: Vec<Column>,
    pub(super) flaws: Flaws,
    bytes: usize,
}

/// The values that could not be read, of a batch under construction.
#[derive(Default)]
pub(super) struct Flaws {
    /// The row that is being built.
    row: usize,
    found: Vec<Flaw>,
}

impl Flaws {
    /// Notes that a value of the row that is being built could not be read; the column has got a null in its place.
    #[cold]
    pub(super) fn add(&mut self, column: usize, why: Unreadable) {
        self.add_after(0, column, why);
    }

    /// The same of a row that comes so many rows after that.
    #[cold]
    pub(super) fn add_after(&mut self, rows: usize, column: usize, why: Unreadable) {
        self.found.push(Flaw { row: self.row + rows, column, why });
    }
}

impl Rows {
    /// An empty batch.
    pub(super) fn new(schema: SchemaRef) -> Result<Self, ArrowError> {
        let columns = schema.fields().iter().map(|f| Column::new(f)).collect::<Result<_, _>>()?;
        Ok(Self { schema, columns, flaws: Flaws::default(), bytes: 0 })
    }

    /// Ends a row that took about `bytes` bytes; true when the batch is to be handed on.
    pub(super) fn end_row(&mut self, bytes: usize) -> bool {
        self.end_rows(1, bytes)
    }

    /// How many rows there is room for.
    pub(super) fn room(&self) -> usize {
        BATCH_ROWS.saturating_sub(self.flaws.row)
    }

    /// Ends rows that took about `bytes` bytes together; true when the batch is to be handed on.
    pub(super) fn end_rows(&mut self, rows: usize, bytes: usize) -> bool {
        self.flaws.row += rows;
        self.bytes += bytes;
        self.flaws.row >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// The batch so far, and an empty one in its place; `None` when there is no row.
    pub(super) fn take(&mut self) -> Result<Option<Batch>, ArrowError> {
        let Flaws { row: rows, found: flaws } = std::mem::take(&mut self.flaws);
        if rows == 0 {
            return Ok(None);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>, _>>()?;
        self.bytes = 0;
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?;
        Ok(Some(Batch { rows, flaws }))
    }
}
