//! A small world to try the diff in: models, mappings and a state that takes what was acknowledged.

mod cases;
mod drift;
mod encodings;
mod flaws;
mod keeping;
mod laws;
mod mapped;
mod pages;
mod queried;

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, StringArray};
use arrow_schema::ArrowError;
use serde_json::json;

use super::snapshot::{Layout, Meta, Snapshot};
use super::*;
use crate::mapping::{Mapping, MappingSpec};
use crate::sources::{BatchStream, flawless};

pub const KEY: HashKey = HashKey(*b"0123456789abcdef");

/// A row of the model most tests use: `id`, `plan`, `seats`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row(pub Option<i64>, pub Option<String>, pub i64);

/// `row(1, "free", 3)`.
pub fn row(id: i64, plan: &str, seats: i64) -> Row {
    Row(Some(id), Some(plan.into()), seats)
}

pub fn batch(rows: &[Row]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 3] = [
        ("seats", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.2)))),
        ("id", Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>())),
        ("plan", Arc::new(rows.iter().map(|r| r.1.clone()).collect::<StringArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true))).unwrap()
}

/// Batches as parts of a model.
pub fn parts(batches: Vec<RecordBatch>) -> Vec<BatchStream> {
    let part = |b: RecordBatch| flawless(RecordBatchIterator::new([Ok(b.clone())], b.schema()));
    batches.into_iter().map(part).collect()
}

/// A mapping of `id` and some fields, each as in a manifest.
pub fn spec(fields: serde_json::Value) -> MappingSpec {
    serde_json::from_value(json!({ "primary_key": ["id"], "matching": { "id": "id" }, "fields": fields })).unwrap()
}

pub fn plain() -> MappingSpec {
    spec(json!({ "plan": "plan", "seats": "seats" }))
}

/// What a state holds, and how diffs against it are done.
pub struct World {
    pub dir: tempfile::TempDir,
    pub snapshot: Option<Snapshot>,
    pub doubt: Option<Snapshot>,
    pub held: Held,
    pub options: Options,
    pub values: bool,
    files: usize,
}

/// What a diff gave.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub summary: Summary,
    pub batches: Vec<ChangeBatch>,
}

impl Outcome {
    pub fn changes(&self) -> Vec<&Change> {
        self.batches.iter().flat_map(|b| &b.changes).collect()
    }

    /// One line a change: `changed data plan: free → premium`, sorted by nothing: in the order they came.
    pub fn lines(&self) -> Vec<String> {
        self.changes().into_iter().map(line).collect()
    }

    /// Changes without the borders of batches.
    pub fn flat(&self) -> Vec<Change> {
        self.changes().into_iter().cloned().collect()
    }
}

fn line(change: &Change) -> String {
    let state = format!("{:?}", change.state).to_lowercase();
    let cause = format!("{:?}", change.cause).to_lowercase();
    let before = match &change.before {
        Before::Nothing => "-".to_owned(),
        Before::Unknown => "?".to_owned(),
        Before::Known(fields) => fields.iter().map(|(_, v)| v.text()).collect::<Vec<_>>().join(","),
    };
    let after = change.record.as_ref().map_or("?".to_owned(), |record| {
        let fields = record.fields.iter().map(|f| f.as_ref().map_or("omitted".into(), |v| v.text().to_string()));
        record.matching.iter().map(|v| v.text().to_string()).chain(fields).collect::<Vec<_>>().join(",")
    });
    format!("{state} {cause}: {before} → {after}")
}

