//! `syncline verify`: source, state and destination side by side. Changes nothing anywhere.

use std::collections::HashMap;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use smol_str::SmolStr;

use super::outside::{self, Outside};
use super::readback::{self, Acknowledged, Asked};
use super::{Global, Selection, planning, progress::Progress, scratch::Scratch, terminal};
use crate::destinations::{Held, Operation, Readable, SendError};
use crate::diagnostic::Result;
use crate::diff::{self, HeldReason, snapshot::Snapshot};
use crate::manifest::sync::Mode;
use crate::mapping::{MappingSpec, Value};
use crate::plan::SyncPlan;
use crate::project::{Project, ResolvedSync};
use crate::report;
use crate::report::verify::{FieldDifference, Reason, RecordDifference, SyncCheck, Verification, verify_text};
use crate::state::{Reading, SyncView};

/// Exit code where something has no reason.
const UNEXPLAINED: u8 = 4;
/// Keys and records named, of each kind.
const NAMED: usize = 10;

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
    let request =
        planning::Request { selection: &selection, samples: 0, folder: folder.path(), against: None, adopting: false };
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
        Format::Json => report::json::pretty(&shown)?,
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
        let failed = |error: SendError| readback::failure(&opened, &error);
        let sync = &self.sync.sync;
        let counted = runtime.block_on(opened.destination.count(&sync.object, &sync.options)).map_err(failed)?;
        let there = &mut check.at_destination;
        there.count = counted;
        let rows = Acknowledged { sync: self.sync, view: &self.view, key: self.key, scratch: self.scratch };
        let kind = self.project.destinations.get(&self.sync.destination).map(|destination| &destination.kind);
        let reader = match (rows.mapping(), kind) {
            (Err(why), _) => Err(why),
            (Ok(_), None) => Err("the destination is gone".to_owned()),
            (Ok(spec), Some(kind)) => match runtime.block_on(readback::reader(&opened, kind, self.sync, &spec))? {
                Readable::Yes(reader) => Ok((spec, reader)),
                Readable::No(why) => Err(why),
            },
        };
        let mut tally = Tally::default();
        match reader {
            Err(why) => there.not_looked = Some(why),
            Ok((spec, reader)) => {
                // Where the identifiers are the key, no two rows have one record.
                let own = spec.matching.values().all(|column| spec.primary_key.contains(column))
                    && spec.primary_key.iter().all(|key| spec.matching.values().any(|column| column == key));
                tally.records = (!own && counted.is_some()).then(std::collections::HashSet::new);
                let read = |operations: &[Operation]| runtime.block_on(reader.read(operations)).map_err(failed);
                let most = (!reader.reads_all()).then_some(self.sample);
                let mut taken = 0;
                rows.each(&spec, most, reader.together(), &mut |asked| {
                    self.ask(&spec, asked, &mut taken, &read, &mut tally)
                })?;
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
            ("unseen", true),
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

    fn ask(
        &self,
        spec: &MappingSpec,
        asked: Vec<Asked>,
        taken: &mut usize,
        read: &dyn Fn(&[Operation]) -> Result<Vec<Held>>,
        tally: &mut Tally,
    ) -> Result<()> {
        let (lost, asked): (Vec<Asked>, Vec<Asked>) = asked.into_iter().partition(|asked| asked.in_doubt);
        // Whether it is there, nobody knows.
        lost.into_iter().for_each(|asked| tally.note("in_doubt", asked.operation.key));
        if asked.is_empty() {
            return Ok(());
        }
        let operations: Vec<Operation> = asked.iter().map(|asked| asked.operation.clone()).collect();
        let open = self.project.models.get(&self.sync.model).map(|model| planning::open_fields(self.sync, model));
        let open = open.unwrap_or_default();
        for (Asked { hash, operation, .. }, held) in asked.into_iter().zip(read(&operations)?) {
            let compare = *taken < self.sample && self.sync.sync.mode != Mode::Insert;
            *taken += 1;
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
                Held::Unseen => tally.note("unseen", operation.key),
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
                    let difference = RecordDifference { key: operation.key.to_string(), fields: fields.collect() };
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

    fn note(&mut self, reason: &'static str, key: SmolStr) {
        let (count, keys) = self.reasons.entry(reason).or_default();
        *count += 1;
        if keys.len() < NAMED {
            keys.push(key.to_string());
        }
    }
}
