//! The tests of syncs: rows of a case go through the real mapping, diff and rules of the plan, and what becomes of them is
//! compared with what is expected. Nothing is connected to, and nothing is kept.

mod compare;
mod rows;

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchIterator};

use crate::destinations::Action;
use crate::diagnostic::{Diagnostic, Error, Place, Result};
use crate::diff::snapshot::{Layout, Meta, Snapshot};
use crate::diff::{self, Acknowledged, ChangeBatch, Entry, HashKey, Held, Kind, RowState, Summary};
use crate::manifest::test::{Case, Operation, State};
use crate::mapping::{self, Mapping, Value};
use crate::plan::collect::{self, Rules};
use crate::project::{Project, ResolvedModel, ResolvedSync, ResolvedTest};
use crate::sources::flawless;

/// What `run.started_at` is in templates: the same every time.
pub const STARTED_AT: &str = "2026-01-01T00:00:00Z";

/// Bytes of memory a case stays within.
const MEMORY: usize = 64 << 20;

/// The state of a case is gone when it ends, so its key is no secret.
const KEY: HashKey = HashKey([0; 16]);

/// What came of one case.
#[derive(Debug)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// Why it could not be run; empty when it was.
    pub errors: Vec<Diagnostic>,
    /// Expectations that do not hold.
    pub mismatches: Vec<Mismatch>,
}

/// Something that is not as expected.
#[derive(Debug)]
pub struct Mismatch {
    /// Where the expectation is written.
    pub place: Place,
    /// The row: its key, as shown to people.
    pub row: String,
    /// What differs: `state`, ``field `plan` ``, …
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What came instead.
    pub got: String,
    /// Why, or what was probably meant.
    pub note: Option<String>,
}

/// What became of a row.
#[derive(Debug, Clone)]
struct Became {
    state: State,
    operation: Operation,
    /// By name; `None` where there is none.
    record: Option<mapping::Named>,
    /// For invalid rows: reason, and what is wrong with them.
    reason: Option<(String, String)>,
}

/// All rows of a case by the text of their key.
struct World {
    rows: BTreeMap<String, Became>,
    /// Keys of `rows` in their order.
    keys: Vec<String>,
}

/// Runs all cases of a test. `scratch` is an existing folder for what is set aside; it is left as it was.
///
/// # Errors
/// `scratch` cannot be written to.
pub fn run(project: &Project, test: &ResolvedTest, scratch: &Path) -> Result<Vec<Outcome>> {
    let sync = project.syncs.get(&test.test.sync);
    let model = sync.and_then(|sync| project.models.get(&sync.model));
    let (Some(sync), Some(model)) = (sync, model) else {
        return Err(Error::failed(format!("the sync `{}` is gone", test.test.sync)));
    };
    let mut outcomes = Vec::new();
    for (at, case) in test.test.cases.iter().enumerate() {
        let pointer = format!("/cases/{at}");
        let folder = tempfile::tempdir_in(scratch)
            .map_err(|e| Error::failed(format!("cannot write to `{}`: {e}", scratch.display())))?;
        let trial = Trial { project, test, sync, model, case, pointer: &pointer, scratch: folder.path() };
        let (errors, mismatches) = match trial.world() {
            Ok(world) => (Vec::new(), compare::compare(test, &pointer, case, &world)),
            Err(errors) => (errors, Vec::new()),
        };
        let place = test.place(&format!("{pointer}/name"));
        outcomes.push(Outcome { name: case.name.clone(), place, errors, mismatches });
    }
    Ok(outcomes)
}

/// One case, being run.
struct Trial<'a> {
    project: &'a Project,
    test: &'a ResolvedTest,
    sync: &'a ResolvedSync,
    model: &'a ResolvedModel,
    case: &'a Case,
    pointer: &'a str,
    scratch: &'a Path,
}

