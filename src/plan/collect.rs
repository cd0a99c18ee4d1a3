//! From the changes of one sync to its part of the plan: counts, causes, fields, samples, frozen operations.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::operations::{Writer, state_word};
use super::samples::Samples;
use super::{Causes, Counts, FieldChange, Operations, Sample, SyncPlan};
use crate::destinations::Action;
use crate::diagnostic::{Error, Result};
use crate::diff::{Before, Cause, Change, ChangeBatch, RowState, Summary};
use crate::manifest::sync::{Mode, OnRemoved};
use crate::mapping::{self, Difference, Mapping, Value};

/// What decides how changes become operations.
pub struct Rules {
    /// The sync's mode.
    pub mode: Mode,
    /// What happens to records of removed rows.
    pub on_removed: OnRemoved,
    /// Samples kept per row state.
    pub samples: usize,
    /// Destination fields and identifiers whose values are not personal data.
    pub open_fields: HashSet<String>,
}

/// What is done at the destination about a row; `None` is nothing.
pub fn action(rules: &Rules, change: &Change) -> Option<Action> {
    match (change.state, rules.mode) {
        (RowState::Added, Mode::Remove) => Some(Action::Delete),
        (RowState::Added, _) => Some(Action::Send),
        (RowState::Changed, Mode::Update | Mode::Upsert | Mode::Mirror) => Some(Action::Send),
        (RowState::Changed, Mode::Insert | Mode::Add | Mode::Remove) => None,
        // Without the record's identifiers nothing can be named at the destination.
        (RowState::Removed, _) if change.record.is_none() => None,
        (RowState::Removed, _) => match rules.on_removed {
            OnRemoved::Keep => None,
            OnRemoved::Clear => Some(Action::Clear),
            OnRemoved::Delete => Some(Action::Delete),
        },
    }
}

/// Gathers the changes of one sync while the diff streams.
pub struct Collector<'a> {
    rules: Rules,
    mapping: &'a Mapping,
    operations: Writer,
    counts: Operations,
    causes: Causes,
    fields: IndexMap<String, u64>,
    unknown_before: u64,
    nameless: u64,
    samples: Samples,
}

impl<'a> Collector<'a> {
    /// A collector that freezes operations into `operations`.
    pub fn new(rules: Rules, mapping: &'a Mapping, operations: Writer) -> Self {
        // Every field has its place from the start, so that the order is the manifest's and not the data's.
        let fields = mapping.spec().fields.keys().map(|name| (name.clone(), 0)).collect();
        let samples = Samples::new(rules.samples);
        Self {
            rules,
            mapping,
            operations,
            counts: Operations::default(),
            causes: Causes::default(),
            fields,
            unknown_before: 0,
            nameless: 0,
            samples,
        }
    }

    /// Takes a batch of changes.
    pub fn take(&mut self, batch: &ChangeBatch) -> Result<()> {
        let keys = keys(batch, &self.mapping.spec().primary_key)?;
        let actions: Vec<_> = batch.changes.iter().map(|change| action(&self.rules, change)).collect();
        for ((change, action), key) in batch.changes.iter().zip(&actions).zip(&keys) {
            self.count(change, *action);
            self.compare(change, key);
        }
        self.operations.write(batch, &actions, &keys)
    }

    fn count(&mut self, change: &Change, action: Option<Action>) {
        match action {
            Some(Action::Send) => self.counts.send += 1,
            Some(Action::Clear) => self.counts.clear += 1,
            Some(Action::Delete) => self.counts.delete += 1,
            None => self.counts.none += 1,
        }
        if change.state == RowState::Removed {
            self.nameless += u64::from(change.record.is_none());
            return;
        }
        match change.cause {
            Cause::Data => self.causes.data += 1,
            Cause::Configuration => self.causes.configuration += 1,
            Cause::FirstRun => self.causes.first_run += 1,
            Cause::Retry => self.causes.retry += 1,
        }
    }

    fn compare(&mut self, change: &Change, key: &str) {
        let changed = change.state == RowState::Changed;
        self.unknown_before += u64::from(changed && change.before == Before::Unknown);
        let differences = match (&change.before, &change.record) {
            (Before::Known(before), Some(record)) if changed => mapping::differences(before, record, self.mapping),
            _ => Vec::new(),
        };
        for difference in &differences {
            *self.fields.entry(difference.field.clone()).or_default() += 1;
        }
        if self.samples.wants(change.state, key, differences.iter().map(|difference| difference.field.as_str())) {
            let sample = self.sample(change, key, differences);
            self.samples.keep(change.state, sample);
        }
    }

    fn sample(&self, change: &Change, key: &str, differences: Vec<Difference>) -> Sample {
        let open = |name: &str| self.rules.open_fields.contains(name);
        let field = |name: &str, before: Option<&Value>, after: Option<&Value>, before_unknown: bool| FieldChange {
            name: name.to_owned(),
            before: before.map(Value::to_json),
            after: after.map(Value::to_json),
            before_unknown,
            sensitive: !open(name),
        };
        let sent = || change.record.iter().flat_map(|record| mapping::named(record, self.mapping));
        let fields = match (change.state, &change.before) {
            (RowState::Removed, Before::Known(before)) => {
                before.iter().map(|(name, value)| field(name, Some(value), None, false)).collect()
            }
            (RowState::Removed, _) => Vec::new(),
            (RowState::Changed, Before::Known(_)) => {
                differences.iter().map(|d| field(&d.field, d.before.as_ref(), Some(&d.after), false)).collect()
            }
            (state, _) => {
                let unknown = state == RowState::Changed;
                sent().map(|(name, value)| field(&name, None, Some(&value), unknown)).collect()
            }
        };
        Sample { state: state_word(change.state).to_owned(), key: key.to_owned(), fields }
    }

    /// Ends the sync's part of the plan; names, guards and estimate are the caller's to add. Returns it with the number
    /// of removed rows that cannot be named at the destination.
    pub fn finish(self, summary: Summary) -> Result<(SyncPlan, u64)> {
        self.operations.finish()?;
        let plan = SyncPlan {
            counts: Counts {
                rows: summary.rows,
                added: summary.added,
                changed: summary.changed,
                removed: summary.removed,
                unchanged: summary.unchanged,
                invalid: summary.invalid.iter().map(|i| i.count).sum(),
            },
            held: summary.held,
            operations: self.counts,
            causes: self.causes,
            fields: self.fields.into_iter().filter(|(_, rows)| *rows > 0).collect(),
            unknown_before: self.unknown_before,
            samples: self.samples.finish(),
            invalid: summary.invalid,
            ..SyncPlan::default()
        };
        Ok((plan, self.nameless))
    }
}

fn keys(batch: &ChangeBatch, primary_key: &[String]) -> Result<Vec<String>> {
    let schema = batch.rows.schema();
    let columns = primary_key.iter().map(|name| {
        let index = schema.index_of(name).map_err(|e| Error::failed(format!("key column `{name}` is gone: {e}")))?;
        Ok((batch.rows.column(index), schema.field(index).clone()))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    (0..batch.rows.num_rows())
        .map(|row| {
            let values = columns.iter().map(|(array, field)| Value::at(array.as_ref(), Some(field), row));
            let values = values.collect::<Result<Vec<_>, _>>().map_err(Error::failed)?;
            Ok(mapping::key_text(&values))
        })
        .collect()
}
