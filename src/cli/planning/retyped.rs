//! Columns that are of another type than when the sync last ran. A type that changes upstream changes every record, and
//! what was meant as a number arrives as text: that is refused until the model's manifest says that it is meant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::Array;
use arrow_schema::{ArrowError, SchemaRef};

use crate::diagnostic::Result;
use crate::diff::kinds::kind_of;
use crate::diff::snapshot::Layout;
use crate::manifest::document::escape;
use crate::mapping::{Used, columns_of};
use crate::plan::{Notice, SyncPlan};
use crate::project::{ResolvedModel, ResolvedSync};
use crate::sources::{Batch, BatchReader, BatchStream};
use crate::state::SyncView;

/// Stable code of these refusals and warnings.
const CODE: &str = "type_changed";

/// A column of another type, and whether a row has been seen that holds a value in it.
struct Change {
    column: String,
    was: String,
    is: String,
    seen: Arc<AtomicBool>,
}

/// The columns of one sync that are of another type.
pub(super) struct Retyped(Vec<Change>);

impl Retyped {
    /// The columns whose type differs from that of the rows last acknowledged. Left out are those whose type the model's
    /// manifest declares: that holds, or the plan has ended before. So is the key, which is refused elsewhere.
    pub fn find(model: &ResolvedModel, layout: &Layout, view: &SyncView) -> Result<Self> {
        let (Some(snapshot), Some(entry)) = (&view.snapshot, &view.entry) else { return Ok(Self(Vec::new())) };
        let before = snapshot.kinds(entry.mapping);
        let mut changes = Vec::new();
        for field in layout.schema.fields() {
            let (column, is) = (field.name(), kind_of(field));
            let declared = model.columns.get(column).is_some_and(|promised| promised.kind.is_some());
            let known = before.iter().find(|(name, _)| name == column).map(|(_, was)| was.clone());
            let Some(was) = known.filter(|was| *was != is) else { continue };
            let open = was == "null" || is == "null";
            // Of a column without a value, the type is a guess.
            if declared || open || model.primary_key.contains(column) || !snapshot.has_values(entry.mapping, column)? {
                continue;
            }
            changes.push(Change { column: column.clone(), was, is, seen: Arc::default() });
        }
        Ok(Self(changes))
    }

    /// The same rows, looked at as they pass by.
    pub fn over(&self, streams: Vec<BatchStream>) -> Vec<BatchStream> {
        if self.0.is_empty() {
            return streams;
        }
        let columns = || self.0.iter().map(|change| (change.column.clone(), change.seen.clone())).collect();
        streams.into_iter().map(|rows| Box::new(Looked { rows, columns: columns() }) as BatchStream).collect()
    }

    /// What must be said of them once all rows have passed: refusals, and warnings where numbers are still numbers or
    /// nothing changes by it.
    pub fn told(&self, sync: &ResolvedSync, model: &ResolvedModel, part: &SyncPlan) -> [Vec<Notice>; 2] {
        let (mut refusals, mut warnings) = (Vec::new(), Vec::new());
        for change in self.0.iter().filter(|change| change.seen.load(Ordering::Relaxed)) {
            let records = records(sync, part, &change.column);
            let number = |kind: &str| matches!(kind, "integer" | "decimal" | "float");
            if records == 0 || (number(&change.was) && number(&change.is)) {
                if records > 0 {
                    warnings.push(change.notice(sync, model, records, false));
                }
            } else {
                refusals.push(change.notice(sync, model, records, true));
            }
        }
        [refusals, warnings]
    }
}

impl Change {
    fn notice(&self, sync: &ResolvedSync, model: &ResolvedModel, records: u64, refused: bool) -> Notice {
        let Self { column, was, is, .. } = self;
        let file = model.place("").map(|place| place.source.path.display().to_string()).unwrap_or_default();
        let records = if records == 1 { "1 record".to_owned() } else { format!("{records} records") };
        let declare = format!("declare it in `{file}` (`columns: {{ {column}: {{ type: {} }} }}`)", declared(is));
        let help = match refused {
            true => format!("if that is meant, {declare} and plan again; else correct the source or cast the column"),
            false => format!("to have another type refused, {declare}"),
        };
        Notice {
            code: CODE.into(),
            sync: Some(sync.name.clone()),
            message: format!(
                "`{}`: column `{column}` of model `{}` was {was} at the last run and is {is} now; {records} it is used in \
                 would change",
                sync.name, model.name
            ),
            help: Some(help),
            place: place(sync, model, column),
            keys: Vec::new(),
        }
    }
}

/// Records that differ in a field that is made of a column.
fn records(sync: &ResolvedSync, part: &SyncPlan, column: &str) -> u64 {
    let of = |used: Used| match used {
        Used::Columns(columns) => columns.contains(column),
        Used::All => true,
    };
    let fields = sync.mapping.fields.iter().filter(|(_, field)| of(columns_of(field))).map(|(name, _)| name);
    let identifiers = sync.mapping.matching.iter().filter(|(_, own)| *own == column).map(|(name, _)| name);
    let differ = fields.chain(identifiers).filter_map(|name| part.fields.get(name)).max().copied();
    differ.unwrap_or(0).max(part.unknown_before)
}

/// Where the manifests speak of a column: what the model promises of it, else where the sync uses it.
fn place(sync: &ResolvedSync, model: &ResolvedModel, column: &str) -> Option<String> {
    if let Some(place) = model.place_of(&format!("/columns/{}", escape(column))) {
        let key = model.key_place(&format!("/columns/{}", escape(column)));
        return Some(key.unwrap_or(place).to_string());
    }
    let made_of = |field| matches!(columns_of(field), Used::Columns(columns) if columns.contains(column));
    let field = sync.mapping.fields.iter().find(|(_, field)| made_of(field));
    let field = field.map(|(name, _)| format!("/fields/{}", escape(name)));
    let identifier = sync.mapping.matching.iter().find(|(_, own)| *own == column);
    let pointer = field.or_else(|| identifier.map(|(name, _)| format!("/match/{}", escape(name))));
    sync.place(pointer.as_deref().unwrap_or("/model")).map(|place| place.to_string())
}

/// A kind as `columns` of a model declares it.
fn declared(kind: &str) -> &str {
    match kind {
        "text" => "string",
        "decimal" | "float" => "number",
        "instant" => "timestamp",
        "list" | "object" | "map" => "json",
        other => other,
    }
}

/// A stream that notes in which columns it has values.
struct Looked {
    rows: BatchStream,
    columns: Vec<(String, Arc<AtomicBool>)>,
}

impl Iterator for Looked {
    type Item = std::result::Result<Batch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.rows.next()?;
        if let Ok(batch) = &batch {
            for (name, seen) in &self.columns {
                let values = batch.rows.column_by_name(name).filter(|_| !seen.load(Ordering::Relaxed));
                if values.is_some_and(|values| values.logical_null_count() < values.len()) {
                    seen.store(true, Ordering::Relaxed);
                }
            }
        }
        Some(batch)
    }
}

impl BatchReader for Looked {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}