impl World {
    pub fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            memory: 64 << 20,
            threads: 2,
            scratch: dir.path().to_owned(),
            retry: false,
            full_refresh: false,
            started_at: "2026-01-01T00:00:00Z".into(),
            queried: None,
            drift: None,
        };
        World { dir, snapshot: None, doubt: None, held: Held::new(), options, values: true, files: 0 }
    }

    pub fn layout(&self, spec: &MappingSpec, schema: &arrow_schema::SchemaRef) -> Layout {
        let mut used: Vec<String> = spec.matching.values().cloned().collect();
        used.extend(schema.fields().iter().map(|f| f.name().clone()).filter(|name| {
            let fields = serde_json::to_string(&spec.fields).unwrap();
            fields.contains(&format!("\"column\":\"{name}\"")) || fields.contains(&format!("row.{name}"))
        }));
        Layout::new(schema, &used, &spec.primary_key).unwrap()
    }

    pub fn try_diff(&self, spec: &MappingSpec, model: Vec<BatchStream>) -> Result<Outcome, DiffError> {
        let schema = model.first().map_or_else(|| batch(&[]).schema(), |part| part.schema());
        let layout = self.layout(spec, &schema);
        let mapping = Mapping::new(spec, &schema, &self.options.started_at).unwrap();
        let mut batches = Vec::new();
        let mut sink = |batch: ChangeBatch| {
            assert_eq!(batch.rows.num_rows(), batch.changes.len());
            batches.push(batch);
            Ok(())
        };
        let (snapshot, doubt) = (self.snapshot.as_ref(), self.doubt.as_ref());
        let summary = diff(model, &layout, &mapping, snapshot, doubt, &self.held, &KEY, &self.options, &mut sink)?;
        Ok(Outcome { summary, batches })
    }

    pub fn diff(&self, spec: &MappingSpec, rows: &[Row]) -> Outcome {
        // Several parts and batches: rows of one part are read one after the other.
        let model = rows.chunks(rows.len().div_ceil(3).max(1)).map(batch).collect::<Vec<_>>();
        let model = if model.is_empty() { vec![batch(&[])] } else { model };
        let outcome = self.try_diff(spec, parts(model)).unwrap();
        let s = &outcome.summary;
        let invalid: u64 = s.invalid.iter().map(|i| i.count).sum();
        assert_eq!(s.rows, s.added + s.changed + s.unchanged + invalid, "{s:?}");
        assert_eq!(outcome.changes().len() as u64, s.added + s.changed + s.removed);
        outcome
    }

    fn file(&mut self) -> PathBuf {
        self.files += 1;
        self.dir.path().join(format!("{}.parquet", self.files))
    }

    /// Writes a snapshot of what was acknowledged on top of `old`.
    pub fn merged(
        &mut self,
        old: Option<&Snapshot>,
        spec: &MappingSpec,
        schema: &arrow_schema::SchemaRef,
        batches: &[ChangeBatch],
    ) -> Snapshot {
        let layout = self.layout(spec, schema);
        let mut meta = old.map_or_else(|| Meta::new("s", &layout, self.values), |old| old.meta().clone());
        let mapping = meta.number(spec);
        meta.current = Some(mapping);
        let acknowledged = batches.iter().map(|batch| {
            let entries = batch.changes.iter().map(|c| Entry {
                key_hash: c.key_hash,
                row_hash: c.row_hash,
                kind: if c.state == RowState::Removed { Kind::Remove } else { Kind::Put },
            });
            Ok::<_, crate::diagnostic::Error>(Acknowledged {
                rows: batch.rows.clone(),
                entries: entries.collect(),
                mapping,
            })
        });
        let path = self.file();
        let memory = self.options.memory;
        let rows = merge(old, acknowledged, meta, self.values, &path, memory, &self.options.scratch).unwrap();
        let snapshot = Snapshot::open(&path).unwrap();
        assert_eq!(snapshot.rows(), rows);
        snapshot
    }

    /// Acknowledges these changes.
    pub fn apply(&mut self, spec: &MappingSpec, outcome: &Outcome) {
        let old = self.snapshot.take();
        self.snapshot = Some(self.merged(old.as_ref(), spec, &batch(&[]).schema(), &outcome.batches));
    }

    /// A first run with these rows, acknowledged.
    pub fn after(spec: &MappingSpec, rows: &[Row]) -> World {
        let mut world = World::new();
        let outcome = world.diff(spec, rows);
        world.apply(spec, &outcome);
        world
    }

    /// Nothing is left behind in the scratch folder but the snapshots.
    pub fn leftovers(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path()).unwrap();
        let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.ends_with(".parquet")).collect()
    }
}

/// A part that breaks off after these rows.
pub fn broken(rows: &[Row]) -> BatchStream {
    let good = batch(rows);
    let schema = good.schema();
    let error = ArrowError::ExternalError(Box::new(crate::diagnostic::Error::failed("connection lost")));
    flawless(RecordBatchIterator::new(vec![Ok(good), Err(error)], schema))
}
