//! Rows the destination did not take, or did not answer for. Parquet, sorted by key hash, readable by anyone.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, StringBuilder, UInt64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::diagnostic::{Error, Result};
use crate::diff::{Hash, Held, HeldCounts, HeldFor, HeldReason};

/// Why a row is in the file of held rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldOutcome {
    /// Refused with this payload.
    Rejected,
    /// Update-only, and not there.
    NoMatch,
    /// The answer was lost and cannot be looked up: waits for a human.
    InDoubt,
    /// The answer was lost; the next run sends the row again.
    Resend,
}

impl HeldOutcome {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::NoMatch => "no_match",
            Self::InDoubt => "in_doubt",
            Self::Resend => "resend",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Rejected, Self::NoMatch, Self::InDoubt, Self::Resend].into_iter().find(|o| o.word() == word)
    }
}

/// One held row.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldRow {
    /// Hash of the row it is held for; 0 for its removal.
    pub row_hash: Hash,
    /// The key as shown to people.
    pub key: Box<str>,
    /// Why.
    pub outcome: HeldOutcome,
    /// Code in the destination's words.
    pub code: Arc<str>,
    /// Message in the destination's words.
    pub message: Arc<str>,
    /// How often the destination has answered so.
    pub count: u64,
    /// The run that answered last.
    pub run_id: Arc<str>,
    /// Digest of the mapping that made what was sent; `None` in files of earlier versions.
    pub mapping: Option<u64>,
    /// Digest of where and how it was sent (mode, destination, object, options); `None` in files of earlier versions.
    pub way: Option<u64>,
}

/// All held rows of a sync by key hash.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeldRows(pub BTreeMap<Hash, HeldRow>);

impl HeldRows {
    /// What the diff needs: the rows that are not sent again by themselves. `way` is the digest of where and how they would
    /// be sent now.
    pub fn for_diff(&self, way: Option<u64>) -> Held {
        let reason = |outcome| match outcome {
            HeldOutcome::Rejected => Some(HeldReason::Rejected),
            HeldOutcome::NoMatch => Some(HeldReason::NoMatch),
            HeldOutcome::InDoubt => Some(HeldReason::InDoubt),
            HeldOutcome::Resend => None,
        };
        let held = |row: &HeldRow| {
            // What is not known, of files of earlier versions, counts as the same: else an upgrade would send all again.
            let other_way = row.way.zip(way).is_some_and(|(then, now)| then != now);
            Some(HeldFor { row_hash: row.row_hash, mapping: row.mapping, other_way, reason: reason(row.outcome)? })
        };
        self.0.iter().filter_map(|(key, row)| Some((*key, held(row)?))).collect()
    }

    /// Rows that were answered for, and of which the destination took nothing, by key.
    pub fn waiting(&self) -> HashMap<String, Hash> {
        let none = |row: &HeldRow| matches!(row.outcome, HeldOutcome::Rejected | HeldOutcome::NoMatch);
        let rows = self.0.iter().filter(|(_, row)| row.row_hash != 0 && none(row));
        rows.map(|(hash, row)| (row.key.to_string(), *hash)).collect()
    }

    /// Of some of them, those that are not sent again by themselves, by reason.
    pub fn counts(&self, of: impl Fn(&HeldRow) -> bool) -> HeldCounts {
        let mut counts = HeldCounts::default();
        for row in self.0.values().filter(|row| of(row)) {
            match row.outcome {
                HeldOutcome::Rejected => counts.rejected += 1,
                HeldOutcome::NoMatch => counts.no_match += 1,
                HeldOutcome::InDoubt => counts.in_doubt += 1,
                HeldOutcome::Resend => {}
            }
        }
        counts
    }

    /// Rows with this outcome.
    pub fn count(&self, outcome: HeldOutcome) -> u64 {
        self.0.values().filter(|row| row.outcome == outcome).count() as u64
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |e: String| {
            Error::failed_help(
                format!("the held rows in `{}` cannot be read: {e}", path.display()),
                "restore the state folder from a copy",
            )
        };
        let file = File::open(path).map_err(|e| wrong(e.to_string()))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.build());
        let mut rows = BTreeMap::new();
        for batch in reader.map_err(|e| wrong(e.to_string()))? {
            let batch = batch.map_err(|e| wrong(e.to_string()))?;
            read_batch(&batch, &mut rows).ok_or_else(|| wrong("unexpected columns".into()))?;
        }
        Ok(Self(rows))
    }

    /// Writes a file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let wrong = |e: String| Error::failed(format!("cannot write `{}`: {e}", path.display()));
        let file = File::create(path).map_err(|e| wrong(e.to_string()))?;
        let mut writer = ArrowWriter::try_new(file, schema(), None).map_err(|e| wrong(e.to_string()))?;
        let rows: Vec<_> = self.0.iter().collect();
        for chunk in rows.chunks(64 * 1024) {
            let batch = to_batch(chunk).map_err(|e| wrong(e.to_string()))?;
            writer.write(&batch).map_err(|e| wrong(e.to_string()))?;
        }
        writer.close().map_err(|e| wrong(e.to_string()))?;
        Ok(())
    }
}

