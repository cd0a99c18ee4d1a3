//! `syncline verify`: source, state and destination side by side. Changes nothing anywhere.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchIterator};
use arrow_schema::ArrowError;
use clap::{Args, ValueEnum};

use super::outside::{self, Outside};
use super::{Global, Selection, planning, progress::Progress, scratch::Scratch, terminal};
use crate::destinations::{Action, Held, Operation, Reader, Target, TargetField};
use crate::diagnostic::{Error, Result};
use crate::diff::{self, Before, Cause, ChangeBatch, Hash, HeldReason, snapshot::Layout, snapshot::Snapshot};
use crate::manifest::sync::Mode;
use crate::mapping::{Mapping, MappingSpec, Meaning, Record, Value};
use crate::plan::SyncPlan;
use crate::plan::collect::keys;
use crate::project::{Project, ResolvedSync};
use crate::report;
use crate::report::verify::{FieldDifference, Reason, RecordDifference, SyncCheck, Verification, verify_text};
use crate::sources::BatchStream;
use crate::state::{Reading, SyncView};

/// Exit code where something has no reason.
const UNEXPLAINED: u8 = 4;
/// Records looked for at a time.
const BATCH: usize = 1000;
/// Keys and records named, of each kind.
const NAMED: usize = 10;
/// Bytes of memory reading a snapshot stays within.
const MEMORY: usize = 256 << 20;

#[derive(Args)]
pub(super) struct Options {
    /// Syncs by name, glob, `tag:x`, `model:x`, `destination:x`; all without one
    #[arg(value_name = "SYNC")]
    syncs: Vec<String>,
    /// Records of each sync that are read back and compared field by field
    #[arg(long, value_name = "N", default_value_t = 100)]
    sample: usize,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Show values of personal data outside a terminal too
    #[arg(long)]
    show_values: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program; see `schemas/verify.schema.json`.
    Json,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    let project = super::load(global)?;
    let state = terminal::state(&project)?;
    let reading = state.read()?;
    let folder = Scratch::new(&project)?;
    let selection = Selection { select: options.syncs.clone(), no_tests: true, ..Selection::default() };
    let request = planning::Request { selection: &selection, samples: 0, folder: folder.path(), against: None };
    let progress = Progress::new();
    let planned = planning::make(&project, state.hash_key(), &reading, &request, &progress)?;
    if let Some((name, error)) = planned.failures.into_iter().next() {
        return Err(error.context(format!("sync `{name}`")));
    }
    let names: Vec<&str> = planned.plan.syncs.iter().map(|part| part.destination.as_str()).collect();
    let mut outside = Outside::to_look(&project, names.into_iter())?;
    let runtime = outside::runtime()?;
    let mut found = Verification {
        format_version: "1.0".into(),
        environment: project.environment.name.clone(),
        explained: true,
        syncs: Vec::new(),
    };
    for part in &planned.plan.syncs {
        let Some(sync) = project.syncs.get(&part.sync) else { continue };
        progress.begin(&format!("verifying {}", part.sync));
        let look = Look {
            project: &project,
            sync,
            part,
            view: reading_view(&reading, sync)?,
            key: state.hash_key(),
            sample: options.sample,
            scratch: folder.path(),
        };
        found.syncs.push(look.check(&mut outside, &runtime).map_err(|e| e.context(format!("sync `{}`", part.sync)))?);
    }
    progress.end();
    found.explained = found.syncs.iter().all(|sync| sync.unexplained == 0);
    let explained = found.explained;
    let style = terminal::style(options.show_values);
    let shown =
        if style.show_values && options.format == Format::Text || options.show_values { found } else { found.masked() };
    terminal::out(&match options.format {
        Format::Text => verify_text(&shown, &style),
        Format::Json => report::json::verify_json(&shown)?,
    })?;
    Ok(if explained { ExitCode::SUCCESS } else { ExitCode::from(UNEXPLAINED) })
}

fn reading_view(reading: &Reading, sync: &ResolvedSync) -> Result<SyncView> {
    reading.view(&sync.name, sync.sync.moved_from.as_deref())
}

/// One sync being looked at.
struct Look<'a> {
    project: &'a Project,
    sync: &'a ResolvedSync,
    part: &'a SyncPlan,
    view: SyncView,
    key: &'a diff::HashKey,
    sample: usize,
    scratch: &'a std::path::Path,
}

