//! From the changes of one sync to its part of the plan: counts, causes, fields, samples, frozen operations.

use std::collections::HashSet;

use indexmap::IndexMap;

use super::footprint::{Comparing, Footprint};
use super::identities::Records;
use super::operations::{Writer, state_word};
use super::samples::Samples;
use super::{Causes, Counts, FieldChange, Operations, Sample, SyncPlan};
use crate::destinations::Action;
use crate::diagnostic::{Error, Result};
use crate::diff::{Before, Cause, Change, ChangeBatch, RowState, Summary};
use crate::manifest::sync::{Mode, OnRemoved};
use crate::mapping::column::Column;
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
    pub(super) rules: Rules,
    pub(super) mapping: &'a Mapping,
    pub(super) operations: Writer,
    pub(super) counts: Operations,
    causes: Causes,
    comparing: Comparing,
    /// Where records go, for the comparison.
    target: String,
    fields: IndexMap<String, u64>,
    unknown_before: u64,
    pub(super) nameless: u64,
    pub(super) samples: Samples,
    /// What rows are matched to, where it is not their key.
    pub(super) records: Option<Records>,
    /// Operations written that send rows: they stand before all others.
    pub(super) sends: u64,
    pub(super) remarks: Remarks,
}

/// What a plan must say of a sync beside its numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Removed rows that cannot be named at the destination.
    pub nameless: u64,
    /// Changed rows of which nobody knows what they were matched by before.
    pub nameless_former: u64,
    /// Records that are left alone because a current row uses them.
    pub in_use: u64,
    /// Former records of earlier runs among the removed rows.
    pub former: u64,
    /// Rows that share their record with another.
    pub shared: u64,
    /// A few of their keys.
    pub sharing: Vec<String>,
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
            comparing: Comparing::Alone,
            target: String::new(),
            fields,
            unknown_before: 0,
            nameless: 0,
            samples,
            records: None,
            sends: 0,
            remarks: Remarks::default(),
        }
    }

    /// Watches over the records that rows are matched to; asked only once the whole model has been read.
    pub fn watching(self, records: Option<Records>) -> Self {
        Self { records, ..self }
    }

    /// Holds the changes against what another configuration would do. `target` says where records go.
    pub fn comparing(self, comparing: Comparing, target: String) -> Self {
        Self { comparing, target, ..self }
    }

    /// Takes a batch of changes.
    pub fn take(&mut self, batch: &ChangeBatch) -> Result<()> {
        let keys = keys(batch, &self.mapping.spec().primary_key)?;
        let batch = &*self.renamed(batch);
        let mut actions: Vec<_> = batch.changes.iter().map(|change| action(&self.rules, change)).collect();
        let formers = self.leave(batch, &mut actions, &keys);
        for ((change, action), key) in batch.changes.iter().zip(&actions).zip(&keys) {
            self.count(change, *action);
            self.compare(change, key);
        }
        self.operations.write(batch, &actions, &keys)?;
        self.sends += batch.changes.iter().filter(|change| change.state != RowState::Removed).count() as u64;
        self.write_formers(&formers)
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
        }
        match self.comparing.cause(change, action, self.mapping, &self.target) {
            Cause::Data => self.causes.data += 1,
            Cause::Configuration => self.causes.configuration += 1,
            Cause::FirstRun => self.causes.first_run += 1,
            Cause::Retry => self.causes.retry += 1,
            Cause::Doubt => {
                self.causes.retry += 1;
                self.causes.unanswered += 1;
            }
            Cause::Drift => self.causes.drift += 1,
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
        let sent = || change.record.iter().flat_map(|record| mapping::named(record.clone(), self.mapping));
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
        // Where nothing is known of what a removed row was, its key is no more than a hash.
        let key_unknown = change.state == RowState::Removed && !matches!(change.before, Before::Known(_));
        let key = if key_unknown { UNKNOWN_KEY } else { key };
        Sample { state: state_word(change.state).to_owned(), key: key.to_owned(), key_unknown, fields }
    }

    /// Ends the sync's part of the plan; names, guards and estimate are the caller's to add. Returns it with what else
    /// must be said, and what was noted for a comparison.
    pub fn finish(self, summary: Summary) -> Result<(SyncPlan, Remarks, Footprint)> {
        self.operations.finish()?;
        let without_change = self.comparing.left();
        let footprint =
            if let Comparing::Noting(footprint) = self.comparing { footprint } else { Footprint::default() };
        let plan = SyncPlan {
            counts: Counts {
                rows: summary.rows,
                added: summary.added,
                changed: summary.changed,
                removed: summary.removed + self.remarks.former,
                unchanged: summary.unchanged,
                invalid: summary.invalid.iter().map(|i| i.count).sum(),
            },
            held: summary.held,
            operations: self.counts,
            causes: self.causes,
            without_change,
            fields: self.fields.into_iter().filter(|(_, rows)| *rows > 0).collect(),
            unknown_before: self.unknown_before,
            samples: self.samples.finish(),
            invalid: summary.invalid,
            ..SyncPlan::default()
        };
        let (shared, sharing) = self.records.map(|records| records.shared()).unwrap_or_default();
        Ok((plan, Remarks { nameless: self.nameless, shared, sharing, ..self.remarks }, footprint))
    }
}

/// What stands for the key of a row of which only fingerprints are known.
const UNKNOWN_KEY: &str = "unknown";

/// Keys of the rows of a batch, as shown to people.
pub fn keys(batch: &ChangeBatch, primary_key: &[String]) -> Result<Vec<String>> {
    let rows = batch.rows.num_rows();
    if batch.rows.num_columns() == 0 && batch.changes.iter().all(|change| change.state == RowState::Removed) {
        return Ok(vec![UNKNOWN_KEY.to_owned(); rows]);
    }
    let schema = batch.rows.schema_ref();
    let columns = primary_key.iter().map(|name| {
        let index = schema.index_of(name).map_err(|e| Error::failed(format!("key column `{name}` is gone: {e}")))?;
        Column::new(batch.rows.column(index), Some(schema.field(index))).map_err(Error::failed)
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let mut values = Vec::with_capacity(columns.len());
    let mut keys = Vec::with_capacity(rows);
    for row in 0..rows {
        values.clear();
        for column in &columns {
            values.push(column.at(row).map_err(Error::failed)?);
        }
        keys.push(mapping::key_text(&values));
    }
    Ok(keys)
}