fn schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let hash = |name| Field::new(name, DataType::FixedSizeBinary(16), false);
    Arc::new(Schema::new(vec![
        hash("_key_hash"),
        hash("_row_hash"),
        text("key"),
        text("outcome"),
        text("code"),
        text("message"),
        Field::new("count", DataType::UInt64, false),
        text("run_id"),
        Field::new("mapping", DataType::UInt64, true),
        Field::new("way", DataType::UInt64, true),
    ]))
}

fn to_batch(rows: &[(&Hash, &HeldRow)]) -> std::result::Result<RecordBatch, arrow_schema::ArrowError> {
    let mut hashes = [FixedSizeBinaryBuilder::new(16), FixedSizeBinaryBuilder::new(16)];
    let mut texts: [StringBuilder; 5] = std::array::from_fn(|_| StringBuilder::new());
    let mut count = UInt64Builder::new();
    for (key_hash, row) in rows {
        for (builder, hash) in hashes.iter_mut().zip([**key_hash, row.row_hash]) {
            builder.append_value(hash.to_be_bytes())?;
        }
        let values: [&str; 5] = [&row.key, row.outcome.word(), &row.code, &row.message, &row.run_id];
        texts.iter_mut().zip(values).for_each(|(builder, value)| builder.append_value(value));
        count.append_value(row.count);
    }
    let [key_hash, row_hash] = hashes.map(|mut b| Arc::new(b.finish()) as ArrayRef);
    let [key, outcome, code, message, run_id] = texts.map(|mut b| Arc::new(b.finish()) as ArrayRef);
    let count = Arc::new(count.finish());
    let mapping: ArrayRef = Arc::new(rows.iter().map(|(_, row)| row.mapping).collect::<UInt64Array>());
    let way: ArrayRef = Arc::new(rows.iter().map(|(_, row)| row.way).collect::<UInt64Array>());
    RecordBatch::try_new(schema(), vec![key_hash, row_hash, key, outcome, code, message, count, run_id, mapping, way])
}

fn read_batch(batch: &RecordBatch, rows: &mut BTreeMap<Hash, HeldRow>) -> Option<()> {
    let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
    let hash = |name| batch.column_by_name(name)?.as_fixed_size_binary_opt();
    let (key_hash, row_hash) = (hash("_key_hash")?, hash("_row_hash")?);
    let (key, outcome, code) = (text("key")?, text("outcome")?, text("code")?);
    let (message, run_id) = (text("message")?, text("run_id")?);
    let count = batch.column_by_name("count")?.as_primitive_opt::<UInt64Type>()?;
    let digest = |name| batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<UInt64Type>());
    let (mapping, way) = (digest("mapping"), digest("way"));
    // Codes, messages and runs repeat: neighbours share one text.
    let mut last: [Arc<str>; 3] = std::array::from_fn(|_| Arc::from(""));
    for i in 0..batch.num_rows() {
        for (shared, value) in last.iter_mut().zip([code.value(i), message.value(i), run_id.value(i)]) {
            if **shared != *value {
                *shared = value.into();
            }
        }
        let [code, message, run_id] = last.clone();
        let row = HeldRow {
            row_hash: Hash::from_be_bytes(row_hash.value(i).try_into().ok()?),
            key: key.value(i).into(),
            outcome: HeldOutcome::parse(outcome.value(i))?,
            code,
            message,
            count: count.value(i),
            run_id,
            mapping: mapping.filter(|column| column.is_valid(i)).map(|column| column.value(i)),
            way: way.filter(|column| column.is_valid(i)).map(|column| column.value(i)),
        };
        rows.insert(Hash::from_be_bytes(key_hash.value(i).try_into().ok()?), row);
    }
    Some(())
}
