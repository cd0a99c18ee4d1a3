//! Values on their way into an array.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Int32Array, Int64Array, StringArray,
    make_array,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use parquet::errors::Result;

use super::{Kind, broken};

/// Values of one kind.
pub(super) struct Values {
    kind: Kind,
    bytes: Vec<u8>,
    /// Where each text ends, after a zero.
    ends: Vec<i32>,
    bits: BooleanBufferBuilder,
    nulls: NullBufferBuilder,
}

impl Values {
    /// With room for so many.
    pub(super) fn new(kind: Kind, rows: usize) -> Values {
        let (bytes, ends, bits) = match kind {
            Kind::Text => (rows * 16, rows + 1, 0),
            Kind::Fixed(width) | Kind::Big(width) => (rows * width, 0, 0),
            Kind::Bits => (0, 0, rows),
        };
        let mut ends = Vec::with_capacity(ends);
        if kind == Kind::Text {
            ends.push(0);
        }
        let (bytes, bits) = (Vec::with_capacity(bytes), BooleanBufferBuilder::new(bits));
        Values { kind, bytes, ends, bits, nulls: NullBufferBuilder::new(rows) }
    }

    /// Appends text, or a value of the width of the kind.
    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        if self.kind == Kind::Text {
            // What does not fit is found when the array is made.
            self.ends.push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
        }
        self.nulls.append_non_null();
    }

    /// Appends a bit.
    #[inline]
    pub(super) fn bit(&mut self, value: bool) {
        self.bits.append(value);
        self.nulls.append_non_null();
    }

    /// Appends that there is no value.
    pub(super) fn null(&mut self) {
        match self.kind {
            Kind::Text => self.ends.push(self.ends.last().copied().unwrap_or(0)),
            Kind::Fixed(width) | Kind::Big(width) => self.bytes.resize(self.bytes.len() + width, 0),
            Kind::Bits => self.bits.append(false),
        }
        self.nulls.append_null();
    }

    /// The array of all values, of the type of the column.
    pub(super) fn finish(mut self, data_type: &DataType) -> Result<ArrayRef> {
        let nulls = self.nulls.finish();
        match (data_type, self.kind) {
            (DataType::Utf8, Kind::Text) => {
                if self.bytes.len() > i32::MAX as usize {
                    return Err(broken("its texts are too long to be looked at together"));
                }
                // They begin with zero and never descend, as each is a length of the same growing vector.
                let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
                Ok(Arc::new(StringArray::try_new(ends, Buffer::from_vec(self.bytes), nulls)?))
            }
            (DataType::Boolean, Kind::Bits) => Ok(Arc::new(BooleanArray::new(self.bits.finish(), nulls))),
            (DataType::FixedSizeBinary(size), Kind::Fixed(_)) => {
                Ok(Arc::new(FixedSizeBinaryArray::try_new(*size, Buffer::from_vec(self.bytes), nulls)?))
            }
            (DataType::Decimal128(precision, scale), Kind::Fixed(width)) => {
                let values: Vec<i128> = self.bytes.chunks_exact(width).map(lowest_first).collect();
                let array = Decimal128Array::try_new(values.into(), nulls)?;
                Ok(Arc::new(array.with_precision_and_scale(*precision, *scale)?))
            }
            (DataType::Decimal128(precision, scale), Kind::Big(width)) => {
                let values: Vec<i128> = self.bytes.chunks_exact(width).map(highest_first).collect();
                let array = Decimal128Array::try_new(values.into(), nulls)?;
                Ok(Arc::new(array.with_precision_and_scale(*precision, *scale)?))
            }
            (_, Kind::Fixed(8)) => {
                let (words, _) = self.bytes.as_chunks::<8>();
                let words: Vec<i64> = words.iter().map(|word| i64::from_le_bytes(*word)).collect();
                retyped(&Int64Array::try_new(words.into(), nulls)?, data_type)
            }
            (_, Kind::Fixed(4)) => {
                let (words, _) = self.bytes.as_chunks::<4>();
                let words: Vec<i32> = words.iter().map(|word| i32::from_le_bytes(*word)).collect();
                retyped(&Int32Array::try_new(words.into(), nulls)?, data_type)
            }
            _ => Err(broken("a column has another type than its values")),
        }
    }
}

/// A number of up to 16 bytes with a sign, the lowest byte first.
fn lowest_first(bytes: &[u8]) -> i128 {
    bytes.iter().rev().fold(sign(bytes.last()), |number, byte| number << 8 | i128::from(*byte))
}

/// The same, the highest byte first.
fn highest_first(bytes: &[u8]) -> i128 {
    bytes.iter().fold(sign(bytes.first()), |number, byte| number << 8 | i128::from(*byte))
}

fn sign(highest: Option<&u8>) -> i128 {
    if highest.is_some_and(|byte| *byte >= 0x80) { -1 } else { 0 }
}

/// The same bytes as another type.
fn retyped(array: &dyn Array, data_type: &DataType) -> Result<ArrayRef> {
    Ok(make_array(array.to_data().into_builder().data_type(data_type.clone()).build()?))
}
