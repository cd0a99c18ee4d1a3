//! `plan --check-stable`: each model is read twice, and the reads are compared. A query without an order that keeps one row
//! of several, `random()` or `now()` in it: such models make changes out of nothing, at every plan.
//!
//! The first read becomes a snapshot on disk, the second is compared with it, by the diff that compares a model with its
//! state: memory stays bounded, whatever the model.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use indexmap::IndexMap;

use super::opened::Sources;
use super::planner::{MEMORY, is_sensitive, origin};
use crate::cli::progress::Progress;
use crate::diagnostic::{Error, Result};
use crate::diff::snapshot::{Layout, Meta, Snapshot};
use crate::diff::{self, Acknowledged, Before, ChangeBatch, DiffError, Entry, HashKey, Held, Kind, RowState};
use crate::manifest::sync::{Field, OnNull, Origin, Write};
use crate::mapping::{self, Mapping, MappingSpec};
use crate::mask;
use crate::plan::collect;
use crate::project::{Project, ResolvedModel};
use crate::sources;

/// Keys that are named of each model.
const KEYS: usize = 5;

/// What differs between two reads of one model.
#[derive(Default)]
struct Flapping {
    rows: u64,
    /// Rows that only the first read has, and those that only the second has.
    gone: u64,
    come: u64,
    changed: u64,
    /// Columns that differ, with the number of rows.
    columns: IndexMap<String, u64>,
    keys: Vec<String>,
}

/// Reads the model of each of these syncs twice. How many models there are, when all are stable.
///
/// # Errors
/// Models that are not, with the columns and some keys; a source that fails.
pub fn check(
    project: &Project,
    key: &HashKey,
    syncs: &[String],
    folder: &Path,
    show_values: bool,
    progress: &Progress,
) -> Result<u64> {
    let mut models: Vec<&str> = syncs.iter().filter_map(|sync| Some(project.syncs.get(sync)?.model.as_str())).collect();
    models.sort_unstable();
    models.dedup();
    let mut sources = Sources::new(project);
    let mut unstable = Vec::new();
    for model in models.iter().filter_map(|name| project.models.get(*name)) {
        progress.begin(&format!("reading {} twice", model.name));
        let flapping = compare(model, &mut sources, key, folder).map_err(|e| e.context(origin(project, model)))?;
        if flapping.gone + flapping.come + flapping.changed > 0 {
            let open = show_values || !model.primary_key.iter().any(|key| is_sensitive(model, key));
            unstable.push(words(project, model, &flapping, open));
        }
    }
    progress.end();
    if unstable.is_empty() {
        return Ok(models.len() as u64);
    }
    Err(Error::failed_help(
        format!("read twice, these models do not give the same rows:\n{}", unstable.join("\n")),
        "every plan would find changes that are none: give `row_number()` and the like an order that no two rows share, \
         and take `random()` and the time of day out of the query",
    ))
}

fn compare(model: &ResolvedModel, sources: &mut Sources<'_>, key: &HashKey, folder: &Path) -> Result<Flapping> {
    let schema = sources.schema(model)?;
    if sources::is_unknown(&schema) {
        return Ok(Flapping::default());
    }
    let source = sources.get(&model.source).ok_or_else(|| Error::failed("its source is gone"))?;
    let comparable = schema.fields().iter().filter(|field| diff::stored_type(field.data_type()).is_some());
    let names: Vec<String> = comparable.map(|field| field.name().clone()).collect();
    let layout = Layout::new(&schema, &names, &model.primary_key)?;
    let spec = every_column(model, &names);
    let broken = |faults: Vec<mapping::Fault>| {
        Error::failed(faults.first().map_or_else(|| "it cannot be compared".to_owned(), |fault| fault.message.clone()))
    };
    let mapping = Mapping::new(&spec, &layout.schema, "").map_err(broken)?;
    let scratch = tempfile::tempdir_in(folder)
        .map_err(|e| Error::failed(format!("cannot write to `{}`: {e}", folder.display())))?;
    let options = diff::Options {
        memory: MEMORY / 2,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        scratch: scratch.path().to_owned(),
        retry: false,
        full_refresh: false,
        started_at: String::new(),
        queried: None,
        drift: None,
    };
    let read = || source.read(&model.query, Some(&names));

    let file = scratch.path().join("first.parquet");
    let mut meta = Meta::new(model.name.as_str(), &layout, true);
    let number = meta.number(&spec);
    let rows = read()?;
    let (sender, receiver) = sync_channel(2);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let sender = sender;
            let mut sink = |batch: ChangeBatch| {
                let entry = |c: &diff::Change| Entry { key_hash: c.key_hash, row_hash: c.row_hash, kind: Kind::Put };
                let entries = batch.changes.iter().map(entry).collect();
                // Nobody takes them when the snapshot cannot be written, which is said there.
                let _ = sender.send(Ok::<_, Error>(Acknowledged { rows: batch.rows, entries, mapping: number }));
                Ok(())
            };
            diff::diff(rows, &layout, &mapping, None, None, &Held::new(), key, &options, &mut sink)
        });
        let written = diff::merge(None, receiver.into_iter(), meta, true, &file, MEMORY / 2, scratch.path());
        // A thread that dies has said why.
        first.join().map_err(|_| Error::failed("reading it ended without a word"))??;
        written.map(|_| ())
    })?;

    let snapshot = Snapshot::open(&file)?;
    let mut flapping = Flapping::default();
    let mut sink = |batch: ChangeBatch| flapping.take(&batch, &mapping, &names).map_err(DiffError::from);
    let second = read()?;
    let summary = diff::diff(second, &layout, &mapping, Some(&snapshot), None, &Held::new(), key, &options, &mut sink)?;
    flapping.rows = summary.rows;
    Ok(flapping)
}

