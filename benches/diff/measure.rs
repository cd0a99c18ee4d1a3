//! Taking one figure: seconds and the peak of memory, printed as the last line.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use arrow_schema::SchemaRef;
use serde_json::json;
use syncline::diagnostic::Error;
use syncline::diff::snapshot::{Layout, Meta, Snapshot};
use syncline::diff::{Acknowledged, Before, ChangeBatch, Entry, HashKey, Held, Kind, Options, RowState, Summary};
use syncline::manifest::source::SourceType;
use syncline::mapping::{Mapping, MappingSpec};
use syncline::secret::Connection;
use syncline::sources::{self, BatchStream, Query};

use super::data;

const MEMORY: usize = 512 << 20;
const KEY: HashKey = HashKey(*b"a key for trying");

pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// One version of the table, as a project reads it.
fn open(folder: &Path, table: &str) -> (SchemaRef, Vec<BatchStream>) {
    let path = folder.join("data").to_str().expect("a path in UTF-8").to_owned();
    let values = serde_json::Map::from_iter([("path".to_owned(), json!(path))]);
    let source = sources::open(SourceType::Files, &Connection::new(values, Vec::new())).expect("a folder of files");
    let query = Query::Table { name: table.to_owned(), columns: None, filter: None };
    (source.schema(&query).expect("a table"), source.read(&query, None).expect("a table"))
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
    let (schema, model) = open(folder, file);
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
        queried: None,
        drift: None,
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
    std::fs::create_dir_all(folder.join("data")).expect("the folder can be written to");
    if !folder.join("data/complete").exists() {
        data::write(&folder.join("data/before.parquet"), rows, 0);
        data::write(&folder.join("data/after.parquet"), rows, 1);
        std::fs::write(folder.join("data/complete"), "").expect("the folder can be written to");
    }
    let before = processor();
    let start = Instant::now();
    let spec = spec(json!("plan"));
    let (schema, _) = open(folder, "before");
    let used: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    let layout = Layout::new(&schema, &used, &spec.primary_key).expect("comparable columns");
    let mut meta = Meta::new("bench", &layout, true);
    let mapping = meta.number(&spec);
    let (sender, receiver) = std::sync::mpsc::sync_channel(4);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let sender = sender;
            run(folder, "before", &spec, None, &mut |batch| {
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
    report_since(start, before);
}

/// Reads and decodes every value, and does nothing with it.
pub fn scan(folder: &Path) {
    let start = Instant::now();
    let parts = Mutex::new(open(folder, "after").1);
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
    let summary = run(folder, "after", &spec(json!("plan")), Some(&snapshot), &mut |batch| {
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
pub fn configuration(folder: &Path, transform: &str) {
    let start = Instant::now();
    let snapshot = Snapshot::open(&folder.join("snapshot.parquet")).expect("a snapshot");
    let other = spec(json!({ "column": "plan", "transform": transform }));
    run(folder, "after", &other, Some(&snapshot), &mut |batch| drop(batch));
    report(start);
}

/// Seconds all threads of this process have worked so far.
fn processor() -> f64 {
    // SAFETY: the call fills in the structure, for which all zeros are valid values.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn report(start: Instant) {
    report_since(start, 0.0);
}

fn report_since(start: Instant, used: f64) {
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|l| l.trim().split(' ').next());
    let kibibytes: f64 = peak.and_then(|k| k.parse().ok()).unwrap_or(0.0);
    println!("{seconds} {} {}", processor() - used, kibibytes / 1024.0);
}
