//! The records rows had before their identifiers changed: planned to be removed after the row has arrived under its new
//! ones, unless another row uses them.

use std::borrow::Cow;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;

use super::collect::Collector;
use super::operations::former_hash;
use super::{FieldChange, Sample};
use crate::destinations::Action;
use crate::diagnostic::{Error, Result};
use crate::diff::{Before, Cause, Change, ChangeBatch, Hash, RowState};
use crate::manifest::sync::OnRemoved;
use crate::mapping::{Record, Value};

/// An operation on a record that is no row's any more.
pub(super) struct Leaving {
    action: Option<Action>,
    cause: Cause,
    key: String,
    key_hash: Hash,
    /// The operation that must have been acknowledged before.
    after: Option<u64>,
    matching: Option<Vec<Value>>,
}

/// A record an earlier run left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// Key of the row that had it, as shown to people.
    pub key: String,
    /// Hash of that key.
    pub key_hash: Hash,
    /// Its identifiers, in the order of the mapping.
    pub matching: Vec<Value>,
}

impl Collector<'_> {
    /// Removed rows under the names identifiers have today: a row may have been sent when the sync matched by others.
    pub(super) fn renamed<'b>(&self, batch: &'b ChangeBatch) -> Cow<'b, ChangeBatch> {
        let names = self.mapping.spec().matching.keys();
        let stale = |change: &Change| match (&change.before, change.state) {
            (Before::Known(before), RowState::Removed) => {
                !before.iter().map(|(name, _)| name).take(names.len()).eq(names.clone())
            }
            _ => false,
        };
        if !batch.changes.iter().any(stale) {
            return Cow::Borrowed(batch);
        }
        let mut batch = batch.clone();
        for change in batch.changes.iter_mut().filter(|change| stale(change)) {
            let Before::Known(before) = &change.before else { continue };
            let find = |name: &String| before.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            let matching = names.clone().map(find).collect::<Option<Vec<Value>>>();
            let matching = matching.filter(|values| !values.iter().any(Value::is_null));
            change.record = change.record.take().zip(matching).map(|(record, matching)| Record { matching, ..record });
        }
        Cow::Owned(batch)
    }

    /// Takes the action from removals of records that are in use, and finds the records that changed rows leave behind.
    pub(super) fn leave(
        &mut self,
        batch: &ChangeBatch,
        actions: &mut [Option<Action>],
        keys: &[String],
    ) -> Vec<Leaving> {
        let mut leaving = Vec::new();
        let removal = removal(self.rules.on_removed);
        let Some(records) = &mut self.records else { return leaving };
        for (row, ((change, action), key)) in batch.changes.iter().zip(actions).zip(keys).enumerate() {
            let Some(record) = &change.record else { continue };
            let ordinal = self.sends + row as u64;
            if change.state != RowState::Removed && *action == Some(Action::Send) {
                records.sent(key, &record.matching);
                if let Some(send) = records.sends.get_mut(&change.key_hash) {
                    *send = Some(ordinal);
                }
            }
            let Some(removal) = removal.filter(|_| records.removes) else { continue };
            let mut leave = |action, after, matching| {
                let (cause, key, key_hash) = (Cause::Data, key.clone(), change.key_hash);
                leaving.push(Leaving { action, cause, key, key_hash, after, matching: Some(matching) });
            };
            match (change.state, *action) {
                (RowState::Removed, Some(_)) => {
                    let Some(hash) = records.namer.hash(&record.matching) else { continue };
                    if records.uses(hash) {
                        *action = None;
                        self.remarks.in_use += 1;
                        leave(None, None, record.matching.clone());
                    } else {
                        records.removed.insert(hash);
                    }
                }
                (RowState::Changed, Some(Action::Send)) => {
                    let Before::Known(before) = &change.before else {
                        // Of rows in doubt the state remembers by itself what they may have been matched by.
                        self.remarks.nameless_former += u64::from(!matches!(change.cause, Cause::Retry | Cause::Doubt));
                        continue;
                    };
                    let Some(matching) = records.namer.of(before) else {
                        self.remarks.nameless_former += 1;
                        continue;
                    };
                    let Some(hash) = records.namer.hash(&matching) else { continue };
                    if records.namer.hash(&record.matching) == Some(hash) {
                        continue;
                    }
                    if records.uses(hash) {
                        self.remarks.in_use += 1;
                        self.counts.none += 1;
                        leave(None, Some(ordinal), matching);
                    } else if records.removed.insert(hash) {
                        tally(&mut self.counts, removal);
                        leave(Some(removal), Some(ordinal), matching);
                    }
                }
                _ => {}
            }
        }
        leaving
    }

    /// Plans the records earlier runs left behind: each is a removed row of its own. Called after the last change.
    pub fn take_left(&mut self, left: Vec<Left>) -> Result<()> {
        let mut leaving = Vec::new();
        let Some((records, removal)) = self.records.as_mut().zip(removal(self.rules.on_removed)) else {
            return Ok(());
        };
        for left in left {
            let Some(hash) = records.namer.hash(&left.matching) else { continue };
            let used = records.uses(hash);
            if !used && !records.removed.insert(hash) {
                continue;
            }
            if !used {
                tally(&mut self.counts, removal);
                self.remarks.former += 1;
                if self.samples.wants(RowState::Removed, &left.key, std::iter::empty()) {
                    let named = self.mapping.spec().matching.keys().zip(&left.matching);
                    let field = |(name, value): (&String, &Value)| FieldChange {
                        name: name.clone(),
                        before: Some(value.to_json()),
                        sensitive: !self.rules.open_fields.contains(name),
                        ..FieldChange::default()
                    };
                    let (state, key, fields) = ("removed".into(), left.key.clone(), named.map(field).collect());
                    self.samples.keep(RowState::Removed, Sample { state, key, key_unknown: false, fields });
                }
            }
            leaving.push(Leaving {
                action: (!used).then_some(removal),
                cause: Cause::Retry,
                after: records.sends.get(&left.key_hash).copied().flatten(),
                key: left.key,
                key_hash: left.key_hash,
                matching: Some(left.matching),
            });
        }
        self.write_formers(&leaving)
    }

    /// Has rows forgotten that were held and have left the model: nothing of them is at the destination. Called after
    /// the last change.
    pub fn forget_held(&mut self, held: Vec<(Hash, String)>) -> Result<()> {
        let forget =
            |(key_hash, key)| Leaving { action: None, cause: Cause::Data, key, key_hash, after: None, matching: None };
        self.write_formers(&held.into_iter().map(forget).collect::<Vec<_>>())
    }

    pub(super) fn write_formers(&mut self, leaving: &[Leaving]) -> Result<()> {
        if leaving.is_empty() {
            return Ok(());
        }
        let change = |leaving: &Leaving| Change {
            state: RowState::Removed,
            cause: leaving.cause,
            key_hash: leaving.key_hash,
            row_hash: former_hash(leaving.after),
            before: Before::Unknown,
            record: leaving.matching.clone().map(|matching| Record { matching, fields: Vec::new() }),
        };
        let options = RecordBatchOptions::new().with_row_count(Some(leaving.len()));
        let rows = RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &options);
        let rows = rows.map_err(|e| Error::failed(format!("cannot plan former records: {e}")))?;
        let batch = ChangeBatch { rows, changes: leaving.iter().map(change).collect() };
        let actions: Vec<_> = leaving.iter().map(|leaving| leaving.action).collect();
        let keys: Vec<_> = leaving.iter().map(|leaving| leaving.key.clone()).collect();
        self.operations.write(&batch, &actions, &keys)
    }
}

fn removal(on_removed: OnRemoved) -> Option<Action> {
    match on_removed {
        OnRemoved::Keep => None,
        OnRemoved::Clear => Some(Action::Clear),
        OnRemoved::Delete => Some(Action::Delete),
    }
}

fn tally(counts: &mut super::Operations, removal: Action) {
    match removal {
        Action::Clear => counts.clear += 1,
        Action::Delete => counts.delete += 1,
        Action::Send => {}
    }
}
