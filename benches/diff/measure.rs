//! Taking one figure: seconds and the peak of memory, printed as the last line.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Encoding;
use serde_json::json;
use syncline::diagnostic::Error;
use syncline::diff::snapshot::{Layout, Meta, Snapshot};
use syncline::diff::{Acknowledged, Before, ChangeBatch, Entry, HashKey, Held, Kind, Options, RowState, Summary};
use syncline::mapping::{Mapping, MappingSpec};
use syncline::sources::BatchStream;

use super::data;

const MEMORY: usize = 512 << 20;
const KEY: HashKey = HashKey(*b"a key for trying");

pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The row groups of a file, each a part: columns that are dictionaries in the file stay so, other text comes as views.
fn open(path: &Path) -> Vec<BatchStream> {
    let file = File::open(path).expect("the file is there");
    let plain = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).expect("a Parquet file");
    let group = plain.metadata().row_group(0);
    let fields = plain.schema().fields().iter().enumerate().map(|(i, field)| {
        let all_keys = !group.column(i).encodings().any(|e| e == Encoding::PLAIN && fallen_back(group.column(i)));
        let text = match (field.data_type(), all_keys) {
            (DataType::Utf8, true) => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            (DataType::Utf8, false) => DataType::Utf8View,
            (other, _) => other.clone(),
        };
        Field::new(field.name(), text, field.is_nullable())
    });
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
    let metadata = ArrowReaderMetadata::load(&file, options).expect("the types fit");
    let part = |group| -> BatchStream {
        let file = File::open(path).expect("the file is there");
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
        Box::new(builder.with_row_groups(vec![group]).with_batch_size(65_536).build().expect("a row group"))
    };
    (0..metadata.metadata().num_row_groups()).map(part).collect()
}

/// True when a column gave up its dictionary: then most of its pages are plain.
fn fallen_back(column: &parquet::file::metadata::ColumnChunkMetaData) -> bool {
    let pages = column.page_encoding_stats();
    pages.is_none_or(|pages| {
        let data = pages.iter().filter(|p| p.page_type != parquet::basic::PageType::DICTIONARY_PAGE);
        data.into_iter().any(|p| p.encoding == Encoding::PLAIN)
    })
}

fn spec(plan: serde_json::Value) -> MappingSpec {
    let columns = ["contact_id", "first_name", "last_name", "company", "seats", "mrr", "created_at", "updated_at"];
    let mut fields: serde_json::Map<_, _> = columns.iter().map(|c| ((*c).to_owned(), json!(c))).collect();
    fields.insert("plan".into(), plan);
    let spec = json!({ "primary_key": ["email"], "matching": { "email": "email" }, "fields": fields });
    serde_json::from_value(spec).expect("a mapping")
}

fn run(
    folder: &Path,
    file: &str,
    spec: &MappingSpec,
    snapshot: Option<&Snapshot>,
    sink: &mut dyn FnMut(ChangeBatch),
) -> Summary {
    let model = open(&folder.join(file));
    let schema = model[0].schema();
    let used: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    let layout = Layout::new(&schema, &used, &spec.primary_key).expect("comparable columns");
    let mapping = Mapping::new(spec, &schema, "2026-01-01T00:00:00Z").expect("a mapping that works");
    let scratch = folder.join("scratch");
    std::fs::create_dir_all(&scratch).expect("the folder can be written to");
    let options = Options {
        memory: MEMORY,
        threads: threads(),
        scratch,
        retry: false,
        full_refresh: false,
        started_at: "2026-01-01T00:00:00Z".into(),
    };
    let mut sink = |batch| {
        sink(batch);
        Ok(())
    };
    syncline::diff::diff(model, &layout, &mapping, snapshot, None, &Held::new(), &KEY, &options, &mut sink)
        .expect("the diff succeeds")
}

/// Generates both versions, and acknowledges the first one.
pub fn prepare(folder: &Path, rows: u64) {
    std::fs::create_dir_all(folder).expect("the folder can be written to");
    data::write(&folder.join("before.parquet"), rows, 0);
    data::write(&folder.join("after.parquet"), rows, 1);
    let start = Instant::now();
    let spec = spec(json!("plan"));
    let schema = open(&folder.join("before.parquet"))[0].schema();
    let used: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    let layout = Layout::new(&schema, &used, &spec.primary_key).expect("comparable columns");
    let mut meta = Meta::new("bench", &layout, true);
    let mapping = meta.number(&spec);
    let (sender, receiver) = std::sync::mpsc::sync_channel(4);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let sender = sender;
            run(folder, "before.parquet", &spec, None, &mut |batch| {
                let entries =
                    batch.changes.iter().map(|c| Entry { key_hash: c.key_hash, row_hash: c.row_hash, kind: Kind::Put });
                let entries = entries.collect();
                sender.send(Ok::<_, Error>(Acknowledged { rows: batch.rows, entries, mapping })).expect("received");
            });
        });
        let (out, scratch) = (folder.join("snapshot.parquet"), folder.join("scratch"));
        syncline::diff::merge(None, receiver.into_iter(), meta, true, &out, MEMORY / 2, &scratch).expect("a snapshot");
    });
    std::fs::write(folder.join("ready"), "").expect("the folder can be written to");
    report(start);
}

/// Reads and decodes every value, and does nothing with it.
pub fn scan(folder: &Path) {
    let start = Instant::now();
    let parts = Mutex::new(open(&folder.join("after.parquet")));
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| {
                while let Some(part) = { parts.lock().expect("no thread panics").pop() } {
                    part.for_each(|batch| drop(std::hint::black_box(batch.expect("a batch"))));
                }
            });
        }
    });
    report(start);
}

/// The second version against the first one.
pub fn diff(folder: &Path, rows: u64) {
    let start = Instant::now();
    let snapshot = Snapshot::open(&folder.join("snapshot.parquet")).expect("a snapshot");
    let mut known = 0;
    let summary = run(folder, "after.parquet", &spec(json!("plan")), Some(&snapshot), &mut |batch| {
        let changed = batch.changes.iter().filter(|c| c.state == RowState::Changed);
        known += changed.filter(|c| matches!(c.before, Before::Known(_))).count() as u64;
    });
    let expected = |only: &dyn Fn(u64) -> bool| (0..rows).filter(|row| only(*row)).count() as u64;
    report(start);
    let both = |row| !data::only(row, 0) && !data::only(row, 1);
    assert_eq!(summary.changed, expected(&|row| both(row) && data::changed(row)));
    assert_eq!(known, summary.changed, "every changed row has its old record");
    assert_eq!(summary.added, expected(&|row| data::only(row, 1)));
    assert_eq!(summary.removed, expected(&|row| data::only(row, 0)));
}

/// The same, after a transform was added to one field.
pub fn configuration(folder: &Path) {
    let start = Instant::now();
    let snapshot = Snapshot::open(&folder.join("snapshot.parquet")).expect("a snapshot");
    let upper = spec(json!({ "column": "plan", "transform": "upper" }));
    run(folder, "after.parquet", &upper, Some(&snapshot), &mut |batch| drop(batch));
    report(start);
}

fn report(start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|l| l.trim().split(' ').next());
    let kibibytes: f64 = peak.and_then(|k| k.parse().ok()).unwrap_or(0.0);
    println!("{seconds} {}", kibibytes / 1024.0);
}