/// The mapping that keeps every column as it is, under names that no column's name can spoil.
fn every_column(model: &ResolvedModel, names: &[String]) -> MappingSpec {
    let field = |name: &String| Field {
        origin: Origin::Column(name.clone()),
        transform: Vec::new(),
        on_null: OnNull::default(),
        write: Write::default(),
    };
    MappingSpec {
        primary_key: model.primary_key.clone(),
        matching: IndexMap::new(),
        scope: serde_json::Map::new(),
        fields: names.iter().enumerate().map(|(at, name)| (format!("c{at}"), field(name))).collect(),
    }
}

impl Flapping {
    fn take(&mut self, batch: &ChangeBatch, mapping: &Mapping, names: &[String]) -> Result<()> {
        let keys = collect::keys(batch, &mapping.spec().primary_key)?;
        for (change, key) in batch.changes.iter().zip(keys) {
            match change.state {
                RowState::Added => self.come += 1,
                RowState::Removed => self.gone += 1,
                RowState::Changed => {
                    self.changed += 1;
                    let (Before::Known(before), Some(record)) = (&change.before, &change.record) else { continue };
                    for difference in mapping::differences(before, record, mapping) {
                        let at = difference.field.strip_prefix('c').and_then(|at| at.parse::<usize>().ok());
                        let Some(column) = at.and_then(|at| names.get(at)) else { continue };
                        *self.columns.entry(column.clone()).or_default() += 1;
                    }
                }
            }
            if self.keys.len() < KEYS {
                self.keys.push(key);
            }
        }
        Ok(())
    }
}

fn words(project: &Project, model: &ResolvedModel, flapping: &Flapping, open: bool) -> String {
    let place = super::planner::place_of_query(model).map(|place| format!(" ({place})")).unwrap_or_default();
    let mut parts = Vec::new();
    let mut tell = |n: u64, one: &str, many: &str| {
        if n > 0 {
            parts.push(format!("{n} {}", if n == 1 { one } else { many }));
        }
    };
    tell(flapping.changed, "row has other values", "rows have other values");
    tell(flapping.gone, "row is gone", "rows are gone");
    tell(flapping.come, "row is new", "rows are new");
    let mut columns: Vec<(&String, u64)> = flapping.columns.iter().map(|(name, n)| (name, *n)).collect();
    columns.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let columns: Vec<String> = columns.iter().map(|(name, n)| format!("`{name}` ({n})")).collect();
    let columns = match columns.is_empty() {
        true => String::new(),
        false => format!("; columns: {}", columns.join(", ")),
    };
    let keys: Vec<String> = flapping.keys.iter().map(|key| mask::shown_key(key, open)).collect();
    let syncs = project.syncs.values().filter(|sync| sync.model == model.name).count();
    let used = if syncs > 1 { format!(", used by {syncs} syncs") } else { String::new() };
    format!(
        "  model `{}`{place}{used}: of {} rows, {}{columns}; keys such as {}",
        model.name,
        flapping.rows,
        parts.join(", "),
        keys.join(", ")
    )
}