/// What was seen of the records.
#[derive(Default)]
struct Tally {
    looked_for: u64,
    found: u64,
    compared: u64,
    same: u64,
    reasons: HashMap<&'static str, (u64, Vec<String>)>,
    differences: Vec<RecordDifference>,
    /// Records there, where rows may share one.
    records: Option<std::collections::HashSet<String>>,
}

impl Look<'_> {
    fn check(&self, outside: &mut Outside<'_>, runtime: &tokio::runtime::Runtime) -> Result<SyncCheck> {
        let acknowledged = self.view.snapshot.as_ref().map_or(0, Snapshot::rows);
        let counts = self.part.counts;
        let mut check = SyncCheck {
            sync: self.part.sync.clone(),
            model: self.part.model.clone(),
            destination: self.part.destination.clone(),
            object: self.part.object.clone(),
            source: counts.rows,
            valid: counts.rows - counts.invalid.min(counts.rows),
            acknowledged,
            key_open: self.part.key_open,
            source_reasons: self.source_reasons(acknowledged),
            ..SyncCheck::default()
        };
        let opened = outside.destination(&self.sync.destination)?;
        let failed = |error: &crate::destinations::SendError| {
            let (message, help) = outside::words(error);
            let message = opened.redactor.redact(&message);
            Error::Failed { message, help: help.map(|help| opened.redactor.redact(&help)) }
        };
        let sync = &self.sync.sync;
        let counted =
            runtime.block_on(opened.destination.count(&sync.object, &sync.options)).map_err(|e| failed(&e))?;
        let there = &mut check.at_destination;
        there.count = counted;
        let reader = match self.snapshot_mapping() {
            Err(why) => Err(why),
            Ok(spec) => {
                let target = self.target(&spec);
                match runtime.block_on(opened.destination.reader(&target)).map_err(|e| failed(&e))? {
                    Some(reader) => Ok((spec, reader)),
                    None => Err("the destination cannot read these records back".to_owned()),
                }
            }
        };
        let mut tally = Tally::default();
        match reader {
            Err(why) => there.not_looked = Some(why),
            Ok((spec, reader)) => {
                // Where the identifiers are the key, no two rows have one record.
                let own = spec.matching.values().all(|column| spec.primary_key.contains(column))
                    && spec.primary_key.iter().all(|key| spec.matching.values().any(|column| column == key));
                tally.records = (!own && counted.is_some()).then(std::collections::HashSet::new);
                let read = |operations: &[Operation]| runtime.block_on(reader.read(operations)).map_err(|e| failed(&e));
                self.look(&spec, &*reader, &read, &mut tally)?;
                there.requests = reader.requests();
            }
        }
        (there.looked_for, there.found) = (tally.looked_for, tally.found);
        (there.compared, there.same) = (tally.compared, tally.same);
        check.destination_reasons = self.destination_reasons(&tally, counted, acknowledged);
        check.differences = tally.differences;
        let reasons = check.source_reasons.iter().chain(&check.destination_reasons);
        check.unexplained = reasons.filter(|reason| !reason.explained).map(|reason| reason.count).sum();
        Ok(check)
    }

    /// Why the state has another number of rows than the model.
    fn source_reasons(&self, acknowledged: u64) -> Vec<Reason> {
        let counts = self.part.counts;
        let mut reasons = Vec::new();
        let mut say = |reason: &str, count: u64, explained: bool| {
            if count > 0 {
                reasons.push(Reason { reason: reason.into(), count, explained, keys: Vec::new() });
            }
        };
        say("invalid", counts.invalid, true);
        say("pending_added", counts.added, true);
        say("pending_removed", counts.removed, true);
        let held = self.part.held;
        say("rejected", held.rejected, true);
        say("no_match", held.no_match, true);
        say("in_doubt", held.in_doubt, true);
        // Rows of the model that are in the snapshot, by either way of counting. Rows whose key is invalid today may have
        // been acknowledged before, and those that are held may never have been.
        let expected = i128::from(counts.rows) - i128::from(counts.invalid) - i128::from(counts.added)
            + i128::from(counts.removed);
        let beyond = i128::from(acknowledged) - expected;
        let most_held = i128::from(held.rejected + held.no_match + held.in_doubt);
        let unknown = if beyond > i128::from(counts.invalid) {
            beyond - i128::from(counts.invalid)
        } else {
            (-beyond - most_held).max(0)
        };
        say("unknown", u64::try_from(unknown).unwrap_or_default(), false);
        reasons
    }

    /// Why there is something else at the destination than was acknowledged.
    fn destination_reasons(&self, tally: &Tally, counted: Option<u64>, acknowledged: u64) -> Vec<Reason> {
        let mut reasons = Vec::new();
        for (reason, explained) in [
            ("in_doubt", true),
            ("no_match", true),
            ("missing", false),
            ("changed", false),
            ("several", false),
            ("unreadable", false),
        ] {
            if let Some((count, keys)) = tally.reasons.get(reason) {
                reasons.push(Reason { reason: reason.into(), count: *count, explained, keys: keys.clone() });
            }
        }
        let Some(counted) = counted else { return reasons };
        let mut say = |reason: &str, count: u64, explained: bool| {
            if count > 0 {
                reasons.push(Reason { reason: reason.into(), count, explained, keys: Vec::new() });
            }
        };
        if tally.looked_for == acknowledged {
            let records = tally.records.as_ref().map_or(tally.found, |records| records.len() as u64);
            say("shared", tally.found - records.min(tally.found), true);
            say("foreign", counted.saturating_sub(records), true);
        } else {
            say("foreign", counted.saturating_sub(acknowledged), true);
            say("missing", acknowledged.saturating_sub(counted), false);
        }
        reasons
    }

    /// The mapping the snapshot was last sent with, or why its records cannot be looked for.
    fn snapshot_mapping(&self) -> std::result::Result<MappingSpec, String> {
        let Some(snapshot) = &self.view.snapshot else { return Err("nothing was acknowledged yet".into()) };
        let meta = snapshot.meta();
        if !meta.values {
            return Err("the state keeps fingerprints, so that nobody knows by what to look for them".into());
        }
        if matches!(self.sync.sync.mode, Mode::Remove) {
            return Err("its records were removed".into());
        }
        let current = self.view.entry.as_ref().and_then(|entry| meta.mappings.get(&entry.mapping));
        current
            .or_else(|| meta.mappings.values().next_back())
            .cloned()
            .ok_or_else(|| "the snapshot does not say how its rows were sent".into())
    }

    fn target(&self, spec: &MappingSpec) -> Target {
        let field = |name: &String, write, on_null| TargetField {
            name: name.clone(),
            on_null,
            write,
            data_type: None,
            meaning: Meaning::Itself,
        };
        Target {
            sync: self.sync.name.clone(),
            object: self.sync.sync.object.clone(),
            mode: self.sync.sync.mode,
            on_removed: self.sync.on_removed,
            matching: spec.matching.keys().map(|name| field(name, Default::default(), Default::default())).collect(),
            fields: spec.fields.iter().map(|(name, f)| field(name, f.write, f.on_null)).collect(),
            options: self.sync.sync.options.clone(),
            run_id: "verify".into(),
            operations: 0,
        }
    }

    /// Looks for the rows of the snapshot: a diff against an empty model lists them all with the records they were sent
    /// as, in the order of their key hashes.
    fn look(
        &self,
        spec: &MappingSpec,
        reader: &dyn Reader,
        read: &dyn Fn(&[Operation]) -> Result<Vec<Held>>,
        tally: &mut Tally,
    ) -> Result<()> {
        let Some(snapshot) = &self.view.snapshot else { return Ok(()) };
        let schema = snapshot.schema();
        let own = schema.fields().iter().filter(|field| !field.name().starts_with('_') && !field.name().contains('@'));
        let names: Vec<String> = own.map(|field| field.name().clone()).collect();
        let started = "1970-01-01T00:00:00Z".to_owned();
        let layout = Layout::new(schema, &names, &spec.primary_key).map_err(Error::from)?;
        let mapping = Mapping::new(spec, &layout.schema, &started)
            .map_err(|_| Error::failed("the mapping of its snapshot does not fit its columns"))?;
        let scratch = tempfile::tempdir_in(self.scratch)
            .map_err(|e| Error::failed(format!("cannot write to `{}`: {e}", self.scratch.display())))?;
        let options = diff::Options {
            memory: MEMORY,
            threads: 1,
            scratch: scratch.path().to_owned(),
            retry: true,
            full_refresh: false,
            started_at: started,
            queried: None,
        };
        let nothing: Vec<std::result::Result<RecordBatch, ArrowError>> = Vec::new();
        let nobody: BatchStream = Box::new(RecordBatchIterator::new(nothing, Arc::clone(&layout.schema)));
        let (doubt, held) = (self.view.doubt.as_ref(), diff::Held::new());
        let all = reader.reads_all();
        let mut waiting: Vec<(Hash, bool, Operation)> = Vec::new();
        let mut taken = 0;
        let mut sink = |batch: ChangeBatch| {
            let keys = keys(&batch, &spec.primary_key)?;
            for (change, key) in batch.changes.into_iter().zip(keys) {
                if !all && taken >= self.sample {
                    return Ok(());
                }
                if change.cause == Cause::Retry {
                    // Its answer was lost: whether it is there, nobody knows.
                    tally.note("in_doubt", key);
                    continue;
                }
                let Before::Known(named) = &change.before else { continue };
                let compare = taken < self.sample && self.sync.sync.mode != Mode::Insert;
                taken += 1;
                waiting.push((change.key_hash, compare, operation(taken as u64, key, spec, named)));
                if waiting.len() >= BATCH {
                    self.ask(spec, std::mem::take(&mut waiting), read, tally)?;
                }
            }
            Ok(())
        };
        diff::diff(vec![nobody], &layout, &mapping, Some(snapshot), doubt, &held, self.key, &options, &mut sink)
            .map_err(Error::from)?;
        self.ask(spec, waiting, read, tally)
    }

    fn ask(
        &self,
        spec: &MappingSpec,
        asked: Vec<(Hash, bool, Operation)>,
        read: &dyn Fn(&[Operation]) -> Result<Vec<Held>>,
        tally: &mut Tally,
    ) -> Result<()> {
        if asked.is_empty() {
            return Ok(());
        }
        let operations: Vec<Operation> = asked.iter().map(|(_, _, operation)| operation.clone()).collect();
        let open = self.project.models.get(&self.sync.model).map(|model| planning::open_fields(self.sync, model));
        let open = open.unwrap_or_default();
        for ((hash, compare, operation), held) in asked.into_iter().zip(read(&operations)?) {
            tally.looked_for += 1;
            let reason = self.view.held.get(&hash).map(|held| held.reason);
            match held {
                Held::Absent if reason == Some(HeldReason::NoMatch) => tally.note("no_match", operation.key),
                Held::Absent if reason == Some(HeldReason::InDoubt) => tally.note("in_doubt", operation.key),
                Held::Absent => tally.note("missing", operation.key),
                Held::Several => {
                    tally.found += 1;
                    tally.record(&operation);
                    tally.note("several", operation.key);
                }
                Held::Unreadable(_) => tally.note("unreadable", operation.key),
                Held::There(differs) => {
                    tally.found += 1;
                    tally.record(&operation);
                    if !compare {
                        continue;
                    }
                    tally.compared += 1;
                    if differs.is_empty() {
                        tally.same += 1;
                        continue;
                    }
                    if reason == Some(HeldReason::InDoubt) {
                        tally.note("in_doubt", operation.key);
                        continue;
                    }
                    let sent = |name: &str| {
                        let at = spec.fields.get_index_of(name)?;
                        Some(operation.record.fields.get(at)?.as_ref()?.to_json())
                    };
                    let fields = differs.into_iter().map(|there| FieldDifference {
                        sent: sent(&there.field).unwrap_or_default(),
                        sensitive: !open.contains(&there.field),
                        name: there.field,
                        there: there.value,
                    });
                    let difference = RecordDifference { key: operation.key.clone(), fields: fields.collect() };
                    tally.note("changed", operation.key);
                    if tally.differences.len() < NAMED {
                        tally.differences.push(difference);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Tally {
    /// Takes note of a record that is there.
    fn record(&mut self, operation: &Operation) {
        if let Some(records) = &mut self.records {
            records.insert(Value::List(operation.record.matching.clone()).text().into_owned());
        }
    }

    fn note(&mut self, reason: &'static str, key: String) {
        let (count, keys) = self.reasons.entry(reason).or_default();
        *count += 1;
        if keys.len() < NAMED {
            keys.push(key);
        }
    }
}

/// A row of the snapshot as what would be looked for.
fn operation(ordinal: u64, key: String, spec: &MappingSpec, named: &[(String, Value)]) -> Operation {
    let value = |name: &String| named.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    Operation {
        ordinal,
        action: Action::Send,
        added: false,
        key,
        dedupe_id: "".into(),
        record: Record {
            matching: spec.matching.keys().map(|name| value(name).unwrap_or(Value::Null)).collect(),
            fields: spec.fields.keys().map(value).collect(),
        },
        in_doubt: false,
    }
}