impl Trial<'_> {
    fn world(&self) -> Result<World, Vec<Diagnostic>> {
        let spec = &self.sync.mapping;
        let mapping_faults = |faults: Vec<mapping::Fault>| self.project.mapping_faults(self.sync, &faults);
        let used = spec.columns().map_err(mapping_faults)?;
        let rows = rows::read(self.test, self.pointer, self.case, self.model, &used)?;
        let faults = spec.check(&rows.schema, &self.model.columns);
        if !faults.is_empty() {
            return Err(mapping_faults(faults));
        }
        let names: Vec<String> = rows.schema.fields().iter().map(|field| field.name().clone()).collect();
        let layout = Layout::new(&rows.schema, &names, &self.model.primary_key).map_err(|e| self.failed(e))?;
        let mapping = Mapping::new(spec, &layout.schema, STARTED_AT).map_err(mapping_faults)?;
        let snapshot = match self.case.previous.is_empty() {
            true => None,
            false => Some(self.acknowledged(&rows.previous, &layout, &mapping)?),
        };
        let (changes, summary) = self.diff(&rows.rows, &layout, &mapping, snapshot.as_ref())?;
        self.gather(&rows.rows, &mapping, &changes, &summary)
    }

    fn failed(&self, error: impl Into<Error>) -> Vec<Diagnostic> {
        let error: Error = error.into();
        let diagnostic = Diagnostic::error(
            "test-failed",
            error.to_string(),
            Some(self.test.place(&format!("{}/name", self.pointer))),
        );
        vec![Diagnostic { help: error.help().map(str::to_owned), ..diagnostic }]
    }

    fn diff(
        &self,
        rows: &RecordBatch,
        layout: &Layout,
        mapping: &Mapping,
        snapshot: Option<&Snapshot>,
    ) -> Result<(Vec<ChangeBatch>, Summary), Vec<Diagnostic>> {
        let options = diff::Options {
            memory: MEMORY,
            threads: 1,
            scratch: self.scratch.to_owned(),
            retry: false,
            full_refresh: false,
            started_at: STARTED_AT.into(),
            queried: None,
            drift: None,
        };
        let part = flawless(RecordBatchIterator::new([Ok(rows.clone())], rows.schema()));
        let mut changes = Vec::new();
        let mut sink = |batch| {
            changes.push(batch);
            Ok(())
        };
        let summary = diff::diff(vec![part], layout, mapping, snapshot, None, &Held::new(), &KEY, &options, &mut sink)
            .map_err(|e| self.failed(e))?;
        Ok((changes, summary))
    }

    /// A snapshot that holds these rows, as if a first run had sent them.
    fn acknowledged(
        &self,
        rows: &RecordBatch,
        layout: &Layout,
        mapping: &Mapping,
    ) -> Result<Snapshot, Vec<Diagnostic>> {
        let (changes, summary) = self.diff(rows, layout, mapping, None)?;
        if let Some(invalid) = summary.invalid.first() {
            let message = format!(
                "a row of `previous` cannot have been sent: {}",
                invalid.message.as_deref().unwrap_or(&invalid.reason)
            );
            let place = self.test.key_place(&format!("{}/previous", self.pointer));
            let help = format!("it is the row `{}`", invalid.keys.first().map_or("", String::as_str));
            return Err(vec![Diagnostic::error("test-failed", message, Some(place)).with_help(help)]);
        }
        let mut meta = Meta::new(&self.sync.name, layout, true);
        let number = meta.number(&self.sync.mapping);
        meta.current = Some(number);
        let batches = changes.iter().map(|batch| {
            let entry = |c: &diff::Change| Entry { key_hash: c.key_hash, row_hash: c.row_hash, kind: Kind::Put };
            let entries = batch.changes.iter().map(entry).collect();
            Ok::<_, Error>(Acknowledged { rows: batch.rows.clone(), entries, mapping: number })
        });
        let path = self.scratch.join("previous.parquet");
        diff::merge(None, batches, meta, true, &path, MEMORY, self.scratch).map_err(|e| self.failed(e))?;
        Snapshot::open(&path).map_err(|e| self.failed(e))
    }

    fn gather(
        &self,
        rows: &RecordBatch,
        mapping: &Mapping,
        changes: &[ChangeBatch],
        summary: &Summary,
    ) -> Result<World, Vec<Diagnostic>> {
        let rules = Rules {
            mode: self.sync.sync.mode,
            on_removed: self.sync.on_removed,
            samples: 0,
            open_fields: Default::default(),
        };
        let mut became = BTreeMap::new();
        for batch in changes {
            let keys = collect::keys(batch, &self.model.primary_key).map_err(|e| self.failed(e))?;
            for (key, change) in keys.into_iter().zip(&batch.changes) {
                let state = match change.state {
                    RowState::Added => State::Added,
                    RowState::Changed => State::Changed,
                    RowState::Removed => State::Removed,
                };
                let operation = match collect::action(&rules, change) {
                    Some(Action::Send) => Operation::Send,
                    Some(Action::Delete) => Operation::Delete,
                    Some(Action::Clear) => Operation::Clear,
                    None => Operation::None,
                };
                let record = change.record.as_ref().map(|record| mapping::named(record.clone(), mapping));
                became.insert(key, Became { state, operation, record, reason: None });
            }
        }
        for invalid in &summary.invalid {
            let message = match (&invalid.field, &invalid.message) {
                (Some(field), Some(message)) => format!("`{field}`: {message}"),
                (_, message) => message.clone().unwrap_or_default(),
            };
            let reason = Some((invalid.reason.clone(), message));
            for key in &invalid.keys {
                let reason = reason.clone();
                let row = Became { state: State::Invalid, operation: Operation::None, record: None, reason };
                became.insert(key.clone(), row);
            }
        }
        let bound = mapping.bind(rows).map_err(|e| self.failed(e))?;
        let nameless = |at: usize| bound.key(at).iter().all(Value::is_null);
        let name = |at: usize| if nameless(at) { format!("row {}", at + 1) } else { bound.key_text(at) };
        let keys: Vec<String> = (0..rows.num_rows()).map(name).collect();
        // The diff names a few invalid rows a reason. A row it says nothing of is unchanged only where it named all.
        let all_named = summary.invalid.iter().all(|invalid| invalid.keys.len() < diff::NAMED);
        for key in &keys {
            if became.contains_key(key) {
                continue;
            }
            if !all_named {
                let message = format!("more than {} rows are invalid for one reason", diff::NAMED - 1);
                let place = self.test.key_place(&format!("{}/rows", self.pointer));
                let help = "which of the others are invalid cannot be told: make two cases of this one";
                return Err(vec![Diagnostic::error("test-failed", message, Some(place)).with_help(help)]);
            }
            let row = Became { state: State::Unchanged, operation: Operation::None, record: None, reason: None };
            became.insert(key.clone(), row);
        }
        Ok(World { rows: became, keys })
    }
}
